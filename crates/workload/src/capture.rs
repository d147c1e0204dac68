//! A consistent copy of something that is in use: the seam for each kind of database.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use strongroom_event::Observer;

use crate::{Scratch, WorkloadError};

/// Knows one kind of database, or of anything else that a program writes while it is copied.
pub trait Capture: Send + Sync {
    /// The kind's name, as metadata has it: `sqlite`.
    fn kind(&self) -> &'static str;

    /// Whether what is at `path` within `root` is of this kind, by what it holds.
    fn detect(&self, root: &Path, path: &Path) -> io::Result<bool>;

    /// Takes a copy that is whole, whoever writes meanwhile. What comes out has no name anywhere: killed, nothing is left.
    ///
    /// Something that is damaged is still captured, as the bytes that are there, and says so in its
    /// [`verdict`](Captured::verdict). An error means that there is no copy.
    fn capture(&self, what: &Component, scratch: &Scratch, observer: &dyn Observer) -> Result<Captured, WorkloadError>;

    /// Looks whether what was restored to `path` is sound. Nobody may be writing to it. It is not changed, and nothing
    /// stays beside it.
    fn check(&self, path: &Path) -> Result<Report, WorkloadError>;
}

/// What is to be captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// The directory that is backed up.
    pub root: PathBuf,
    /// The database, relative to `root`.
    pub path: PathBuf,
    /// Files that belong to it, relative to `root`. One that does not exist is reported.
    pub sidecars: Vec<PathBuf>,
}

impl Component {
    /// The database's whole path.
    pub fn whole_path(&self) -> PathBuf {
        self.root.join(&self.path)
    }
}

/// A consistent copy.
#[derive(Debug)]
pub struct Captured {
    /// The files of the copy, the database itself first, and its sidecars last.
    pub parts: Vec<Part>,
    /// Files of the source, relative to the root, that these parts stand for. They are not to be copied besides; some of
    /// them may not exist.
    pub stands_for: Vec<PathBuf>,
    /// How it was taken.
    pub how: How,
    /// What a check of it said.
    pub verdict: Verdict,
    /// What is known of it, such as `page_size` and `rows.TABLE`, for the metadata.
    pub facts: BTreeMap<String, String>,
    /// What an operator should know, each a sentence.
    pub warnings: Vec<String>,
}

/// A file of a copy.
#[derive(Debug)]
pub struct Part {
    /// Where it belongs, relative to the root.
    pub path: PathBuf,
    /// Its bytes: an unnamed file, at its beginning, readable at any offset.
    pub content: File,
    /// How many.
    pub len: u64,
}

/// How a copy was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// By the database's own means, in one transaction.
    Snapshot,
    /// Byte by byte, while the database's own locks kept writers away.
    UnderLocks,
    /// Byte by byte, with nothing to keep writers away, but unchanged meanwhile by size and times.
    Unchanged,
    /// Byte by byte, as good as it would go.
    AsItLies,
}

impl How {
    /// The word for it in metadata.
    pub fn word(self) -> &'static str {
        match self {
            How::Snapshot => "snapshot",
            How::UnderLocks => "under-locks",
            How::Unchanged => "unchanged-meanwhile",
            How::AsItLies => "as-it-lies",
        }
    }
}

/// What a check said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Sound,
    /// It is damaged, in these ways.
    Damaged(Vec<String>),
    /// It could not be checked, or was not to be: why.
    Unchecked(String),
}

/// What a check of a restored database found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether it is sound.
    pub verdict: Verdict,
    /// As in [`Captured::facts`], to be compared with those.
    pub facts: BTreeMap<String, String>,
}
