//! One walk through the source, and what follows from it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Mutex;

use super::{
    MirrorError, Mirrored,
    batch::{Act, Batch, NotMade, Tally},
    copy::Hands,
    plan::{Deed, deed},
};
use crate::{Entry, Filter, Known, Manifest, RelPath, TreeError, crew::crew, manifest::Operation, tick::is_racy};

/// One walk through the source.
pub(super) struct Round<'a> {
    hands: Hands<'a>,
    filter: &'a Filter,
    manifest: &'a mut Manifest,
    batch: Batch,
    /// Where the walk came by last.
    last: Option<RelPath>,
    /// What could not be walked: nothing is known of what is in there.
    hidden: Vec<RelPath>,
    /// Files with several names that may have been made anew, so that the others have to be, too.
    anew: HashSet<RelPath>,
    /// Files with several names that were not made, and why.
    not_made: HashMap<RelPath, NotMade>,
    /// Directories to be dressed: something was done in them, or they are not as they should be.
    touched: BTreeSet<RelPath>,
    done: Mirrored,
}

impl<'a> Round<'a> {
    pub fn new(hands: Hands<'a>, filter: &'a Filter, manifest: &'a mut Manifest) -> Self {
        Self {
            hands,
            filter,
            manifest,
            batch: Batch::default(),
            last: None,
            hidden: Vec::new(),
            anew: HashSet::new(),
            not_made: HashMap::new(),
            touched: BTreeSet::new(),
            done: Mirrored::default(),
        }
    }

    pub fn run(mut self) -> Result<Mirrored, MirrorError> {
        self.walk()?;
        self.dress_directories()?;
        Ok(self.done)
    }

    fn walk(&mut self) -> Result<(), MirrorError> {
        for entry in self.hands.source.entries(self.filter) {
            self.hands.check_stop()?;
            match entry {
                Ok(entry) => self.visit(entry)?,
                Err(error) => {
                    self.hidden.push(error.path.clone());
                    self.done.failed.push(error);
                }
            }
        }
        self.pass(None);
        self.finish_batch()
    }

    fn visit(&mut self, entry: Entry) -> Result<(), MirrorError> {
        self.pass(Some(&entry.path));
        self.last = Some(entry.path.clone());
        let known = self.manifest.get(&entry.path);
        match deed(&entry, known, &self.anew, self.hands.how.always_dirty) {
            None => self.done.unchanged += 1,
            Some(Deed::DressDirectory) => {
                self.done.dressed += 1;
                self.touched.insert(entry.path.clone());
                // Dirty, and as it is to be: it is dressed at the end.
                self.batch.note(Known { entry, digest: None, dirty: true, settled: false });
            }
            Some(deed) => {
                if matches!(deed, Deed::Make | Deed::Copy { .. }) && entry.stamp.links > 1 {
                    self.anew.insert(entry.path.clone());
                }
                let known = known.cloned();
                let covers = !entry.is_dir() && self.manifest.knows_within(&entry.path);
                self.batch.add(Act { entry, known, deed, covers });
            }
        }
        if self.batch.is_full(self.hands.how) { self.finish_batch() } else { Ok(()) }
    }

    /// What the manifest has between the last entry and the next one is gone from the source, unless it was hidden.
    fn pass(&mut self, next: Option<&RelPath>) {
        for path in self.manifest.between(self.last.as_ref(), next) {
            let is_dir = self.manifest.get(&path).is_some_and(|known| known.entry.is_dir());
            let is_seen = self.filter.passes_path(&path, is_dir) && !self.hidden.iter().any(|dir| path.is_within(dir));
            if is_seen {
                self.batch.gone(path);
            }
        }
    }

    /// Carries the batch out, and makes it durable.
    fn finish_batch(&mut self) -> Result<(), MirrorError> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let (paths, trees) = batch.about_to_change();
        let removed: usize = batch.gone_roots().iter().map(|path| self.manifest.count_within(path)).sum();
        self.manifest.begin(paths, trees)?;
        self.open_up(&batch)?;
        let Tally { mut operations, touched, not_made, done, error } = batch.carry_out(&self.hands, &self.not_made);
        self.not_made.extend(not_made);
        self.done.add(done);
        if let Some(MirrorError::Replica(error)) = error {
            return Err(MirrorError::Replica(error));
        }
        // If it was stopped, or there was no room for more: what is done is done.
        let synced = self.hands.replica.sync().map_err(MirrorError::of_replica);
        if let Err(unsynced) = synced {
            return Err(error.unwrap_or(unsynced));
        }
        self.done.removed += removed as u64;
        operations.extend(batch.into_notes().into_iter().map(Operation::Know));
        operations.extend(touched.into_iter().filter(|dir| self.touched.insert(dir.clone())).map(Operation::Dirty));
        self.manifest.done(operations)?;
        error.map_or(Ok(()), Err)
    }

    /// Sees to it that we may change names where they are to be changed, whatever the permissions will be in the end.
    fn open_up(&mut self, batch: &Batch) -> Result<(), MirrorError> {
        const OURS: u32 = 0o700;
        for dir in batch.directories().iter().filter(|dir| !self.touched.contains(dir)) {
            let known = self.manifest.get(dir).filter(|known| known.entry.is_dir());
            let Some(known) = known.filter(|known| known.entry.meta.mode & OURS != OURS) else { continue };
            let mut entry = known.entry.clone();
            entry.meta.mode |= OURS;
            self.hands.replica.dress(&entry).map_err(MirrorError::of_replica)?;
        }
        Ok(())
    }

    /// Dresses the directories, the deepest first: a parent may end up without permission to reach what is in it.
    fn dress_directories(&mut self) -> Result<(), MirrorError> {
        let mut by_depth = BTreeMap::<_, Vec<Entry>>::new();
        for path in std::mem::take(&mut self.touched) {
            if let Some(known) = self.manifest.get(&path).filter(|known| known.entry.is_dir()) {
                by_depth.entry(path.names().count()).or_default().push(known.entry.clone());
            }
        }
        let mut dressed = Vec::new();
        for dirs in by_depth.into_values().rev() {
            self.hands.check_stop()?;
            dressed.extend(self.dress(&dirs)?.into_iter().map(Operation::Know));
        }
        if dressed.is_empty() {
            return Ok(());
        }
        self.hands.replica.sync().map_err(MirrorError::of_replica)?;
        Ok(self.manifest.done(dressed)?)
    }

    /// Dresses directories of one depth, and tells what is known of them then.
    fn dress(&mut self, dirs: &[Entry]) -> Result<Vec<Known>, MirrorError> {
        let dressed = Mutex::new((Vec::with_capacity(dirs.len()), Vec::<TreeError>::new()));
        let locked = || dressed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let dress = |entry: &Entry| match self.hands.replica.dress(entry) {
            Ok(()) => {
                let dirty = is_racy(&entry.stamp, self.hands.how.round_started, self.hands.how.tick);
                locked().0.push(Known { entry: entry.clone(), digest: None, dirty, settled: false });
            }
            Err(error) => locked().1.push(error),
        };
        crew(
            self.hands.how.workers,
            || (),
            |_, dir| dress(dir),
            |workers| {
                dirs.iter().for_each(|dir| workers.add(dir, 0));
            },
        );
        let (known, errors) = dressed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        for error in errors {
            match error.cannot_hold() {
                Some(_) => self.done.failed.push(error),
                None => return Err(MirrorError::of_replica(error)),
            }
        }
        Ok(known)
    }
}
