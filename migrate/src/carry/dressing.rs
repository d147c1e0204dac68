//! Metadata of what stays where it is, changed in place: what it was is on the disk first, so that it can be undone.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use strongroom_durable::{AtomicFile, PathError};
use strongroom_tree::{Entry, Kind, Meta, RelPath, Replica, Stamp, Timestamp, TreeError, Xattr};

use crate::MigrateError;

/// Whether two have the same metadata, as far as a copy has it: names of owners are those of the machine, and the
/// permissions of a symbolic link mean nothing.
pub(crate) fn is_same_meta(one: &Meta, other: &Meta, kind: &Kind) -> bool {
    let is_link = matches!(kind, Kind::Symlink { .. });
    let own = |meta: &Meta| (meta.uid, meta.gid, meta.mtime, if is_link { 0 } else { meta.mode });
    own(one) == own(other) && one.xattrs == other.xattrs
}

/// Writes down what the metadata are, and returns when that is on the disk.
pub(super) fn write(path: &Path, entries: &[Entry]) -> Result<(), MigrateError> {
    let mut file = AtomicFile::create(path, 0o600)?;
    for entry in entries {
        let mut line = serde_json::to_vec(&Line::of(entry)).expect("a line is a structure with text for keys");
        line.push(b'\n');
        file.write_all(&line).map_err(PathError::on("writing", path))?;
    }
    Ok(file.replace()?)
}

/// What was written down, if anything is.
pub(super) fn read(path: &Path) -> Result<Option<Vec<Entry>>, MigrateError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(PathError::on("reading", path))?,
    };
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let unreadable = |source| MigrateError::Unreadable { path: path.to_owned(), source };
    let entry = |line| serde_json::from_slice::<Line>(line).map_err(unreadable)?.entry().map_err(MigrateError::Tree);
    lines.map(entry).collect::<Result<_, _>>().map(Some)
}

/// Gives all of `entries` their metadata, the deepest first, for a parent may end up without permission to reach them.
pub(super) fn dress(tree: &dyn Replica, entries: &[Entry]) -> Result<(), TreeError> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by(|a, b| b.path.cmp(&a.path));
    entries.into_iter().try_for_each(|entry| tree.dress(entry))?;
    tree.sync()
}

/// The path of an entry of the tree at `root`.
pub(crate) fn within(root: &Path, path: &RelPath) -> PathBuf {
    if path.is_root() { root.to_owned() } else { root.join(OsStr::from_bytes(path.as_bytes())) }
}

/// An entry, as it is written down. Bytes are hexadecimal digits: names are bytes, and JSON is text.
#[derive(Serialize, Deserialize)]
struct Line {
    path: String,
    kind: Figure,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: (i64, u32),
    xattrs: Vec<(String, String)>,
}

/// What is to be dressed, as far as it matters for that.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Figure {
    Directory,
    File,
    Symlink,
    Fifo,
    CharDevice(u64),
    BlockDevice(u64),
}

impl Line {
    fn of(entry: &Entry) -> Self {
        let Meta { mode, uid, gid, mtime, ref xattrs, .. } = entry.meta;
        Self {
            path: hex(entry.path.as_bytes()),
            kind: match entry.kind {
                Kind::Directory => Figure::Directory,
                Kind::File { .. } | Kind::Link { .. } => Figure::File,
                Kind::Symlink { .. } => Figure::Symlink,
                Kind::Fifo | Kind::Socket => Figure::Fifo,
                Kind::CharDevice { rdev } => Figure::CharDevice(rdev),
                Kind::BlockDevice { rdev } => Figure::BlockDevice(rdev),
            },
            mode,
            uid,
            gid,
            mtime: (mtime.seconds, mtime.nanoseconds),
            xattrs: xattrs.iter().map(|xattr| (hex(&xattr.name), hex(&xattr.value))).collect(),
        }
    }

    fn entry(self) -> Result<Entry, TreeError> {
        let root = RelPath::root();
        let bad = || TreeError::on("reading what was noted about", &root)(io::Error::other("it is no record of ours"));
        let path = RelPath::parse(&unhex(&self.path).ok_or_else(bad)?).map_err(|_| bad())?;
        let xattr = |(name, value): (String, String)| Some(Xattr { name: unhex(&name)?, value: unhex(&value)? });
        let xattrs = self.xattrs.into_iter().map(xattr).collect::<Option<_>>().ok_or_else(bad)?;
        let mtime = Timestamp { seconds: self.mtime.0, nanoseconds: self.mtime.1 };
        let kind = match self.kind {
            Figure::Directory => Kind::Directory,
            Figure::File => Kind::File { len: 0 },
            Figure::Symlink => Kind::Symlink { target: Vec::new() },
            Figure::Fifo => Kind::Fifo,
            Figure::CharDevice(rdev) => Kind::CharDevice { rdev },
            Figure::BlockDevice(rdev) => Kind::BlockDevice { rdev },
        };
        let meta = Meta { mode: self.mode, uid: self.uid, gid: self.gid, mtime, xattrs, ..Meta::default() };
        Ok(Entry { path, kind, meta, stamp: Stamp::default() })
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_read_again_odd_names_and_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("was");
        let meta = Meta {
            mode: 0o4751,
            uid: 1,
            gid: 2,
            mtime: Timestamp { seconds: -5, nanoseconds: 999_999_999 },
            xattrs: vec![Xattr { name: b"user.\xff".to_vec(), value: b"\x00\n".to_vec() }],
            ..Meta::default()
        };
        let entry = |name: &[u8], kind| Entry {
            path: RelPath::parse(name).unwrap(),
            kind,
            meta: meta.clone(),
            stamp: Stamp::default(),
        };
        let entries =
            [entry(b"", Kind::Directory), entry(b"a\n\xff/b", Kind::File { len: 0 }), entry(b"p", Kind::Fifo)];
        write(&path, &entries).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), entries);
        fs::write(&path, b"{}\n").unwrap();
        assert!(matches!(read(&path), Err(MigrateError::Unreadable { .. })));
    }

    #[test]
    fn permissions_of_a_symbolic_link_do_not_tell_it_from_another() {
        let link = Kind::Symlink { target: b"x".to_vec() };
        let (one, other) = (Meta::default(), Meta { mode: 0o777, ..Meta::default() });
        assert!(is_same_meta(&one, &other, &link));
        assert!(!is_same_meta(&one, &other, &Kind::Fifo));
    }
}
