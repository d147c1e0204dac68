//! What can go wrong in a view. Only `mount/src/errno.rs` turns these into numbers for the kernel.

use std::io;

use rustix::io::Errno;

/// Why an operation on a view failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// No such entry: it is not there, or the name does not decrypt.
    #[error("no such file or directory")]
    NotFound,
    /// What the node stood for is not where it was found, or has become something else.
    #[error("what was there has been replaced")]
    Stale,
    /// The entry is excluded from the view.
    #[error("excluded from the view")]
    Excluded,
    /// A directory was needed.
    #[error("not a directory")]
    NotADirectory,
    /// Something else than a directory was needed.
    #[error("is a directory")]
    IsADirectory,
    /// The operation makes no sense for this file.
    #[error("the argument makes no sense here")]
    InvalidArgument,
    /// The name is too long, or the encrypted target of a link is longer than the kernel takes.
    #[error("the name or the link's target is too long")]
    NameTooLong,
    /// The name cannot be encrypted, or not be decrypted.
    #[error("not a name in the view")]
    BadName,
    /// No such extended attribute.
    #[error("no such extended attribute")]
    NoAttribute,
    /// The operation is not supported by the file system that holds the plaintext.
    #[error("not supported")]
    Unsupported,
    /// There are no more data after the offset.
    #[error("nothing after the offset")]
    NoMoreData,
    /// The file system that holds the plaintext refused.
    #[error("{0}")]
    Plaintext(#[from] io::Error),
}

impl From<Errno> for ViewError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => ViewError::NotFound,
            Errno::STALE => ViewError::Stale,
            // A symbolic link came where the way led through a directory.
            Errno::NOTDIR | Errno::LOOP => ViewError::NotFound,
            Errno::NAMETOOLONG => ViewError::NameTooLong,
            Errno::NODATA => ViewError::NoAttribute,
            Errno::OPNOTSUPP => ViewError::Unsupported,
            other => ViewError::Plaintext(other.into()),
        }
    }
}

/// What operations on a view give.
pub type Result<T> = std::result::Result<T, ViewError>;
