//! The index, written: entries as they come, the head when all is known.

use std::io::{Chain, Cursor, Read, Write};

use super::{
    Gone, Issue, Record,
    line::{End, EntryLine, Head, Line},
};
use crate::{ArchiveError, Frame};

/// How hard the index is compressed.
const LEVEL: i32 = 3;
/// Frames that stand in one line.
const FRAMES_A_LINE: usize = 1024;

/// Collects the lines after the head, compressed: some 80 bytes an entry.
pub struct IndexWriter {
    lines: Lines,
    end: End,
}

/// The index as it is stored.
pub type Stored = Chain<Cursor<Vec<u8>>, Cursor<Vec<u8>>>;

impl IndexWriter {
    /// Without any entry yet.
    pub fn new() -> Result<Self, ArchiveError> {
        Ok(Self { lines: Lines::new()?, end: End::default() })
    }

    /// Appends an entry.
    pub fn entry(&mut self, record: &Record) -> Result<(), ArchiveError> {
        self.end.entries += 1;
        self.lines.put(&Line::Entry(Box::new(EntryLine::from(record))))
    }

    /// Appends a stretch of the tar stream that is of no use.
    pub fn void(&mut self, tar_offset: u64, tar_len: u64) -> Result<(), ArchiveError> {
        self.lines.put(&Line::Void([tar_offset, tar_len]))
    }

    /// Appends all that is not an entry, and puts the head and the frames before it: the stored index, and its length
    /// uncompressed. Head and entries are two frames of zstd, one after the other, which decompress as one.
    pub fn finish(
        mut self,
        head: Head,
        frames: &[Frame],
        gone: &[Gone],
        issues: &[Issue],
    ) -> Result<(Stored, u64), ArchiveError> {
        for gone in gone {
            self.lines.put(&Line::Gone(gone.clone()))?;
        }
        for issue in issues {
            self.lines.put(&Line::Issue(issue.clone()))?;
        }
        let end = End { gone: gone.len() as u64, issues: issues.len() as u64, ..self.end };
        self.lines.put(&Line::End(end))?;
        let mut first = Lines::new()?;
        first.put(&Line::Head(Box::new(head)))?;
        for frames in frames.chunks(FRAMES_A_LINE) {
            first.put(&Line::Frames(frames.iter().map(|frame| [frame.packed_len, frame.tar_len]).collect()))?;
        }
        let ((first, first_len), (rest, rest_len)) = (first.finish()?, self.lines.finish()?);
        Ok((Cursor::new(first).chain(Cursor::new(rest)), first_len + rest_len))
    }
}

/// Lines, compressed.
struct Lines {
    out: zstd::Encoder<'static, Vec<u8>>,
    line: Vec<u8>,
    plain_len: u64,
}

impl Lines {
    fn new() -> Result<Self, ArchiveError> {
        let out = zstd::Encoder::new(Vec::new(), LEVEL).map_err(ArchiveError::io("compressing the index"))?;
        Ok(Self { out, line: Vec::new(), plain_len: 0 })
    }

    fn put(&mut self, line: &Line<'_>) -> Result<(), ArchiveError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)
            .map_err(|error| ArchiveError::io("writing the index")(error.into()))?;
        self.line.push(b'\n');
        self.plain_len += self.line.len() as u64;
        self.out.write_all(&self.line).map_err(ArchiveError::io("compressing the index"))
    }

    fn finish(self) -> Result<(Vec<u8>, u64), ArchiveError> {
        Ok((self.out.finish().map_err(ArchiveError::io("compressing the index"))?, self.plain_len))
    }
}
