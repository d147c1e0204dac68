//! Decoded frames, by where in the tar stream one wants to read.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use super::{Archive, sweep::Work};
use crate::{ArchiveError, FrameScratch};

/// The tar of a frame, or why there is none.
pub type Decoded = Result<Vec<u8>, ArchiveError>;

/// Somewhere decoded frames come from.
pub trait Frames: Send {
    /// The frame that `tar_offset` is in: where it begins in the tar stream, and its tar.
    fn at(&mut self, tar_offset: u64) -> Result<(u64, &[u8]), ArchiveError>;
}

/// A frame that is there already.
pub struct One<'f> {
    /// Where in the tar stream it begins.
    pub tar_offset: u64,
    /// Its tar.
    pub tar: &'f [u8],
}

impl Frames for One<'_> {
    fn at(&mut self, tar_offset: u64) -> Result<(u64, &[u8]), ArchiveError> {
        match tar_offset.checked_sub(self.tar_offset) {
            Some(within) if within < self.tar.len() as u64 => Ok((self.tar_offset, self.tar)),
            _ => Err(ArchiveError::Tar { offset: tar_offset, why: "a member is not where the index has it" }),
        }
    }
}

/// Decodes as it is asked, and keeps the last frame.
pub struct Direct<'a> {
    archive: &'a Archive,
    scratch: FrameScratch,
    tar: Vec<u8>,
    /// Which frame is in `tar`.
    number: Option<usize>,
}

impl<'a> Direct<'a> {
    /// Nothing is decoded yet.
    pub fn new(archive: &'a Archive) -> Self {
        Self { archive, scratch: FrameScratch::default(), tar: Vec::new(), number: None }
    }

    /// The tar of a frame by its number.
    pub fn frame(&mut self, number: usize) -> Result<&[u8], ArchiveError> {
        if self.number != Some(number) {
            self.number = None;
            self.archive.container.frame(&self.archive.frames[number], &mut self.scratch, &mut self.tar)?;
            self.number = Some(number);
        }
        Ok(&self.tar)
    }

    /// As [`Direct::frame`], and leaves it to the caller.
    pub fn take(&mut self, number: usize) -> Result<Vec<u8>, ArchiveError> {
        self.frame(number)?;
        self.number = None;
        Ok(std::mem::take(&mut self.tar))
    }
}

impl Frames for Direct<'_> {
    fn at(&mut self, tar_offset: u64) -> Result<(u64, &[u8]), ArchiveError> {
        let number = self.archive.frame_number(tar_offset)?;
        let begins = self.archive.frames[number].tar_offset;
        Ok((begins, self.frame(number)?))
    }
}

/// Frames that are decoded by other threads before they are asked for.
pub struct Ahead<'s> {
    archive: &'s Archive,
    submit: &'s SyncSender<Work>,
    coming: VecDeque<(usize, Receiver<Decoded>)>,
    /// The last frame that will be wanted.
    last: usize,
    /// The frame that is wanted now.
    current: Option<(usize, Vec<u8>)>,
}

/// How many frames are decoded ahead.
const AHEAD: usize = 4;

impl<'s> Ahead<'s> {
    /// For reading up to `tar_end`.
    pub fn new(archive: &'s Archive, submit: &'s SyncSender<Work>, tar_end: u64) -> Result<Self, ArchiveError> {
        let last = archive.frame_number(tar_end - 1)?;
        Ok(Self { archive, submit, coming: VecDeque::new(), last, current: None })
    }

    /// The tar of a frame by its number.
    pub fn frame(&mut self, number: usize) -> Result<&Vec<u8>, ArchiveError> {
        if !matches!(&self.current, Some((current, _)) if *current == number) {
            let tar = self.fetch(number)?;
            self.current = Some((number, tar));
        }
        Ok(&self.current.as_ref().expect("it was just put there").1)
    }

    fn fetch(&mut self, number: usize) -> Result<Vec<u8>, ArchiveError> {
        let stopped = |_| ArchiveError::Io { attempted: "decoding", source: std::io::ErrorKind::BrokenPipe.into() };
        if self.coming.front().is_none_or(|(first, _)| *first != number) {
            self.coming.clear();
        }
        let mut next = self.coming.back().map_or(number, |(last, _)| last + 1);
        while self.coming.len() < AHEAD && next <= self.last.max(number) {
            let (reply, decoded) = sync_channel(1);
            self.submit.send(Work::Decode(next, reply)).map_err(|_| stopped(()))?;
            self.coming.push_back((next, decoded));
            next += 1;
        }
        let (_, decoded) = self.coming.pop_front().expect("the one that is wanted was asked for");
        decoded.recv().map_err(|_| stopped(()))?
    }
}

impl Frames for Ahead<'_> {
    fn at(&mut self, tar_offset: u64) -> Result<(u64, &[u8]), ArchiveError> {
        let number = self.archive.frame_number(tar_offset)?;
        let begins = self.archive.frames[number].tar_offset;
        Ok((begins, self.frame(number)?))
    }
}
