//! What can go wrong in a vault. Only `mount/src/errno.rs` turns these into numbers for the kernel.

use std::io;

use strongroom_event::PathText;

/// Why an operation on a vault failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// No such entry, or the node is unknown.
    #[error("no such file or directory")]
    NotFound,
    /// The name exists already.
    #[error("the name exists already")]
    Exists,
    /// A directory was needed.
    #[error("not a directory")]
    NotADirectory,
    /// Something else than a directory was needed.
    #[error("is a directory")]
    IsADirectory,
    /// The directory has entries.
    #[error("the directory is not empty")]
    NotEmpty,
    /// The name cannot be stored: empty, or with `/` or NUL, or `.` or `..`.
    #[error("the name cannot be stored")]
    InvalidName,
    /// The name is too long, plain or encrypted.
    #[error("the name is too long")]
    NameTooLong,
    /// A plaintext-names vault keeps the name `gocryptfs.conf` in its root for itself.
    #[error("the name is reserved for the vault itself")]
    Reserved,
    /// Stored data do not authenticate or cannot be decoded. Reported to the observer where it was found.
    #[error("{}: {what}", PathText(path))]
    Corrupt {
        /// Plaintext path, as far as known.
        path: Vec<u8>,
        /// What is wrong.
        what: String,
    },
    /// The offset or size is beyond what the format can hold.
    #[error("the file would be too large")]
    TooLarge,
    /// The operation does not make sense for this file or with these arguments.
    #[error("the argument makes no sense here")]
    InvalidArgument,
    /// The vault is read-only.
    #[error("the vault is read-only")]
    ReadOnly,
    /// No such extended attribute.
    #[error("no such extended attribute")]
    NoAttribute,
    /// The operation is not supported, by the vault or by the file system that holds the ciphertext.
    #[error("not supported")]
    Unsupported,
    /// There are no more data (or holes) after the offset.
    #[error("nothing after the offset")]
    NoMoreData,
    /// The file system that holds the ciphertext refused.
    #[error("{0}")]
    Backing(#[from] io::Error),
}

impl From<rustix::io::Errno> for VaultError {
    fn from(errno: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        match errno {
            Errno::NOENT => VaultError::NotFound,
            Errno::EXIST => VaultError::Exists,
            Errno::NOTDIR => VaultError::NotADirectory,
            Errno::ISDIR => VaultError::IsADirectory,
            Errno::NOTEMPTY => VaultError::NotEmpty,
            Errno::NAMETOOLONG => VaultError::NameTooLong,
            Errno::ROFS => VaultError::ReadOnly,
            Errno::OPNOTSUPP => VaultError::Unsupported,
            other => VaultError::Backing(other.into()),
        }
    }
}

impl From<strongroom_format::NameError> for VaultError {
    fn from(error: strongroom_format::NameError) -> Self {
        match error {
            strongroom_format::NameError::TooLong => VaultError::NameTooLong,
            _ => VaultError::InvalidName,
        }
    }
}

/// What vault operations give.
pub type Result<T> = std::result::Result<T, VaultError>;
