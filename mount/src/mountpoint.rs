//! Where a vault is to be mounted, once it is known that it can be.
//!
//! Or where something is mounted already and waits to be served: mount.fuse3 with `drop_privileges` mounts, gives all its
//! privileges away, and then calls the file system with `/dev/fd/N` for a mount point, which is its descriptor of /dev/fuse.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags};

use crate::error::MountError;
use crate::mounts;

const DESCRIPTORS: &str = "/dev/fd";

/// A directory that can be mounted on: absolute, free of symbolic links, not in the way of the cipher directory. Or a mount
/// that was made already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mountpoint {
    path: PathBuf,
    passed: Option<RawFd>,
}

impl Mountpoint {
    /// Checks `path`. Do this before asking for a passphrase.
    pub fn check(path: &Path, cipher_dir: &Path, nonempty: bool) -> Result<Mountpoint, MountError> {
        if let Some(descriptor) = passed_descriptor(path) {
            return Mountpoint::passed(path, descriptor);
        }
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
        Ok(Mountpoint { path: resolved, passed: None })
    }

    /// A mount that waits to be served. It must not be looked at: nobody answers yet.
    fn passed(path: &Path, descriptor: RawFd) -> Result<Mountpoint, MountError> {
        let device_at = |path: &Path| path.metadata().map(|found| found.rdev()).ok().filter(|&device| device != 0);
        if device_at(path).is_none() || device_at(path) != device_at(Path::new("/dev/fuse")) {
            return Err(MountError::NotADescriptor(path.to_owned()));
        }
        let passed = Some(descriptor);
        let Some(mount) = mounts::served_by(descriptor) else {
            return Ok(Mountpoint { path: path.to_owned(), passed });
        };
        let has = |option| mount.options.split(',').any(|word| word == option);
        if has("allow_other") && !has("default_permissions") {
            return Err(MountError::Unchecked(mount.mountpoint));
        }
        Ok(Mountpoint { path: mount.mountpoint, passed })
    }

    /// The path; of a mount that was made already and cannot be found, that of its descriptor.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is known where it is in the tree.
    pub(crate) fn is_known(&self) -> bool {
        !self.path.starts_with(DESCRIPTORS)
    }

    /// The descriptor of a mount that was made already. To be called once.
    pub(crate) fn descriptor(&self) -> Option<OwnedFd> {
        let descriptor = self.passed?;
        // SAFETY: it was open when this was checked, was named to this process for this very use, and is above those that
        // the standard library takes for its own; nobody else in this process closes it, and the caller asks once.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // Programs that this process starts are not to keep the mount alive.
        let _ = rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC);
        Some(descriptor)
    }

    /// Lets its owner write to the directory, if it is guarded: see [`Unguarded`].
    pub(crate) fn unguard(&self) -> Option<Unguarded> {
        Unguarded::open(&self.path)
    }
}

/// A guarded mount point, for as long as its guard is down.
///
/// A mount point that can be written to hides what is written while nothing is mounted on it. So one is guarded: empty, and
/// immutable if root could make it so, or else without write permission for its owner. Root mounts on either. For an
/// ordinary user fusermount3 does, and it insists that the user can write to the mount point (its defence against mounting
/// over other people's directories, which this is none). There is no way around that but to permit it, so write permission
/// is given for the moment of mounting, and taken from the very directory again, which by then lies below the mount and is
/// reached by the descriptor alone. What somebody managed to write in that moment is found. A kill in that moment leaves the
/// guard down; signals that can be caught are caught before it begins.
pub(crate) struct Unguarded {
    dir: OwnedFd,
    mode: Mode,
}

impl Unguarded {
    /// Takes the guard down if there is one: the directory is ours and empty, and we may not write to it. On whatever else,
    /// fusermount3 has the last word.
    fn open(path: &Path) -> Option<Unguarded> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).ok()?;
        let found = rustix::fs::fstat(&dir).ok()?;
        let mode = Mode::from_raw_mode(found.st_mode & 0o7777);
        let is_ours = found.st_uid == rustix::process::geteuid().as_raw();
        if !is_ours || mode.contains(Mode::WUSR) || !is_empty(&dir) {
            return None;
        }
        rustix::fs::fchmod(&dir, mode | Mode::WUSR | Mode::XUSR).ok()?;
        Some(Unguarded { dir, mode })
    }

    /// Puts the guard up again. Whether nothing was written meanwhile.
    pub(crate) fn guard(self) -> bool {
        let dir = self.dir.try_clone();
        drop(self);
        dir.is_ok_and(|dir| is_empty(&dir))
    }
}

impl Drop for Unguarded {
    fn drop(&mut self) {
        // The directory is ours, and its file system was writable a moment ago.
        let _ = rustix::fs::fchmod(&self.dir, self.mode);
    }
}

/// The number in `/dev/fd/N`, above the standard ones.
fn passed_descriptor(path: &Path) -> Option<RawFd> {
    let number = path.strip_prefix(DESCRIPTORS).ok()?.to_str()?;
    number.parse().ok().filter(|&descriptor| descriptor > 2)
}

fn is_empty(dir: &OwnedFd) -> bool {
    let is_entry = |name: &std::ffi::CStr| !matches!(name.to_bytes(), b"." | b"..");
    Dir::read_from(dir).is_ok_and(|dir| !dir.flatten().any(|entry| is_entry(entry.file_name())))
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
    use std::os::unix::fs::PermissionsExt;

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

    #[test]
    fn a_descriptor_that_is_none_of_a_mount_is_refused() {
        let place = Place::new();
        let null = fs::File::open("/dev/null").unwrap();
        let cipher = place.root.join("cipher");
        for path in [format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&null)), "/dev/fd/1048575".into()] {
            let refused = Mountpoint::check(Path::new(&path), &cipher, false);
            assert!(matches!(refused, Err(MountError::NotADescriptor(_))), "{path}: {refused:?}");
        }
    }

    #[test]
    fn only_numbers_above_the_standard_ones_are_descriptors() {
        assert_eq!(passed_descriptor(Path::new("/dev/fd/3")), Some(3));
        for path in ["/dev/fd", "/dev/fd/", "/dev/fd/2", "/dev/fd/-4", "/dev/fd/x", "/dev/fd/3/x", "/mnt/3"] {
            assert_eq!(passed_descriptor(Path::new(path)), None, "{path}");
        }
    }

    fn guarded(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guarded");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_guard_is_down_for_as_long_as_it_takes_and_what_came_meanwhile_is_found() {
        for mode in [0o500, 0o555] {
            let (_dir, path) = guarded(mode);
            let unguarded = Unguarded::open(&path).unwrap();
            assert_eq!(mode_of(&path), mode | 0o200);
            assert!(unguarded.guard());
            assert_eq!(mode_of(&path), mode);

            let unguarded = Unguarded::open(&path).unwrap();
            fs::write(path.join("hidden"), "x").unwrap();
            assert!(!unguarded.guard());
            assert_eq!(mode_of(&path), mode);
        }
    }

    #[test]
    fn what_is_no_guard_is_left_as_it_is() {
        let (_dir, writable) = guarded(0o755);
        assert!(Unguarded::open(&writable).is_none());
        let (_dir, full) = guarded(0o755);
        fs::write(full.join("file"), "x").unwrap();
        fs::set_permissions(&full, fs::Permissions::from_mode(0o555)).unwrap();
        assert!(Unguarded::open(&full).is_none());
        assert_eq!((mode_of(&writable), mode_of(&full)), (0o755, 0o555));
    }
}
