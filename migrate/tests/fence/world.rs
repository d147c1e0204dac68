//! A directory that is to be fenced.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{IFlags, ioctl_getflags, ioctl_setflags},
    mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount_change, unmount as umount},
    thread::{UnshareFlags, unshare_unsafe},
};
use strongroom_migrate::{Fence, Identity};

/// A directory `data` with a file in it. Taken down whatever state it is in.
pub struct World {
    dir: PathBuf,
    mounted: bool,
    paths: Box<(PathBuf, PathBuf, Identity)>,
    _keep: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::within(dir, false)
    }

    /// On a new file system of this kind, in the mounts of this thread.
    pub fn on(kind: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        mount(kind, dir.path());
        Self::within(dir, true)
    }

    fn within(keep: tempfile::TempDir, mounted: bool) -> Self {
        let dir = keep.path().to_owned();
        let (data, aside) = (dir.join("data"), dir.join(".data.0123456789abcdef.orig"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("file"), b"content").unwrap();
        let identity = Identity::of(&data).unwrap();
        Self { dir, mounted, paths: Box::new((data, aside, identity)), _keep: keep }
    }

    pub fn data(&self) -> PathBuf {
        self.paths.0.clone()
    }

    pub fn aside(&self) -> PathBuf {
        self.paths.1.clone()
    }

    pub fn identity(&self) -> Identity {
        self.paths.2
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn fence(&self) -> Fence<'_> {
        let (data, aside, identity) = &*self.paths;
        Fence::between(data, aside, identity)
    }

    /// Everything at and below `path`: inode, mode, content.
    pub fn tree(&self, path: &Path) -> BTreeMap<PathBuf, (u64, u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut ahead = vec![PathBuf::new()];
        while let Some(below) = ahead.pop() {
            let at = path.join(&below);
            let stat = fs::symlink_metadata(&at).unwrap();
            let content = if stat.is_file() { fs::read(&at).unwrap() } else { Vec::new() };
            if stat.is_dir() {
                ahead.extend(fs::read_dir(&at).unwrap().map(|entry| below.join(entry.unwrap().file_name())));
            }
            found.insert(below, (stat.ino(), stat.mode(), content));
        }
        found
    }

    pub fn clear_flags(&self) {
        for path in [self.data(), self.aside()] {
            let Ok(dir) = fs::File::open(path) else { continue };
            if let Ok(flags) = ioctl_getflags(&dir) {
                let _ = ioctl_setflags(&dir, flags - IFlags::IMMUTABLE);
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for path in [self.data(), self.beside("other")] {
            let _ = umount(path, UnmountFlags::DETACH);
        }
        self.clear_flags();
        if self.mounted {
            let _ = umount(&self.dir, UnmountFlags::DETACH);
        }
    }
}

pub fn mount(kind: &str, at: &Path) {
    rustix::mount::mount("none", at, kind, MountFlags::empty(), None).unwrap();
}

pub fn unmount(at: &Path) {
    umount(at, UnmountFlags::empty()).unwrap();
}

/// Whether this runs as root. Says so if not.
#[allow(clippy::print_stderr)] // a skipped test says so to whoever ran it
pub fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    assert!(is_root || std::env::var_os("CI").is_none(), "CI runs this as root");
    if !is_root {
        eprintln!("SKIPPED: this is not root");
    }
    is_root
}

/// Gives this thread mounts of its own; whether it could.
pub fn own_mounts() -> bool {
    if !is_root() {
        return false;
    }
    // SAFETY: a mount namespace of its own takes nothing from other threads; no descriptor table is unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    true
}
