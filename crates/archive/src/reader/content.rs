//! The content of a file in an archive.

use std::{io, ops::Range};

use strongroom_tree::{Content, Look};

use super::{
    Archive,
    frames::Frames,
    member::{Member, mismatch},
};
use crate::{ArchiveError, Record, content_hash::ContentHash};

/// A file's content, whose hash is checked as it is read.
pub struct Stored<'f> {
    frames: Box<dyn Frames + 'f>,
    member: Member,
    record: Record,
    /// How many bytes of data are before each run.
    before: Vec<u64>,
    check: Check,
}

/// How far the hash is.
enum Check {
    /// All was read in order so far.
    Reading(ContentHash),
    /// Something was left out or read twice: the hash cannot tell.
    Skipped,
    /// The hash is right.
    Right,
}

impl<'f> Stored<'f> {
    /// The file that `record` says is in these frames.
    pub fn open(archive: &Archive, record: &Record, mut frames: Box<dyn Frames + 'f>) -> Result<Self, ArchiveError> {
        let at = record.at.ok_or_else(|| mismatch(record, "no archive holds its content"))?;
        let member = Member::read(&mut *frames, &at)?;
        member.is_file_of(archive, record)?;
        let before = member.map.runs().iter().scan(0, |sum, run| {
            let before = *sum;
            *sum += run.end - run.start;
            Some(before)
        });
        let before = before.collect();
        Ok(Self { frames, member, record: record.clone(), before, check: Check::Reading(ContentHash::default()) })
    }

    /// Checks the hash by reading everything that was not read yet; whatever was read before, its result is certain.
    pub fn check_all(&mut self) -> Result<(), ArchiveError> {
        let runs = self.member.map.runs().to_vec();
        if !matches!(self.check, Check::Right | Check::Reading(_)) {
            self.check = Check::Reading(ContentHash::default());
        }
        for run in runs {
            let mut at = match &self.check {
                Check::Reading(hash) => run.start.max(hash.position()),
                _ => return Ok(()),
            };
            while at < run.end {
                let tar_offset = self.member.data_at + self.before(at);
                let (begins, tar) = self.frames.at(tar_offset)?;
                let there = &tar[(tar_offset - begins) as usize..];
                let len = (there.len() as u64).min(run.end - at) as usize;
                if let Check::Reading(hash) = &mut self.check {
                    hash.data(at, &there[..len]);
                }
                at += len as u64;
            }
        }
        self.finish_check()
    }

    /// Fails if the hash is wrong of what was read: of all data read in order, or else, if some of it was read in any
    /// other way, by reading it all once more. Who stopped in the middle, or read nothing, knows no hash anyway.
    pub fn finish(&mut self) -> Result<(), ArchiveError> {
        let data_end = self.member.map.runs().last().map_or(0, |run| run.end);
        match &self.check {
            Check::Right => Ok(()),
            Check::Skipped => self.check_all(),
            Check::Reading(hash) if hash.position() >= data_end => self.finish_check(),
            Check::Reading(_) => Ok(()),
        }
    }

    /// Reads within one run of data.
    fn read_data(&mut self, offset: u64, out: &mut [u8]) -> Result<(), ArchiveError> {
        let mut tar_offset = self.member.data_at + self.before(offset);
        let mut filled = 0;
        while filled < out.len() {
            let (begins, tar) = self.frames.at(tar_offset)?;
            let there = &tar[(tar_offset - begins) as usize..];
            let len = there.len().min(out.len() - filled);
            out[filled..filled + len].copy_from_slice(&there[..len]);
            filled += len;
            tar_offset += len as u64;
        }
        Ok(())
    }

    /// Bytes of data before `offset`, which is in a run.
    fn before(&self, offset: u64) -> u64 {
        let runs = self.member.map.runs();
        let within = runs.partition_point(|run| run.end <= offset);
        self.before[within] + (offset - runs[within].start)
    }

    fn run_at(&self, offset: u64) -> Option<&Range<u64>> {
        let runs = self.member.map.runs();
        runs.get(runs.partition_point(|run| run.end <= offset))
    }

    /// Takes what was read into the hash, if nothing but holes was left out before it.
    fn hashed(&mut self, offset: u64, bytes: &[u8]) -> Result<(), ArchiveError> {
        let Check::Reading(hash) = &self.check else { return Ok(()) };
        let position = hash.position();
        // Whoever reads from beginning to end, or run by run.
        let follows =
            offset == position || self.run_at(position).is_some_and(|run| position < run.start && run.start == offset);
        let Check::Reading(hash) = &mut self.check else { return Ok(()) };
        if !follows {
            self.check = Check::Skipped;
            return Ok(());
        }
        hash.data(offset, bytes);
        if hash.position() == self.record.entry.len() { self.finish_check() } else { Ok(()) }
    }

    fn finish_check(&mut self) -> Result<(), ArchiveError> {
        let Check::Reading(hash) = std::mem::replace(&mut self.check, Check::Skipped) else { return Ok(()) };
        if Some(hash.finish(self.record.entry.len())) != self.record.sha256 {
            return Err(mismatch(&self.record, "its content is not what the index has the hash of"));
        }
        self.check = Check::Right;
        Ok(())
    }

    fn read(&mut self, offset: u64, out: &mut [u8]) -> Result<usize, ArchiveError> {
        let left = self.record.entry.len().saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        let out = &mut out[..len];
        let end = offset + len as u64;
        let mut at = offset;
        while at < end {
            let run = self.run_at(at).cloned().unwrap_or(u64::MAX..u64::MAX);
            let rest = &mut out[(at - offset) as usize..];
            if at < run.start {
                let zeros = (run.start.min(end) - at) as usize;
                rest[..zeros].fill(0);
                at += zeros as u64;
            } else {
                let data = (run.end.min(end) - at) as usize;
                self.read_data(at, &mut rest[..data])?;
                at += data as u64;
            }
        }
        if len > 0 {
            self.hashed(offset, out)?;
        }
        Ok(len)
    }
}

impl Content for Stored<'_> {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        Ok(self.read(offset, out)?)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        Ok(self.run_at(from).map(|run| run.start.max(from)..run.end))
    }

    fn look(&mut self) -> io::Result<Look> {
        let entry = &self.record.entry;
        Ok(Look { len: entry.len(), mtime: entry.meta.mtime, stamp: entry.stamp })
    }
}
