//! An independent eye: reads a whole tree with plain system calls, everything that a user can see of it, and compares.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A tree as it was seen.
#[derive(Default)]
pub struct Captured {
    entries: BTreeMap<PathBuf, Entry>,
}

impl Captured {
    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the tree was empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[derive(PartialEq, Eq)]
struct Entry {
    kind: char,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    /// Of files and symlinks; a directory's size is its file system's own affair.
    size: Option<u64>,
    links: Option<u64>,
    device: u64,
    target: Option<OsString>,
    content: Option<String>,
    attributes: BTreeMap<OsString, Vec<u8>>,
    /// The first name of this file, which tells hard links together.
    first_name: Option<PathBuf>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} {:o} owner {:?} modified {:?} size {:?} links {:?} device {:#x} target {:?} content {:.16} first {:?} xattrs {:?}",
            self.kind,
            self.mode,
            self.owner,
            self.modified,
            self.size,
            self.links,
            self.device,
            self.target.as_ref().map(|target| target.len()),
            self.content.as_deref().unwrap_or("-"),
            self.first_name,
            self.attributes
        )
    }
}

/// Reads the whole tree below `root`: kinds, modes, owners, times, sizes, links, targets, contents, xattrs and ACLs.
pub fn capture(root: &Path) -> Captured {
    let mut captured = Captured::default();
    capture_below(root, Path::new(""), &mut captured, &mut HashMap::new());
    captured
}

fn capture_below(root: &Path, folder: &Path, captured: &mut Captured, seen: &mut HashMap<u64, PathBuf>) {
    let mut names: Vec<_> = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort_by(|left, right| left.as_bytes().cmp(right.as_bytes()));
    for name in names {
        let path = folder.join(&name);
        let entry = capture_entry(&root.join(&path), &path, seen);
        let is_dir = entry.kind == 'd';
        captured.entries.insert(path.clone(), entry);
        if is_dir {
            capture_below(root, &path, captured, seen);
        }
    }
}

fn capture_entry(file: &Path, path: &Path, seen: &mut HashMap<u64, PathBuf>) -> Entry {
    let found = fs::symlink_metadata(file).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let kind = found.file_type();
    Entry {
        kind: letter(kind),
        mode: found.mode() & 0o7777,
        owner: (found.uid(), found.gid()),
        modified: (found.mtime(), found.mtime_nsec()),
        size: (!kind.is_dir()).then_some(found.size()),
        links: (!kind.is_dir()).then_some(found.nlink()),
        device: found.rdev(),
        target: kind.is_symlink().then(|| fs::read_link(file).unwrap().into_os_string()),
        content: kind.is_file().then(|| digest(file)),
        attributes: attributes(file),
        first_name: (!kind.is_dir()).then(|| seen.entry(found.ino()).or_insert_with(|| path.to_owned()).clone()),
    }
}

fn letter(kind: fs::FileType) -> char {
    match () {
        () if kind.is_dir() => 'd',
        () if kind.is_file() => '-',
        () if kind.is_symlink() => 'l',
        () if kind.is_fifo() => 'p',
        () if kind.is_socket() => 's',
        () if kind.is_char_device() => 'c',
        () => 'b',
    }
}

fn digest(file: &Path) -> String {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut content = File::open(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    loop {
        let count = content.read(&mut buffer).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        if count == 0 {
            return hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        }
        hash.update(&buffer[..count]);
    }
}

/// The attributes that belong to the user: `user.*` and the ACLs.
fn attributes(file: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let mut names = vec![0; 1 << 16];
    let len = rustix::fs::llistxattr(file, &mut names[..]).unwrap_or_default();
    let names = names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(OsStr::from_bytes);
    names.filter(|name| is_the_users(name)).map(|name| (name.to_owned(), attribute(file, name))).collect()
}

fn is_the_users(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"user.") || name.as_bytes().starts_with(b"system.posix_acl")
}

fn attribute(file: &Path, name: &OsStr) -> Vec<u8> {
    let mut value = vec![0; 1 << 16];
    let len =
        rustix::fs::lgetxattr(file, name, &mut value[..]).unwrap_or_else(|error| panic!("{file:?} {name:?}: {error}"));
    value.truncate(len);
    value
}

/// One line for each entry that the two trees do not share, in all its properties.
pub fn differences(left: &Captured, right: &Captured) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, entry) in &left.entries {
        match right.entries.get(path) {
            None => lines.push(format!("only left: {path:?}")),
            Some(other) if other != entry => lines.push(format!("{path:?}:\n  left  {entry:?}\n  right {other:?}")),
            Some(_) => {}
        }
    }
    let only_right = right.entries.keys().filter(|path| !left.entries.contains_key(*path));
    lines.extend(only_right.map(|path| format!("only right: {path:?}")));
    lines
}

/// A path of arbitrary bytes.
pub(crate) fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}
