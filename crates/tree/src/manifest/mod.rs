//! What a replica durably holds, path by path: the memory of a mirror, and later the state that a rollback is measured
//! against.

mod log;
mod record;

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::BTreeSet,
    io,
    ops::Bound::{Excluded, Unbounded},
    path::{Path, PathBuf},
};

use strongroom_crypto::{Key, Sha256, hmac_sha256};
use strongroom_durable::PathError;

use crate::digest::digest;
use crate::{Content, Entry, Look, RelPath, Stamp};
use log::Log;
pub(crate) use record::Operation;

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
        path: PathBuf,
    },
    /// Not torn at the end, as after a power cut, but damaged before it.
    #[error("the manifest {} is damaged at byte {at}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
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
///
/// What a mirror does in a batch is announced before ([`Manifest::begin`](Self::begin)) and recorded when it is durable
/// ([`Manifest::done`](Self::done)). Where one was announced and not recorded, anything may be: the replica is in doubt there.
pub struct Manifest {
    log: Log,
    state: State,
    /// Bytes of the log when it was last written anew.
    compacted: u64,
}

/// Operations of one record, in bytes, about.
const PORTION: usize = 1 << 20;
/// A log is not written anew before it has so many bytes.
const WORTHWHILE: u64 = 8 << 20;

impl Manifest {
    /// A new one at `path`, where nothing may be: the replica is empty.
    pub fn create(path: &Path, key: &Key<32>) -> Result<Self, ManifestError> {
        Ok(Self { log: Log::create(path, key)?, state: State::default(), compacted: 0 })
    }

    /// The one at `path`.
    pub fn open(path: &Path, key: &Key<32>) -> Result<Self, ManifestError> {
        let mut state = State::default();
        let log = Log::open(path, key, |payload| state.replay(payload))?;
        Ok(Self { log, state, compacted: 0 })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.log.path()
    }

    /// What the replica holds at `path`.
    pub fn get(&self, path: &RelPath) -> Option<&Known> {
        self.state.known.get(path).map(|slot| &slot.0)
    }

    /// All of it, in the order of [`RelPath`]: parents first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Known> {
        self.state.known.iter().map(|slot| &slot.0)
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.state.known.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.state.known.is_empty()
    }

    /// Where the replica may hold anything, since a mirror was interrupted there. None once one has come to its end.
    pub fn doubtful(&self) -> impl Iterator<Item = &RelPath> {
        self.state.doubtful.iter()
    }

    /// Notes that what the replica holds at these paths was found equal to the source, which looked like this before and
    /// after ([`Compared::still`](crate::Compared)). Those whose source looks otherwise here are passed over. How many
    /// were noted.
    pub fn settle(&mut self, seen: impl IntoIterator<Item = (RelPath, Look)>) -> Result<u64, ManifestError> {
        let is_to_settle = |manifest: &Self, path: &RelPath, look: &Look| {
            let known = manifest.get(path).filter(|known| !known.dirty && !known.settled && known.digest.is_some());
            known.is_some_and(|known| is_as(look, &known.entry))
        };
        let operations: Vec<_> = seen
            .into_iter()
            .filter(|(path, look)| is_to_settle(self, path, look))
            .map(|(path, _)| Operation::Settle(path))
            .collect();
        let count = operations.len() as u64;
        self.record(operations)?;
        Ok(count)
    }

    /// Says of all files that they have to be compared again.
    pub fn unsettle_all(&mut self) -> Result<(), ManifestError> {
        self.record(vec![Operation::UnsettleAll])
    }

    /// Writes the file anew without what is superseded.
    pub fn compact(&mut self) -> Result<(), ManifestError> {
        let known = self.state.known.iter().map(|slot| Operation::Know(slot.0.clone()));
        let doubtful = self.state.doubtful.iter().map(|path| Operation::Doubt(path.clone()));
        self.log.replace(Portions(known.chain(doubtful)))?;
        self.compacted = self.log.len();
        Ok(())
    }

    /// A keyed digest over all entries and their digests, whatever the history of the file. Marks (`settled`, `dirty`) do
    /// not count.
    pub fn fingerprint(&self) -> [u8; 32] {
        let (mut all, mut bytes) = (Sha256::new(), Vec::new());
        for known in self.iter() {
            bytes.clear();
            record::encode_content(known, &mut bytes);
            all.update(&bytes);
        }
        for path in self.doubtful() {
            bytes.clear();
            Operation::Doubt(path.clone()).encode(&mut bytes);
            all.update(&bytes);
        }
        hmac_sha256(self.log.key().expose(), &all.finish())
    }

    /// The digest that [`Known::digest`] would be for this content, read plainly from its beginning to its end.
    pub fn digest(&self, content: &mut dyn Content) -> io::Result<[u8; 32]> {
        digest(content, self.log.key(), &mut |_| {})
    }

    pub(crate) fn key(&self) -> &Key<32> {
        self.log.key()
    }

    /// What is known, or in doubt, after one path and before another.
    pub(crate) fn between(&self, after: Option<&RelPath>, before: Option<&RelPath>) -> BTreeSet<RelPath> {
        let range = (after.map_or(Unbounded, Excluded), before.map_or(Unbounded, Excluded));
        let known = self.state.known.range::<RelPath, _>(range).map(|slot| slot.0.entry.path.clone());
        known.chain(self.state.doubtful.range::<RelPath, _>(range).cloned()).collect()
    }

    /// Whether anything is known within `path`, itself not counted.
    pub(crate) fn knows_within(&self, path: &RelPath) -> bool {
        let mut after = self.state.known.range::<RelPath, _>((Excluded(path), Unbounded));
        after.next().is_some_and(|slot| slot.0.entry.path.is_within(path))
    }

    /// How much is known at `path` and within.
    pub(crate) fn count_within(&self, path: &RelPath) -> usize {
        let range = self.state.known.range::<RelPath, _>(path..);
        range.take_while(|slot| slot.0.entry.path.is_within(path)).count()
    }

    /// Records, durably, that what is at these paths (and in these trees) is about to change.
    pub(crate) fn begin(&mut self, paths: Vec<RelPath>, trees: Vec<RelPath>) -> Result<(), ManifestError> {
        let trees = trees.into_iter().map(Operation::DoubtTree);
        self.record(trees.chain(paths.into_iter().map(Operation::Doubt)).collect())
    }

    /// Records what became durable.
    pub(crate) fn done(&mut self, operations: Vec<Operation>) -> Result<(), ManifestError> {
        self.record(operations)
    }

    /// Writes the file anew if most of it is superseded. That there is no room for it does not matter.
    pub(crate) fn compact_if_worthwhile(&mut self) -> Result<(), ManifestError> {
        if self.log.len() < WORTHWHILE.max(self.compacted * 3) {
            return Ok(());
        }
        match self.compact() {
            Err(error) if error.is_full() => Ok(()),
            compacted => compacted,
        }
    }

    fn record(&mut self, operations: Vec<Operation>) -> Result<(), ManifestError> {
        for payload in Portions(operations.iter().cloned()) {
            self.log.append(&payload)?;
        }
        operations.into_iter().for_each(|operation| self.state.apply(operation));
        Ok(())
    }
}

/// Whether a source that looks like this is as it was when `entry` was copied.
pub(crate) fn is_as(look: &Look, entry: &Entry) -> bool {
    look.len == entry.len() && look.mtime == entry.meta.mtime && is_same_stamp(&look.stamp, &entry.stamp)
}

/// Whether two stamps are of one state of one file. How many blocks it takes may change by itself.
pub(crate) fn is_same_stamp(a: &Stamp, b: &Stamp) -> bool {
    (a.dev, a.ino, a.ctime, a.links) == (b.dev, b.ino, b.ctime, b.links)
}

#[derive(Default)]
struct State {
    known: BTreeSet<Slot>,
    doubtful: BTreeSet<RelPath>,
}

/// What is known, by its path.
struct Slot(Known);

impl State {
    /// Applies a payload; `false` if it makes no sense.
    fn replay(&mut self, mut payload: &[u8]) -> bool {
        while !payload.is_empty() {
            match Operation::decode(&mut payload) {
                Some(operation) => self.apply(operation),
                None => return false,
            }
        }
        true
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Doubt(path) => {
                self.known.remove(&path);
                self.doubtful.insert(path);
            }
            Operation::DoubtTree(path) => {
                let within = self.take_within(&path);
                self.doubtful.extend(within);
                self.doubtful.insert(path);
            }
            Operation::Know(mut known) => {
                let entry = &mut known.entry;
                (entry.meta.user, entry.meta.group, entry.stamp.blocks) = (None, None, 0);
                self.doubtful.remove(&entry.path);
                self.known.replace(Slot(known));
            }
            Operation::Gone(path) => {
                self.take_within(&path);
                let doubtful: Vec<_> =
                    self.doubtful.range(&path..).take_while(|other| other.is_within(&path)).cloned().collect();
                doubtful.iter().for_each(|path| drop(self.doubtful.take(path)));
            }
            Operation::Dirty(path) => self.change(&path, |known| known.dirty = true),
            Operation::Settle(path) => self.change(&path, |known| known.settled = true),
            Operation::UnsettleAll => {
                let known = std::mem::take(&mut self.known).into_iter();
                self.known = known.map(|Slot(known)| Slot(Known { settled: false, ..known })).collect();
            }
        }
    }

    fn change(&mut self, path: &RelPath, change: impl FnOnce(&mut Known)) {
        if let Some(Slot(mut known)) = self.known.take(path) {
            change(&mut known);
            self.known.insert(Slot(known));
        }
    }

    /// Forgets what is known at `path` and within, and tells where.
    fn take_within(&mut self, path: &RelPath) -> Vec<RelPath> {
        let range = self.known.range::<RelPath, _>(path..).map(|slot| &slot.0.entry.path);
        let paths: Vec<_> = range.take_while(|other| other.is_within(path)).cloned().collect();
        paths.iter().for_each(|path| drop(self.known.take(path)));
        paths
    }
}

impl Borrow<RelPath> for Slot {
    fn borrow(&self) -> &RelPath {
        &self.0.entry.path
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Slot {}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slot {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.entry.path.cmp(&other.0.entry.path)
    }
}

/// Operations in bytes, so many that a record is not too long.
struct Portions<I>(I);

impl<I: Iterator<Item = Operation>> Iterator for Portions<I> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut payload = Vec::new();
        while payload.len() < PORTION
            && let Some(operation) = self.0.next()
        {
            operation.encode(&mut payload);
        }
        Some(payload).filter(|payload| !payload.is_empty())
    }
}
