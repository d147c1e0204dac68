//! What the kernel itself uses: files behind loop devices, swap files; and locks, whoever has them.

use std::{
    fs::{self, File},
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::makedev;

use super::{
    Hold, Holder,
    mounts::unescaped,
    process::Who,
    tree::{Sought, Tree, Used},
};

/// `LOOP_GET_STATUS64`, and the size of what it fills in units of 8 bytes (linux/loop.h).
const LOOP_GET_STATUS64: libc::Ioctl = 0x4C05;
const LOOP_INFO64: usize = 29;

/// Adds what may be in the tree.
pub(super) fn collect(tree: &Tree, sought: &mut Sought) {
    let kernel = |hold| Holder { pid: 0, uid: 0, command: "the kernel".into(), hold };
    for (device, used) in loops().into_iter().filter(|(_, used)| tree.may_have(used.dev)) {
        sought.add(used, kernel(Hold::Loop { device, path: PathBuf::new() }));
    }
    for used in swaps().into_iter().filter(|used| tree.may_have(used.dev)) {
        sought.add(used, kernel(Hold::Swap { path: PathBuf::new() }));
    }
    let me = std::process::id();
    for (pid, used) in locks().into_iter().filter(|(pid, used)| *pid != me && tree.may_have(used.dev)) {
        if let Some(who) = Who::look(pid) {
            sought.add(used, who.holds(Hold::Lock { path: PathBuf::new() }));
        }
    }
}

/// Loop devices, and the file behind each.
fn loops() -> Vec<(PathBuf, Used)> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let found = devices.filter_map(|device| {
        let backing = fs::read(device.path().join("loop/backing_file")).ok()?;
        let shown = PathBuf::from(std::ffi::OsStr::from_bytes(backing.trim_ascii_end()));
        let node = Path::new("/dev").join(device.file_name());
        let (dev, ino) = asked(&node).or_else(|| identity(&shown))?;
        Some((node, Used { dev, ino, shown }))
    });
    found.collect()
}

/// Device and inode of the file, from the loop device itself: for root only, and right in any mount namespace.
fn asked(node: &Path) -> Option<(u64, u64)> {
    let device = File::open(node).ok()?;
    let mut info = [0_u64; LOOP_INFO64];
    // SAFETY: the descriptor is open, and the kernel fills one `struct loop_info64`, of 232 bytes, which `info` is.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_GET_STATUS64, info.as_mut_ptr()) };
    (done == 0).then_some((info[0], info[1]))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// Filename   Type   Size   Used   Priority
fn swaps() -> Vec<Used> {
    let text = fs::read("/proc/swaps").unwrap_or_default();
    let lines = text.split(|&byte| byte == b'\n').skip(1);
    let found = lines.filter_map(|line| {
        let shown = unescaped(line.split(|&byte| byte == b' ').next().filter(|path| path.starts_with(b"/"))?);
        let (dev, ino) = identity(&shown)?;
        Some(Used { dev, ino, shown })
    });
    found.collect()
}

/// Locks, by the process that took them.
fn locks() -> Vec<(u32, Used)> {
    let text = fs::read_to_string("/proc/locks").unwrap_or_default();
    text.lines().filter_map(lock).collect()
}

/// 1: POSIX  ADVISORY  WRITE 1234 fe:01:5678 0 EOF
fn lock(line: &str) -> Option<(u32, Used)> {
    let words: Vec<_> = line.split_whitespace().collect();
    // `->` in the second place marks one who waits.
    let (&pid, &file) = (words.get(4)?, words.get(5)?);
    let pid = pid.parse().ok().filter(|&pid| pid > 0)?;
    let mut numbers = file.split(':');
    let major = u32::from_str_radix(numbers.next()?, 16).ok()?;
    let minor = u32::from_str_radix(numbers.next()?, 16).ok()?;
    let ino = numbers.next()?.parse().ok()?;
    Some((pid, Used { dev: makedev(major, minor), ino, shown: PathBuf::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_locks_is_taken_apart() {
        let (pid, used) = lock("1: POSIX  ADVISORY  WRITE 1234 fe:01:5678 0 EOF").unwrap();
        assert_eq!((pid, used.dev, used.ino), (1234, makedev(0xfe, 1), 5678));
        assert!(lock("1: -> POSIX  ADVISORY  WRITE 1234 fe:01:5678 0 EOF").is_none());
    }
}
