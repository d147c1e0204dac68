//! What is to be erased, how, and what came of it.

use serde::{Deserialize, Serialize};

use crate::Verdict;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A file with content.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe, a socket or a device: nothing but a name, which is never opened.
    Other,
}

/// One name that is to be erased, and what it must stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Below the root, names joined by single slashes. Nothing for the root itself.
    pub path: Vec<u8>,
    /// Its device. Where device numbers change with a restart, the caller puts today's here, having seen by other marks that
    /// the root is the root.
    pub dev: u64,
    /// Its inode number.
    pub ino: u64,
    /// What it is.
    pub kind: Kind,
    /// How many names of this inode were in the tree. If it has more, its content belongs to somebody else too.
    pub links_inside: u32,
}

/// How it is erased.
#[derive(Clone, Debug)]
pub struct Erasing {
    /// Whether contents are overwritten at all. Where that reaches nothing, it only adds copies and takes room.
    pub overwrite: bool,
    /// How often. Once is enough for everything that overwriting can reach.
    pub passes: u32,
    /// How many threads overwrite.
    pub workers: usize,
    /// How many names are erased together, with two syncs of the file system for all of them.
    pub batch_entries: usize,
    /// And how many bytes.
    pub batch_bytes: u64,
    /// Whether flags that forbid changing are cleared. Otherwise they are an error.
    pub clear_flags: bool,
}

impl Default for Erasing {
    fn default() -> Self {
        Self { overwrite: true, passes: 1, workers: 4, batch_entries: 2048, batch_bytes: 1 << 30, clear_flags: false }
    }
}

impl Erasing {
    /// As the verdict suggests: contents are overwritten where that reaches them.
    pub fn after(verdict: &Verdict) -> Self {
        Self { overwrite: verdict.overwrite, ..Self::default() }
    }
}

/// Told to the caller's journal. It should note numbers and not names, or it becomes one more copy of them. A run that
/// follows an interrupted one needs the same list and nothing else: what a batch did is seen in the tree.
#[derive(Clone, Copy, Debug)]
pub enum Batch<'a> {
    /// These are about to be destroyed.
    Before(&'a [&'a Target]),
    /// These are gone.
    After(&'a [&'a Target]),
}

/// What was erased in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Names of files that are gone.
    pub files: u64,
    /// Directories that are gone.
    pub directories: u64,
    /// Symbolic links that are gone.
    pub symlinks: u64,
    /// Pipes, sockets and devices that are gone.
    pub others: u64,
    /// What was not there any more.
    pub missing: u64,
    /// Bytes that were written over, all passes together.
    pub overwritten: u64,
    /// Files that have names elsewhere too: removed here, and not overwritten, so that they are whole there.
    pub named_elsewhere: Vec<Vec<u8>>,
    /// Files that share blocks with a copy or a snapshot: writing goes to other blocks, so they were not overwritten.
    pub shared: Vec<Vec<u8>>,
    /// Files that were not overwritten because overwriting reaches nothing here.
    pub only_removed: u64,
    /// Files whose flag "immutable" or "append-only" was cleared.
    pub flags_cleared: u64,
}
