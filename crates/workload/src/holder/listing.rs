//! Looking through a directory without leaving its mount.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags},
    io::Errno,
};

/// How a directory is opened that is to be listed.
pub(super) const LISTING: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NONBLOCK);

/// Calls `each` with name, inode number as listed, and kind of what is in `dir`, until it says `false`.
pub(super) fn list(
    dir: BorrowedFd<'_>,
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(&CStr, u64, Result<FileType, Errno>) -> bool,
) -> Result<(), Errno> {
    let mut listing = RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = listing.next() {
        let entry = match entry {
            Err(Errno::INTR) => continue,
            entry => entry?,
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if !each(name, entry.ino(), kind(dir, name, entry.file_type())) {
            break;
        }
    }
    Ok(())
}

fn kind(dir: BorrowedFd<'_>, name: &CStr, listed: FileType) -> Result<FileType, Errno> {
    match listed {
        FileType::Unknown => {
            let stat = fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(FileType::from_raw_mode(stat.st_mode))
        }
        known => Ok(known),
    }
}

/// Whether something is mounted on this directory.
pub(super) fn is_mount_point(dir: BorrowedFd<'_>, name: &CStr) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open_here(dir, name, flags).is_err_and(|errno| errno == Errno::XDEV)
}

/// Opens an entry that is on the same mount as its directory; `EXDEV` otherwise.
pub(super) fn open_here(dir: impl AsFd, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    loop {
        match fs::openat2(dir.as_fd(), name, flags, Mode::empty(), resolve) {
            Err(Errno::INTR) => {}
            // Before Linux 5.6, or in a sandbox.
            Err(Errno::NOSYS | Errno::PERM) => return fs::openat(dir.as_fd(), name, flags, Mode::empty()),
            opened => return opened,
        }
    }
}
