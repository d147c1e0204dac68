//! Where a copy lies until it is in the archive: in files that have no name, so that a kill leaves nothing behind.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::{MemfdFlags, OFlags, memfd_create};

use crate::WorkloadError;

/// Makes files without names in one directory, or in memory if nothing can be made there.
#[derive(Clone, Debug)]
pub struct Scratch {
    dir: PathBuf,
    in_memory: u64,
}

/// What the name of a file begins with for the moment that it has one. A kill in that moment leaves an empty file.
const PREFIX: &str = ".strongroom-scratch-";

impl Scratch {
    /// The largest file that is kept in memory, unless [`Scratch::in_memory`] says otherwise.
    pub const IN_MEMORY: u64 = 64 << 20;

    /// Files within `dir`. To keep plaintext within an encrypted mount, that has to be a directory of the mount.
    pub fn within(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), in_memory: Self::IN_MEMORY }
    }

    /// Takes files of up to `most` bytes into memory where `dir` cannot be written to.
    pub fn in_memory(self, most: u64) -> Self {
        Self { in_memory: most, ..self }
    }

    /// Whether this is the name of a file that a killed run may have left behind; it is empty.
    pub fn is_leftover(name: &OsStr) -> bool {
        name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
    }

    /// An empty file for `need` bytes.
    pub fn file(&self, need: u64) -> Result<File, WorkloadError> {
        match self.unnamed() {
            Err(error) if is_closed(&error) => self.memory(need),
            made => made.map_err(WorkloadError::on("making a scratch file in", &self.dir)),
        }
    }

    /// An empty file in memory, for `need` bytes.
    pub(crate) fn memory(&self, need: u64) -> Result<File, WorkloadError> {
        if need > self.in_memory {
            return Err(WorkloadError::NoRoom { dir: self.dir.clone(), need });
        }
        let made = memfd_create("strongroom-scratch", MemfdFlags::CLOEXEC);
        made.map(File::from).map_err(WorkloadError::on("making a file in memory instead of in", &self.dir))
    }

    /// An empty file that still has a name, for whoever can open files by name only; `None` if nothing can be made there.
    pub(crate) fn named(&self) -> Result<Option<Named>, WorkloadError> {
        match Named::create(&self.dir) {
            Ok(named) => Ok(Some(named)),
            Err(error) if is_closed(&error) => Ok(None),
            Err(error) => Err(WorkloadError::on("making a scratch file in", &self.dir)(error)),
        }
    }

    fn unnamed(&self) -> io::Result<File> {
        let flags = (OFlags::TMPFILE | OFlags::EXCL).bits() as i32;
        let tmpfile = OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(flags).open(&self.dir);
        match tmpfile {
            // Not every file system can make a file without a name, but all can take it away.
            Err(error) if !is_closed(&error) => Named::create(&self.dir)?.unlink(),
            made => made,
        }
    }
}

/// Nobody may write there, as opposed to: it went wrong this time.
fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// A scratch file that has a name until it is unlinked or dropped.
pub(crate) struct Named {
    path: PathBuf,
    file: Option<File>,
}

impl Named {
    fn create(dir: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = dir.join(format!("{PREFIX}{}-{number}", process::id()));
            match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return Ok(Self { path, file: Some(made?) }),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the name away, and gives the file.
    pub(crate) fn unlink(mut self) -> io::Result<File> {
        fs::remove_file(&self.path)?;
        Ok(self.file.take().expect("a named file is unlinked once"))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn a_scratch_file_has_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = Scratch::within(dir.path()).file(10).unwrap();
        assert_eq!((file.metadata().unwrap().nlink(), fs::read_dir(dir.path()).unwrap().count()), (0, 0));
    }

    #[test]
    fn a_named_one_that_is_given_up_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let named = Scratch::within(dir.path()).named().unwrap().unwrap();
        assert!(Scratch::is_leftover(named.path().file_name().unwrap()) && named.path().exists());
        drop(named);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn where_nothing_can_be_written_small_files_lie_in_memory() {
        // /sys can be written to by nobody, not even by root.
        let scratch = Scratch::within(Path::new("/sys/kernel"));
        assert!(scratch.file(1 << 20).is_ok());
        assert!(matches!(scratch.file(1 << 40), Err(WorkloadError::NoRoom { .. })));
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Scratch::within(&dir.path().join("none")).file(1).is_err());
    }
}
