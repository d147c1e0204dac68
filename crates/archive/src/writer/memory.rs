//! Content that is in memory, read as a file is.

use std::{io, ops::Range};

use strongroom_tree::{Content, Entry, Filter, Look, RelPath, Source, TreeError};

/// A source of one file.
pub struct Memory<'b> {
    /// Its content.
    pub bytes: &'b [u8],
    /// It.
    pub entry: &'b Entry,
}

impl Source for Memory<'_> {
    fn entries<'a>(&'a self, _: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        Box::new(std::iter::once(Ok(self.entry.clone())))
    }

    fn open<'a>(&'a self, _: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        Ok(Box::new(Memory { bytes: self.bytes, entry: self.entry }))
    }
}

impl Content for Memory<'_> {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let len = out.len().min(self.bytes.len() - start);
        out[..len].copy_from_slice(&self.bytes[start..start + len]);
        Ok(len)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        let len = self.bytes.len() as u64;
        Ok((from < len).then_some(from..len))
    }

    fn look(&mut self) -> io::Result<Look> {
        Ok(Look { len: self.bytes.len() as u64, mtime: self.entry.meta.mtime, stamp: self.entry.stamp })
    }
}
