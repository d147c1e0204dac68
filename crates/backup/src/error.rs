//! Why a backup or a restore could not be made.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use strongroom_archive::{ArchiveError, FileName};
use strongroom_durable::{LockError, PathError, SwapError};
use strongroom_secret::SecretError;
use strongroom_tree::{BadPattern, RelPath, TreeError};

/// An archive that is needed and not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its id, in hex.
    pub id: String,
    /// The file name that it had.
    pub file_name: String,
}

/// What was attempted on what, and why it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// An archive cannot be written or read.
    #[error("{attempted} {}: {source}", path.display())]
    Archive {
        /// A gerund, as in "reading".
        attempted: &'static str,
        /// The archive.
        path: PathBuf,
        /// Why not.
        source: ArchiveError,
    },
    /// What an archive has of an entry cannot be read.
    #[error("restoring {entry} from {}: {source}", path.display())]
    Content {
        /// The archive.
        path: PathBuf,
        /// The entry.
        entry: RelPath,
        /// Why not.
        source: ArchiveError,
    },
    /// An entry of a tree cannot be read or made.
    #[error("in {}: {source}", root.display())]
    Tree {
        /// The root of the tree.
        root: PathBuf,
        /// Why not.
        source: TreeError,
    },
    /// A file or directory cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The place, or the target, is in use.
    #[error(transparent)]
    Busy(LockError),
    /// A passphrase cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is no such archive, or it is none.
    #[error("{word} is not an archive: {why}")]
    NoArchive {
        /// What was asked for.
        word: String,
        /// Why it is none.
        why: String,
    },
    /// The beginning of an id is that of several.
    #[error("{word} could be {}", candidates.join(" or "))]
    Ambiguous {
        /// What was asked for.
        word: String,
        /// What it could be.
        candidates: Vec<String>,
    },
    /// Archives that this one needs are not where it is.
    #[error("{archive} needs {}, which is not there", list(missing))]
    MissingBase {
        /// The archive.
        archive: String,
        /// What it needs.
        missing: Vec<Missing>,
    },
    /// An archive that this one needs is there, and is another than it was.
    #[error("{} is not the archive that {archive} was made against", base.display())]
    ChangedBase {
        /// The archive.
        archive: String,
        /// What has its place.
        base: PathBuf,
    },
    /// What was read is not what was written.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The archive, or the file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// An archive may not be deleted, as others need it.
    #[error("{archive} is needed by {}", by.join(", "))]
    Needed {
        /// The archive.
        archive: String,
        /// Who needs it.
        by: Vec<String>,
    },
    /// An archive may not be deleted, as somebody locked it.
    #[error("{archive} is locked")]
    Locked {
        /// The archive.
        archive: String,
    },
    /// An archive may not be deleted, as there is no other good one.
    #[error("{archive} is the last good backup of {name}")]
    LastGood {
        /// The archive.
        archive: String,
        /// What is backed up in it.
        name: String,
    },
    /// The target is not to be touched in the way that was asked for.
    #[error("{}: {why}", target.display())]
    Refused {
        /// The target.
        target: PathBuf,
        /// Why.
        why: String,
    },
    /// It is certain that there is too little room.
    #[error("{} has room for {available} bytes, and {needed} are needed", at.display())]
    Space {
        /// Where.
        at: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes available.
        available: u64,
    },
    /// The archive became larger than allowed.
    #[error("the archive would be larger than {max} bytes")]
    TooLarge {
        /// What was allowed.
        max: u64,
    },
    /// There is no such component, or no entry matches.
    #[error("there is no {what} {word:?}; there is {}", known.join(", "))]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// The word.
        word: String,
        /// What would have been right.
        known: Vec<String>,
    },
    /// A database cannot be captured, or is not well.
    #[error("the database {}: {why}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A pattern means nothing.
    #[error(transparent)]
    Pattern {
        /// What is wrong with it.
        #[from]
        source: BadPattern,
    },
    /// A swap was interrupted, and can be neither finished nor taken back. Nothing is removed.
    #[error("an interrupted restore in {} can be neither finished nor taken back: {source}", staging.display())]
    Unfinished {
        /// Where what was to be swapped lies.
        staging: PathBuf,
        /// Why not.
        source: SwapError,
    },
    /// A swap of directories failed.
    #[error(transparent)]
    Swap(#[from] SwapError),
    /// A system call failed.
    #[error("{attempted} {}: {source}", path.display())]
    Io {
        /// A gerund, as in "reading".
        attempted: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// It was told to stop.
    #[error("it was interrupted")]
    Stopped,
    /// Something failed, and so did undoing what was done.
    #[error("{cause}; and undoing it failed: {undo}")]
    Undo {
        /// What failed.
        cause: Box<BackupError>,
        /// What failed then.
        undo: Box<BackupError>,
    },
}

impl BackupError {
    /// Whether what was read is not what was once written. What has the name of an archive and begins as one was one.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Archive { path, source: ArchiveError::NoFooter, .. } => has_name_of_archive(path),
            Self::Archive { source, .. } | Self::Content { source, .. } => source.is_damage(),
            _ => false,
        }
    }

    /// For `map_err`.
    pub(crate) fn on<E: Into<io::Error>>(attempted: &'static str, path: &Path) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_owned();
        move |source| Self::Io { attempted, path, source: source.into() }
    }

    /// For `map_err`.
    pub(crate) fn archive(attempted: &'static str, path: &Path) -> impl FnOnce(ArchiveError) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Archive { attempted, path, source }
    }

    /// For `map_err`.
    pub(crate) fn tree(root: &Path) -> impl FnOnce(TreeError) -> Self + use<> {
        let root = root.to_owned();
        move |source| Self::Tree { root, source }
    }
}

impl From<LockError> for BackupError {
    /// What cannot even be opened is not in use.
    fn from(error: LockError) -> Self {
        match error {
            LockError::Path(error) => Self::Path(error),
            busy => Self::Busy(busy),
        }
    }
}

fn has_name_of_archive(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| FileName::parse(name).is_some())
}

fn list(missing: &[Missing]) -> String {
    missing.iter().map(|one| one.file_name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use strongroom_durable::DirLock;

    use super::*;

    #[test]
    fn only_what_is_locked_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let not_a_directory = BackupError::from(DirLock::shared(&file).unwrap_err());
        assert!(matches!(not_a_directory, BackupError::Path(_)), "{not_a_directory:?}");
        let _held = DirLock::exclusive(dir.path()).unwrap();
        assert!(matches!(DirLock::shared(dir.path()).unwrap_err().into(), BackupError::Busy(_)));
    }

    #[test]
    fn only_what_has_the_name_of_an_archive_is_a_damaged_one_without_a_footer() {
        let opened = |name: &str| BackupError::archive("opening", Path::new(name))(ArchiveError::NoFooter);
        assert!(opened("place/data-20260203-040506.tar.zst").is_damage());
        assert!(!opened("place/linux-6.1.tar.zst").is_damage());
    }
}
