//! Why an entry could not be walked, read or made.

use std::{io, path::Path};

use strongroom_event::PathText;

use crate::{NotWithin, RelPath};

/// What was attempted on which entry, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("{attempted} {path}: {source}")]
pub struct TreeError {
    /// A gerund, as in "reading".
    pub attempted: &'static str,
    /// The entry.
    pub path: RelPath,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

impl TreeError {
    /// For `map_err`.
    pub fn on<E: Into<io::Error>>(attempted: &'static str, path: &RelPath) -> impl FnOnce(E) -> TreeError + use<E> {
        let path = path.clone();
        move |source| TreeError { attempted, path, source: source.into() }
    }

    /// The root itself could not be opened: the one error that needs the path of this machine.
    pub(crate) fn of_root(root: &Path, errno: rustix::io::Errno) -> TreeError {
        let source = io::Error::from(errno);
        let source = io::Error::new(source.kind(), format!("{}: {source}", root.display()));
        TreeError { attempted: "opening", path: RelPath::root(), source }
    }

    /// Whether the entry was there a moment ago, and is gone.
    pub fn is_vanished(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// What of the entry cannot be held where it was to be made, if that is why it failed.
    pub fn cannot_hold(&self) -> Option<&CannotHold> {
        self.source.get_ref()?.downcast_ref()
    }

    /// Whether the disk or a quota is full.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Something of an entry that a tree cannot hold, whatever is tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotHold {
    /// A symbolic link that points too far.
    #[error("a symbolic link to {len} bytes of path is too long for it")]
    Target {
        /// Bytes of its target.
        len: usize,
    },
    /// A name.
    #[error("its name is too long for it, or not allowed in it")]
    Name,
    /// An extended attribute.
    #[error("the extended attribute {} cannot be kept: {why}", PathText(name))]
    Xattr {
        /// Its name.
        name: Vec<u8>,
        /// Why.
        why: String,
    },
    /// A file so long.
    #[error("{len} bytes are too many for it")]
    Length {
        /// Bytes.
        len: u64,
    },
    /// This kind of entry.
    #[error("{0} cannot be made in it")]
    Kind(&'static str),
}

impl From<CannotHold> for io::Error {
    fn from(error: CannotHold) -> Self {
        io::Error::new(io::ErrorKind::Unsupported, error)
    }
}

impl From<NotWithin> for io::Error {
    fn from(error: NotWithin) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}
