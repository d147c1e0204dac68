//! Which entries are meant.

use crate::{Entry, RelPath};

/// Which entries a walk gives: all but those that a pattern excludes.
#[derive(Clone, Debug, Default)]
pub struct Filter {}

/// Why a pattern means nothing.
#[derive(Debug, thiserror::Error)]
#[error("the pattern {pattern:?} means nothing: {why}")]
pub struct BadPattern {
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

impl Filter {
    /// All of them.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Leaves out what matches one of `patterns`, which read as in .gitignore: without a slash within, a name at any
    /// depth; with one, a path from the root; `*` and `?` stay within a name, `**` goes across; with a slash at the end,
    /// directories only; of several that match, the last one decides, and one that begins with `!` brings back.
    pub fn exclude<P: AsRef<str>>(self, patterns: impl IntoIterator<Item = P>) -> Result<Self, BadPattern> {
        let _ = patterns;
        todo!()
    }

    /// Of files and all else that is no directory, gives only those that match one of `patterns`, or are in a directory
    /// that does. Directories are given as far as they lead there. No patterns: no restriction.
    pub fn include<P: AsRef<str>>(self, patterns: impl IntoIterator<Item = P>) -> Result<Self, BadPattern> {
        let _ = patterns;
        todo!()
    }

    /// Leaves out exactly these, and what is in them.
    pub fn without(self, paths: impl IntoIterator<Item = RelPath>) -> Self {
        let _ = paths;
        todo!()
    }

    /// Gives only these, what is in them, and the directories that lead to them. None: no restriction.
    pub fn only(self, paths: impl IntoIterator<Item = RelPath>) -> Self {
        let _ = paths;
        todo!()
    }

    /// Whether an entry is given (and, if it is a directory, walked).
    pub fn passes(&self, entry: &Entry) -> bool {
        self.passes_path(&entry.path, entry.is_dir())
    }

    /// Whether a path is given, known to be a directory or not.
    pub fn passes_path(&self, _path: &RelPath, _is_dir: bool) -> bool {
        true
    }
}
