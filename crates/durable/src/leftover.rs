//! Temporary files in a directory: of writers that were killed, and of those that still write.

use std::{
    ffi::{OsStr, OsString},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};

use crate::PathError;

/// A temporary file of an [`crate::AtomicFile`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Where it is.
    pub path: PathBuf,
    /// The name that the file was to get.
    pub target: OsString,
    /// How long it is.
    pub len: u64,
    /// Whether its writer still lives.
    pub in_use: bool,
}

/// The temporary files in the directory `path`, by name. Asks by [`crate::AtomicFile`]'s own lock who still writes.
pub fn leftovers(path: &Path) -> Result<Vec<Leftover>, PathError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(PathError::on("listing", path))? {
        let name = entry.map_err(PathError::on("listing", path))?.file_name();
        let Some(target) = target_of(&name) else { continue };
        let path = path.join(&name);
        // It may be gone by now, with its writer.
        let Ok(file) = open(&path) else { continue };
        let Ok(stat) = fs::fstat(&file) else { continue };
        let in_use = !try_lock(&file);
        found.push(Leftover { path, target: target.to_owned(), len: stat.st_size.try_into().unwrap_or(0), in_use });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

impl Leftover {
    /// Removes it, unless its writer lives. Says whether it is gone.
    pub fn clear(&self) -> bool {
        let Ok(file) = open(&self.path) else { return false };
        try_lock(&file) && fs::unlinkat(fs::CWD, &self.path, AtFlags::empty()).is_ok()
    }
}

fn open(path: &Path) -> Result<OwnedFd, rustix::io::Errno> {
    fs::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
}

/// The lock goes with the descriptor.
fn try_lock(file: &OwnedFd) -> bool {
    fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// `TARGET` of `TARGET.0123456789abcdef.tmp`.
fn target_of(name: &OsStr) -> Option<&OsStr> {
    let rest = name.as_bytes().strip_suffix(b".tmp")?;
    let at = rest.len().checked_sub(17).filter(|&at| at > 0)?;
    let (target, unique) = rest.split_at(at);
    let is_ours = unique[0] == b'.' && unique[1..].iter().all(u8::is_ascii_hexdigit);
    is_ours.then(|| OsStr::from_bytes(target))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::AtomicFile;

    #[test]
    fn what_a_killed_writer_left_is_cleared_and_what_is_being_written_is_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.0123456789abcdef.tmp"), b"half").unwrap();
        std::fs::write(dir.path().join(".0123456789abcdef.tmp"), b"of nobody").unwrap();
        let mut living = AtomicFile::create(&dir.path().join("b"), 0o600).unwrap();
        living.write_all(b"more").unwrap();
        let found = leftovers(dir.path()).unwrap();
        let seen: Vec<_> = found.iter().map(|one| (one.target.to_str().unwrap(), one.len, one.in_use)).collect();
        assert_eq!(seen, [("a", 4, false), ("b", 4, true)]);
        assert_eq!(found.iter().map(Leftover::clear).collect::<Vec<_>>(), [true, false]);
        living.place().unwrap();
        assert_eq!(std::fs::read(dir.path().join("b")).unwrap(), b"more");
    }
}
