//! What processes use, as /proc shows it: descriptors, directories, programs, mappings.
//!
//! Processes end while they are looked at; what is gone then held nothing. One that belongs to somebody else does not show
//! what it uses, and that is told.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, StatxFlags, makedev, readlinkat, statx},
    io::Errno,
};

use super::{
    Hold, Holder, Unseen,
    mounts::unescaped,
    tree::{Sought, Tree, Used},
};
use crate::WorkloadError;

/// A process.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub pid: u32,
    pub uid: u32,
    pub command: String,
    /// It has memory of its own: it is no thread of the kernel, and not dead already.
    is_alive: bool,
}

impl Who {
    /// All processes, this one too.
    pub fn everybody() -> impl Iterator<Item = Who> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| Who::look(entry.file_name().to_str()?.parse().ok()?))
    }

    /// The process of this number, if there is one.
    pub fn look(pid: u32) -> Option<Who> {
        let status = fs::read(format!("/proc/{pid}/status")).ok()?;
        let status = String::from_utf8_lossy(&status);
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let uid = field("Uid")?.split_whitespace().next()?.parse().ok()?;
        Some(Who { pid, uid, command: field("Name")?.to_owned(), is_alive: field("VmSize").is_some() })
    }

    pub fn holds(&self, hold: Hold) -> Holder {
        Holder { pid: self.pid, uid: self.uid, command: self.command.clone(), hold }
    }
}

/// Adds what every process but this one uses on the file system of the tree. Gives those that did not let us see.
pub(super) fn collect(tree: &Tree, sought: &mut Sought) -> Result<Vec<Unseen>, WorkloadError> {
    // A /proc that is not there would look like a machine without processes.
    fs::metadata("/proc/self/status").map_err(WorkloadError::on("looking at", "/proc/self/status"))?;
    let me = std::process::id();
    let mut unseen = Vec::new();
    for who in Who::everybody().filter(|who| who.pid != me && who.is_alive) {
        let looked = [directories(tree, &who, sought), descriptors(tree, &who, sought), mappings(tree, &who, sought)];
        let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        if looked.iter().any(|looked| looked.as_ref().is_err_and(is_refused)) {
            unseen.push(Unseen { pid: who.pid, uid: who.uid, command: who.command });
        }
    }
    unseen.sort();
    Ok(unseen)
}

fn directories(tree: &Tree, who: &Who, sought: &mut Sought) -> io::Result<()> {
    let path = PathBuf::new;
    let holds = [
        ("cwd", Hold::Cwd { path: path() }),
        ("root", Hold::Root { path: path() }),
        ("exe", Hold::Exe { path: path() }),
    ];
    for (name, hold) in holds {
        let link = PathBuf::from(format!("/proc/{}/{name}", who.pid));
        if let Some(used) = used(tree, &link)? {
            sought.add(used, who.holds(hold));
        }
    }
    Ok(())
}

fn descriptors(tree: &Tree, who: &Who, sought: &mut Sought) -> io::Result<()> {
    for entry in fs::read_dir(format!("/proc/{}/fd", who.pid))?.flatten() {
        let link = entry.path();
        if let Some(used) = used(tree, &link)? {
            // The link's own permissions tell how the descriptor was opened.
            let writable =
                fs::symlink_metadata(&link).is_ok_and(|link| std::os::unix::fs::MetadataExt::mode(&link) & 0o200 != 0);
            sought.add(used, who.holds(Hold::Fd { path: PathBuf::new(), writable }));
        }
    }
    Ok(())
}

/// What a link of /proc leads to, if it may be in the tree.
fn used(tree: &Tree, link: &Path) -> io::Result<Option<Used>> {
    let shown = match readlinkat(CWD, link, Vec::new()) {
        Ok(shown) if shown.as_bytes().starts_with(b"/") => shown,
        // A socket, a pipe; or closed meanwhile.
        Ok(_) | Err(Errno::NOENT | Errno::SRCH) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    // A file system that does not answer is not asked.
    let stat = match statx(CWD, link, AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT, StatxFlags::INO) {
        Ok(stat) => stat,
        Err(errno @ (Errno::ACCESS | Errno::PERM)) => return Err(errno.into()),
        Err(_) => return Ok(None),
    };
    let dev = makedev(stat.stx_dev_major, stat.stx_dev_minor);
    let shown = PathBuf::from(std::ffi::OsStr::from_bytes(shown.as_bytes()));
    Ok(tree.may_have(dev).then_some(Used { dev, ino: stat.stx_ino, shown }))
}

fn mappings(tree: &Tree, who: &Who, sought: &mut Sought) -> io::Result<()> {
    let maps = fs::read(format!("/proc/{}/maps", who.pid))?;
    let mut mapped: Vec<_> =
        maps.split(|&byte| byte == b'\n').filter_map(mapping).filter(|(used, _)| tree.may_have(used.dev)).collect();
    // Programs are mapped in several pieces.
    mapped.sort_by_key(|(used, shared_writable)| (used.ino, !shared_writable));
    mapped.dedup_by_key(|(used, _)| used.ino);
    for (used, shared_writable) in mapped {
        sought.add(used, who.holds(Hold::Map { path: PathBuf::new(), shared_writable }));
    }
    Ok(())
}

/// 7f5c1a000000-7f5c1a021000 rw-s 00001000 fe:00 1234    /path/of the/file
fn mapping(line: &[u8]) -> Option<(Used, bool)> {
    let mut words = line.splitn(6, |&byte| byte == b' ');
    let (_, access, _, device, ino, path) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let (major, minor) = std::str::from_utf8(device).ok()?.split_once(':')?;
    let dev = makedev(u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    let ino = std::str::from_utf8(ino).ok()?.parse().ok().filter(|&ino| ino != 0)?;
    let shared_writable = access.get(1) == Some(&b'w') && access.get(3) == Some(&b's');
    Some((Used { dev, ino, shown: unescaped(path.trim_ascii_start()) }, shared_writable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_maps_is_taken_apart() {
        let (used, shared_writable) =
            mapping(b"7f00-7f01 rw-s 00001000 fe:01 1234                       /a b/c").unwrap();
        assert_eq!((used.dev, used.ino, used.shown.as_path()), (makedev(0xfe, 1), 1234, Path::new("/a b/c")));
        assert!(shared_writable);
        assert!(!mapping(b"7f00-7f01 rw-p 00000000 fe:01 1234      /a").unwrap().1, "private stores stay private");
        assert!(mapping(b"7f00-7f01 rw-p 00000000 00:00 0          [heap]").is_none());
    }
}
