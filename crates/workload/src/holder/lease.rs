//! Whether somebody can still write: a read lease (`F_SETLEASE`, `F_RDLCK`) is granted for a file exactly as long as
//! nobody has it open for writing, in whatever way: a descriptor, a mapping whose descriptor was closed, a descriptor in
//! flight in a socket, a loop device. The kernel knows; /proc does not show all of it.
//!
//! Each lease is given back at once. Who opens the file for writing in that moment waits for a few microseconds; only who
//! opens it with `O_NONBLOCK` gets `EWOULDBLOCK`.

use std::{
    ffi::{CStr, OsStr},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rustix::{
    fs::{self, AtFlags, FileType, OFlags},
    io::Errno,
};
use serde::Serialize;
use strongroom_durable::Beneath;

use super::listing::{LISTING, is_mount_point, list, open_here};
use crate::WorkloadError;

/// Which signal tells that a lease is in somebody's way (asm-generic/fcntl.h); libc has no name for it.
const F_SETSIG: libc::c_int = 10;

/// Whom it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Whoever can write.
    Writers,
    /// Whoever has it open at all.
    Anybody,
}

/// A file that somebody has open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Busy {
    /// Where, below the root.
    pub path: PathBuf,
    /// Its device.
    pub dev: u64,
    /// Its inode number.
    pub ino: u64,
}

/// A file or directory that could not be asked about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Undecided {
    /// Where, below the root.
    pub path: PathBuf,
    /// Why not.
    pub why: String,
}

/// What the kernel said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Probed {
    /// What somebody has open, by path.
    pub busy: Vec<Busy>,
    /// What could not be asked about: other users' files, without the capability `CAP_LEASE`.
    pub undecided: Vec<Undecided>,
    /// How many files were asked about.
    pub files: u64,
    /// Whether the file system has leases. If it has none, nothing is known.
    pub has_leases: bool,
}

/// Asks about every regular file below the directory `root`, with as many threads as `workers`, until `stop` is set. What
/// is mounted below it is left out. Give it a descriptor of its own file system, not a path that may be mounted over.
pub fn lease_probe(
    root: BorrowedFd<'_>,
    asked: Asked,
    workers: usize,
    stop: &AtomicBool,
) -> Result<Probed, WorkloadError> {
    let root = root.try_clone_to_owned().map_err(WorkloadError::on("holding", ""))?;
    let probe = Probe {
        beneath: Beneath::new(root),
        asked,
        stop,
        ahead: Mutex::new(Ahead { directories: vec![PathBuf::new()], at_work: 0 }),
        changed: Condvar::new(),
        found: Mutex::new(Probed { has_leases: true, ..Probed::default() }),
        files: AtomicU64::new(0),
    };
    std::thread::scope(|scope| {
        (0..workers.max(1)).for_each(|_| {
            scope.spawn(|| probe.work());
        });
    });
    if stop.load(Ordering::Relaxed) {
        return Err(WorkloadError::Stopped);
    }
    let mut found = probe.found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    found.files = probe.files.into_inner();
    found.busy.sort();
    found.undecided.sort();
    Ok(found)
}

struct Probe<'a> {
    beneath: Beneath,
    asked: Asked,
    stop: &'a AtomicBool,
    ahead: Mutex<Ahead>,
    changed: Condvar,
    found: Mutex<Probed>,
    files: AtomicU64,
}

/// Directories to be looked through. The last found come first, which keeps them few.
struct Ahead {
    directories: Vec<PathBuf>,
    at_work: usize,
}

impl Probe<'_> {
    fn work(&self) {
        let mut buffer = Vec::with_capacity(32 << 10);
        while let Some(directory) = self.next() {
            if let Err(errno) = self.look_through(&directory, &mut buffer) {
                self.undecided(directory, errno);
            }
            lock(&self.ahead).at_work -= 1;
            self.changed.notify_all();
        }
    }

    /// The next directory; `None` when all are done, and nobody is about to find more.
    fn next(&self) -> Option<PathBuf> {
        let mut ahead = lock(&self.ahead);
        loop {
            if self.stop.load(Ordering::Relaxed) || !lock(&self.found).has_leases {
                return None;
            }
            if let Some(directory) = ahead.directories.pop() {
                ahead.at_work += 1;
                return Some(directory);
            }
            if ahead.at_work == 0 {
                return None;
            }
            ahead = self.changed.wait(ahead).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    fn look_through(&self, directory: &Path, buffer: &mut Vec<u8>) -> Result<(), Errno> {
        let dir = self.beneath.open(directory.as_os_str().as_bytes(), LISTING)?;
        list(dir.as_fd(), buffer, |name, _, kind| {
            let path = || directory.join(OsStr::from_bytes(name.to_bytes()));
            match kind {
                Ok(FileType::Directory) if !is_mount_point(dir.as_fd(), name) => {
                    lock(&self.ahead).directories.push(path());
                    self.changed.notify_one();
                }
                Ok(FileType::RegularFile) => self.ask(&dir, name, path),
                Ok(_) => {}
                Err(errno) => self.undecided(path(), errno),
            }
            !self.stop.load(Ordering::Relaxed)
        })
    }

    fn ask(&self, dir: &OwnedFd, name: &CStr, path: impl Fn() -> PathBuf) {
        // Whoever has a lease of his own (a file server) is asked to give it up, and not waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let asked = open_here(dir, name, flags).and_then(|file| is_granted(file.as_fd(), self.asked));
        match asked {
            Ok(true) => {}
            Ok(false) | Err(Errno::AGAIN) => self.busy(dir, name, path()),
            Err(Errno::XDEV) => return,
            Err(Errno::INVAL) => {
                lock(&self.found).has_leases = false;
                self.changed.notify_all();
            }
            Err(errno) => self.undecided(path(), errno),
        }
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    fn busy(&self, dir: &OwnedFd, name: &CStr, path: PathBuf) {
        match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => lock(&self.found).busy.push(Busy { path, dev: stat.st_dev, ino: stat.st_ino }),
            Err(errno) => self.undecided(path, errno),
        }
    }

    fn undecided(&self, path: PathBuf, errno: Errno) {
        // Gone, or something else since it was listed.
        if matches!(errno, Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO) {
            return;
        }
        lock(&self.found).undecided.push(Undecided { path, why: io::Error::from(errno).to_string() });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Takes the lease and gives it back. `false` if somebody is in the way.
fn is_granted(file: BorrowedFd<'_>, asked: Asked) -> Result<bool, Errno> {
    let lease = match asked {
        Asked::Writers => libc::F_RDLCK,
        Asked::Anybody => libc::F_WRLCK,
    };
    // Who wants to write in this moment has the kernel signal us, and SIGIO, which it would be, ends a process. SIGURG is
    // ignored by those who do not ask for it.
    fcntl(file, F_SETSIG, libc::SIGURG)?;
    match fcntl(file, libc::F_SETLEASE, lease) {
        Ok(()) => {}
        Err(Errno::AGAIN) => return Ok(false),
        Err(errno) => return Err(errno),
    }
    // Closing would do it too, but for a child that was forked in this moment and has a copy.
    fcntl(file, libc::F_SETLEASE, libc::F_UNLCK)?;
    Ok(true)
}

fn fcntl(file: BorrowedFd<'_>, command: i32, argument: i32) -> Result<(), Errno> {
    // SAFETY: the descriptor is borrowed, and both commands take a plain number.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
        -1 => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(()),
    }
}
