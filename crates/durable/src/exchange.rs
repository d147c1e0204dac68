//! Two names that change places in one step: at no time is either missing.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use crate::{PathError, sync_dir};

/// Why two names were not exchanged.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The file system (NFS, an old kernel) has no such operation.
    #[error("the file system of {} cannot exchange two names", path.display())]
    Unsupported {
        /// One of the two.
        path: PathBuf,
    },
    /// They are on different file systems, or mounts.
    #[error("{} and {} are on different file systems", first.display(), second.display())]
    Apart {
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A system call failed.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Exchanges what stands at two paths, whatever it is, and makes that survive a power cut. It is its own inverse: look
/// before doing it again.
pub fn exchange(first: &Path, second: &Path) -> Result<(), ExchangeError> {
    exchange_and(first, second, || ())
}

/// The same, and does `at_once` what cannot be done before: no waiting for the disk comes between the two.
pub fn exchange_and<T>(first: &Path, second: &Path, at_once: impl FnOnce() -> T) -> Result<T, ExchangeError> {
    match renameat_with(CWD, first, CWD, second, RenameFlags::EXCHANGE) {
        Ok(()) => {}
        Err(errno) => return Err(refused(errno, first, second)),
    }
    let done = at_once();
    let parents = [first, second].map(|path| path.parent().filter(|parent| !parent.as_os_str().is_empty()));
    for parent in parents {
        sync_dir(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(done)
}

pub(crate) fn refused(errno: Errno, first: &Path, second: &Path) -> ExchangeError {
    match errno {
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP if !contains(first, second) => {
            ExchangeError::Unsupported { path: first.to_owned() }
        }
        Errno::XDEV => ExchangeError::Apart { first: first.to_owned(), second: second.to_owned() },
        errno => PathError::on("exchanging for another", first)(io::Error::from(errno)).into(),
    }
}

/// One within the other can never be exchanged, which the kernel says with the same number.
fn contains(first: &Path, second: &Path) -> bool {
    first.starts_with(second) || second.starts_with(first)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_and_a_file_change_places() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, file) = (dir.path().join("tree"), dir.path().join("file"));
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("inside"), b"x").unwrap();
        fs::write(&file, b"y").unwrap();
        exchange(&tree, &file).unwrap();
        assert_eq!(fs::read(&tree).unwrap(), b"y");
        assert_eq!(fs::read(file.join("inside")).unwrap(), b"x");
    }

    #[test]
    fn a_name_that_is_missing_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("there"), b"x").unwrap();
        let error = exchange(&dir.path().join("there"), &dir.path().join("missing")).unwrap_err();
        assert!(matches!(error, ExchangeError::Path(error) if error.source.kind() == io::ErrorKind::NotFound));
        assert!(dir.path().join("there").exists());
    }

    #[test]
    fn other_file_systems_are_named() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
        let error = exchange(here.path(), there.path()).unwrap_err();
        assert!(matches!(error, ExchangeError::Apart { .. }), "{error}");
    }

    #[test]
    fn a_directory_is_not_exchanged_for_what_is_in_it_and_the_file_system_not_blamed() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("outer/inner");
        fs::create_dir_all(&inner).unwrap();
        let error = exchange(inner.parent().unwrap(), &inner).unwrap_err();
        assert!(matches!(error, ExchangeError::Path(_)), "{error}");
    }
}
