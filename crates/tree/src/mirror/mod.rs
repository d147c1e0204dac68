//! Bringing a replica to the state of a source, and knowing durably how far that is.
//!
//! ```text
//! per batch:  manifest ← what is about to change   (on the disk)
//!             act                                  (several threads)
//!             replica.sync()
//!             manifest ← what is there now         (on the disk)
//! ```
//! Killed anywhere in between, what the manifest is in doubt of is done again. Directories are dressed at the end, the
//! deepest first, since all that is put into one changes its time; until then the manifest has them as dirty.

mod batch;
mod copy;
mod plan;
mod reading;
mod reconcile;
mod round;

use std::{sync::atomic::AtomicBool, time::Duration};

use strongroom_event::Observer;

use crate::{Entry, Filter, Manifest, ManifestError, RelPath, Replica, Source, Timestamp, TreeError};
use copy::Hands;
pub(crate) use plan::is_same_meta;
pub use reconcile::{Reconciled, reconcile};
use round::Round;

/// How a mirror works.
pub struct Mirroring<'a> {
    /// Files at once.
    pub workers: usize,
    /// When this round began, by the clock that stamps the files of the source. What changed less than a tick before is
    /// taken for dirty the next time.
    pub round_started: Timestamp,
    /// How far apart two changes of a file must be to be told apart by its times: [`LocalTree::tick`](crate::LocalTree).
    pub tick: Duration,
    /// What may change without its times telling, because somebody has it open or mapped for writing: read now, and read
    /// again the next time.
    pub always_dirty: &'a (dyn Fn(&Entry) -> bool + Sync),
    /// After so many entries a batch is made durable.
    pub batch_entries: usize,
    /// Or after so many bytes.
    pub batch_bytes: u64,
    /// Says that it is to stop. What was copied by then is kept.
    pub stop: &'a AtomicBool,
}

/// What a mirror did.
#[derive(Debug, Default)]
pub struct Mirrored {
    /// Entries made or replaced.
    pub copied: u64,
    /// Bytes of content that were read.
    pub bytes: u64,
    /// Entries taken away.
    pub removed: u64,
    /// Entries that got other metadata only.
    pub dressed: u64,
    /// Entries that were as they should be.
    pub unchanged: u64,
    /// What changed, or went, while it was looked at: the next round comes back to it.
    pub dirty_left: Vec<RelPath>,
    /// What could not be read, or cannot be held ([`TreeError::cannot_hold`]). The replica does not have it.
    pub failed: Vec<TreeError>,
}

/// Why a mirror ended early. What was made durable by then is in the manifest, and the next round goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// There is no room for the replica.
    #[error("there is no room: {0}")]
    NoRoom(#[source] TreeError),
    /// There is no room for the manifest.
    #[error("there is no room for the manifest: {0}")]
    NoRoomForManifest(#[source] ManifestError),
    /// The replica failed.
    #[error(transparent)]
    Replica(TreeError),
    /// The manifest failed.
    #[error(transparent)]
    Manifest(ManifestError),
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
}

impl MirrorError {
    /// Whether something is full: it is a pause.
    pub fn is_no_room(&self) -> bool {
        matches!(self, Self::NoRoom(_) | Self::NoRoomForManifest(_))
    }

    /// What it means that the replica failed.
    fn of_replica(error: TreeError) -> Self {
        if error.is_full() { Self::NoRoom(error) } else { Self::Replica(error) }
    }
}

impl From<ManifestError> for MirrorError {
    fn from(error: ManifestError) -> Self {
        if error.is_full() { Self::NoRoomForManifest(error) } else { Self::Manifest(error) }
    }
}

/// Brings `replica` to the state of what passes `filter` of `source`, and `manifest` to what `replica` durably holds.
///
/// The same filter each time. What is dropped by choice: [`WithoutXattrs`](crate::WithoutXattrs).
pub fn mirror(
    source: &dyn Source,
    filter: &Filter,
    replica: &dyn Replica,
    manifest: &mut Manifest,
    how: &Mirroring<'_>,
    observer: &dyn Observer,
) -> Result<Mirrored, MirrorError> {
    let key = manifest.key().duplicate();
    let hands = Hands { source, replica, how, observer, key: &key };
    let done = Round::new(hands, filter, manifest).run()?;
    manifest.compact_if_worthwhile()?;
    Ok(done)
}
