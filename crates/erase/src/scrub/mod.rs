//! What lies beside the files: the journal, and free space.

mod free;
mod journal;

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags},
    io::Errno,
};

pub use free::{Filled, scrub_free};
pub use journal::{Churned, scrub_journal};

use crate::{EraseError, Kind, erase::names_in, look::Look, sys};

/// Tells the device what is free (FITRIM). How many bytes, or nothing where it does not take that.
pub fn trim(dir: BorrowedFd<'_>) -> Result<Option<u64>, EraseError> {
    match sys::trim(dir) {
        Ok(trimmed) => Ok(Some(trimmed)),
        Err(Errno::NOTSUP | Errno::NOTTY | Errno::NOSYS) => Ok(None),
        Err(error) => Err(EraseError::at("trimming the file system of", b"")(error)),
    }
}

/// A directory of our own, for files that are made only to be removed. A killed run leaves it behind, and the next empties it.
struct Workshop<'a> {
    parent: BorrowedFd<'a>,
    name: &'static str,
    dir: OwnedFd,
}

impl<'a> Workshop<'a> {
    fn open(parent: BorrowedFd<'a>, name: &'static str) -> Result<Self, EraseError> {
        let attempt = || EraseError::at("making", name.as_bytes());
        match fs::mkdirat(parent, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(attempt()(error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = fs::openat(parent, name, flags, Mode::empty()).map_err(attempt())?;
        let look = Look::of(&dir).map_err(attempt())?;
        let ours = look.owner == rustix::process::geteuid().as_raw() && look.mode & 0o777 == 0o700;
        if look.kind != Kind::Directory || !ours {
            return Err(EraseError::Replaced(name.into()));
        }
        let workshop = Self { parent, name, dir };
        workshop.clear()?;
        Ok(workshop)
    }

    fn create(&self, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR)
    }

    fn sync(&self) -> Result<(), EraseError> {
        fs::syncfs(&self.dir).map_err(EraseError::at("syncing the file system of", self.name.as_bytes()))
    }

    /// Removes the files in it. There is nothing else in it, or it is not ours.
    fn clear(&self) -> Result<(), EraseError> {
        for name in names_in(&self.dir).map_err(EraseError::at("listing", self.name.as_bytes()))? {
            fs::unlinkat(&self.dir, &name, AtFlags::empty()).map_err(EraseError::at("removing", &name))?;
        }
        Ok(())
    }

    fn close(self) -> Result<(), EraseError> {
        self.clear()?;
        fs::unlinkat(self.parent, self.name, AtFlags::REMOVEDIR)
            .map_err(EraseError::at("removing", self.name.as_bytes()))?;
        self.sync()
    }
}
