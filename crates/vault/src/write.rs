//! Writing: sealed block by block, stored with one call, undone if the disk is full.

use std::ops::Range;
use std::sync::Arc;

use rustix::io::Errno;
use strongroom_event::Event;
use strongroom_format::{FileHeader, FileId};

use crate::attr::NodeId;
use crate::backing::{Backing, Target};
use crate::content::{BLOCK, HEADER, Scratch, at_least};
use crate::error::{Result, VaultError};
use crate::node::Node;
use crate::open_file::{Content, Extent, FileState, KnownId};
use crate::vault::Vault;

/// A change of a file in the making, by whoever holds its content lock.
pub(crate) struct Change<'a, B: Backing> {
    pub node: &'a Arc<Node<B>>,
    pub state: &'a FileState<B>,
    pub file: &'a B::File,
    pub content: &'a mut Content,
    pub id: FileId,
    /// The header is not on the disk yet.
    pub lacks_header: bool,
    pub extent: Extent,
    /// Ciphertext that was read and is about to be overwritten: where it stood, and how much of the buffer it is.
    pub before: Vec<(u64, Vec<u8>)>,
    /// A hole that is about to be filled.
    pub hole: Range<u64>,
}

impl<B: Backing> Vault<B> {
    /// Writes all of `data`.
    pub fn write(&self, node: NodeId, offset: u64, data: &[u8]) -> Result<usize> {
        self.writable()?;
        let node = self.node(node)?;
        let state = node.file().ok_or(VaultError::IsADirectory)?;
        self.end_of(offset, data.len() as u64)?;
        if data.is_empty() {
            return Ok(0);
        }
        let file = self.open_file(&node, true)?;
        self.keeping_time(&node, state, &file, || {
            Scratch::lend(|scratch| {
                let sealed = self.seal_ahead(state, offset, data, scratch);
                let mut content = state.content.write();
                let mut change = self.begin(&node, state, &file, &mut content)?;
                let sealed = sealed.filter(|(id, _)| *id == change.id && !change.lacks_header).map(|(_, len)| len);
                self.write_span(&mut change, offset, data, sealed, scratch)
            })
        })?;
        Ok(data.len())
    }

    /// Seals whole blocks before the lock is taken, on the bet that the file keeps its id until then.
    fn seal_ahead(
        &self,
        state: &FileState<B>,
        offset: u64,
        data: &[u8],
        scratch: &mut Scratch,
    ) -> Option<(FileId, usize)> {
        if !offset.is_multiple_of(BLOCK as u64) || !data.len().is_multiple_of(BLOCK) || self.is_shared() {
            return None;
        }
        let KnownId::Known(id) = *state.id.lock() else { return None };
        let out = at_least(&mut scratch.cipher, data.len() / BLOCK * self.cipher_block());
        let len = self.ciphers.content.seal_blocks(&id, offset / BLOCK as u64, data, &*self.random, out);
        Some((id, len))
    }

    pub(crate) fn begin<'a>(
        &self,
        node: &'a Arc<Node<B>>,
        state: &'a FileState<B>,
        file: &'a B::File,
        content: &'a mut Content,
    ) -> Result<Change<'a, B>> {
        let extent = self.extent(file, content)?;
        let (id, lacks_header) = self.id_to_write(node, state, file, extent.len)?;
        // A stub of a header is no content.
        let extent = if extent.len <= HEADER as u64 { Extent { len: 0, ..extent } } else { extent };
        Ok(Change { node, state, file, content, id, lacks_header, extent, before: Vec::new(), hole: 0..0 })
    }

    fn write_span(
        &self,
        change: &mut Change<'_, B>,
        offset: u64,
        data: &[u8],
        sealed: Option<usize>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let first = offset / BLOCK as u64;
        let tail = self.load_short_tail(change, first)?;
        let with_header = change.lacks_header && first == 0;
        let len = match sealed {
            Some(len) => len,
            None => {
                let room = HEADER + (data.len() / BLOCK + 2) * self.cipher_block();
                let mut out = std::mem::take(&mut scratch.cipher);
                at_least(&mut out, room);
                let mut len = 0;
                if with_header {
                    out[..HEADER].copy_from_slice(&FileHeader::encode(&change.id));
                    len = HEADER;
                }
                let sealed = self.seal_span(change, offset, data, &mut out[len..]);
                scratch.cipher = out;
                len + sealed?
            }
        };
        let start = if with_header { 0 } else { self.geometry.block_offset(first) };
        let before = change.extent.len;
        self.store(change, start, &scratch.cipher[..len])?;
        self.store_tail(change, tail, before)
    }

    /// Stores what was the short last block as a full one, now that the file has grown past it from `before` bytes of
    /// ciphertext. If that fails, the file is cut off there again.
    pub(crate) fn store_tail(
        &self,
        change: &mut Change<'_, B>,
        tail: Option<(u64, Box<[u8; BLOCK]>)>,
        before: u64,
    ) -> Result<()> {
        let Some((block, plain)) = tail else { return Ok(()) };
        let mut sealed = vec![0; self.cipher_block()];
        let len = self.ciphers.content.seal_blocks(&change.id, block, &*plain, &*self.random, &mut sealed);
        let stored = self.store(change, self.geometry.block_offset(block), &sealed[..len]);
        if stored.is_err() {
            change.extent.len = before;
            self.undo(change, u64::MAX);
        }
        stored
    }

    /// Seals `data` for its place, with what the blocks at its edges hold besides.
    fn seal_span(&self, change: &mut Change<'_, B>, offset: u64, data: &[u8], out: &mut [u8]) -> Result<usize> {
        let (mut at, mut rest, mut len) = (offset, data, 0);
        let mut block_buffer = [0; BLOCK];
        while !rest.is_empty() {
            let (block, skip) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let (plain, taken) = if skip == 0 && rest.len() >= BLOCK {
                let whole = rest.len() / BLOCK * BLOCK;
                (&rest[..whole], whole)
            } else {
                let taken = rest.len().min(BLOCK - skip);
                let old = self.load_old(change, block, skip, taken, &mut block_buffer)?;
                block_buffer[old.min(skip)..skip].fill(0);
                block_buffer[skip..skip + taken].copy_from_slice(&rest[..taken]);
                (&block_buffer[..old.max(skip + taken)], taken)
            };
            len += self.ciphers.content.seal_blocks(&change.id, block, plain, &*self.random, &mut out[len..]);
            at += taken as u64;
            rest = &rest[taken..];
        }
        Ok(len)
    }

    /// What a block holds that is about to be written in part; nothing if the part is all there is.
    fn load_old(
        &self,
        change: &mut Change<'_, B>,
        block: u64,
        skip: usize,
        taken: usize,
        out: &mut [u8; BLOCK],
    ) -> Result<usize> {
        let size = self.plain_size(change.extent);
        let held = size.saturating_sub(block * BLOCK as u64).min(BLOCK as u64) as usize;
        if held == 0 || (skip == 0 && taken >= held) {
            return Ok(0);
        }
        self.load_for_change(change, block, out)
    }

    /// Reads a block that is about to be overwritten, and keeps its ciphertext to put it back if that fails.
    pub(crate) fn load_for_change(
        &self,
        change: &mut Change<'_, B>,
        block: u64,
        out: &mut [u8; BLOCK],
    ) -> Result<usize> {
        if change.lacks_header {
            out.fill(0); // holes without a header
            return Ok((self.plain_size(change.extent) - block * BLOCK as u64).min(BLOCK as u64) as usize);
        }
        let mut raw = Vec::new();
        let len = self.settle_block(change.node, change.file, change.content, &change.id, block, &mut raw, out)?;
        if let Some(extent) = change.content.extent {
            change.extent = extent; // an interrupted shrink was finished
        }
        change.before.push((self.geometry.block_offset(block), raw));
        Ok(len)
    }

    /// The last block, if it is short and something is to come after it: it has to become a full one.
    pub(crate) fn load_short_tail(
        &self,
        change: &mut Change<'_, B>,
        before_block: u64,
    ) -> Result<Option<(u64, Box<[u8; BLOCK]>)>> {
        if self.plain_size(change.extent).is_multiple_of(BLOCK as u64)
            && self.plain_size(change.extent) / BLOCK as u64 <= before_block
        {
            self.settle_end(change)?;
        }
        let size = self.plain_size(change.extent);
        let block = size / BLOCK as u64;
        if size.is_multiple_of(BLOCK as u64) || block >= before_block {
            return Ok(None);
        }
        let mut plain = Box::new([0; BLOCK]);
        let len = self.load_for_change(change, block, &mut plain)?;
        plain[len..].fill(0);
        Ok(Some((block, plain)))
    }

    /// Writes the header on its own: the file then still reads as empty.
    pub(crate) fn store_header(&self, change: &mut Change<'_, B>) -> Result<()> {
        if !change.lacks_header {
            return Ok(());
        }
        self.store(change, 0, &FileHeader::encode(&change.id))
    }

    /// Writes ciphertext. If that fails, the file is what it was before.
    pub(crate) fn store(&self, change: &mut Change<'_, B>, start: u64, cipher: &[u8]) -> Result<()> {
        if change.lacks_header && start > 0 {
            self.store_header(change)?;
        }
        let end = start + cipher.len() as u64;
        self.make_room(change, start, end)?;
        if let Err(errno) = self.backing.write_at(change.file, start, cipher) {
            self.undo(change, end);
            return Err(errno.into());
        }
        let extent = &mut change.extent;
        extent.is_dense &= start <= extent.len;
        extent.len = extent.len.max(end);
        change.content.extent = Some(*extent);
        change.before.clear();
        change.hole = 0..0;
        if start == 0 {
            change.lacks_header = false;
            if !self.is_shared() {
                let id = if extent.len <= HEADER as u64 { KnownId::Unread } else { KnownId::Known(change.id) };
                *change.state.id.lock() = id;
            }
        }
        Ok(())
    }

    /// Sees to it that writing the range will not end in the middle of a block for want of space.
    fn make_room(&self, change: &mut Change<'_, B>, start: u64, end: u64) -> Result<()> {
        let old = change.extent;
        let overlap = start..end.min(old.len);
        let is_known = |range: &Range<u64>| {
            change.before.iter().any(|(at, raw)| *at <= range.start && *at + raw.len() as u64 >= range.end)
        };
        let is_new = end > old.len || !is_known(&overlap);
        let is_tight = is_new && !self.has_room(end - start);
        let may_fill_holes = is_new && !overlap.is_empty();
        if !is_tight && (!may_fill_holes || self.is_dense(change)?) {
            return Ok(());
        }
        if !is_tight && self.is_hole(change.file, &overlap)? {
            change.hole = overlap;
            return Ok(());
        }
        match self.backing.reserve(change.file, start, end - start) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP) => self.remember(change, overlap),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether every byte of the file has its place on the disk; holes may have been filled since we last looked.
    pub(crate) fn is_dense(&self, change: &mut Change<'_, B>) -> Result<bool> {
        if !change.extent.is_dense {
            let stat = self.backing.stat(Target::File(change.file))?;
            change.extent.is_dense = Extent::of(&stat).is_dense;
        }
        Ok(change.extent.is_dense)
    }

    fn is_hole(&self, file: &B::File, range: &Range<u64>) -> Result<bool> {
        match self.backing.seek_data(file, range.start) {
            Ok(data) => Ok(data >= range.end),
            Err(Errno::NXIO) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Where space cannot be reserved, what is about to be overwritten is kept to be put back.
    fn remember(&self, change: &mut Change<'_, B>, overlap: Range<u64>) -> Result<()> {
        if overlap.is_empty() {
            return Ok(());
        }
        let mut raw = vec![0; (overlap.end - overlap.start) as usize];
        let len = self.backing.read_at(change.file, overlap.start, &mut raw)?;
        raw.truncate(len);
        change.before.push((overlap.start, raw));
        Ok(())
    }

    /// Puts back what a failed write may have overwritten, and cuts off what it may have appended.
    fn undo(&self, change: &mut Change<'_, B>, end: u64) {
        let mut failed = None;
        for (at, raw) in &change.before {
            failed = self.backing.write_at(change.file, *at, raw).err().or(failed);
        }
        // What is left of the hole has no place on the disk yet, and stays one.
        let zeros = vec![0; (change.hole.end - change.hole.start) as usize];
        let _ = self.backing.write_at(change.file, change.hole.start, &zeros);
        if end > change.extent.len {
            failed = self.backing.set_len(change.file, change.extent.len).err().or(failed);
        }
        change.before.clear();
        change.hole = 0..0;
        self.forget_content(change.state, change.content);
        if let Some(errno) = failed {
            let path = strongroom_event::PathText(&change.node.path()).to_string();
            let errno = std::io::Error::from(errno);
            self.observer
                .observe(&Event::Warning(format!("{path}: a write failed, and undoing it failed as well: {errno}")));
        }
    }
}
