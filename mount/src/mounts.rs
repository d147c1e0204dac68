//! What is mounted, and taking vaults down again: live ones, and dead ones whose process was killed.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::device::{self, How, Unmounting};
use crate::error::{Holder, UmountError};

/// Types of mounts that [`umount`] takes down.
const OURS: &[&str] = &["fuse.strongroom", "fuse.strongroom-reverse", "fuse.gocryptfs", "fuse.gocryptfs-reverse"];
/// How long [`umount`] waits for the serving process to end after the mount is gone.
const FAREWELL: Duration = Duration::from_secs(300);

/// A line of /proc/self/mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountEntry {
    /// Major and minor number of its device.
    pub device: (u32, u32),
    /// Where.
    pub mountpoint: PathBuf,
    /// Type, such as `fuse.strongroom`.
    pub kind: String,
    /// From what; of a vault, the cipher directory.
    pub source: OsString,
    /// Options of the mount and of the file system.
    pub options: String,
}

impl MountEntry {
    /// Parses a line of mountinfo (proc_pid_mountinfo(5)).
    fn parse(line: &[u8]) -> Option<MountEntry> {
        let mut fields = line.split(|&byte| byte == b' ');
        let device = text(fields.nth(2)?);
        let (major, minor) = device.split_once(':')?;
        let mountpoint = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
        let own_options = text(fields.next()?);
        // Optional fields end with a dash.
        fields.find(|field| field == b"-")?;
        let kind = text(&unescape(fields.next()?));
        let source = OsString::from_vec(unescape(fields.next()?));
        let options = format!("{own_options},{}", text(fields.next().unwrap_or_default()));
        let device = (major.parse().ok()?, minor.parse().ok()?);
        Some(MountEntry { device, mountpoint, kind, source, options })
    }

    /// Whether it is a mounted vault.
    pub fn is_vault(&self) -> bool {
        OURS.contains(&self.kind.as_str())
    }

    /// Whether it is the mounted vault of this directory, whose symbolic links are resolved.
    pub fn is_of(&self, cipher_dir: &Path) -> bool {
        let source = Path::new(&self.source);
        let leads_there = || source.is_absolute() && source.canonicalize().is_ok_and(|source| source == cipher_dir);
        self.is_vault() && (source == cipher_dir || leads_there())
    }

    /// Whether its process is gone ("Transport endpoint is not connected").
    pub fn is_dead(&self) -> bool {
        match rustix::fs::statfs(&self.mountpoint) {
            Err(errno) => errno == rustix::io::Errno::NOTCONN,
            Ok(_) => false,
        }
    }

    /// The process that serves it, as far as this process may know.
    pub fn server(&self) -> Option<u32> {
        server_by_connection(self.device.1).or_else(|| server_by_lock(Path::new(&self.source)))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Undoes the octal escapes of mountinfo (`\040` for a blank).
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).filter(|code| byte == b'\\' && code.iter().all(|d| (b'0'..b'8').contains(d)));
        match code {
            Some(code) => {
                plain.push(code.iter().fold(0u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = &after[3..];
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

/// All mounts that this process sees, in the order in which they were made.
pub fn list() -> Result<Vec<MountEntry>, UmountError> {
    let lines = fs::read("/proc/self/mountinfo").map_err(UmountError::NoMountInfo)?;
    Ok(lines.split(|&byte| byte == b'\n').filter_map(MountEntry::parse).collect())
}

/// What is mounted topmost at a path, if anything. The mount itself is not touched, so a dead or hanging one is found.
pub fn find(mountpoint: &Path) -> Result<Option<MountEntry>, UmountError> {
    let path = resolve(mountpoint)?;
    Ok(list()?.into_iter().rev().find(|entry| entry.mountpoint == path))
}

/// Resolves all of a path but what is mounted at its end.
fn resolve(path: &Path) -> Result<PathBuf, UmountError> {
    let unreadable = |source| UmountError::Unreadable { path: path.to_owned(), source };
    let absolute = std::path::absolute(path).map_err(unreadable)?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return absolute.canonicalize().map_err(unreadable);
    };
    match fs::read_link(&absolute) {
        // Only a symbolic link is followed, to what it names.
        Ok(target) => resolve(&parent.join(target)),
        Err(_) => Ok(parent.canonicalize().map_err(unreadable)?.join(name)),
    }
}

/// How an unmount ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmounted {
    /// Nobody serves it any more, and what was written is on disk.
    Ended,
    /// It is out of sight; its process goes on for the programs that still use it, or is still saying farewell.
    Lingering,
    /// It was dead already, and its mount point is free again.
    Cleared,
}

/// Takes the vault at `mountpoint` down. Without `lazy`, returns when its process has ended, so that all that was
/// written is on disk.
pub fn umount(mountpoint: &Path, lazy: bool) -> Result<Unmounted, UmountError> {
    let entry = find(mountpoint)?.ok_or_else(|| UmountError::NotMounted(mountpoint.to_owned()))?;
    if !entry.is_vault() {
        let source_name = entry.source.to_string_lossy().into_owned();
        return Err(UmountError::NotOurs { path: entry.mountpoint, kind: entry.kind, source_name });
    }
    if entry.is_dead() {
        // Whoever still uses it gets errors anyway.
        return detach(&entry, How::Lazily).map(|()| Unmounted::Cleared);
    }
    let server = entry.server();
    let how = if lazy { How::Lazily } else { How::IfUnused };
    detach(&entry, how)?;
    if lazy {
        return Ok(Unmounted::Lingering);
    }
    match server.map(|pid| wait_for_end(pid, FAREWELL)) {
        Some(true) | None => Ok(Unmounted::Ended),
        Some(false) => Ok(Unmounted::Lingering),
    }
}

fn detach(entry: &MountEntry, how: How) -> Result<(), UmountError> {
    let path = entry.mountpoint.clone();
    device::unmount(&path, how).map_err(|failure| match failure {
        Unmounting::Busy => UmountError::Busy { holders: holders(&path), path },
        Unmounting::NotMounted => UmountError::NotMounted(path),
        Unmounting::Refused(message) => UmountError::Refused { path, message },
    })
}

/// Processes that have something open, mapped or as their directory below `mountpoint`, as far as this process may know.
pub fn holders(mountpoint: &Path) -> Vec<Holder> {
    let own = std::process::id();
    processes().filter(|&pid| pid != own && holds(pid, mountpoint)).map(holder).collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn holder(pid: u32) -> Holder {
    let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Holder { pid, program: program.trim_end().to_owned() }
}

fn holds(pid: u32, mountpoint: &Path) -> bool {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let below = |link: PathBuf| fs::read_link(link).is_ok_and(|target| target.starts_with(mountpoint));
    if ["cwd", "root", "exe"].iter().any(|link| below(proc.join(link))) {
        return true;
    }
    let links = |folder: &str| fs::read_dir(proc.join(folder)).into_iter().flatten().flatten();
    links("fd").chain(links("map_files")).any(|entry| below(entry.path()))
}

/// Looks for the process that holds the kernel's connection of this number (/proc/PID/fdinfo, since Linux 6.17).
fn server_by_connection(connection: u32) -> Option<u32> {
    let wanted = format!("fuse_connection:\t{connection}\n");
    processes().find(|pid| {
        let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
        let mut infos = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
        infos.any(|info| info.contains(&wanted))
    })
}

/// The mount whose requests come to this process by `descriptor`, if the kernel tells (since Linux 6.17).
pub(crate) fn served_by(descriptor: RawFd) -> Option<MountEntry> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()?;
    let connection = info.lines().find_map(|line| line.strip_prefix("fuse_connection:"))?.trim().parse().ok()?;
    list().ok()?.into_iter().rev().find(|mount| mount.device == (0, connection))
}

/// Looks for the process that holds the lock on the cipher directory.
fn server_by_lock(cipher_dir: &Path) -> Option<u32> {
    let inode = fs::metadata(cipher_dir).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| lock_owner(line, inode))
}

/// The owner of a whole-file flock on the inode: `1: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF`.
fn lock_owner(line: &str, inode: u64) -> Option<u32> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, "FLOCK", _, _, pid, file, ..] = fields[..] else { return None };
    let owner: i64 = pid.parse().ok()?;
    let same = file.rsplit(':').next()?.parse() == Ok(inode);
    u32::try_from(owner).ok().filter(|_| same)
}

/// Waits for a process to end; says whether it did.
fn wait_for_end(pid: u32, patience: Duration) -> bool {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return true };
    // The process being gone already is what we wait for.
    let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else { return true };
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Breaks the connection of the mount with this device: its users get errors, its process ends. For when there is no
/// other way out.
pub(crate) fn abort(connection: u32) -> io::Result<()> {
    fs::write(format!("/sys/fs/fuse/connections/{connection}/abort"), "1")
}

/// The device of what is mounted at a path, looked up without touching it.
pub(crate) fn device_at(path: &Path) -> Option<(u32, u32)> {
    let entries = list().ok()?;
    entries.into_iter().rev().find(|entry| entry.mountpoint == path).map(|entry| entry.device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_understood() {
        let line =
            br"36 35 0:52 / /mnt/a\040b\134c rw,nosuid shared:1 master:2 - fuse.strongroom /srv/x\011y rw,user_id=0";
        let entry = MountEntry::parse(line).unwrap();
        assert_eq!(entry.device, (0, 52));
        assert_eq!(entry.mountpoint, Path::new("/mnt/a b\\c"));
        assert_eq!(entry.kind, "fuse.strongroom");
        assert_eq!(entry.source, "/srv/x\ty");
        assert_eq!(entry.options, "rw,nosuid,rw,user_id=0");
        assert!(entry.is_vault());
    }

    #[test]
    fn a_line_without_optional_fields_is_understood() {
        let line = b"21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw";
        let entry = MountEntry::parse(line).unwrap();
        assert_eq!((entry.kind.as_str(), entry.is_vault()), ("ext4", false));
    }

    #[test]
    fn a_line_that_is_none_is_passed_over() {
        for line in [&b""[..], b"36 35", b"36 35 x:y / /m rw - t s o", b"36 35 0:1 / /m rw nodash t s o"] {
            assert_eq!(MountEntry::parse(line), None);
        }
    }

    #[test]
    fn a_backslash_without_digits_stays() {
        assert_eq!(unescape(br"a\b\04"), br"a\b\04");
        assert_eq!(unescape(br"\101\\"), br"A\\");
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(find(Path::new("/")).unwrap().is_some());
        assert_eq!(find(Path::new("/proc/self")).unwrap(), None);
    }

    #[test]
    fn something_else_is_not_unmounted() {
        let error = umount(Path::new("/proc"), false).unwrap_err();
        assert!(matches!(error, UmountError::NotOurs { ref kind, .. } if kind == "proc"), "{error}");
    }

    #[test]
    fn what_is_not_mounted_is_said_so() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(umount(dir.path(), false), Err(UmountError::NotMounted(_))));
    }

    #[test]
    fn a_lock_tells_its_owner() {
        assert_eq!(lock_owner("7: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF", 1234), Some(4711));
        assert_eq!(lock_owner("7: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF", 12), None);
        assert_eq!(lock_owner("7: POSIX  ADVISORY  WRITE 4711 fd:00:1234 0 EOF", 1234), None);
        assert_eq!(lock_owner("7: -> FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF", 1234), None);
    }

    #[test]
    fn who_works_in_a_directory_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep").arg("30").current_dir(dir.path()).spawn().unwrap();
        let found = holders(&dir.path().canonicalize().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, [Holder { pid: child.id(), program: "sleep".into() }]);
    }
}
