//! What reading and writing share: the header, one block, and the ways back from an interrupted change of size.
//!
//! # Order
//! No change of a file is more than a few system calls, and they are ordered so that between any two of them the file
//! reads as before or as after the change:
//! - A **header** is written together with the first block, or before it; a header alone is an empty file.
//! - **Growing** past a short last block extends the file first, then seals that block again at full length. In between
//!   it is a valid short block followed by zeros, which [`load_block`](Vault::load_block) reads as what it is.
//! - **Shrinking** into the middle of a block cuts off the blocks after it, seals the short block in place, makes sure
//!   that it reaches the disk first, then cuts the file off. In between the file is shorter already, or ends in a valid
//!   short block followed by the rest of the old one; whoever reads that block, or writes after it, cuts the file off
//!   there. Were it not the last block, nobody could tell the old blocks behind it from ones written after the crash.

use std::cell::RefCell;

use rustix::io::Errno;
use strongroom_event::Event;
use strongroom_format::{FileHeader, FileId};

use crate::backing::{Backing, Target};
use crate::error::{Result, VaultError};
use crate::node::Node;
use crate::open_file::{Content, Extent, FileState, KnownId};
use crate::vault::Vault;
use crate::write::Change;

/// Bytes of plaintext in a full block.
pub(crate) const BLOCK: usize = 4096;
/// Bytes of the header.
pub(crate) const HEADER: usize = 18;

/// Buffers of a thread, so that no operation allocates.
#[derive(Default)]
pub(crate) struct Scratch {
    pub cipher: Vec<u8>,
    pub plain: Vec<u8>,
}

/// More than this is given back after use.
const KEPT_SCRATCH: usize = 2 << 20;

impl Scratch {
    /// Lends this thread's buffers.
    pub fn lend<T>(act: impl FnOnce(&mut Scratch) -> T) -> T {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        SCRATCH.with(|scratch| {
            let mut scratch = scratch.take();
            let result = act(&mut scratch);
            if scratch.cipher.capacity() <= KEPT_SCRATCH {
                SCRATCH.with(|own| own.replace(scratch));
            }
            result
        })
    }
}

/// The first `len` bytes of `buffer`, which grows but is never cleared.
pub(crate) fn at_least(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Ciphertext shows itself in its first bytes; the rest is compared in strides that the compiler vectorises.
    bytes.iter().take(16).all(|byte| *byte == 0)
        && bytes.chunks(256).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

/// A block as it was found.
pub(crate) struct Loaded {
    /// Bytes of plaintext.
    pub len: usize,
    /// Where the file has to be cut off to finish an interrupted shrink.
    pub cut_at: Option<u64>,
}

impl<B: Backing> Vault<B> {
    /// What the header says. The caller holds the content lock, shared or exclusive.
    pub(crate) fn file_id(&self, node: &Node<B>, state: &FileState<B>, file: &B::File) -> Result<KnownId> {
        let known = *state.id.lock();
        if known != KnownId::Unread && !self.is_shared() {
            return Ok(known);
        }
        let mut start = [0; HEADER + 1];
        let len = self.backing.read_at(file, 0, &mut start)?;
        self.learn_id(node, state, &start[..len])
    }

    /// Remembers what the header at the start of the ciphertext says.
    pub(crate) fn learn_id(&self, node: &Node<B>, state: &FileState<B>, start: &[u8]) -> Result<KnownId> {
        let known = if start.len() <= HEADER {
            KnownId::Empty
        } else {
            let header: &[u8; HEADER] = start[..HEADER].try_into().expect("18 bytes were cut off");
            match FileHeader::decode(header) {
                Ok(id) => KnownId::Known(id),
                Err(_) if is_zero(header) => KnownId::Lost,
                Err(error) => return Err(self.corrupt(node, format!("the file header is damaged: {error}"))),
            }
        };
        if !self.is_shared() {
            *state.id.lock() = known;
        }
        Ok(known)
    }

    /// The length of the ciphertext, and whether it has holes. The caller holds the content lock exclusively.
    pub(crate) fn extent(&self, file: &B::File, content: &mut Content) -> Result<Extent> {
        match content.extent {
            Some(extent) if !self.is_shared() => Ok(extent),
            _ => {
                let stat = self.backing.stat(Target::File(file))?;
                let extent = Extent::of(&stat);
                content.extent = Some(extent);
                Ok(extent)
            }
        }
    }

    /// Reads and opens one block, the state that a crash may have left it in included. `raw` receives what was stored.
    /// The caller holds the content lock.
    pub(crate) fn load_block(
        &self,
        node: &Node<B>,
        file: &B::File,
        id: &FileId,
        block: u64,
        raw: &mut Vec<u8>,
        out: &mut [u8],
    ) -> Result<Loaded> {
        let start = self.geometry.block_offset(block);
        raw.resize(self.cipher_block() + 1, 0);
        let read = self.backing.read_at(file, start, raw)?;
        let stored = read.min(self.cipher_block());
        let is_last = stored == read;
        raw.truncate(stored);
        let overhead = self.overhead();
        let whole = |len| Ok(Loaded { len, cut_at: None });
        let error = match self.ciphers.content.open_blocks(id, block, raw, out) {
            Ok(len) => return whole(len),
            Err(error) => error,
        };
        if stored > overhead && is_zero(raw) {
            // The size reached the disk, the content did not.
            out[..stored - overhead].fill(0);
            return whole(stored - overhead);
        }
        match self.ciphers.content.open_interrupted(id, block, raw, true, out) {
            // Whoever came after the crash may have written the blocks that follow: they are not cut off.
            Some(len) if !is_last || is_zero(&raw[len + overhead..]) => {
                out[len..stored - overhead].fill(0);
                whole(stored - overhead)
            }
            Some(len) => Ok(Loaded { len, cut_at: Some(start + (len + overhead) as u64) }),
            None => Err(self.corrupt(
                node,
                format!("block {block} (bytes {} on) does not authenticate: {error}", block * BLOCK as u64),
            )),
        }
    }

    /// Like [`Vault::load_block`], and finishes an interrupted shrink if it finds one. The caller holds the content lock
    /// exclusively and has the file open for writing.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn settle_block(
        &self,
        node: &Node<B>,
        file: &B::File,
        content: &mut Content,
        id: &FileId,
        block: u64,
        raw: &mut Vec<u8>,
        out: &mut [u8],
    ) -> Result<usize> {
        let loaded = self.load_block(node, file, id, block, raw, out)?;
        if let Some(len) = loaded.cut_at {
            self.backing.set_len(file, len)?;
            raw.truncate((len - self.geometry.block_offset(block)) as usize);
            let is_dense = self.extent(file, content)?.is_dense;
            content.extent = Some(Extent { len, is_dense });
            let what = "a truncation that a crash had interrupted was completed".into();
            self.observer.observe(&Event::Healed { path: node.path(), what });
        }
        Ok(loaded.len)
    }

    /// Finishes a truncation that a crash interrupted in the last block, before that block ceases to be the last or its
    /// length is relied on. A damaged block is left to whoever reads it.
    pub(crate) fn settle_end(&self, change: &mut Change<'_, B>) -> Result<()> {
        if change.content.is_settled && !self.is_shared() {
            return Ok(());
        }
        let size = self.plain_size(change.extent);
        if size > 0 && !change.lacks_header {
            let last = (size - 1) / BLOCK as u64;
            let (mut raw, mut plain) = (Vec::new(), [0; BLOCK]);
            let Change { node, file, content, id, .. } = change;
            match self.settle_block(node, file, content, id, last, &mut raw, &mut plain) {
                Ok(_) | Err(VaultError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
            if let Some(extent) = change.content.extent {
                change.extent = extent;
            }
        }
        change.content.is_settled = true;
        Ok(())
    }

    /// Whether nothing but zeros was ever stored in the file, so that a lost header costs nothing.
    pub(crate) fn holds_nothing(&self, file: &B::File, len: u64) -> Result<bool> {
        const LIMIT: u64 = 16 << 20;
        let mut chunk = vec![0; 64 << 10];
        let (mut at, mut seen) = (0, 0);
        while at < len && seen < LIMIT {
            at = match self.backing.seek_data(file, at) {
                Ok(data) => data,
                Err(Errno::NXIO) => return Ok(true),
                Err(errno) => return Err(errno.into()),
            };
            let read = self.backing.read_at(file, at, &mut chunk)?;
            if read == 0 {
                return Ok(true);
            }
            if !is_zero(&chunk[..read]) {
                return Ok(false);
            }
            at += read as u64;
            seen += read as u64;
        }
        Ok(at >= len)
    }

    /// The id to write with, and whether its header is still to be written.
    pub(crate) fn id_to_write(
        &self,
        node: &Node<B>,
        state: &FileState<B>,
        file: &B::File,
        len: u64,
    ) -> Result<(FileId, bool)> {
        match self.file_id(node, state, file)? {
            KnownId::Known(id) => Ok((id, false)),
            KnownId::Lost if !self.holds_nothing(file, len)? => {
                Err(self.corrupt(node, "the file header is lost".into()))
            }
            KnownId::Empty | KnownId::Lost | KnownId::Unread => Ok((FileId::generate(&*self.random), true)),
        }
    }

    /// After a failed change: nothing of what was remembered is trusted.
    pub(crate) fn forget_content(&self, state: &FileState<B>, content: &mut Content) {
        *content = Content::default();
        *state.id.lock() = KnownId::Unread;
    }

    /// Bytes of a full block of ciphertext.
    pub(crate) fn cipher_block(&self) -> usize {
        self.geometry.cipher_block() as usize
    }

    /// Bytes that sealing adds to a block.
    pub(crate) fn overhead(&self) -> usize {
        self.geometry.overhead() as usize
    }

    pub(crate) fn plain_size(&self, extent: Extent) -> u64 {
        self.geometry.plain_size(extent.len)
    }

    /// The end of the plaintext a request reaches to, refused where the ciphertext would not fit an off_t.
    pub(crate) fn end_of(&self, offset: u64, len: u64) -> Result<u64> {
        let end = offset.checked_add(len).ok_or(VaultError::TooLarge)?;
        if end > i64::MAX as u64 / 64 * 63 {
            return Err(VaultError::TooLarge);
        }
        Ok(end)
    }
}
