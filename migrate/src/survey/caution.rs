//! What an operator should know before saying yes: nothing that keeps a migration from being right.

use std::path::PathBuf;

use serde::Serialize;

use super::Examples;

/// Something worth knowing beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "caution")]
#[non_exhaustive]
pub enum Caution {
    /// Sockets are not copied.
    #[error("sockets are not copied, their programs make them anew: {files}")]
    Sockets {
        /// Which.
        files: Examples,
    },
    /// Named pipes are made anew.
    #[error("named pipes are made anew, and what is in them now is not copied: {files}")]
    Fifos {
        /// Which.
        files: Examples,
    },
    /// Files with names outside.
    #[error("files have other names outside, which will go on with the plaintext, and are never overwritten: {files}")]
    LinksOutside {
        /// Which.
        files: Examples,
    },
    /// Programs with set-id bits.
    #[error("set-user-id and set-group-id are kept, and have no effect on the mount: {files}")]
    SetId {
        /// Which.
        files: Examples,
    },
    /// Security labels.
    #[error("security labels (SELinux, Smack) are kept, and have no effect on the mount: {files}")]
    Labels {
        /// Which.
        files: Examples,
    },
    /// Flags will be cleared.
    #[error("the immutable and append-only flags are cleared, as accepted: {files}")]
    FlagsCleared {
        /// Which.
        files: Examples,
    },
    /// Attributes will be left behind.
    #[error("the extended attribute {name} is left behind, as accepted: {files}")]
    XattrDropped {
        /// Its name.
        name: String,
        /// Whose.
        files: Examples,
    },
    /// Compressed files.
    #[error("files are compressed by the file system, and ciphertext will not be: it takes more room: {files}")]
    Compressed {
        /// Which.
        files: Examples,
    },
    /// A file system that keeps old blocks.
    #[error(
        "{kind} writes to new blocks, and may have snapshots: overwriting the originals will not reach what was there"
    )]
    CopyOnWrite {
        /// The file system's type.
        kind: String,
    },
    /// Shared blocks.
    #[error("files may share blocks with others on {kind} (reflinks), which are told apart only when erasing")]
    Reflinks {
        /// The file system's type.
        kind: String,
    },
    /// A backup in memory.
    #[error("the backup in {} is on {kind}, and gone with the next restart", path.display())]
    BackupNotKept {
        /// Where it is to lie.
        path: PathBuf,
        /// The file system's type.
        kind: String,
    },
    /// Somebody who is no service.
    #[error(
        "{} uses the data and is not known to be one of the services (of one by commands, no processes are known); it has \
         to be gone when they are stopped",
        who.join("; ")
    )]
    Held {
        /// Who, and what each holds.
        who: Vec<String>,
    },
    /// Unlinked and still open.
    #[error("files were unlinked and are still open: what is in them is in no tree, and is not copied: {files}")]
    Unlinked {
        /// Which, and by whom.
        files: Examples,
    },
    /// Who could not be looked at.
    #[error("{} could not be looked at, and may use the data", of_others(*count))]
    Unseen {
        /// How many.
        count: u64,
    },
}

/// So many processes.
pub(crate) fn of_others(count: u64) -> String {
    if count == 1 { "1 process of another user".into() } else { format!("{count} processes of other users") }
}
