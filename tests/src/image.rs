//! A file system on a loop device, whose power can be cut.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::run;
use crate::program::unmount_plain;
use crate::scratch::Scratch;

/// What stands on the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4 with its defaults: ordered data, delayed allocation.
    Ext4,
    /// XFS with its defaults.
    Xfs,
}

/// An image file with a file system, mounted.
pub struct Image {
    file: PathBuf,
    mountpoint: PathBuf,
    is_mounted: bool,
}

/// `FS_IOC_SHUTDOWN`, known as `XFS_IOC_GOINGDOWN` and `EXT4_IOC_SHUTDOWN`: from now on nothing reaches the disk.
const SHUTDOWN: libc::c_ulong = 0x8004_587d;
/// Not even what the journal still holds in memory.
const WITHOUT_FLUSHING_THE_LOG: u32 = 2;

impl Image {
    /// Makes a file system in a new image of `mebibytes` and mounts it.
    pub fn create(scratch: &Scratch, file_system: FileSystem, mebibytes: u64) -> Self {
        let file = scratch.path("disk.image");
        File::create(&file).unwrap().set_len(mebibytes << 20).unwrap();
        match file_system {
            FileSystem::Ext4 => run(Command::new(tool("mkfs.ext4")).args(["-q", "-F"]).arg(&file)),
            FileSystem::Xfs => run(Command::new(tool("mkfs.xfs")).args(["-q", "-f"]).arg(&file)),
        };
        let mut image = Self { file, mountpoint: scratch.dir("disk"), is_mounted: false };
        image.mount();
        image
    }

    /// The smallest image, in mebibytes, that `file_system` accepts.
    pub fn smallest(file_system: FileSystem) -> u64 {
        match file_system {
            FileSystem::Ext4 => 48,
            FileSystem::Xfs => 300,
        }
    }

    /// Where it is mounted.
    pub fn root(&self) -> &Path {
        &self.mountpoint
    }

    /// Cuts the power: what was not synced before is lost.
    pub fn cut_power(&self) {
        let root = File::open(&self.mountpoint).unwrap();
        // SAFETY: the ioctl reads one u32 behind the pointer, which lives until it returns.
        let result = unsafe { libc::ioctl(root.as_raw_fd(), SHUTDOWN, &WITHOUT_FLUSHING_THE_LOG) };
        assert_eq!(result, 0, "the power of {:?} is cut: {}", self.mountpoint, std::io::Error::last_os_error());
    }

    /// What a machine does after a power cut: mounts the file system anew, which replays its journal.
    pub fn restart(&mut self) {
        self.unmount();
        self.mount();
    }

    fn mount(&mut self) {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.file).arg(&self.mountpoint));
        fs::metadata(&self.mountpoint).unwrap();
        self.is_mounted = true;
    }

    fn unmount(&mut self) {
        unmount_plain(&self.mountpoint);
        self.is_mounted = false;
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.is_mounted {
            // The loop device goes with the mount.
            let _ = rustix::mount::unmount(&self.mountpoint, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

fn tool(name: &str) -> PathBuf {
    crate::program::tool(name).unwrap_or_else(|| panic!("{name} is installed"))
}
