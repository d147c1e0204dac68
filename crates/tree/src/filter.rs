//! Which entries are meant.

use crate::{Entry, RelPath};

/// Which entries a walk gives: all but those that a pattern excludes.
#[derive(Clone, Debug, Default)]
pub struct Filter {}

impl Filter {
    /// All of them.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Whether an entry is given (and, if it is a directory, walked).
    pub fn passes(&self, _entry: &Entry) -> bool {
        true
    }

    /// Whether a path is given, known to be a directory or not.
    pub fn passes_path(&self, _path: &RelPath, _is_dir: bool) -> bool {
        true
    }
}
