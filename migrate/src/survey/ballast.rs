//! A file that takes the room that the copy will need, so that nobody else takes it, and gives it back as the copy grows.
//!
//! It lies beside the copy, under a name that tells whose it is: after a crash it is found, and used again or removed. It
//! holds nothing. Its size is what is reserved: blocks beyond the end of a file (`FALLOC_FL_KEEP_SIZE`) could only be given
//! back all at once.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, FallocateFlags, Mode, OFlags},
    io::Errno,
};
use strongroom_durable::PathError;

use crate::{MigrateError, MigrationId};

/// Room that is taken, and nothing else.
#[derive(Debug)]
pub struct Ballast {
    path: PathBuf,
    file: OwnedFd,
    kept: u64,
    /// Given back on paper: the file is cut when it is worth a call.
    owed: u64,
    /// How much is worth one: less than the reserve that is left beside it.
    step: u64,
}

const MOST_STEP: u64 = 8 << 20;

impl Ballast {
    /// Takes `bytes` on the file system of `copy`, beside it. What an earlier run of the same migration took is counted in.
    /// `None` where the file system cannot reserve; [`MigrateError::NoRoom`] where there is not so much.
    pub fn reserve(copy: &Path, id: MigrationId, bytes: u64) -> Result<Option<Self>, MigrateError> {
        let path = Self::path(copy, id);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(PathError::on("making", &path))?;
        fs::ftruncate(&file, 0).map_err(PathError::on("shortening", &path))?;
        if bytes > 0 {
            match fallocate(&file, bytes) {
                Ok(()) => {}
                Err(errno) => {
                    fs::unlink(&path).map_err(PathError::on("removing", &path))?;
                    return match errno {
                        Errno::OPNOTSUPP | Errno::NOSYS => Ok(None),
                        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => {
                            Err(MigrateError::NoRoom { what: "the copy", why: errno.to_string() })
                        }
                        errno => Err(PathError::on("reserving room in", &path)(errno).into()),
                    };
                }
            }
        }
        Ok(Some(Self { path, file, kept: bytes, owed: 0, step: (bytes / 64).min(MOST_STEP) }))
    }

    /// Whether reserving beside `copy` costs nothing. In memory it costs as much as filling.
    pub fn is_cheap(copy: &Path) -> bool {
        const TMPFS: i64 = 0x0102_1994;
        let beside = copy.parent().unwrap_or(copy);
        #[allow(clippy::unnecessary_cast)] // Its type depends on the machine.
        fs::statfs(beside).is_ok_and(|stat| stat.f_type as i64 != TMPFS)
    }

    /// Gives `bytes` of it back, or what is left. To be called before so much is written.
    pub fn shrink(&mut self, bytes: u64) -> Result<(), MigrateError> {
        self.owed = self.owed.saturating_add(bytes).min(self.kept);
        if self.owed >= self.step || self.owed == self.kept {
            self.kept -= self.owed;
            self.owed = 0;
            fs::ftruncate(&self.file, self.kept).map_err(PathError::on("shortening", &self.path))?;
        }
        Ok(())
    }

    /// How much is taken still.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Gives all of it back.
    pub fn release(self) -> Result<(), MigrateError> {
        Ok(fs::unlink(&self.path).map_err(PathError::on("removing", &self.path))?)
    }

    /// Removes what a run that ended early has left. Nothing there is well too.
    pub fn clear(copy: &Path, id: MigrationId) -> Result<(), MigrateError> {
        let path = Self::path(copy, id);
        match fs::unlink(&path) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(PathError::on("removing", &path)(errno).into()),
        }
    }

    /// Where it lies.
    pub fn path(copy: &Path, id: MigrationId) -> PathBuf {
        copy.with_file_name(format!(".strongroom.{id}.ballast"))
    }
}

fn fallocate(file: &OwnedFd, bytes: u64) -> Result<(), Errno> {
    loop {
        match fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}
