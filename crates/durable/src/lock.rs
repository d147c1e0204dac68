//! A directory that belongs to one process at a time.
//!
//! The lock is flock(2) on the directory's own descriptor: no file is added to it, and the kernel gives it back when
//! the process ends, however it ends. It binds those who ask for it, and on most network file systems only those on
//! the same machine. A file system that has no flock(2) at all answers [`LockError::Unsupported`]; whether to go on
//! without is the caller's decision.

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, Stat},
    io::Errno,
};

use crate::PathError;

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use{}", path.display(), owner.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Busy {
        /// The directory.
        path: PathBuf,
        /// The process that has it, if the kernel tells: not from within another container.
        owner: Option<u32>,
    },
    /// The file system has no such locks.
    #[error("the file system of {} has no locks", path.display())]
    Unsupported {
        /// The directory.
        path: PathBuf,
    },
    /// It could not even be opened.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// The lock on a directory, given back when dropped.
#[derive(Debug)]
pub struct DirLock {
    dir: OwnedFd,
}

impl DirLock {
    /// Locks the directory for this process alone, or says at once who has it.
    pub fn exclusive(path: &Path) -> Result<Self, LockError> {
        Self::lock(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// Locks the directory together with others who do the same, or says at once who has it alone.
    pub fn shared(path: &Path) -> Result<Self, LockError> {
        Self::lock(path, FlockOperation::NonBlockingLockShared)
    }

    /// The process that has the directory locked, without asking for the lock. None is found in another container.
    pub fn holder(path: &Path) -> Result<Option<u32>, PathError> {
        let stat = rustix::fs::stat(path).map_err(PathError::on("looking at", path))?;
        let locks = Path::new("/proc/locks");
        let text = fs::read_to_string(locks).map_err(PathError::on("reading", locks))?;
        Ok(holder(&text, &stat))
    }

    fn lock(path: &Path, operation: FlockOperation) -> Result<Self, LockError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(PathError::on("opening the directory", path))?;
        match rustix::fs::flock(&dir, operation) {
            Ok(()) => Ok(Self { dir }),
            Err(Errno::WOULDBLOCK) => Err(LockError::Busy { path: path.to_owned(), owner: owner(dir.as_fd()) }),
            Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOLCK) => {
                Err(LockError::Unsupported { path: path.to_owned() })
            }
            Err(error) => Err(PathError::on("locking", path)(error).into()),
        }
    }
}

impl AsFd for DirLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// The process that holds a lock on the directory, as /proc/locks tells.
fn owner(dir: BorrowedFd<'_>) -> Option<u32> {
    let stat = rustix::fs::fstat(dir).ok()?;
    holder(&fs::read_to_string("/proc/locks").ok()?, &stat)
}

/// Finds the line of the inode: `1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF`, the device in hexadecimal.
///
/// The device is the super block's, which btrfs does not show in stat(2); so the inode alone decides if no line has both.
fn holder(locks: &str, stat: &Stat) -> Option<u32> {
    let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let device = format!("{major:02x}:{minor:02x}");
    let inode = stat.st_ino.to_string();
    let of_this_inode = |line: &str| -> Option<(u32, bool)> {
        let mut words = line.split_whitespace().skip(1);
        // A second word of "->" marks one who waits.
        (words.next()? == "FLOCK").then_some(())?;
        let pid = words.nth(2)?.parse().ok().filter(|&pid| pid > 0)?;
        let (on_device, number) = words.next()?.rsplit_once(':')?;
        (number == inode).then_some((pid, on_device == device))
    };
    let found: Vec<_> = locks.lines().filter_map(of_this_inode).collect();
    found.iter().find(|(_, same_device)| *same_device).or(found.first()).map(|&(pid, _)| pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_directory_is_refused_and_its_owner_named() {
        let dir = tempfile::tempdir().unwrap();
        let _held = DirLock::exclusive(dir.path()).unwrap();
        match DirLock::exclusive(dir.path()) {
            Err(LockError::Busy { owner, .. }) => assert_eq!(owner, Some(std::process::id())),
            other => panic!("expected Busy, got {other:?}"),
        }
    }

    #[test]
    fn the_holder_is_told_without_disturbing_anybody() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(DirLock::holder(dir.path()).unwrap(), None);
        let _held = DirLock::exclusive(dir.path()).unwrap();
        assert_eq!(DirLock::holder(dir.path()).unwrap(), Some(std::process::id()));
    }

    #[test]
    fn a_lock_that_was_dropped_can_be_taken() {
        let dir = tempfile::tempdir().unwrap();
        drop(DirLock::exclusive(dir.path()).unwrap());
        DirLock::exclusive(dir.path()).unwrap();
    }

    #[test]
    fn shared_locks_go_together_and_keep_an_exclusive_one_out() {
        let dir = tempfile::tempdir().unwrap();
        let _one = DirLock::shared(dir.path()).unwrap();
        let _two = DirLock::shared(dir.path()).unwrap();
        assert!(matches!(DirLock::exclusive(dir.path()), Err(LockError::Busy { .. })));
    }

    #[test]
    fn locking_adds_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let _held = DirLock::exclusive(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_holder_is_found_by_device_and_else_by_inode() {
        let dir = tempfile::tempdir().unwrap();
        let stat = rustix::fs::stat(dir.path()).unwrap();
        let (major, minor, ino) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev), stat.st_ino);
        let elsewhere = format!("1: FLOCK  ADVISORY  WRITE 11 ff:ff:{ino} 0 EOF\n");
        let posix = format!("2: POSIX  ADVISORY  WRITE 12 {major:02x}:{minor:02x}:{ino} 0 EOF\n");
        let waiting = format!("3: -> FLOCK  ADVISORY  WRITE 13 {major:02x}:{minor:02x}:{ino} 0 EOF\n");
        let here = format!("4: FLOCK  ADVISORY  WRITE 14 {major:02x}:{minor:02x}:{ino} 0 EOF\n");
        assert_eq!(holder(&format!("{elsewhere}{posix}{waiting}{here}"), &stat), Some(14));
        assert_eq!(holder(&format!("{elsewhere}{posix}{waiting}"), &stat), Some(11));
        assert_eq!(holder(&posix, &stat), None);
    }

    #[test]
    fn a_missing_directory_is_named_in_the_error() {
        let error = DirLock::exclusive(Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
    }
}
