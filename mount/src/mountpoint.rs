//! Where a vault is to be mounted, once it is known that it can be.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::MountError;

/// A directory that can be mounted on: absolute, free of symbolic links, not in the way of the cipher directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mountpoint(PathBuf);

impl Mountpoint {
    /// Checks `path`. Do this before asking for a passphrase.
    pub fn check(path: &Path, cipher_dir: &Path, nonempty: bool) -> Result<Mountpoint, MountError> {
        let resolved = path.canonicalize().map_err(|source| look_failed(path, source))?;
        let unreadable = |source| look_failed(&resolved, source);
        // The kernel may still remember the root of a mount whose server is gone.
        rustix::fs::statfs(&resolved).map_err(|errno| unreadable(errno.into()))?;
        if !resolved.metadata().map_err(unreadable)?.is_dir() {
            return Err(MountError::NotADirectory(path.to_owned()));
        }
        apart(&resolved, cipher_dir)?;
        if !nonempty && resolved.read_dir().map_err(unreadable)?.next().is_some() {
            return Err(MountError::NotEmpty(path.to_owned()));
        }
        Ok(Mountpoint(resolved))
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

fn look_failed(path: &Path, source: io::Error) -> MountError {
    match source.raw_os_error() {
        Some(libc::ENOTCONN) => MountError::DeadMount(path.to_owned()),
        Some(libc::ENOENT) => MountError::NoMountpoint(path.to_owned()),
        _ => MountError::Unreadable { path: path.to_owned(), source },
    }
}

/// A mount over the cipher directory or around it would hide it; one inside it would be encrypted away.
fn apart(mountpoint: &Path, cipher_dir: &Path) -> Result<(), MountError> {
    // A cipher directory that cannot be resolved fails later, with a better message.
    let Ok(cipher_dir) = cipher_dir.canonicalize() else { return Ok(()) };
    let mountpoint = mountpoint.to_owned();
    if mountpoint == cipher_dir {
        Err(MountError::IsCipherDir(mountpoint))
    } else if mountpoint.starts_with(&cipher_dir) {
        Err(MountError::InsideCipherDir { mountpoint, cipher_dir })
    } else if cipher_dir.starts_with(&mountpoint) {
        Err(MountError::ContainsCipherDir { mountpoint, cipher_dir })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Place {
        _dir: tempfile::TempDir,
        root: PathBuf,
    }

    impl Place {
        fn new() -> Place {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().canonicalize().unwrap();
            fs::create_dir_all(root.join("cipher/inner")).unwrap();
            fs::create_dir(root.join("mnt")).unwrap();
            Place { _dir: dir, root }
        }

        fn check(&self, path: &str) -> Result<Mountpoint, MountError> {
            Mountpoint::check(&self.root.join(path), &self.root.join("cipher"), false)
        }
    }

    #[test]
    fn an_empty_directory_elsewhere_will_do() {
        let place = Place::new();
        assert_eq!(place.check("mnt").unwrap().path(), place.root.join("mnt"));
    }

    #[test]
    fn a_missing_one_is_told_from_a_file() {
        let place = Place::new();
        fs::write(place.root.join("file"), "").unwrap();
        assert!(matches!(place.check("nowhere"), Err(MountError::NoMountpoint(_))));
        assert!(matches!(place.check("file"), Err(MountError::NotADirectory(_))));
    }

    #[test]
    fn files_are_not_hidden_unless_asked() {
        let place = Place::new();
        fs::write(place.root.join("mnt/file"), "").unwrap();
        assert!(matches!(place.check("mnt"), Err(MountError::NotEmpty(_))));
        assert!(Mountpoint::check(&place.root.join("mnt"), &place.root.join("cipher"), true).is_ok());
    }

    #[test]
    fn the_cipher_directory_is_kept_apart() {
        let place = Place::new();
        std::os::unix::fs::symlink(place.root.join("cipher"), place.root.join("link")).unwrap();
        assert!(matches!(place.check("cipher"), Err(MountError::IsCipherDir(_))));
        assert!(matches!(place.check("link"), Err(MountError::IsCipherDir(_))));
        assert!(matches!(place.check("cipher/inner"), Err(MountError::InsideCipherDir { .. })));
        assert!(matches!(place.check("."), Err(MountError::ContainsCipherDir { .. })));
    }
}
