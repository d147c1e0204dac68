//! Why something is not erased.

use std::{io, path::PathBuf};

use strongroom_event::PathText;

/// What was attempted on what, and why it failed. Unless it says otherwise, what was erased before stays erased, and
/// erasing again with the same list goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EraseError {
    /// Something lies below the root that is not in the list. Found before anything is touched, or, if it came later, before
    /// the directory it is in is removed.
    #[error("{} is not in the list of what is to be erased", PathText(.0))]
    Unlisted(Vec<u8>),
    /// What has this name is not what was listed under it. It was left as it is.
    #[error("{} is not what was listed under that name", PathText(.0))]
    Replaced(Vec<u8>),
    /// Another file system is mounted below the root.
    #[error("{} is on another mount", PathText(.0))]
    Mounted(Vec<u8>),
    /// It is flagged immutable or append-only, and clearing flags was not allowed. Found before anything is touched.
    #[error("{} is immutable or append-only", PathText(.0))]
    Immutable(Vec<u8>),
    /// The list makes no sense: the root is not in it, a path is in it twice, a parent stands before its children.
    #[error("the list of what is to be erased: {}: {what}", PathText(.path))]
    List {
        /// The entry.
        path: Vec<u8>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The journal of the caller did not take a batch.
    #[error("recording what is being erased: {0}")]
    Record(#[source] io::Error),
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    /// A system call failed on something in the tree.
    #[error("{attempted} {}: {source}", PathText(.path))]
    Entry {
        /// What was attempted, as a participle.
        attempted: &'static str,
        /// On which path below the root; nothing for the root itself.
        path: Vec<u8>,
        /// Why it failed.
        source: io::Error,
    },
    /// A system call failed on a path of the machine.
    #[error("{attempted} {}: {source}", path.display())]
    System {
        /// What was attempted, as a participle.
        attempted: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl EraseError {
    /// For `map_err`: what failed on `path` below the root.
    pub(crate) fn at<E: Into<io::Error>>(attempted: &'static str, path: &[u8]) -> impl FnOnce(E) -> Self {
        move |source| Self::Entry { attempted, path: path.to_vec(), source: source.into() }
    }

    /// For `map_err`: what failed on `path` of the machine.
    pub(crate) fn on<E: Into<io::Error>>(attempted: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        move |source| Self::System { attempted, path: path.into(), source: source.into() }
    }
}
