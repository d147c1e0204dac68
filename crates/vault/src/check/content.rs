//! The content of files: headers, blocks and holes.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use strongroom_event::Event;
use strongroom_format::{FileHeader, FileId, Geometry};

use crate::backing::{Backing, OpenMode, Stat};
use crate::content::{HEADER, is_zero};

use super::place::Place;
use super::queue::Job;
use super::run::{BadRun, INTERRUPTED_RESIZE, INTERRUPTED_WRITE, note_bad};
use super::{Checker, Part, ProblemKind, Report, add};

/// Ciphertext blocks that are read and opened together.
const BLOCKS_AT_ONCE: usize = 64;
/// Blocks of a large file that one job takes.
const BLOCKS_IN_A_JOB: u64 = 4096;
/// In how many damaged blocks of one stretch a crash is looked for. A crash leaves one; looking takes 4000 attempts.
const INTERRUPTIONS_LOOKED_FOR: usize = 4;

pub(super) struct Buffers {
    stored: Vec<u8>,
    plain: Vec<u8>,
}

impl Buffers {
    pub(super) fn new(geometry: Geometry) -> Self {
        Buffers {
            stored: vec![0; BLOCKS_AT_ONCE * geometry.cipher_block() as usize],
            plain: vec![0; BLOCKS_AT_ONCE * geometry.plain_block() as usize],
        }
    }
}

/// A part of a file that is being read, and what was found in it.
struct Stretch<'f, B: Backing> {
    file: &'f B::File,
    id: &'f FileId,
    size: u64,
    bad: Vec<BadRun>,
    /// In how many more bad blocks a crash is looked for.
    looks: usize,
    hole_bytes: u64,
}

/// The file ended before it should have.
struct Shrank;

impl<B: Backing> Checker<'_, B> {
    pub(super) fn check_file(&self, dir: &B::Dir, place: &Arc<Place>, stat: &Stat, buffers: &mut Buffers) {
        if stat.size == 0 {
            return;
        }
        if stat.size <= self.geometry.header_len() {
            let detail = format!("{} bytes are no more than a header, so the file counts as empty", stat.size);
            return self.problem(place, ProblemKind::Stub, Part::Content, detail);
        }
        let file = match self.backing.open(dir, &place.disk, OpenMode::Read) {
            Ok(file) => file,
            Err(errno) => return self.unreadable(place, Part::Opening, "opening it", errno),
        };
        let mut header = [0; HEADER];
        match self.backing.read_at(&file, 0, &mut header) {
            Ok(HEADER) => {}
            Ok(_) => {
                return self.problem(
                    place,
                    ProblemKind::Header,
                    Part::Content,
                    "the file ends within its header".into(),
                );
            }
            Err(errno) => return self.unreadable(place, Part::Content, "reading its header", errno),
        }
        let id = match FileHeader::decode(&header) {
            Ok(id) => id,
            Err(_) if is_zero(&header) && self.holds_nothing(&file, stat.size, buffers) => {
                add(&self.counts.hole_bytes, self.geometry.plain_size(stat.size));
                let detail = "the size reached the disk, the header and the content did not: it reads as zeros".into();
                return self.problem(place, ProblemKind::Interrupted, Part::Content, detail);
            }
            Err(error) => {
                let detail = format!("{error}; no block of the file can be opened");
                return self.problem(place, ProblemKind::Header, Part::Content, detail);
            }
        };
        let blocks = (stat.size - self.geometry.header_len()).div_ceil(self.geometry.cipher_block());
        // The first part is checked now, the others by whoever has time.
        let rest = (BLOCKS_IN_A_JOB.min(blocks)..blocks).step_by(BLOCKS_IN_A_JOB as usize);
        self.queue.push(rest.map(|from| {
            let to = (from + BLOCKS_IN_A_JOB).min(blocks);
            Job::Blocks { file: place.clone(), id, from, to, size: stat.size }
        }));
        self.check_blocks(place, &file, &id, 0..BLOCKS_IN_A_JOB.min(blocks), stat.size, buffers);
    }

    pub(super) fn check_blocks_of(
        &self,
        place: &Arc<Place>,
        id: &FileId,
        blocks: Range<u64>,
        size: u64,
        buffers: &mut Buffers,
    ) {
        let parent = place.parent.as_ref().expect("a file is not the root");
        let opened = self.open_dir(parent).and_then(|dir| self.backing.open(&dir, &place.disk, OpenMode::Read));
        match opened {
            Ok(file) => self.check_blocks(place, &file, id, blocks, size, buffers),
            Err(errno) => self.unreadable(place, Part::Opening, "opening it", errno),
        }
    }

    fn check_blocks(
        &self,
        place: &Arc<Place>,
        file: &B::File,
        id: &FileId,
        blocks: Range<u64>,
        size: u64,
        buffers: &mut Buffers,
    ) {
        let looks = if self.options.as_mounted { 0 } else { INTERRUPTIONS_LOOKED_FOR };
        let mut stretch = Stretch { file, id, size, bad: Vec::new(), looks, hole_bytes: 0 };
        let read = self.read_blocks(&mut stretch, blocks, buffers);
        self.count_holes(place, stretch.hole_bytes);
        if read.is_err() {
            let detail = "the file shrank while it was read".into();
            return self.problem(place, ProblemKind::Unreadable, Part::Content, detail);
        }
        for run in stretch.bad {
            self.bad_run(place, run);
        }
    }

    fn read_blocks(
        &self,
        stretch: &mut Stretch<'_, B>,
        blocks: Range<u64>,
        buffers: &mut Buffers,
    ) -> Result<(), Shrank> {
        let mut next = blocks.start;
        while next < blocks.end && !self.is_stopped() {
            let after_hole = self.skip_hole(stretch, next, blocks.end);
            if after_hole > next {
                next = after_hole;
                continue;
            }
            let count = (blocks.end - next).min(BLOCKS_AT_ONCE as u64);
            let wanted = self.span(next, count, stretch.size);
            match self.backing.read_at(stretch.file, self.geometry.block_offset(next), &mut buffers.stored[..wanted]) {
                Ok(len) if len == wanted => {
                    self.open_all(stretch, next, wanted, buffers);
                    self.observer.observe(&Event::Progress(wanted as u64));
                }
                Ok(_) => return Err(Shrank),
                // One bad sector is not to hide the blocks beside it.
                Err(errno) => self.read_each_block(stretch, next..next + count, errno, buffers),
            }
            next += count;
        }
        Ok(())
    }

    /// Stored bytes of `count` blocks from `first` on.
    fn span(&self, first: u64, count: u64, size: u64) -> usize {
        let start = self.geometry.block_offset(first);
        (self.geometry.block_offset(first + count).min(size) - start) as usize
    }

    /// Reads blocks one by one where reading them together failed.
    fn read_each_block(&self, stretch: &mut Stretch<'_, B>, blocks: Range<u64>, errno: Errno, buffers: &mut Buffers) {
        let why = format!("cannot be read: {}", std::io::Error::from(errno));
        for block in blocks {
            let wanted = self.span(block, 1, stretch.size);
            let offset = self.geometry.block_offset(block);
            match self.backing.read_at(stretch.file, offset, &mut buffers.stored[..wanted]) {
                Ok(len) if len == wanted => self.open_all(stretch, block, wanted, buffers),
                _ => note_bad(&mut stretch.bad, block, why.clone()),
            }
            self.observer.observe(&Event::Progress(wanted as u64));
        }
    }

    /// Opens the blocks in the buffer, those after a bad one too.
    fn open_all(&self, stretch: &mut Stretch<'_, B>, first: u64, len: usize, buffers: &mut Buffers) {
        let block_len = self.geometry.cipher_block() as usize;
        let Buffers { stored, plain } = buffers;
        let (mut at, mut block) = (0, first);
        while at < len {
            let rest = &stored[at..len];
            let good = match self.ciphers.content.open_blocks(stretch.id, block, rest, plain) {
                Ok(_) => rest.len().div_ceil(block_len),
                Err(error) => (error.block - block) as usize,
            };
            let good_len = (good * block_len).min(rest.len());
            self.count_content(stretch, &rest[..good_len]);
            at += good_len;
            block += good as u64;
            if at < len {
                let one = &stored[at..len.min(at + block_len)];
                self.look_at_bad(stretch, block, one, plain);
                at += one.len();
                block += 1;
            }
        }
    }

    fn count_content(&self, stretch: &mut Stretch<'_, B>, stored: &[u8]) {
        let block_len = self.geometry.cipher_block() as usize;
        let is_hole = |block: &&[u8]| block.len() == block_len && is_zero(block);
        let holes = stored.chunks(block_len).filter(is_hole).count() as u64 * self.geometry.plain_block();
        let all = self.geometry.plain_size(stored.len() as u64 + self.geometry.header_len());
        stretch.hole_bytes += holes;
        add(&self.counts.bytes, all - holes);
    }

    /// A block that does not authenticate: damaged, or what a crash left, which the vault can read.
    fn look_at_bad(&self, stretch: &mut Stretch<'_, B>, block: u64, stored: &[u8], plain: &mut [u8]) {
        let overhead = self.geometry.overhead() as usize;
        let is_last = self.geometry.block_offset(block + 1) >= stretch.size;
        if stored.len() > overhead && is_zero(stored) && is_last {
            add(&self.counts.hole_bytes, (stored.len() - overhead) as u64);
            return note_bad(&mut stretch.bad, block, INTERRUPTED_WRITE.to_owned());
        }
        let looks_on = stretch.looks > 0;
        stretch.looks = stretch.looks.saturating_sub(1);
        match self.ciphers.content.open_interrupted(stretch.id, block, stored, looks_on, plain) {
            Some(len) => {
                add(&self.counts.bytes, len as u64);
                note_bad(&mut stretch.bad, block, INTERRUPTED_RESIZE.to_owned());
            }
            None => {
                let why = self.ciphers.content.open_blocks(stretch.id, block, stored, plain).err();
                note_bad(&mut stretch.bad, block, why.map_or_else(String::new, |error| error.why.to_string()));
            }
        }
    }

    /// The first block from `next` on that may hold data. Whole blocks of a hole are counted, not read.
    fn skip_hole(&self, stretch: &mut Stretch<'_, B>, next: u64, end: u64) -> u64 {
        let start = self.geometry.block_offset(next);
        let data = match self.backing.seek_data(stretch.file, start) {
            Ok(data) => data,
            Err(Errno::NXIO) => stretch.size,
            Err(_) => return next,
        };
        let whole = (data.saturating_sub(start) / self.geometry.cipher_block()).min(end - next);
        stretch.hole_bytes += whole * self.geometry.plain_block();
        if whole > 0 {
            self.observer.observe(&Event::Progress(whole * self.geometry.cipher_block()));
        }
        next + whole
    }

    fn count_holes(&self, file: &Arc<Place>, bytes: u64) {
        if bytes == 0 {
            return;
        }
        add(&self.counts.hole_bytes, bytes);
        if file.hole_bytes.fetch_add(bytes, Ordering::Relaxed) > 0 {
            return;
        }
        add(&self.counts.files_with_holes, 1);
        let mut with_holes = self.with_holes.lock();
        if with_holes.len() < Report::MOST_PROBLEMS {
            with_holes.push(file.clone());
        }
    }

    /// Whether the file is zeros throughout.
    fn holds_nothing(&self, file: &B::File, size: u64, buffers: &mut Buffers) -> bool {
        let mut at = 0;
        while at < size {
            at = match self.backing.seek_data(file, at) {
                Ok(data) => data,
                Err(Errno::NXIO) => return true,
                Err(_) => at,
            };
            match self.backing.read_at(file, at, &mut buffers.stored) {
                Ok(0) => return true,
                Ok(len) if is_zero(&buffers.stored[..len]) => at += len as u64,
                _ => return false,
            }
        }
        true
    }
}
