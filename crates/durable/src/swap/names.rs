//! The system calls of a swap, behind a trait, so that a test can end the world between any two of them.

use std::{
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::SwapError;
use crate::{Beneath, Journal, JournalError, PASSING, PathError, exchange::refused};

/// Names below a directory.
pub(super) trait Names {
    /// The inode number of the directory itself.
    fn root(&self) -> Result<u64, SwapError>;
    /// The inode number of what stands at `path`.
    fn look(&self, path: &Path) -> Result<Option<u64>, SwapError>;
    /// Exchanges two names.
    fn exchange(&mut self, first: &Path, second: &Path) -> Result<(), SwapError>;
    /// Renames; nothing may stand at `to`.
    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), SwapError>;
    /// Puts the names in the directory that `path` is in on the disk.
    fn sync_parent(&mut self, path: &Path) -> Result<(), SwapError>;
}

/// The journal of a swap.
pub(super) trait Log {
    fn append(&mut self, record: &[u8]) -> Result<(), JournalError>;
    fn remove(&mut self) -> Result<(), JournalError>;
}

impl Log for Journal {
    fn append(&mut self, record: &[u8]) -> Result<(), JournalError> {
        Journal::append(self, record)
    }

    fn remove(&mut self) -> Result<(), JournalError> {
        self.unlink()
    }
}

/// Names below a directory of this machine.
pub(super) struct RealNames {
    path: PathBuf,
    beneath: Beneath,
}

impl RealNames {
    pub fn open(path: &Path) -> Result<Self, SwapError> {
        let root = fs::open(path, PASSING, Mode::empty()).map_err(PathError::on("opening the directory", path))?;
        Ok(Self { path: path.to_owned(), beneath: Beneath::new(root) })
    }

    /// The directory that `path` is in, and its name there.
    fn at<'p>(&self, path: &'p Path, flags: OFlags) -> rustix::io::Result<(OwnedFd, &'p [u8])> {
        let bytes = path.as_os_str().as_bytes();
        let (parent, name) = match bytes.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&bytes[..slash], &bytes[slash + 1..]),
            None => (&bytes[..0], bytes),
        };
        if matches!(name, b"" | b"." | b"..") {
            return Err(Errno::INVAL);
        }
        Ok((self.beneath.open(parent, flags)?, name))
    }

    fn failed(&self, attempted: &'static str, path: &Path) -> impl Fn(Errno) -> SwapError {
        let path = self.path.join(path);
        move |errno| PathError::on(attempted, &path)(errno).into()
    }
}

impl Names for RealNames {
    fn root(&self) -> Result<u64, SwapError> {
        let stat = fs::fstat(&self.beneath).map_err(PathError::on("looking at", &self.path))?;
        Ok(stat.st_ino)
    }

    fn look(&self, path: &Path) -> Result<Option<u64>, SwapError> {
        let failed = self.failed("looking at", path);
        let looked = self.at(path, PASSING).and_then(|(dir, name)| fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW));
        let stat = match looked {
            Err(Errno::NOENT) => return Ok(None),
            looked => looked.map_err(&failed)?,
        };
        if stat.st_dev != fs::fstat(self.beneath.as_fd()).map_err(&failed)?.st_dev {
            return Err(SwapError::ElsewhereMounted { path: self.path.join(path) });
        }
        Ok(Some(stat.st_ino))
    }

    fn exchange(&mut self, first: &Path, second: &Path) -> Result<(), SwapError> {
        let (dir, name) = self.at(first, PASSING).map_err(self.failed("reaching", first))?;
        let (other_dir, other_name) = self.at(second, PASSING).map_err(self.failed("reaching", second))?;
        fs::renameat_with(dir, name, other_dir, other_name, RenameFlags::EXCHANGE)
            .map_err(|errno| refused(errno, &self.path.join(first), &self.path.join(second)).into())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), SwapError> {
        let (dir, name) = self.at(from, PASSING).map_err(self.failed("reaching", from))?;
        let (to_dir, to_name) = self.at(to, PASSING).map_err(self.failed("reaching", to))?;
        let renamed = match fs::renameat_with(&dir, name, &to_dir, to_name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => rename_by_looking(&dir, name, &to_dir, to_name),
            renamed => renamed,
        };
        renamed.map_err(self.failed("moving", from))
    }

    fn sync_parent(&mut self, path: &Path) -> Result<(), SwapError> {
        let synced = match self.at(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            // It was removed with what had been set aside there.
            Err(Errno::NOENT) => return Ok(()),
            opened => opened.and_then(|(dir, _)| fs::fsync(dir)),
        };
        synced.map_err(self.failed("writing to disk the directory of", path))
    }
}

/// For file systems without RENAME_NOREPLACE. Somebody who makes the name in between loses what he made.
fn rename_by_looking(dir: &OwnedFd, name: &[u8], to_dir: &OwnedFd, to_name: &[u8]) -> rustix::io::Result<()> {
    match fs::statat(to_dir, to_name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => fs::renameat(dir, name, to_dir, to_name),
        Ok(_) => Err(Errno::EXIST),
        Err(errno) => Err(errno),
    }
}
