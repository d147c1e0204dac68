//! The index, read line by line.

use std::io::{BufRead, BufReader, Read};

use super::{
    Gone, Issue, Record,
    check::Checker,
    line::{AnyHead, End, Head, Line},
};
use crate::{ArchiveError, Frame, MAX_FRAME_TAR, Metadata};

/// The longest line. An entry may have 8 MiB of attributes.
const MAX_LINE: u64 = 16 << 20;
/// No algorithm makes a frame shorter than this. Together with the length of the container it bounds the table of frames,
/// which is all of the index that is kept in memory.
const MIN_PACKED: u64 = 8;
/// The largest window of zstd, as a power of two, that is taken on: 8 MiB.
const MAX_WINDOW: u32 = 23;

/// One line after the head and the frames.
pub enum Part {
    /// An entry.
    Record(Box<Record>),
    /// A stretch of the tar stream that is of no use: offset and length.
    Void(u64, u64),
    /// An entry of the base that is no longer there.
    Gone(Gone),
    /// Something that could not be kept as it was.
    Issue(Issue),
}

/// Reads an index.
pub struct IndexReader<R: Read> {
    lines: Lines<R>,
    head: Head,
    frames: Vec<Frame>,
    /// The first line after the frames.
    ahead: Option<Line<'static>>,
    checker: Checker,
    counted: End,
    ended: bool,
}

impl<R: Read> IndexReader<R> {
    /// Reads the head and the frames of a stored index that claims to be `plain_len` bytes long when decompressed, and
    /// before which the container has `frames_len` bytes.
    pub fn open(stored: R, plain_len: u64, frames_len: u64) -> Result<Self, ArchiveError> {
        let mut lines = Lines::new(stored, plain_len)?;
        let head = lines.head()?;
        check_head(&head)?;
        let (frames, ahead) = lines.frames(head.frames, frames_len)?;
        let checker = Checker::new(&head);
        Ok(Self { lines, head, frames, ahead: Some(ahead), checker, counted: End::default(), ended: false })
    }

    /// Gives up head and frames.
    pub fn into_head(self) -> (Head, Vec<Frame>) {
        (self.head, self.frames)
    }

    /// The next line; `None` after the last.
    pub fn part(&mut self) -> Result<Option<Part>, ArchiveError> {
        if self.ended {
            return Ok(None);
        }
        let line = match self.ahead.take() {
            Some(line) => line,
            None => self.lines.line()?.ok_or(ArchiveError::Index { why: "it was cut short" })?,
        };
        match line {
            Line::Entry(_) | Line::Void(_) if self.counted.gone + self.counted.issues > 0 => self.disorder(),
            Line::Entry(line) => {
                self.counted.entries += 1;
                let record = line.record().map_err(|why| ArchiveError::Index { why })?;
                self.checker.entry(&record)?;
                Ok(Some(Part::Record(Box::new(record))))
            }
            Line::Void([tar_offset, tar_len]) => {
                self.checker.void(tar_offset, tar_len)?;
                Ok(Some(Part::Void(tar_offset, tar_len)))
            }
            Line::Gone(_) if self.counted.issues > 0 => self.disorder(),
            Line::Gone(gone) => {
                self.counted.gone += 1;
                Ok(Some(Part::Gone(gone)))
            }
            Line::Issue(issue) => {
                self.counted.issues += 1;
                Ok(Some(Part::Issue(issue)))
            }
            Line::End(end) => self.end(end),
            Line::Head(_) | Line::Frames(_) => self.disorder(),
        }
    }

    fn disorder(&self) -> Result<Option<Part>, ArchiveError> {
        Err(ArchiveError::Index { why: "its lines are not in order" })
    }

    fn end(&mut self, end: End) -> Result<Option<Part>, ArchiveError> {
        if end != self.counted {
            return Err(ArchiveError::Index { why: "it has not as many lines as it says" });
        }
        self.checker.end()?;
        if self.lines.line()?.is_some() {
            return Err(ArchiveError::Index { why: "something comes after its end" });
        }
        // One byte was left to be read beyond the length that the footer says.
        if self.lines.input.get_ref().limit() != 1 {
            return Err(ArchiveError::Index { why: "it is not as long as the footer says" });
        }
        self.ended = true;
        Ok(None)
    }
}

fn check_head(head: &Head) -> Result<(), ArchiveError> {
    let prefixes: Vec<&str> = head.metadata.components.iter().map(|component| &*component.prefix).collect();
    crate::index::check_prefixes(&prefixes).map_err(|why| ArchiveError::Index { why })
}

struct Lines<R: Read> {
    input: BufReader<std::io::Take<zstd::Decoder<'static, BufReader<R>>>>,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    fn new(stored: R, plain_len: u64) -> Result<Self, ArchiveError> {
        let decompressing = ArchiveError::io("decompressing the index");
        let mut decoder = zstd::Decoder::new(stored).map_err(decompressing)?;
        decoder.window_log_max(MAX_WINDOW).map_err(ArchiveError::io("decompressing the index"))?;
        // One more byte than there should be shows that there is more than there should be.
        let input = BufReader::new(decoder.take(plain_len.saturating_add(1)));
        Ok(Self { input, buffer: Vec::new(), number: 0 })
    }

    /// The bytes of the next line, without its end; `false` after the last.
    fn read(&mut self) -> Result<bool, ArchiveError> {
        self.buffer.clear();
        self.number += 1;
        let mut limited = (&mut self.input).take(MAX_LINE);
        limited.read_until(b'\n', &mut self.buffer).map_err(|error| match error.downcast::<ArchiveError>() {
            Ok(ours) => ours,
            Err(_) => ArchiveError::Index { why: "it cannot be decompressed" },
        })?;
        match self.buffer.pop() {
            None => Ok(false),
            Some(b'\n') => Ok(true),
            Some(_) => Err(ArchiveError::Index { why: "a line is cut off, or too long" }),
        }
    }

    fn line(&mut self) -> Result<Option<Line<'static>>, ArchiveError> {
        if !self.read()? {
            return Ok(None);
        }
        let number = self.number;
        serde_json::from_slice(&self.buffer).map(Some).map_err(|source| ArchiveError::IndexLine { number, source })
    }

    fn head(&mut self) -> Result<Head, ArchiveError> {
        if !self.read()? {
            return Err(ArchiveError::Index { why: "it is empty" });
        }
        let refused = |source| ArchiveError::IndexLine { number: 1, source };
        let any: AnyHead = serde_json::from_slice(&self.buffer).map_err(refused)?;
        if any.head.format != Metadata::FORMAT_VERSION {
            let found = u16::try_from(any.head.format).unwrap_or(u16::MAX);
            return Err(ArchiveError::UnknownVersion { part: "index", found, supported: "1" });
        }
        match serde_json::from_slice(&self.buffer).map_err(refused)? {
            Line::Head(head) => Ok(*head),
            _ => Err(ArchiveError::Index { why: "it does not begin with its head" }),
        }
    }

    /// `count` frames, which must be where frames are, and the line after them.
    fn frames(&mut self, count: u64, frames_len: u64) -> Result<(Vec<Frame>, Line<'static>), ArchiveError> {
        let mut frames: Vec<Frame> = Vec::new();
        loop {
            let line = self.line()?.ok_or(ArchiveError::Index { why: "it was cut short" })?;
            let Line::Frames(lengths) = line else {
                if frames.len() as u64 != count {
                    return Err(ArchiveError::Index { why: "it has not as many frames as it says" });
                }
                return Ok((frames, line));
            };
            for lengths in lengths {
                let after = frames
                    .last()
                    .map_or((0, 0), |last| (last.offset + last.packed_len, last.tar_offset + last.tar_len));
                frames.push(frame(after, lengths, frames_len)?);
            }
        }
    }
}

fn frame(
    (offset, tar_offset): (u64, u64),
    [packed_len, tar_len]: [u64; 2],
    frames_len: u64,
) -> Result<Frame, ArchiveError> {
    if packed_len < MIN_PACKED || tar_len == 0 || tar_len > MAX_FRAME_TAR as u64 || !tar_len.is_multiple_of(512) {
        return Err(ArchiveError::Index { why: "a frame is empty, too long, or not in whole blocks" });
    }
    if offset.checked_add(packed_len).is_none_or(|end| end > frames_len) || tar_offset.checked_add(tar_len).is_none() {
        return Err(ArchiveError::Index { why: "a frame is not where frames are" });
    }
    Ok(Frame { offset, packed_len, tar_offset, tar_len })
}
