//! One temporary directory for everything a test makes: the cipher directory, mount points, the passphrase file.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::program::{detach, mountpoints};

/// The passphrase of every test volume.
pub const PASSPHRASE: &str = "correct horse battery staple";

/// A directory that the test made and that goes with it. As root it lies in a mount namespace of the test's own thread,
/// so that whatever was mounted, loop devices too, is gone when the test is, however it ended.
pub struct Scratch {
    root: tempfile::TempDir,
}

impl Scratch {
    /// A new one under the system's temporary directory.
    pub fn new() -> Self {
        Self::under(&std::env::temp_dir())
    }

    /// A new one under `parent`.
    pub fn under(parent: &Path) -> Self {
        leave_the_shared_mounts();
        let root = tempfile::Builder::new().prefix("strongroom-test-").tempdir_in(parent).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let scratch = Self { root };
        scratch.write_passphrase("passphrase", PASSPHRASE);
        scratch
    }

    /// The path of `name` in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The path of `name` in it, where a directory now stands.
    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The file that holds [`PASSPHRASE`].
    pub fn passphrase_file(&self) -> PathBuf {
        self.path("passphrase")
    }

    /// Writes a passphrase file that only its owner can read.
    pub fn write_passphrase(&self, name: &str, passphrase: &str) -> PathBuf {
        let path = self.path(name);
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        std::io::Write::write_all(&mut file, format!("{passphrase}\n").as_bytes()).unwrap();
        path
    }
}

impl Drop for Scratch {
    /// Takes down what is still mounted in it, the latest first, so that it can be removed.
    fn drop(&mut self) {
        for mounted in mountpoints().into_iter().rev().filter(|path| path.starts_with(self.root.path())) {
            let _ = detach(&mounted);
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives this thread mounts of its own. Without the privilege the test goes on in the mounts that are there.
fn leave_the_shared_mounts() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // SAFETY: a mount namespace of its own takes nothing away that other threads rely on: no descriptor table is unshared.
    if unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.is_ok() {
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .expect("own mounts can be made private");
    }
}
