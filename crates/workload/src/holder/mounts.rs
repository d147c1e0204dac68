//! What is mounted where, in every mount namespace that a process is in.

use std::{
    collections::BTreeSet,
    fs,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use super::{Hold, Holder, process::Who, tree::Tree};
use crate::WorkloadError;

/// A line of /proc/PID/mountinfo: one mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountLine {
    /// Its number.
    pub id: u64,
    /// The number of the mount that it stands on.
    pub parent: u64,
    /// Major and minor number of the file system. On btrfs not those of stat(2).
    pub device: (u32, u32),
    /// What of the file system is mounted: a path within it.
    pub root: PathBuf,
    /// Where: a path as the process sees it.
    pub at: PathBuf,
    /// Options of this mount: `ro`, `nosuid` and so on.
    pub options: String,
    /// The type of the file system, such as `ext4` or `fuse.strongroom`.
    pub kind: String,
    /// What it was made of, such as a device.
    pub source: String,
    /// Options of the file system.
    pub super_options: String,
}

/// The mounts that process `pid` sees (this thread, if it is none), in the order of the kernel: what was mounted over
/// something comes after it.
pub fn mounts_of(pid: Option<u32>) -> Result<Vec<MountLine>, WorkloadError> {
    let path = pid.map_or("/proc/thread-self/mountinfo".into(), |pid| format!("/proc/{pid}/mountinfo"));
    let text = fs::read(&path).map_err(WorkloadError::on("reading", &path))?;
    Ok(text.split(|&byte| byte == b'\n').filter_map(parse).collect())
}

impl MountLine {
    /// The mount through which a descriptor was opened; `None` if it is not there any more.
    pub fn of(opened: BorrowedFd<'_>) -> Result<Option<Self>, WorkloadError> {
        let path = format!("/proc/self/fdinfo/{}", opened.as_raw_fd());
        let info = fs::read_to_string(&path).map_err(WorkloadError::on("reading", &path))?;
        let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse::<u64>().ok());
        Ok(mounts_of(None)?.into_iter().find(|line| Some(line.id) == id))
    }

    /// Where in the file system `path` lies, which is below `self.at`.
    pub fn within(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.at).ok()?;
        Some(if below.as_os_str().is_empty() { self.root.clone() } else { self.root.join(below) })
    }

    /// Whether it has this option, or its file system has.
    pub fn has_option(&self, option: &str) -> bool {
        [&self.options, &self.super_options].iter().any(|list| list.split(',').any(|one| one == option))
    }
}

/// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
fn parse(line: &[u8]) -> Option<MountLine> {
    let mut words = line.split(|&byte| byte == b' ');
    let mut word = || words.next();
    let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse().ok();
    let (id, parent) = (number(word()?)?, number(word()?)?);
    let (major, minor) = std::str::from_utf8(word()?).ok()?.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let (root, at, options) = (unescaped(word()?), unescaped(word()?), text(word()?));
    while word()? != b"-" {}
    let (kind, source, super_options) = (text(word()?), text(word()?), text(word().unwrap_or_default()));
    Some(MountLine { id, parent, device, root, at, options, kind, source, super_options })
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

/// Space, tab, newline and backslash are written as three octal digits.
pub(super) fn unescaped(word: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| byte == b'\\').and_then(octal);
        plain.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(std::ffi::OsString::from_vec(plain))
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

/// Every mount of the tree, or of something in it, and every mount upon something in it, in any namespace.
pub(super) fn collect(tree: &Tree) -> Vec<Holder> {
    let mut seen = BTreeSet::new();
    let mut holders = Vec::new();
    let me = Who::look(std::process::id()).map(|who| (who, None));
    let others = Who::everybody().map(|who| (who.clone(), Some(who.pid)));
    for (who, pid) in me.into_iter().chain(others) {
        let Some(namespace) = namespace(pid).filter(|namespace| seen.insert(*namespace)) else { continue };
        // The process may have ended, or be somebody else's: then another of that namespace may do.
        let Ok(lines) = mounts_of(pid) else {
            seen.remove(&namespace);
            continue;
        };
        holders.extend(held(tree, &lines).map(|(at, path, upon)| {
            let hold = Hold::Mount { namespace, at, path, upon };
            Holder { pid: who.pid, uid: who.uid, command: who.command.clone(), hold }
        }));
    }
    holders
}

fn held<'a>(tree: &'a Tree, lines: &'a [MountLine]) -> impl Iterator<Item = (PathBuf, PathBuf, bool)> + 'a {
    lines.iter().filter(|line| line.id != tree.mount.id).flat_map(move |line| {
        let of_it = (line.device == tree.mount.device)
            .then(|| line.root.strip_prefix(&tree.within).ok())
            .flatten()
            .map(|path| (line.at.clone(), path.to_owned(), false));
        let parent = lines.iter().find(|other| other.id == line.parent && other.device == tree.mount.device);
        let upon_it = parent
            .and_then(|parent| parent.within(&line.at))
            .and_then(|place| Some(place.strip_prefix(&tree.within).ok()?.to_owned()))
            .map(|path| (line.at.clone(), path, true));
        [of_it, upon_it].into_iter().flatten()
    })
}

/// The number in `mnt:[4026531841]`.
fn namespace(pid: Option<u32>) -> Option<u64> {
    let process = pid.map_or("thread-self".into(), |pid| pid.to_string());
    let link = fs::read_link(format!("/proc/{process}/ns/mnt")).ok()?;
    let bytes = link.as_os_str().as_bytes();
    std::str::from_utf8(bytes.strip_prefix(b"mnt:[")?.strip_suffix(b"]")?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line =
            parse(br"36 35 98:0 /a\040b /mnt\0122 rw,noatime master:1 shared:2 - fuse.x /dev/root rw,errors=continue")
                .unwrap();
        assert_eq!((line.id, line.parent, line.device), (36, 35, (98, 0)));
        assert_eq!((line.root.as_path(), line.at.as_path()), (Path::new("/a b"), Path::new("/mnt\n2")));
        assert_eq!((line.kind.as_str(), line.source.as_str()), ("fuse.x", "/dev/root"));
        assert!(line.has_option("noatime") && line.has_option("errors=continue") && !line.has_option("ro"));
    }

    #[test]
    fn a_path_is_found_within_its_file_system() {
        let line = parse(b"1 0 8:1 /sub /mnt rw - ext4 /dev/x rw").unwrap();
        assert_eq!(line.within(Path::new("/mnt/a/b")).unwrap(), Path::new("/sub/a/b"));
        assert_eq!(line.within(Path::new("/mnt")).unwrap(), Path::new("/sub"));
        assert_eq!(line.within(Path::new("/elsewhere")), None);
    }
}
