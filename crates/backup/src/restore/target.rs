//! Where a restore goes to, as it is now.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, StatxAttributes, StatxFlags};
use strongroom_tree::RelPath;

use crate::BackupError;

/// A target, by the path of a directory that need not be there yet.
pub(crate) struct Target {
    /// Without symbolic links, as far as it is there.
    pub path: PathBuf,
    /// The directory, if it is there.
    pub dir: Option<OwnedFd>,
    /// Whether new things can only be made within it: something is mounted on it, or its parent may not be written to.
    pub within_only: bool,
}

/// What there is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum There {
    /// Nothing.
    Nothing,
    /// A directory.
    Directory,
    /// Something else, of so many bytes.
    Other(u64),
}

impl Target {
    /// Looks at `path`.
    pub(crate) fn look(path: &Path) -> Result<Self, BackupError> {
        let path = resolved(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(dir) => Some(dir),
            Err(rustix::io::Errno::NOENT) => None,
            Err(rustix::io::Errno::NOTDIR) => {
                return Err(BackupError::Refused { target: path, why: "it is not a directory".into() });
            }
            Err(errno) => return Err(BackupError::on("opening", &path)(errno)),
        };
        let is_mount_point = match &dir {
            Some(dir) => is_mount_point(dir, &path)?,
            None => false,
        };
        let may_not = |parent: &Path| {
            rustix::fs::accessat(rustix::fs::CWD, parent, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_err()
        };
        let parent_is_closed = path.parent().is_none_or(may_not);
        let within_only = is_mount_point || dir.is_some() && parent_is_closed;
        Ok(Self { path, dir, within_only })
    }

    /// What there is at `path` within. Its parents are known to be directories.
    pub(crate) fn at(&self, path: &RelPath) -> Result<There, BackupError> {
        let Some(dir) = &self.dir else { return Ok(There::Nothing) };
        if path.is_root() {
            return Ok(There::Directory);
        }
        match rustix::fs::statat(dir, path.as_path(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(There::Directory),
            Ok(stat) => Ok(There::Other(stat.st_size.try_into().unwrap_or(0))),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(There::Nothing),
            Err(errno) => Err(BackupError::on("looking at", &self.path.join(path.as_path()))(errno)),
        }
    }

    /// The names at its top.
    pub(crate) fn names(&self) -> Result<Vec<Vec<u8>>, BackupError> {
        if self.dir.is_none() {
            return Ok(Vec::new());
        }
        let listing = || BackupError::on::<io::Error>("listing", &self.path);
        let names = fs::read_dir(&self.path).map_err(listing())?;
        let mut names = names
            .map(|entry| Ok(entry.map_err(listing())?.file_name().into_vec()))
            .collect::<Result<Vec<_>, BackupError>>()?;
        names.sort();
        Ok(names)
    }

    /// Where it, and what is staged beside it, is looked at from.
    pub(crate) fn parent(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// What is mounted below it.
    pub(crate) fn mounts_below(&self) -> Vec<PathBuf> {
        mounts_below(&self.path)
    }
}

/// Mount points strictly below `path`, as the kernel tells them.
pub(crate) fn mounts_below(path: &Path) -> Vec<PathBuf> {
    let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let points = text.split(|&byte| byte == b'\n').filter_map(|line| line.split(|&byte| byte == b' ').nth(4));
    points.map(unescaped).filter(|point| point != path && point.starts_with(path)).collect()
}

/// Spaces and the like stand there as octal escapes.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// Without symbolic links, as far as it is there: what is not there yet is made where the links lead.
fn resolved(path: &Path) -> Result<PathBuf, BackupError> {
    let whole = std::path::absolute(path).map_err(BackupError::on("looking at", path))?;
    if whole.components().any(|part| part == std::path::Component::ParentDir) && whole.canonicalize().is_err() {
        return Err(BackupError::Refused { target: whole, why: "it has `..` in it, and is not there".into() });
    }
    let mut there = whole.as_path();
    let mut missing = Vec::new();
    loop {
        match there.canonicalize() {
            Ok(real) => return Ok(missing.iter().rev().fold(real, |path, name| path.join(name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound && there.symlink_metadata().is_err() => {
                let (Some(parent), Some(name)) = (there.parent(), there.file_name()) else {
                    return Err(BackupError::on("looking at", path)(error));
                };
                missing.push(name);
                there = parent;
            }
            Err(error) => return Err(BackupError::on("looking at", path)(error)),
        }
    }
}

fn is_mount_point(dir: &OwnedFd, path: &Path) -> Result<bool, BackupError> {
    let stat = rustix::fs::statx(dir, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
    let stat = stat.map_err(BackupError::on("looking at", path))?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Programs that have something below `path` open, as far as the running user may see; a guess for a person.
pub(crate) fn in_use_by(path: &Path) -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for process in processes.flatten() {
        let name = process.file_name();
        let is_other = name.as_bytes().iter().all(u8::is_ascii_digit) && name != *own;
        if is_other && found.len() < MOST_PROGRAMS && uses(&process.path(), path) {
            let what = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            found.push(format!("{} ({})", what.trim_end(), name.to_string_lossy()));
        }
    }
    found
}

const MOST_PROGRAMS: usize = 20;

fn uses(process: &Path, path: &Path) -> bool {
    let leads_there = |link: PathBuf| fs::read_link(link).is_ok_and(|to| to.starts_with(path));
    leads_there(process.join("cwd"))
        || fs::read_dir(process.join("fd")).is_ok_and(|open| open.flatten().any(|fd| leads_there(fd.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_there_is_resolved_as_far_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        fs::create_dir(real.join("a")).unwrap();
        std::os::unix::fs::symlink("a", real.join("l")).unwrap();
        assert_eq!(resolved(&dir.path().join("l/b/c")).unwrap(), real.join("a/b/c"));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_no_target() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("l")).unwrap();
        assert!(resolved(&dir.path().join("l")).is_err());
    }

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        assert_eq!(unescaped(b"/mnt/a\\040b\\134c"), PathBuf::from("/mnt/a b\\c"));
        assert!(mounts_below(Path::new("/")).contains(&PathBuf::from("/proc")));
    }
}
