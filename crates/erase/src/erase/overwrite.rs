//! Writes over every block that the files of a batch have, and over the values of their attributes.

use std::{
    collections::{HashMap, HashSet},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use rustix::{
    fs::{self, Mode, OFlags, XattrFlags},
    io::{self, Errno},
};
use strongroom_durable::Beneath;
use strongroom_event::{Event, Observer};

use super::{
    list::List,
    ranges::{Range, Ranges, ranges},
    reckon::{Place, Present},
};
use crate::{
    EraseError, Erasing, Kind,
    look::Look,
    noise::{CHUNK, Noise},
};

/// Files from this size on are written by all threads together, in pieces.
const LARGE: u64 = 64 << 20;
const PIECE: u64 = 16 << 20;

/// From this size on, files are written past the page cache.
const DIRECT: u64 = 1 << 20;

/// What became of an entry's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing was done to it: it has none, or had been dealt with before.
    Nothing,
    /// It was written over, every block.
    Overwritten,
    /// It has names outside the tree.
    NamedElsewhere,
    /// Writing would go to other blocks.
    Shared,
    /// Overwriting reaches nothing here.
    OnlyRemoved,
}

/// All that overwriting needs to know.
pub(super) struct Overwriting<'a> {
    pub(super) root: &'a Beneath,
    pub(super) list: &'a List<'a>,
    /// How many names of an inode are still in the tree, of those that had several. Counted down as they go: with a name of
    /// two gone, a second link is somebody else's.
    pub(super) names: &'a Mutex<HashMap<u64, u32>>,
    pub(super) how: &'a Erasing,
    pub(super) observer: &'a dyn Observer,
    pub(super) stop: &'a AtomicBool,
    /// Inodes with several names that were overwritten under one of them.
    pub(super) done: Mutex<HashSet<u64>>,
    pub(super) written: AtomicU64,
}

/// A file that all threads write together.
struct Large<'a> {
    number: usize,
    path: &'a [u8],
    pen: Pen,
    ranges: Vec<Range>,
}

impl<'a> Overwriting<'a> {
    /// Writes over the contents of a batch; returns what became of each. Nothing of it is synced.
    pub(super) fn batch(&'a self, batch: &[Present]) -> Result<Vec<Outcome>, EraseError> {
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let worker = || {
            let (mut noise, mut outcomes, mut large) = (Noise::new(), Vec::new(), Vec::new());
            loop {
                let number = next.fetch_add(1, Relaxed);
                let Some(present) = batch.get(number) else { break };
                if failed.load(Relaxed) || self.stop.load(Relaxed) {
                    return Err(EraseError::Stopped);
                }
                match self.entry(number, present, &mut noise, &mut large) {
                    Ok(outcome) => outcomes.push((number, outcome)),
                    Err(error) => {
                        failed.store(true, Relaxed);
                        return Err(error);
                    }
                }
            }
            Ok((outcomes, large))
        };
        let mut all = vec![Outcome::Nothing; batch.len()];
        for (outcomes, large) in together(self.workers(batch.len()), worker)? {
            outcomes.into_iter().for_each(|(number, outcome)| all[number] = outcome);
            for file in large {
                self.large(&file)?;
                all[file.number] = Outcome::Overwritten;
            }
        }
        Ok(all)
    }

    fn workers(&self, jobs: usize) -> usize {
        // A thread is not worth a handful of files.
        self.how.workers.clamp(1, jobs.div_ceil(8).max(1))
    }

    fn entry(
        &self,
        number: usize,
        present: &Present,
        noise: &mut Noise,
        large: &mut Vec<Large<'a>>,
    ) -> Result<Outcome, EraseError> {
        let target = self.list.target(present.index);
        if present.place != Place::Listed {
            return Ok(Outcome::Nothing);
        }
        if !self.how.overwrite {
            return Ok(if target.kind == Kind::File { Outcome::OnlyRemoved } else { Outcome::Nothing });
        }
        let opened = match self.root.open(&target.path, OFlags::PATH) {
            Err(Errno::NOENT) => return Ok(Outcome::Nothing),
            other => other.map_err(EraseError::at("opening", &target.path))?,
        };
        let look = Look::of(&opened).map_err(EraseError::at("looking at", &target.path))?;
        if !look.is(target) {
            return Err(EraseError::Replaced(target.path.clone()));
        }
        if target.kind != Kind::File {
            replace_attributes(&opened, noise).map_err(EraseError::at("replacing attributes of", &target.path))?;
            return Ok(Outcome::Nothing);
        }
        self.file(number, &target.path, &opened, &look, target.links_inside, noise, large)
    }

    #[allow(clippy::too_many_arguments)] // one step of the method above, cut off where it became long
    fn file(
        &self,
        number: usize,
        path: &'a [u8],
        opened: &OwnedFd,
        look: &Look,
        links_inside: u32,
        noise: &mut Noise,
        large: &mut Vec<Large<'a>>,
    ) -> Result<Outcome, EraseError> {
        // Whatever the list says: names that are gone already do not count.
        let inside = lock(self.names).get(&look.ino).copied().unwrap_or(1).min(links_inside);
        if look.links > 1 {
            if lock(&self.done).contains(&look.ino) {
                return Ok(Outcome::Nothing);
            }
            if look.links > inside {
                return Ok(Outcome::NamedElsewhere);
            }
        }
        replace_attributes(opened, noise).map_err(EraseError::at("replacing attributes of", path))?;
        let pen = Pen::open(opened, look).map_err(EraseError::at("opening for overwriting", path))?;
        let ranges = match ranges(&pen.file, look).map_err(EraseError::at("mapping", path))? {
            Ranges::Elsewhere => return Ok(Outcome::Shared),
            Ranges::Here(ranges) => ranges,
        };
        if look.links > 1 {
            lock(&self.done).insert(look.ino);
        }
        if ranges.iter().map(|range| range.len).sum::<u64>() >= LARGE {
            large.push(Large { number, path, pen, ranges });
            return Ok(Outcome::Nothing);
        }
        for pass in 0..self.how.passes {
            pen.between(pass).map_err(EraseError::at("syncing", path))?;
            ranges.iter().try_for_each(|range| self.write(&pen, path, range, noise))?;
        }
        Ok(Outcome::Overwritten)
    }

    fn large(&self, file: &Large<'_>) -> Result<(), EraseError> {
        let pieces: Vec<_> = file.ranges.iter().flat_map(|range| range.pieces(PIECE)).collect();
        for pass in 0..self.how.passes {
            file.pen.between(pass).map_err(EraseError::at("syncing", file.path))?;
            let next = AtomicUsize::new(0);
            together(self.how.workers.max(1), || {
                let mut noise = Noise::new();
                while let Some(piece) = pieces.get(next.fetch_add(1, Relaxed)) {
                    self.write(&file.pen, file.path, piece, &mut noise)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn write(&self, pen: &Pen, path: &[u8], range: &Range, noise: &mut Noise) -> Result<(), EraseError> {
        for piece in range.pieces(CHUNK as u64) {
            if self.stop.load(Relaxed) {
                return Err(EraseError::Stopped);
            }
            pen.write(piece.start, noise.next(piece.len as usize)).map_err(EraseError::at("overwriting", path))?;
            self.written.fetch_add(piece.len, Relaxed);
            self.observer.observe(&Event::Progress(piece.len));
        }
        Ok(())
    }
}

/// A file open for overwriting.
struct Pen {
    file: OwnedFd,
}

impl Pen {
    /// Opens for writing what `opened` leads to: the very inode that was looked at, whatever its name leads to by now.
    fn open(opened: &OwnedFd, look: &Look) -> io::Result<Self> {
        let direct = if look.occupied >= DIRECT { OFlags::DIRECT } else { OFlags::empty() };
        let open = |flags| {
            fs::open(proc_path(opened), OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | flags, Mode::empty())
        };
        let file = match open(direct) {
            Err(Errno::ACCESS) => {
                fs::chmod(proc_path(opened), Mode::RUSR | Mode::WUSR)?;
                open(direct)
            }
            Err(Errno::INVAL) => open(OFlags::empty()),
            other => other,
        }?;
        Ok(Self { file })
    }

    /// What the pass before wrote must be on the medium, or the kernel would join both in its memory.
    fn between(&self, pass: u32) -> io::Result<()> {
        if pass == 0 { Ok(()) } else { fs::fdatasync(&self.file) }
    }

    fn write(&self, mut at: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match io::pwrite(&self.file, bytes, at) {
                Ok(0) => return Err(Errno::IO),
                Ok(written) => (at, bytes) = (at + written as u64, &bytes[written..]),
                Err(Errno::INTR) => {}
                // Not past the page cache, then: the file system or the device asks for another alignment.
                Err(Errno::INVAL) if fs::fcntl_getfl(&self.file)?.contains(OFlags::DIRECT) => {
                    fs::fcntl_setfl(&self.file, fs::fcntl_getfl(&self.file)?.difference(OFlags::DIRECT))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Gives each attribute of users and administrators a random value of the same length. What the kernel keeps for itself
/// (access lists, labels) cannot hold any bytes one likes, and goes with the inode.
fn replace_attributes(opened: &OwnedFd, noise: &mut Noise) -> io::Result<()> {
    let path = proc_path(opened);
    for name in attributes(&path)? {
        if !name.starts_with(b"user.") && !name.starts_with(b"trusted.") {
            continue;
        }
        let Ok(len) = fs::getxattr_query(&path, &name[..]) else { continue };
        if fs::setxattr(&path, &name[..], noise.next(len.min(CHUNK)), XattrFlags::REPLACE) == Err(Errno::IO) {
            return Err(Errno::IO);
        }
    }
    Ok(())
}

/// Removes attributes.
pub(super) fn remove_attributes(opened: &OwnedFd) {
    let path = proc_path(opened);
    for name in attributes(&path).unwrap_or_default() {
        // Those of the kernel go with the inode.
        let _ = fs::removexattr(&path, &name[..]);
    }
}

fn attributes(path: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut names = vec![0; 4096];
    let len = loop {
        match fs::listxattr(path, &mut names[..]) {
            Ok(len) => break len,
            Err(Errno::RANGE) if names.len() < 1 << 20 => names.resize(names.len() * 4, 0),
            Err(Errno::NOTSUP | Errno::ACCESS | Errno::PERM) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    };
    Ok(names[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
}

/// Leads to what a descriptor is open on, and to nothing else.
pub(crate) fn proc_path<F: AsFd>(opened: F) -> String {
    format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd())
}

/// A thread that panicked has left a number or a set as it was.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` on so many threads; the first error that is not just "stopped", or what they return.
fn together<T: Send>(workers: usize, work: impl Fn() -> Result<T, EraseError> + Sync) -> Result<Vec<T>, EraseError> {
    if workers == 1 {
        return Ok(vec![work()?]);
    }
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(&work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut stopped = None;
    let mut all = Vec::new();
    for result in results {
        match result {
            Ok(one) => all.push(one),
            Err(EraseError::Stopped) => stopped = Some(EraseError::Stopped),
            Err(error) => return Err(error),
        }
    }
    stopped.map_or(Ok(all), Err)
}
