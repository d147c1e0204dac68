//! Reading: whole blocks, opened straight into the reader's buffer where they fit it.

use std::sync::Arc;

use strongroom_format::CorruptBlock;

use crate::attr::NodeId;
use crate::backing::Backing;
use crate::content::{BLOCK, HEADER, Scratch, at_least, is_zero};
use crate::error::{Result, VaultError};
use crate::node::Node;
use crate::open_file::{FileState, KnownId};
use crate::vault::Vault;

enum Failure {
    /// Some block does not authenticate as it stands.
    Block,
    Vault(VaultError),
}

impl<E: Into<VaultError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Vault(error.into())
    }
}

impl<B: Backing> Vault<B> {
    /// Reads up to `out.len()` bytes; fewer only at the end of the file. If any block in the range is damaged, the whole
    /// read fails and reads of the other blocks still work.
    pub fn read(&self, node: NodeId, offset: u64, out: &mut [u8]) -> Result<usize> {
        let node = self.node(node)?;
        let state = node.file().ok_or(VaultError::IsADirectory)?;
        if out.is_empty() || self.end_of(offset, 0).is_err() {
            return Ok(0);
        }
        let file = self.open_file(&node, false)?;
        let read = {
            let _shared = state.content.read();
            Scratch::lend(|scratch| self.read_span(&node, state, &file, offset, out, scratch))
        };
        match read {
            Ok(len) => Ok(len),
            Err(Failure::Vault(error)) => Err(error),
            Err(Failure::Block) => self.read_by_block(&node, state, offset, out),
        }
    }

    fn read_span(
        &self,
        node: &Arc<Node<B>>,
        state: &FileState<B>,
        file: &B::File,
        offset: u64,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> std::result::Result<usize, Failure> {
        let (first, skip) = (offset / BLOCK as u64, (offset % BLOCK as u64) as usize);
        let count = (skip + out.len()).div_ceil(BLOCK);
        let span = count * self.cipher_block();
        let known = if self.is_shared() { KnownId::Unread } else { *state.id.lock() };
        // The header stands just before block 0, so one read fetches both.
        let (known, cipher) = if known == KnownId::Unread && first == 0 {
            let buffer = at_least(&mut scratch.cipher, HEADER + span);
            let len = self.backing.read_at(file, 0, buffer)?;
            (self.learn_id(node, state, &buffer[..len])?, &buffer[HEADER.min(len)..len])
        } else {
            let known = self.file_id(node, state, file)?;
            let buffer = at_least(&mut scratch.cipher, span);
            let len = self.backing.read_at(file, self.geometry.block_offset(first), buffer)?;
            (known, &buffer[..len])
        };
        let id = match known {
            KnownId::Known(id) => id,
            KnownId::Empty | KnownId::Unread => return Ok(0),
            KnownId::Lost => return self.read_headless(node, cipher, skip, out),
        };
        let opened = if skip == 0 && out.len().is_multiple_of(BLOCK) {
            self.ciphers.content.open_blocks(&id, first, cipher, out)
        } else {
            let plain = at_least(&mut scratch.plain, count * BLOCK);
            self.ciphers.content.open_blocks(&id, first, cipher, plain).map(|len| copy_from(plain, len, skip, out))
        };
        opened.map_err(|CorruptBlock { .. }| Failure::Block)
    }

    /// The header never reached the disk. Holes are zeros all the same; what is stored cannot be opened.
    fn read_headless(
        &self,
        node: &Node<B>,
        cipher: &[u8],
        skip: usize,
        out: &mut [u8],
    ) -> std::result::Result<usize, Failure> {
        if !is_zero(cipher) {
            return Err(self.corrupt(node, "the file header is lost".into()).into());
        }
        let size = self.geometry.plain_size((HEADER + cipher.len()) as u64) as usize;
        let len = size.saturating_sub(skip).min(out.len());
        out[..len].fill(0);
        Ok(len)
    }

    /// The careful way, for a range in which a block does not authenticate: perhaps a crash interrupted a change of size.
    fn read_by_block(&self, node: &Arc<Node<B>>, state: &FileState<B>, offset: u64, out: &mut [u8]) -> Result<usize> {
        let writable = if self.options.read_only { None } else { self.open_file(node, true).ok() };
        let file = match &writable {
            Some(file) => file.clone(),
            None => self.open_file(node, false)?,
        };
        let mut content = state.content.write();
        let KnownId::Known(id) = self.file_id(node, state, &file)? else { return Ok(0) };
        let (mut raw, mut plain) = (Vec::new(), [0; BLOCK]);
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let (block, skip) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let len = if writable.is_some() {
                self.settle_block(node, &file, &mut content, &id, block, &mut raw, &mut plain)?
            } else {
                self.load_block(node, &file, &id, block, &mut raw, &mut plain)?.len
            };
            let copied = copy_from(&plain, len, skip, &mut out[done..]);
            done += copied;
            if len < BLOCK || copied == 0 {
                break;
            }
        }
        Ok(done)
    }
}

/// Copies what `plain[..len]` has from `skip` on, and tells how much.
fn copy_from(plain: &[u8], len: usize, skip: usize, out: &mut [u8]) -> usize {
    let wanted = &plain[skip.min(len)..len];
    let copied = wanted.len().min(out.len());
    out[..copied].copy_from_slice(&wanted[..copied]);
    copied
}
