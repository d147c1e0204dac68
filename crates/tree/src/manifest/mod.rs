//! What a replica durably holds, path by path: the memory of a mirror, and later the state that a rollback is measured
//! against.

use std::{io, path::Path};

use strongroom_crypto::Key;
use strongroom_durable::PathError;

use crate::{Content, Entry, Look, RelPath};

/// What a replica holds at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// As the source had it when it was copied. Names of owners are not kept.
    pub entry: Entry,
    /// Of a regular file, the keyed digest of what was read; `None` for all else, and for a file that changed while it was
    /// read.
    pub digest: Option<[u8; 32]>,
    /// The replica may hold something else by now than the source, without its stamp telling: it is looked at again.
    pub dirty: bool,
    /// What the replica holds was read back and compared while the source stood still.
    pub settled: bool,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A system call failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The file is something else, or another key made it.
    #[error("{} is no manifest of this migration", path.display())]
    NotAManifest {
        /// The file.
        path: std::path::PathBuf,
    },
    /// Not torn at the end, as after a power cut, but damaged before it.
    #[error("the manifest {} is damaged at byte {at}", path.display())]
    Damaged {
        /// The file.
        path: std::path::PathBuf,
        /// Where the first damaged record begins.
        at: u64,
    },
}

impl ManifestError {
    /// Whether the disk or a quota is full.
    pub fn is_full(&self) -> bool {
        let Self::Path(error) = self else { return false };
        matches!(error.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// What a replica durably holds. Kept in memory, and on the disk as a log that is only added to.
pub struct Manifest {}

#[allow(clippy::unimplemented, unused_variables, missing_docs)]
impl Manifest {
    /// A new one at `path`, where nothing may be: the replica is empty.
    pub fn create(path: &Path, key: &Key<32>) -> Result<Self, ManifestError> {
        unimplemented!()
    }

    /// The one at `path`.
    pub fn open(path: &Path, key: &Key<32>) -> Result<Self, ManifestError> {
        unimplemented!()
    }

    /// What the replica holds at `path`.
    pub fn get(&self, path: &RelPath) -> Option<&Known> {
        unimplemented!()
    }

    /// All of it, in the order of [`RelPath`]: parents first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Known> {
        std::iter::empty()
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }

    /// Where the replica may hold anything, since a mirror was interrupted there. None once one has come to its end.
    pub fn doubtful(&self) -> impl Iterator<Item = &RelPath> {
        std::iter::empty()
    }

    /// Notes that what the replica holds at these paths was found equal to the source, which looked like this before and
    /// after ([`Compared::still`](crate::Compared)). Those whose source looks otherwise here are passed over. How many
    /// were noted.
    pub fn settle(&mut self, seen: impl IntoIterator<Item = (RelPath, Look)>) -> Result<u64, ManifestError> {
        unimplemented!()
    }

    /// Says of all files that they have to be compared again.
    pub fn unsettle_all(&mut self) -> Result<(), ManifestError> {
        unimplemented!()
    }

    /// Writes the file anew without what is superseded.
    pub fn compact(&mut self) -> Result<(), ManifestError> {
        unimplemented!()
    }

    /// A keyed digest over all entries and their digests, whatever the history of the file. Marks (`settled`, `dirty`) do
    /// not count.
    pub fn fingerprint(&self) -> [u8; 32] {
        unimplemented!()
    }

    /// The digest that [`Known::digest`] would be for this content, read plainly from its beginning to its end.
    pub fn digest(&self, content: &mut dyn Content) -> io::Result<[u8; 32]> {
        unimplemented!()
    }
}
