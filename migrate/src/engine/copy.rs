//! Bringing the copy to the state of the source, as often as is worth while, and reading back what was copied.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use strongroom_event::{Event, Observer};
use strongroom_tree::{
    Compared, Comparison, Depth, Difference, Entry, Filter, Known, LocalTree, Manifest, MirrorError, Mirrored,
    Mirroring, Source, Timestamp, What, compare_where, delta, mirror, reconcile,
};

use super::{
    Ready, Round,
    kept::kept,
    sides::Readable,
    writers::{Writers, sync_file_system},
};
use crate::{Ballast, Direction, MigrateError, Migration, State};

/// A batch is made durable after so many entries, or so many bytes: what a crash costs at most.
const BATCH_ENTRIES: usize = 1024;
const BATCH_BYTES: u64 = 256 << 20;

impl Migration<'_> {
    /// A round of copying while the services run.
    pub(crate) fn copy_round(&mut self) -> Result<(), MigrateError> {
        let began = self.host.now();
        let source = self.source()?;
        self.phase("looking who writes");
        let writers = self.writers(source.path())?;
        let looked = self.host.now();
        let mirrored = self.mirror_in_reserved_room(&source, &writers)?;
        source.end()?;
        let ended = self.host.now();
        self.tell_failures(&mirrored)?;
        let round = Round {
            number: self.history().rounds_ever(),
            copied: mirrored.copied + mirrored.dressed + mirrored.removed,
            bytes: mirrored.bytes,
            busy_bytes: self.manifest_bytes(&writers)?,
            entries: self.manifest()?.len() as u64,
            dirty_left: mirrored.dirty_left.len() as u64,
            seconds: seconds(ended, began),
            look_seconds: seconds(looked, began),
            copy_seconds: seconds(ended, looked),
            ..Round::default()
        };
        self.reached(State::Copied, &round)
    }

    /// The first time, most of the copy is made, in room that nobody else can take.
    fn mirror_in_reserved_room(&mut self, source: &Readable, writers: &Writers) -> Result<Mirrored, MigrateError> {
        let ready: Ready = self.ledger.fact(State::Ready).unwrap_or_default();
        if self.history().rounds_ever() > 0 || ready.copy_bytes == 0 || !Ballast::is_cheap(self.copy_place()) {
            return self.mirror(source, writers);
        }
        let copied: u64 = self.manifest()?.iter().map(|known| known.entry.len()).sum();
        let ahead = ready.copy_bytes.saturating_sub(copied);
        let ballast = Ballast::reserve(self.copy_place(), self.plan.id, ahead)?;
        let watching = self.observer.clone();
        self.observer = Arc::new(Giving { watching: watching.clone(), ballast: Mutex::new(ballast) });
        let mirrored = self.mirror(source, writers);
        self.observer = watching;
        // Whatever came of it: what is paused has no use for room.
        Ballast::clear(self.copy_place(), self.plan.id)?;
        mirrored
    }

    /// Copies what has changed. The source is brought to the disk first: a page that is written to once more after that
    /// changes the times of its file once more.
    pub(crate) fn mirror(&mut self, source: &Readable, writers: &Writers) -> Result<Mirrored, MigrateError> {
        self.reconciled()?;
        sync_file_system(source.path())?;
        let tree = LocalTree::open(source.path())?;
        let tick = tree.tick();
        let tree = kept(&tree, &self.plan);
        self.tell_of_copying()?;
        let stop = self.host.stop();
        let how = Mirroring {
            workers: self.host.workers(),
            round_started: timestamp(self.host.now()),
            tick,
            always_dirty: &|entry| writers.has(entry),
            batch_entries: BATCH_ENTRIES,
            batch_bytes: BATCH_BYTES,
            stop,
        };
        self.manifest()?;
        let mut manifest = self.manifest.take().expect("it was opened just now");
        let mirrored = self.with_target(|target, observer| {
            Ok(mirror(&tree, &Filter::everything(), target, &mut manifest, &how, observer))
        });
        self.manifest = Some(manifest);
        mirrored?.map_err(|error| self.of_mirror(error))
    }

    /// Reads back what was copied and is not known to be equal, while the services run, and has every block decrypted by
    /// other code: what is done here need not be done while they are down.
    pub(crate) fn read_back(&mut self) -> Result<(), MigrateError> {
        let source = self.source()?;
        let found = self.compare(&source, "reading back")?;
        let wrong = self.wrong_in_spite_of_standing_still(source.path(), &found.differences)?;
        source.end()?;
        self.settle(found)?;
        if !wrong.is_empty() {
            return Err(self.different("what was copied is not what is in the vault", &wrong));
        }
        if self.plan.direction == Direction::Decrypt {
            // It is in use by the mount, which has just decrypted all that was compared.
            return Ok(());
        }
        self.phase("decrypting");
        let damaged = self.vault()?.check()?;
        if damaged.is_empty() { Ok(()) } else { Err(MigrateError::Damaged { wrong: damaged }) }
    }

    /// Compares the source with a fresh look at the copy: all metadata, and the content of all that was not compared since
    /// it was copied.
    pub(crate) fn compare(&mut self, source: &Readable, phase: &'static str) -> Result<Compared, MigrateError> {
        let fresh = self.fresh_target()?;
        let (first, second) = (LocalTree::open(source.path())?, LocalTree::open(fresh.path())?);
        let first = kept(&first, &self.plan);
        let is_unsettled = |known: &&Known| !known.settled || known.dirty;
        let ahead = self.manifest()?.iter().filter(is_unsettled).map(|known| known.entry.len()).sum();
        self.phase_of(phase, ahead);
        let comparison = Comparison { workers: self.host.workers(), ..Comparison::default() };
        let observer = self.observer.clone();
        let manifest = self.manifest()?;
        let is_open = |entry: &Entry| manifest.get(&entry.path).is_none_or(|known| !known.settled || known.dirty);
        let compared = compare_where(&first, &second, &Filter::everything(), &comparison, &is_open, &*observer);
        drop((first, second));
        fresh.end()?;
        Ok(compared)
    }

    /// Nothing of the source has changed since it was frozen, as far as times tell, which nobody can set back.
    pub(crate) fn refuse_change(&mut self, source: &Readable) -> Result<(), MigrateError> {
        let tree = LocalTree::open(source.path())?;
        let tree = kept(&tree, &self.plan);
        let (workers, observer) = (self.host.workers(), self.observer.clone());
        let found = delta(&tree, &Filter::everything(), self.manifest()?, Depth::Stamps, workers, &*observer);
        if let Some(error) = found.failed.into_iter().next() {
            return Err(error.into());
        }
        match found.changes.first() {
            None => Ok(()),
            Some(change) => Err(MigrateError::Different {
                what: "the original has changed since it was frozen",
                count: found.changes.len(),
                first: change.entry().path.to_string(),
            }),
        }
    }

    pub(crate) fn settle(&mut self, found: Compared) -> Result<u64, MigrateError> {
        Ok(self.manifest_mut()?.settle(found.still)?)
    }

    /// What the copy durably holds.
    pub(crate) fn manifest(&mut self) -> Result<&Manifest, MigrateError> {
        Ok(self.manifest_mut()?)
    }

    pub(crate) fn manifest_mut(&mut self) -> Result<&mut Manifest, MigrateError> {
        if self.manifest.is_none() {
            let (path, key) = (self.place.manifest(), self.place.manifest_key()?);
            let manifest = if path.exists() { Manifest::open(&path, &key) } else { Manifest::create(&path, &key) };
            self.manifest = Some(manifest?);
        }
        Ok(self.manifest.as_mut().expect("it was opened just now"))
    }

    /// Once in a run, since an earlier one may have been killed: the copy holds what the manifest says, and nothing else.
    fn reconciled(&mut self) -> Result<(), MigrateError> {
        if self.is_reconciled {
            return Ok(());
        }
        self.manifest()?;
        let mut manifest = self.manifest.take().expect("it was opened just now");
        let found = self.with_target(|target, observer| Ok(reconcile(target, &mut manifest, observer)));
        self.manifest = Some(manifest);
        found?.map_err(|error| self.of_mirror(error))?;
        self.is_reconciled = true;
        Ok(())
    }

    /// Takes what differs out of the copy, so that it is copied anew.
    pub(crate) fn take_out(&mut self, differences: &[Difference]) -> Result<(), MigrateError> {
        self.with_target(|target, _| {
            for difference in differences.iter().filter(|difference| !difference.path.is_root()) {
                target.remove(&difference.path)?;
            }
            Ok(target.sync()?)
        })?;
        self.is_reconciled = false;
        Ok(())
    }

    pub(crate) fn different(&self, what: &'static str, differences: &[Difference]) -> MigrateError {
        let first = differences.first().map_or_else(String::new, ToString::to_string);
        MigrateError::Different { what, count: differences.len(), first }
    }

    /// While services run, files differ that were changed since they were copied. One that was not is no copy.
    fn wrong_in_spite_of_standing_still(
        &mut self,
        root: &Path,
        differences: &[Difference],
    ) -> Result<Vec<Difference>, MigrateError> {
        let tree = LocalTree::open(root)?;
        let manifest = self.manifest()?;
        let is_wrong = |difference: &&Difference| {
            matches!(difference.what, What::Content(_))
                && manifest.get(&difference.path).is_some_and(|known| stands_still(known, &tree))
        };
        Ok(differences.iter().filter(is_wrong).cloned().collect())
    }

    fn tell_failures(&self, mirrored: &Mirrored) -> Result<(), MigrateError> {
        if let Some(error) = mirrored.failed.iter().find(|error| error.cannot_hold().is_some()) {
            return Err(MigrateError::Uncopied { count: mirrored.failed.len(), first: error.to_string() });
        }
        for error in mirrored.failed.iter().filter(|error| !error.is_vanished()).take(10) {
            self.warn(&format!("not copied yet: {error}"));
        }
        Ok(())
    }

    /// The first time it is known how much there is to be copied.
    fn tell_of_copying(&mut self) -> Result<(), MigrateError> {
        let ready: Ready = self.ledger.fact(State::Ready).unwrap_or_default();
        if self.history().rounds_ever() > 0 || ready.bytes == 0 {
            self.phase("copying changes");
            return Ok(());
        }
        let copied: u64 = self.manifest()?.iter().map(|known| known.entry.len()).sum();
        self.phase_of("copying", ready.bytes.saturating_sub(copied));
        Ok(())
    }

    fn manifest_bytes(&mut self, writers: &Writers) -> Result<u64, MigrateError> {
        let known = self.manifest()?.iter().filter(|known| writers.has(&known.entry));
        Ok(known.map(|known| known.entry.len()).sum())
    }

    fn of_mirror(&self, error: MirrorError) -> MigrateError {
        match error {
            MirrorError::NoRoom(error) => MigrateError::NoRoom { what: "the copy", why: error.to_string() },
            MirrorError::NoRoomForManifest(error) => {
                MigrateError::NoRoom { what: "the manifest in the state directory", why: error.to_string() }
            }
            MirrorError::Replica(error) => MigrateError::Tree(error),
            MirrorError::Manifest(error) => MigrateError::Manifest(error),
            MirrorError::Stopped => MigrateError::Stopped { state: self.state() },
        }
    }

    pub(crate) fn warn(&self, what: &str) {
        self.observer.observe(&Event::Warning(what.into()));
    }

    pub(crate) fn phase(&self, name: &'static str) {
        self.observer.observe(&Event::Phase { name, total: None });
    }

    /// A phase of so many bytes.
    pub(crate) fn phase_of(&self, name: &'static str, bytes: u64) {
        self.observer.observe(&Event::Phase { name, total: Some(bytes) });
    }
}

/// Gives room back as the copy grows into it.
struct Giving {
    watching: Arc<dyn Observer>,
    ballast: Mutex<Option<Ballast>>,
}

impl Observer for Giving {
    fn observe(&self, event: &Event) {
        self.watching.observe(event);
        let mut ballast = self.ballast.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let (Event::Progress(bytes), Some(kept)) = (event, &mut *ballast) {
            // A block in the vault is a little longer than its content. If it cannot be given back, the copy will tell.
            let _ = kept.shrink(bytes + bytes / 64 + 4096);
        }
    }
}

/// Whether a file is as it was when it was copied, as far as its times tell.
fn stands_still(known: &Known, tree: &LocalTree) -> bool {
    let look = tree.open(&known.entry.path).and_then(|mut content| {
        content.look().map_err(strongroom_tree::TreeError::on("looking at", &known.entry.path))
    });
    let was = &known.entry;
    !known.dirty && look.is_ok_and(|look| (look.len, look.mtime, look.stamp) == (was.len(), was.meta.mtime, was.stamp))
}

pub(crate) fn timestamp(time: jiff::Timestamp) -> Timestamp {
    let (mut seconds, mut nanoseconds) = (time.as_second(), time.subsec_nanosecond());
    if nanoseconds < 0 {
        (seconds, nanoseconds) = (seconds - 1, nanoseconds + 1_000_000_000);
    }
    Timestamp { seconds, nanoseconds: u32::try_from(nanoseconds).unwrap_or(0) }
}

fn seconds(later: jiff::Timestamp, earlier: jiff::Timestamp) -> f64 {
    (later.as_millisecond() - earlier.as_millisecond()).max(0) as f64 / 1000.0
}
