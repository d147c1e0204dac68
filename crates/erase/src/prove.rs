//! Looks on a raw device for what was planted.

use std::{
    collections::BTreeMap,
    os::fd::{BorrowedFd, OwnedFd},
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
};

use aho_corasick::{AhoCorasick, MatchKind};
use rustix::{
    fs::{self, Mode, OFlags, SeekFrom},
    io::{self, Errno},
};
use serde::{Deserialize, Serialize};
use strongroom_event::{Event, Observer};

use crate::{
    EraseError, MarkKind, Markers, Samples,
    journal::journal_of,
    sample::{PIECE, SECTOR, Sieve},
    sys,
};

/// What a part of the device is to its file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// Nobody's.
    Free,
    /// The journal, or log.
    Journal,
    /// Inodes, bitmaps, superblocks.
    Metadata,
    /// Of a file or directory.
    Allocated,
    /// The file system does not tell.
    Unknown,
}

/// One find.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What kind of marker. None for a piece of a real file.
    pub kind: Option<MarkKind>,
    /// Where, in bytes from the beginning of the device.
    pub offset: u64,
    /// What is there.
    pub region: Region,
}

/// What was looked at and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// How long the device is.
    pub length: u64,
    /// How much of it was read.
    pub scanned: u64,
    /// How many parts of it could not be read.
    pub unreadable: u64,
    /// Finds of markers, by kind and region.
    pub markers: BTreeMap<MarkKind, BTreeMap<Region, u64>>,
    /// Finds of pieces of real files. They may be another copy of the same bytes, which is then still there.
    pub samples: BTreeMap<Region, u64>,
    /// The first finds, at most [`Proof::LISTED`].
    pub found: Vec<Found>,
}

impl Proof {
    /// How many finds are listed one by one.
    pub const LISTED: usize = 256;

    /// Whether all of the device was read and no marker found.
    pub fn is_clean(&self) -> bool {
        self.scanned == self.length && self.length > 0 && self.unreadable == 0 && self.markers.is_empty()
    }
}

/// Reads all of `device` and looks for `markers` and `samples`. `mounted` is a directory of the file system on it, which is
/// synced first and asked what is where.
pub fn prove(
    device: &Path,
    mounted: Option<BorrowedFd<'_>>,
    markers: &Markers,
    samples: Option<&Samples>,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Proof, EraseError> {
    if let Some(mounted) = mounted {
        fs::syncfs(mounted).map_err(EraseError::on("syncing the file system on", device))?;
    }
    let medium = Raw::open(device).map_err(EraseError::on("opening", device))?;
    let length = medium.length().map_err(EraseError::on("measuring", device))?;
    observer.observe(&Event::Phase { name: "looking for what was erased", total: Some(length) });
    let patterns = markers.patterns();
    // Leftmost, because only then does it skip ahead with SIMD.
    let search =
        AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(patterns.map(|(_, pattern)| pattern));
    let search = search.expect("five patterns are not too many");
    let scan = Scan {
        medium: &medium,
        length,
        search: &search,
        kinds: patterns.map(|(kind, _)| kind),
        sieve: samples.map(Samples::sieve),
        next: AtomicU64::new(0),
        observer,
        stop,
    };
    let workers = thread::available_parallelism().map_or(1, |many| many.get().min(4));
    let parts: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(|| scan.work())).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    if stop.load(Relaxed) {
        return Err(EraseError::Stopped);
    }
    Ok(sum(length, parts, &Regions::of(device, mounted)))
}

/// As much is searched at a time.
const STRIDE: usize = 4 << 20;
/// And so much more is read, so that what lies across the end of one stride is found in it.
const OVERLAP: usize = 4096;

/// What one thread saw.
#[derive(Default)]
struct Part {
    scanned: u64,
    unreadable: u64,
    found: Vec<(Option<MarkKind>, u64)>,
}

struct Scan<'a> {
    medium: &'a Raw,
    length: u64,
    search: &'a AhoCorasick,
    kinds: [MarkKind; 5],
    sieve: Option<Sieve<'a>>,
    next: AtomicU64,
    observer: &'a dyn Observer,
    stop: &'a AtomicBool,
}

impl Scan<'_> {
    fn work(&self) -> Part {
        let mut part = Part::default();
        let mut room = Aligned::new(STRIDE + OVERLAP);
        loop {
            let start = self.next.fetch_add(STRIDE as u64, Relaxed);
            if start >= self.length || self.stop.load(Relaxed) {
                return part;
            }
            let wanted = (self.length - start).min((STRIDE + OVERLAP) as u64) as usize;
            let mine = wanted.min(STRIDE);
            let bad = self.medium.read(start, room.bytes(), wanted);
            part.unreadable += bad.iter().filter(|&&at| at < mine).count() as u64;
            part.scanned +=
                (mine - bad.iter().map(|&at| mine.saturating_sub(at).min(Raw::SMALLEST)).sum::<usize>()) as u64;
            self.look(start, &room.bytes()[..wanted], mine, &mut part);
            self.observer.observe(&Event::Progress(mine as u64));
        }
    }

    /// Looks for what begins in the first `mine` bytes.
    fn look(&self, start: u64, bytes: &[u8], mine: usize, part: &mut Part) {
        for found in self.search.find_iter(bytes).take_while(|found| found.start() < mine) {
            part.found.push((Some(self.kinds[found.pattern().as_usize()]), start + found.start() as u64));
        }
        let Some(sieve) = &self.sieve else { return };
        for at in (0..mine).step_by(SECTOR).filter(|&at| bytes.len() - at >= PIECE) {
            if sieve.holds(&bytes[at..]) {
                part.found.push((None, start + at as u64));
            }
        }
    }
}

fn sum(length: u64, parts: Vec<Part>, regions: &Regions) -> Proof {
    let scanned = parts.iter().map(|part| part.scanned).sum();
    let unreadable = parts.iter().map(|part| part.unreadable).sum();
    let mut all: Vec<_> = parts.into_iter().flat_map(|part| part.found).collect();
    all.sort_by_key(|&(_, offset)| offset);
    let mut proof =
        Proof { length, scanned, unreadable, markers: BTreeMap::new(), samples: BTreeMap::new(), found: Vec::new() };
    for (kind, offset) in all {
        let region = regions.at(offset);
        let counts = match kind {
            Some(kind) => proof.markers.entry(kind).or_default(),
            None => &mut proof.samples,
        };
        *counts.entry(region).or_insert(0) += 1;
        if proof.found.len() < Proof::LISTED {
            proof.found.push(Found { kind, offset, region });
        }
    }
    proof
}

/// A device or image, open for reading past the page cache where that can be.
struct Raw {
    file: OwnedFd,
}

impl Raw {
    /// What is read one by one where reading more failed.
    const SMALLEST: usize = 4096;

    fn open(path: &Path) -> io::Result<Self> {
        let open = |direct| fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | direct, Mode::empty());
        let file = open(OFlags::DIRECT).or_else(|_| open(OFlags::empty()))?;
        // A device that refuses direct reads of this size is read through the cache, of which nothing is kept.
        let mut room = Aligned::new(Self::SMALLEST);
        if io::pread(&file, room.bytes(), 0).is_ok() {
            return Ok(Self { file });
        }
        let file = open(OFlags::empty())?;
        let _ = fs::fadvise(&file, 0, None, fs::Advice::DontNeed);
        Ok(Self { file })
    }

    fn length(&self) -> io::Result<u64> {
        fs::seek(&self.file, SeekFrom::End(0))
    }

    /// Reads `wanted` bytes from `start` on into `room`, which has space up to the next multiple of [`Raw::SMALLEST`], for
    /// direct reads are of whole sectors. Returns where that was not possible, piece by piece; what could not be read is
    /// zeroed.
    fn read(&self, start: u64, room: &mut [u8], wanted: usize) -> Vec<usize> {
        let mut bad = Vec::new();
        let all = wanted.next_multiple_of(Self::SMALLEST);
        let mut at = 0;
        while at < wanted {
            match self.some(start, &mut room[..all], at) {
                Some(read) if at + read >= wanted => at = wanted,
                // What was read in part is read again from its beginning.
                Some(read) if read >= Self::SMALLEST => at += read & !(Self::SMALLEST - 1),
                _ => {
                    let end = at + Self::SMALLEST;
                    if self.some(start, &mut room[..end], at).is_none_or(|read| at + read < wanted.min(end)) {
                        bad.push(at);
                        room[at..end].fill(0);
                    }
                    at = end;
                }
            }
        }
        bad
    }

    /// Reads from `at` on to the end of `room`, at least one piece or what is left; None if that fails.
    fn some(&self, start: u64, room: &mut [u8], at: usize) -> Option<usize> {
        loop {
            match io::pread(&self.file, &mut room[at..], start + at as u64) {
                Ok(0) => return None,
                Ok(read) => return Some(read),
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }
}

/// What is where, as the superblock and the mounted file system tell.
struct Regions {
    journal: Vec<(u64, u64)>,
    /// Begin, end, what.
    mapped: Vec<(u64, u64, Region)>,
}

impl Regions {
    fn of(device: &Path, mounted: Option<BorrowedFd<'_>>) -> Self {
        let mut mapped = Vec::new();
        if let Some(mounted) = mounted {
            let told = sys::fsmap(mounted, |owned| {
                let region = match owned {
                    _ if owned.is_free() => Region::Free,
                    _ if owned.is_log() => Region::Journal,
                    _ if owned.is_metadata() => Region::Metadata,
                    _ => Region::Allocated,
                };
                mapped.push((owned.physical, owned.physical + owned.length, region));
            });
            if told.is_err() {
                mapped.clear();
            }
        }
        mapped.sort_unstable();
        Self { journal: journal_of(device).unwrap_or_default(), mapped }
    }

    fn at(&self, offset: u64) -> Region {
        if self.journal.iter().any(|&(start, len)| (start..start + len).contains(&offset)) {
            return Region::Journal;
        }
        let before = self.mapped.partition_point(|&(start, ..)| start <= offset);
        let last = before.checked_sub(1).map(|last| self.mapped[last]);
        last.filter(|&(_, end, _)| offset < end).map_or(Region::Unknown, |(.., region)| region)
    }
}

/// Memory at an address that direct input takes.
struct Aligned {
    room: Vec<u8>,
    begin: usize,
    len: usize,
}

impl Aligned {
    const TO: usize = 4096;

    fn new(len: usize) -> Self {
        let room = vec![0; len + Self::TO];
        let begin = room.as_ptr().align_offset(Self::TO);
        Self { room, begin, len }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.room[self.begin..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt};

    use strongroom_event::Silent;

    use super::*;

    fn image(len: u64, at: &[u64], markers: &Markers) -> tempfile::NamedTempFile {
        let image = tempfile::NamedTempFile::new().unwrap();
        let file = File::options().write(true).open(image.path()).unwrap();
        file.set_len(len).unwrap();
        at.iter().for_each(|&at| file.write_all_at(markers.patterns()[0].1, at).unwrap());
        image
    }

    fn look(image: &Path, markers: &Markers) -> Proof {
        prove(image, None, markers, None, &Silent, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn a_marker_is_found_wherever_it_lies() {
        let markers = Markers::choose();
        let len = 2 * STRIDE as u64 + 12345;
        let places = [
            0,
            777,
            4090,
            STRIDE as u64 - 1,
            STRIDE as u64 + 4000,
            2 * STRIDE as u64 - 31,
            2 * STRIDE as u64 + 1,
            len - 32,
        ];
        let proof = look(image(len, &places, &markers).path(), &markers);
        assert_eq!(proof.found.iter().map(|found| found.offset).collect::<Vec<_>>(), places);
        assert_eq!(proof.markers[&MarkKind::Content][&Region::Unknown], places.len() as u64);
        assert!(!proof.is_clean());
    }

    #[test]
    fn a_device_without_markers_is_clean_when_all_of_it_was_read() {
        let markers = Markers::choose();
        let clean = look(image(3 << 20, &[], &markers).path(), &markers);
        assert!(clean.is_clean() && clean.scanned == 3 << 20);
        let short = Proof { scanned: clean.scanned - 512, ..clean.clone() };
        let unread = Proof { unreadable: 1, ..clean.clone() };
        assert!(!short.is_clean() && !unread.is_clean());
        assert!(!look(image(0, &[], &markers).path(), &markers).is_clean());
    }
}
