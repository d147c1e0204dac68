//! A file that is there as it was, or as it is to be, and never in between: written beside, synced, renamed, and the
//! directory synced.
//!
//! Promised: when [`AtomicFile::replace`] or [`AtomicFile::place`] has returned `Ok`, the new content survives a power
//! cut; when it has not, the file is the old one or the new one, whole. Left to the caller: that the directory itself
//! survives (its own name is in *its* parent), and that two writers of one file agree.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, FlockOperation, Mode, OFlags, RenameFlags},
    io::Errno,
};

use crate::PathError;

/// A file being written beside the one it is to become. Dropped without being placed, it leaves nothing behind.
pub struct AtomicFile {
    path: PathBuf,
    dir: OwnedFd,
    target: OsString,
    temporary: Option<OsString>,
    file: File,
}

impl AtomicFile {
    /// Begins a file that is to stand at `path` with the permissions `mode` (umask or not).
    ///
    /// Temporary files that a killed process left behind for the same `path` are removed first; those of a process
    /// that still lives are left alone.
    pub fn create(path: &Path, mode: u32) -> Result<Self, PathError> {
        let target = path.file_name().ok_or_else(|| {
            PathError::on("writing", path)(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this is not the path of a file",
            ))
        })?;
        let dir = open_dir(parent(path))?;
        remove_leftovers(&dir, target);
        let (temporary, file) = create_beside(&dir, target).map_err(PathError::on("writing beside", path))?;
        let made = Self { path: path.to_owned(), dir, target: target.to_owned(), temporary: Some(temporary), file };
        fs::fchmod(&made.file, Mode::from_raw_mode(mode)).map_err(PathError::on("setting the mode of", path))?;
        Ok(made)
    }

    /// Gives the file to `uid` and `gid`, as a file that replaces somebody's should be theirs again.
    pub fn give_to(&self, uid: u32, gid: u32) -> Result<(), PathError> {
        fs::fchown(&self.file, Some(fs::Uid::from_raw(uid)), Some(fs::Gid::from_raw(gid)))
            .map_err(PathError::on("setting the owner of", &self.path))
    }

    /// What was written, for reading it back before it gets its name: brought to the disk, and as far as the kernel
    /// follows advice, forgotten in memory, so that it is the disk that is read.
    pub fn read_back(&self) -> Result<File, PathError> {
        fs::fsync(&self.file).map_err(PathError::on("writing to disk", &self.path))?;
        let _ = fs::fadvise(&self.file, 0, None, fs::Advice::DontNeed);
        let temporary = self.temporary.as_ref().expect("the temporary name is taken by finish and drop only");
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&self.dir, temporary, flags, Mode::empty())
            .map(File::from)
            .map_err(PathError::on("reading back", &self.path))
    }

    /// Puts the file in its place, whatever stood there before.
    pub fn replace(self) -> Result<(), PathError> {
        self.finish(RenameFlags::empty())
    }

    /// Puts the file in its place, if that is empty; fails with `AlreadyExists` if not.
    pub fn place(self) -> Result<(), PathError> {
        self.finish(RenameFlags::NOREPLACE)
    }

    fn finish(mut self, flags: RenameFlags) -> Result<(), PathError> {
        fs::fsync(&self.file).map_err(PathError::on("writing to disk", &self.path))?;
        let temporary = self.temporary.as_ref().expect("the temporary name is taken by finish and drop only");
        rename(&self.dir, temporary, &self.target, flags).map_err(PathError::on("renaming into place", &self.path))?;
        self.temporary = None;
        fs::fsync(&self.dir).map_err(PathError::on("writing to disk the directory of", &self.path))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            // Nobody is left to tell; the next writer of this file clears it.
            let _ = fs::unlinkat(&self.dir, temporary, AtFlags::empty());
        }
    }
}

/// Makes the names in the directory `path` survive a power cut.
pub fn sync_dir(path: &Path) -> Result<(), PathError> {
    fs::fsync(open_dir(path)?).map_err(PathError::on("writing to disk", path))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn open_dir(path: &Path) -> Result<OwnedFd, PathError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    fs::open(path, flags, Mode::empty()).map_err(PathError::on("opening the directory", path))
}

/// Creates and locks a file with a name nobody uses. The lock says that its writer lives.
fn create_beside(dir: &OwnedFd, target: &OsStr) -> Result<(OsString, File), Errno> {
    loop {
        let name = temporary_name(target)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match fs::openat(dir, &name, flags, Mode::from_raw_mode(0o600)) {
            Err(Errno::EXIST) => continue,
            opened => opened?,
        };
        // Without flock(2) leftovers are not cleared either, so there is nothing to guard against.
        let _ = fs::flock(&fd, FlockOperation::NonBlockingLockExclusive);
        // Between the two calls somebody may have taken the file for a leftover.
        if fs::fstat(&fd)?.st_nlink > 0 {
            return Ok((name, fd.into()));
        }
    }
}

/// `TARGET.0123456789abcdef.tmp`
fn temporary_name(target: &OsStr) -> Result<OsString, Errno> {
    let mut unique = [0; 8];
    rustix::rand::getrandom(&mut unique, rustix::rand::GetRandomFlags::empty())?;
    let mut name = target.to_owned();
    name.push(format!(".{:016x}.tmp", u64::from_ne_bytes(unique)));
    Ok(name)
}

fn is_temporary_of(target: &OsStr, name: &[u8]) -> bool {
    name.strip_prefix(target.as_bytes())
        .and_then(|rest| rest.strip_prefix(b".")?.strip_suffix(b".tmp"))
        .is_some_and(|unique| unique.len() == 16 && unique.iter().all(u8::is_ascii_hexdigit))
}

/// Removes temporary files of `target` whose writer is gone. What cannot be removed does no harm and stays.
fn remove_leftovers(dir: &OwnedFd, target: &OsStr) {
    let Ok(entries) = fs::Dir::read_from(dir) else { return };
    for entry in entries.flatten().filter(|entry| is_temporary_of(target, entry.file_name().to_bytes())) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = fs::openat(dir, entry.file_name(), flags, Mode::empty()) else { continue };
        if fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::unlinkat(dir, entry.file_name(), AtFlags::empty());
        }
    }
}

/// renameat2(2), and for NOREPLACE on file systems without it link(2) and unlink(2), which refuse in the same way.
fn rename(dir: &OwnedFd, from: &OsStr, to: &OsStr, flags: RenameFlags) -> Result<(), Errno> {
    match fs::renameat_with(dir, from, dir, to, flags) {
        Err(Errno::INVAL | Errno::NOSYS) if flags == RenameFlags::NOREPLACE => {
            fs::linkat(dir, from, dir, to, AtFlags::empty())?;
            fs::unlinkat(dir, from, AtFlags::empty())
        }
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn written(path: &Path, content: &[u8]) -> AtomicFile {
        let mut file = AtomicFile::create(path, 0o400).unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn a_replaced_file_has_the_new_content_and_the_mode_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        fs::write(&path, b"old").unwrap();
        written(&path, b"new").replace().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o400);
        assert_eq!(names(dir.path()), ["conf"]);
    }

    #[test]
    fn a_file_that_is_never_placed_leaves_the_old_one_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        fs::write(&path, b"old").unwrap();
        drop(written(&path, b"new"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["conf"]);
    }

    #[test]
    fn a_file_is_not_placed_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        fs::write(&path, b"old").unwrap();
        let error = written(&path, b"new").place().unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["conf"]);
    }

    #[test]
    fn what_was_written_can_be_read_back_before_it_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        let file = written(&path, b"new");
        assert_eq!(io::read_to_string(file.read_back().unwrap()).unwrap(), "new");
        assert!(!path.exists());
    }

    #[test]
    fn the_leftover_of_a_killed_writer_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("conf.0123456789abcdef.tmp"), b"half").unwrap();
        fs::write(dir.path().join("conf.tmp"), b"not ours").unwrap();
        written(&dir.path().join("conf"), b"new").place().unwrap();
        assert_eq!(names(dir.path()), ["conf", "conf.tmp"]);
    }

    #[test]
    fn the_temporary_of_a_living_writer_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        let first = written(&path, b"first");
        written(&path, b"second").replace().unwrap();
        first.replace().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn a_missing_directory_is_named_in_the_error() {
        let error = AtomicFile::create(Path::new("/nonexistent/conf"), 0o600).err().unwrap();
        assert!(error.to_string().starts_with("opening the directory /nonexistent: "), "{error}");
    }

    #[test]
    fn a_path_without_a_parent_is_beside_the_working_directory() {
        assert_eq!(parent(Path::new("conf")), Path::new("."));
        assert_eq!(parent(Path::new("/conf")), Path::new("/"));
    }
}
