//! Bringing a replica to the state of a source, and knowing durably how far that is.

use std::sync::atomic::AtomicBool;

use strongroom_event::Observer;

use crate::{Entry, Filter, Manifest, ManifestError, RelPath, Replica, Source, Timestamp, TreeError};

/// How a mirror works.
pub struct Mirroring<'a> {
    /// Files at once.
    pub workers: usize,
    /// When this round began, by the clock that stamps the files of the source. What changed less than two seconds before
    /// is taken for dirty the next time.
    pub round_started: Timestamp,
    /// What may change without its times telling, because somebody has it open or mapped for writing: read again each time.
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
}

/// Brings `replica` to the state of what passes `filter` of `source`, and `manifest` to what `replica` durably holds.
///
/// The same filter each time. What the source dropped by choice: [`WithoutXattrs`](crate::WithoutXattrs).
#[allow(clippy::unimplemented, unused_variables)]
pub fn mirror(
    source: &dyn Source,
    filter: &Filter,
    replica: &dyn Replica,
    manifest: &mut Manifest,
    how: &Mirroring<'_>,
    observer: &dyn Observer,
) -> Result<Mirrored, MirrorError> {
    unimplemented!()
}

/// What was found when a replica was looked through after a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Entries that the manifest does not know, taken away.
    pub removed: u64,
    /// Entries of the manifest that are missing or other, and will be copied again.
    pub forgotten: u64,
}

/// After a crash, before the next [`mirror`]: looks through the replica, takes away what the manifest does not know, and
/// forgets what is missing or not as the manifest says (by metadata; content is not read).
#[allow(clippy::unimplemented, unused_variables)]
pub fn reconcile(
    replica: &dyn Replica,
    manifest: &mut Manifest,
    observer: &dyn Observer,
) -> Result<Reconciled, MirrorError> {
    unimplemented!()
}
