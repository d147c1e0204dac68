//! A failed system call, with what it was to do on which path.

use std::{
    io,
    path::{Path, PathBuf},
};

/// What was attempted on which path, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("{attempted} {}: {source}", path.display())]
pub struct PathError {
    /// What was attempted, as a participle: "writing", "renaming into place".
    pub attempted: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl PathError {
    /// For `map_err`: what failed on `path`.
    pub fn on<E: Into<io::Error>>(attempted: &'static str, path: &Path) -> impl FnOnce(E) -> PathError {
        move |source| PathError { attempted, path: path.to_owned(), source: source.into() }
    }
}
