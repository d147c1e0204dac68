//! Changing the size of a file: truncation, growth, preallocation, and where its holes are. The order of the steps is
//! explained in `content.rs`.

use std::cmp::Ordering;
use std::sync::Arc;

use rustix::io::Errno;

use crate::attr::NodeId;
use crate::backing::Backing;
use crate::content::{BLOCK, HEADER};
use crate::error::{Result, VaultError};
use crate::node::Node;
use crate::open_file::{Extent, FileState, KnownId};
use crate::vault::Vault;
use crate::write::Change;

impl<B: Backing> Vault<B> {
    pub(crate) fn resize(&self, node: &Arc<Node<B>>, size: u64) -> Result<()> {
        self.writable()?;
        let state = node.file().ok_or(VaultError::InvalidArgument)?;
        self.end_of(size, 0)?;
        let file = self.open_file(node, true)?;
        self.keeping_time(node, state, &file, || self.resize_open(node, state, &file, size))
    }

    fn resize_open(&self, node: &Arc<Node<B>>, state: &FileState<B>, file: &B::File, size: u64) -> Result<()> {
        let mut content = state.content.write();
        let extent = self.extent(file, &mut content)?;
        if size == 0 {
            return if extent.len == 0 { Ok(()) } else { self.empty(state, file, &mut content) };
        }
        let mut change = self.begin(node, state, file, &mut content)?;
        self.settle_end(&mut change)?;
        let old = self.plain_size(change.extent);
        if size == old {
            return Ok(());
        }
        let resized = match size.cmp(&old) {
            Ordering::Less => self.shrink(&mut change, size),
            _ => self.grow(&mut change, old, size),
        };
        if resized.is_err() {
            self.forget_content(state, &mut content);
        }
        resized
    }

    /// Truncates to nothing: the file id goes with the header.
    fn empty(&self, state: &FileState<B>, file: &B::File, content: &mut crate::open_file::Content) -> Result<()> {
        self.backing.set_len(file, 0)?;
        content.extent = Some(Extent { len: 0, is_dense: true });
        *state.id.lock() = if self.is_shared() { KnownId::Unread } else { KnownId::Empty };
        Ok(())
    }

    fn shrink(&self, change: &mut Change<'_, B>, size: u64) -> Result<()> {
        let (block, keep) = (size / BLOCK as u64, (size % BLOCK as u64) as usize);
        let start = self.geometry.block_offset(block);
        let mut len = start;
        if keep > 0 {
            let mut plain = [0; BLOCK];
            let held = self.load_for_change(change, block, &mut plain)?;
            plain[held..].fill(0);
            let end = self.geometry.block_offset(block + 1);
            if change.extent.len > end {
                // What is cut off does not come back, so that nothing may fail for want of space after it.
                if !self.is_dense(change)? {
                    match self.backing.reserve(change.file, start, end - start) {
                        Ok(()) | Err(Errno::OPNOTSUPP) => {}
                        Err(errno) => return Err(errno.into()),
                    }
                }
                self.set_len(change, end)?;
            }
            let mut sealed = vec![0; self.cipher_block()];
            let sealed_len =
                self.ciphers.content.seal_blocks(&change.id, block, &plain[..keep], &*self.random, &mut sealed);
            self.store(change, start, &sealed[..sealed_len])?;
            len += sealed_len as u64;
            self.backing.order(change.file, start, sealed_len as u64)?;
        } else {
            self.store_header(change)?;
        }
        self.set_len(change, len)
    }

    fn set_len(&self, change: &mut Change<'_, B>, len: u64) -> Result<()> {
        self.backing.set_len(change.file, len)?;
        change.extent.is_dense &= len <= change.extent.len;
        change.extent.len = len;
        change.content.extent = Some(change.extent);
        Ok(())
    }

    fn grow(&self, change: &mut Change<'_, B>, old: u64, size: u64) -> Result<()> {
        let (block, keep) = ((size - 1) / BLOCK as u64, (size % BLOCK as u64) as usize);
        let zeros = [0; BLOCK];
        if !old.is_multiple_of(BLOCK as u64) && old / BLOCK as u64 == block {
            let mut plain = [0; BLOCK];
            let held = self.load_for_change(change, block, &mut plain)?;
            plain[held..].fill(0);
            let keep = if keep == 0 { BLOCK } else { keep };
            return self.store_block(change, block, &plain[..keep]);
        }
        let tail = self.load_short_tail(change, block)?;
        let before = change.extent.len;
        if keep == 0 {
            self.store_header(change)?;
            self.set_len(change, self.geometry.cipher_size(size))?;
            *change.state.id.lock() = KnownId::Unread;
        } else {
            self.store_block(change, block, &zeros[..keep])?;
        }
        self.store_tail(change, tail, before)
    }

    fn store_block(&self, change: &mut Change<'_, B>, block: u64, plain: &[u8]) -> Result<()> {
        let mut sealed = vec![0; HEADER + self.cipher_block()];
        let with_header = change.lacks_header && block == 0;
        let mut len = 0;
        if with_header {
            sealed[..HEADER].copy_from_slice(&strongroom_format::FileHeader::encode(&change.id));
            len = HEADER;
        }
        len += self.ciphers.content.seal_blocks(&change.id, block, plain, &*self.random, &mut sealed[len..]);
        let start = if with_header { 0 } else { self.geometry.block_offset(block) };
        self.store(change, start, &sealed[..len])
    }

    /// fallocate(2), modes 0 and KEEP_SIZE: takes the space for a range, and grows the file to it unless `keep_size`.
    pub fn allocate(&self, node: NodeId, offset: u64, len: u64, keep_size: bool) -> Result<()> {
        self.writable()?;
        let node = self.node(node)?;
        let state = node.file().ok_or(VaultError::InvalidArgument)?;
        let end = self.end_of(offset, len)?;
        if len == 0 {
            return Err(VaultError::InvalidArgument);
        }
        let file = self.open_file(&node, true)?;
        self.keeping_time(&node, state, &file, || {
            let _content = state.content.write();
            let start = self.geometry.block_offset(offset / BLOCK as u64);
            Ok(self.backing.reserve(&file, start, self.geometry.cipher_size(end) - start)?)
        })?;
        let size = {
            let mut content = state.content.write();
            let mut change = self.begin(&node, state, &file, &mut content)?;
            self.settle_end(&mut change)?;
            self.plain_size(change.extent)
        };
        if keep_size || end <= size { Ok(()) } else { self.resize(&node, end) }
    }

    /// The first offset from `offset` on that may hold data.
    pub fn seek_data(&self, node: NodeId, offset: u64) -> Result<u64> {
        self.seek(node, offset, |file, start| match self.backing.seek_data(file, start) {
            Err(Errno::NXIO) => Err(VaultError::NoMoreData),
            Err(errno) => Err(errno.into()),
            Ok(data) => Ok((data.saturating_sub(HEADER as u64) / self.geometry.cipher_block()) * BLOCK as u64),
        })
    }

    /// The first offset from `offset` on that is in a hole; the end of the file counts as one.
    pub fn seek_hole(&self, node: NodeId, offset: u64) -> Result<u64> {
        self.seek(node, offset, |file, mut start| {
            loop {
                let hole = match self.backing.seek_hole(file, start) {
                    Err(Errno::NXIO) => return Ok(u64::MAX),
                    result => result?,
                };
                let data = match self.backing.seek_data(file, hole) {
                    Err(Errno::NXIO) => u64::MAX,
                    result => result?,
                };
                // The first block that lies in the hole altogether.
                let block = hole.saturating_sub(HEADER as u64).div_ceil(self.geometry.cipher_block());
                if data == u64::MAX || self.geometry.block_offset(block + 1) <= data {
                    return Ok(block * BLOCK as u64);
                }
                start = data;
            }
        })
    }

    fn seek(&self, node: NodeId, offset: u64, find: impl FnOnce(&B::File, u64) -> Result<u64>) -> Result<u64> {
        let node = self.node(node)?;
        let state = node.file().ok_or(VaultError::InvalidArgument)?;
        let file = self.open_file(&node, false)?;
        let mut content = state.content.write();
        let extent = self.extent(&file, &mut content)?;
        let size = self.plain_size(extent);
        if offset >= size {
            return Err(VaultError::NoMoreData);
        }
        let found = find(&file, self.geometry.block_offset(offset / BLOCK as u64))?;
        Ok(found.clamp(offset, size))
    }
}
