//! The content of a file in a vault.

use std::io;
use std::ops::Range;

use strongroom_tree::{Content, Look};

use super::{Held, io_error, walk};
use crate::backing::Backing;
use crate::error::VaultError;

pub(super) struct VaultContent<B: Backing> {
    held: Held<B>,
}

impl<B: Backing> VaultContent<B> {
    pub fn new(held: Held<B>) -> Self {
        Self { held }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.held.vault.attr(self.held.node).map_err(io_error)?.size)
    }
}

impl<B: Backing> Content for VaultContent<B> {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.held.vault.read(self.held.node, offset, out).map_err(io_error)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        let Held { vault, node } = &self.held;
        let run = vault.seek_data(*node, from).and_then(|start| Ok(start..vault.seek_hole(*node, start)?));
        match run {
            Ok(run) => Ok(Some(run)),
            Err(VaultError::NoMoreData) => Ok(None),
            // The file system with the ciphertext cannot tell.
            Err(VaultError::Unsupported | VaultError::InvalidArgument) => self.all_from(from),
            Err(VaultError::Backing(error)) if error.raw_os_error() == Some(libc::EINVAL) => self.all_from(from),
            Err(error) => Err(io_error(error)),
        }
    }

    fn look(&mut self) -> io::Result<Look> {
        let attr = self.held.vault.attr(self.held.node).map_err(io_error)?;
        Ok(Look { len: attr.size, mtime: walk::timestamp(attr.mtime), stamp: walk::stamp(&attr) })
    }
}

impl<B: Backing> VaultContent<B> {
    fn all_from(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let len = self.len()?;
        Ok((from < len).then_some(from..len))
    }
}
