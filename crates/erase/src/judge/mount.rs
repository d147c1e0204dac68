//! Which mount a directory is on, as the kernel tells in mountinfo.

use std::{
    fs as std_fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use rustix::fs::{self, AtFlags, StatxFlags};

use crate::EraseError;

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) file_system: String,
    /// Of the mount and of the superblock.
    pub(crate) options: Vec<String>,
    /// What was mounted, as whoever mounted it called it.
    pub(crate) source: String,
    /// Its device number, of which there is a block device or not.
    pub(crate) device: (u32, u32),
}

impl Mount {
    /// The name of its block device in /sys/block, or nothing.
    pub(crate) fn device_name(&self) -> String {
        let name = self.sysfs().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        name.unwrap_or_default()
    }

    /// Its block device in /sys. That of btrfs has another number than its files.
    pub(crate) fn sysfs(&self) -> Option<PathBuf> {
        let by_number = |(major, minor)| std_fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok();
        by_number(self.device).or_else(|| {
            let stat = fs::stat(&self.source).ok()?;
            let is_block = fs::FileType::from_raw_mode(stat.st_mode) == fs::FileType::BlockDevice;
            is_block.then(|| by_number((fs::major(stat.st_rdev), fs::minor(stat.st_rdev)))).flatten()
        })
    }
}

/// The mount that `dir` is on.
pub(crate) fn mount_of<F: AsFd>(dir: F) -> Result<Mount, EraseError> {
    let path = Path::new("/proc/thread-self/mountinfo");
    let attempt = || EraseError::on::<std::io::Error>("reading", path);
    let statx =
        fs::statx(dir, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map_err(|error| attempt()(error.into()))?;
    let text = std_fs::read(path).map_err(attempt())?;
    let text = String::from_utf8_lossy(&text);
    let found = text.lines().find_map(|line| parse(line, statx.stx_mnt_id));
    found.ok_or_else(|| attempt()(std::io::Error::from(std::io::ErrorKind::NotFound)))
}

/// A line of mountinfo, if it is that of the mount `id`: see proc_pid_mountinfo(5).
fn parse(line: &str, id: u64) -> Option<Mount> {
    let (mount, device) = line.split_once(" - ")?;
    let mount: Vec<_> = mount.split(' ').collect();
    if mount.first()?.parse() != Ok(id) {
        return None;
    }
    let (major, minor) = mount.get(2)?.split_once(':')?;
    let mut device = device.split(' ');
    let (file_system, source) = (device.next()?.to_owned(), unescape(device.next()?));
    let both = [*mount.get(5)?, device.next().unwrap_or_default()];
    let options = both.iter().flat_map(|options| options.split(',')).map(str::to_owned).collect();
    Some(Mount { file_system, options, source, device: (major.parse().ok()?, minor.parse().ok()?) })
}

/// Blanks, tabs, line ends and backslashes are written as three octal digits.
fn unescape(text: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_a_mount() {
        let line =
            "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext4 /dev/a\\040b rw,errors=continue,data=journal";
        let mount = parse(line, 36).unwrap();
        assert_eq!(parse(line, 35), None);
        assert_eq!((&mount.file_system[..], &mount.source[..], mount.device), ("ext4", "/dev/a b", (98, 0)));
        assert_eq!(mount.options, ["rw", "noatime", "rw", "errors=continue", "data=journal"]);
    }

    #[test]
    fn everything_is_on_some_mount() {
        let dir = std::fs::File::open("/proc").unwrap();
        assert_eq!(mount_of(&dir).unwrap().file_system, "proc");
    }
}
