//! What is done and made durable together.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::{Mutex, MutexGuard},
};

use super::{
    MirrorError, Mirrored, Mirroring,
    copy::{Hands, Outcome, Was},
    plan::Deed,
};
use crate::{Entry, Kind, Known, RelPath, TreeError, crew::crew, manifest::Operation};

/// What is done and made durable together.
#[derive(Default)]
pub(super) struct Batch {
    acts: Vec<Act>,
    /// Done when all that they lead to is there.
    links: Vec<Act>,
    /// The roots of what is gone.
    gone: Vec<RelPath>,
    /// What is only written down.
    notes: Vec<Known>,
    bytes: u64,
}

/// Something to be done about an entry.
pub(super) struct Act {
    pub entry: Entry,
    pub known: Option<Known>,
    pub deed: Deed,
    /// What stands there may be a directory with something in it.
    pub covers: bool,
}

/// Why a file was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotMade {
    /// It went before.
    Vanished,
    /// It could not be.
    Failed,
}

/// What came of a batch.
#[derive(Default)]
pub(super) struct Tally {
    /// What the replica holds now, if it is made durable.
    pub operations: Vec<Operation>,
    /// Directories in which names were made or removed.
    pub touched: BTreeSet<RelPath>,
    /// Files with several names that were not made, and why.
    pub not_made: HashMap<RelPath, NotMade>,
    pub done: Mirrored,
    /// Why not all of it was done.
    pub error: Option<MirrorError>,
}

impl Batch {
    pub fn add(&mut self, act: Act) {
        self.bytes += act.entry.len();
        if act.deed == Deed::Link { &mut self.links } else { &mut self.acts }.push(act);
    }

    /// This is gone, with all that is in it. Told in the order of the walk.
    pub fn gone(&mut self, path: RelPath) {
        if !self.gone.last().is_some_and(|root| path.is_within(root)) {
            self.gone.push(path);
        }
    }

    pub fn note(&mut self, known: Known) {
        self.notes.push(known);
    }

    pub fn into_notes(self) -> Vec<Known> {
        self.notes
    }

    pub fn gone_roots(&self) -> &[RelPath] {
        &self.gone
    }

    pub fn is_empty(&self) -> bool {
        self.acts.is_empty() && self.links.is_empty() && self.gone.is_empty() && self.notes.is_empty()
    }

    pub fn is_full(&self, how: &Mirroring<'_>) -> bool {
        let entries = self.acts.len() + self.links.len() + self.gone.len() + self.notes.len();
        entries >= how.batch_entries.max(1) || self.bytes >= how.batch_bytes.max(1)
    }

    /// Where something is about to change, and the trees in which all may.
    pub fn about_to_change(&self) -> (Vec<RelPath>, Vec<RelPath>) {
        let path = |act: &Act| act.entry.path.clone();
        let acts = || self.acts.iter().chain(&self.links);
        let paths = acts().filter(|act| !act.covers).map(path).collect();
        let trees = acts().filter(|act| act.covers).map(path).chain(self.gone.iter().cloned()).collect();
        (paths, trees)
    }

    /// The directories in which names are about to change.
    pub fn directories(&self) -> BTreeSet<RelPath> {
        let made = self.acts.iter().chain(&self.links).filter(|act| act.deed != Deed::Dress);
        made.map(|act| &act.entry.path).chain(&self.gone).filter_map(RelPath::parent).collect()
    }

    /// Does all of it, as far as it gets.
    pub fn carry_out(&self, hands: &Hands<'_>, not_made: &HashMap<RelPath, NotMade>) -> Tally {
        let doing = Doing { hands, tally: Mutex::default() };
        doing.remove(&self.gone, &self.acts);
        let act = |_: &mut (), act: &Act| doing.act(act);
        crew(
            hands.how.workers,
            || (),
            |tools, next| act(tools, next),
            |workers| {
                for act in &self.acts {
                    // Before what is put into them.
                    match act.deed {
                        Deed::Make if act.entry.is_dir() => doing.act(act),
                        _ => workers.add(act, act.entry.len()),
                    }
                }
            },
        );
        let mut not_made = not_made.clone();
        not_made.extend(doing.tally().not_made.clone());
        crew(
            hands.how.workers,
            || (),
            |_, link| doing.link(link, &not_made),
            |workers| {
                self.links.iter().for_each(|link| workers.add(link, 0));
            },
        );
        doing.tally.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A batch that is being carried out.
struct Doing<'a> {
    hands: &'a Hands<'a>,
    tally: Mutex<Tally>,
}

impl Doing<'_> {
    /// Removes what is gone, but for what is in something that others are about to replace.
    fn remove(&self, gone: &[RelPath], acts: &[Act]) {
        let covering: Vec<_> = acts.iter().filter(|act| act.covers).map(|act| &act.entry.path).collect();
        crew(
            self.hands.how.workers,
            || (),
            |_, path| self.remove_one(path),
            |workers| {
                for path in gone {
                    match covering.iter().any(|covering| path.is_within(covering)) {
                        true => self.tally().operations.push(Operation::Gone(path.clone())),
                        false => workers.add(path, 0),
                    }
                }
            },
        );
    }

    fn remove_one(&self, path: &RelPath) {
        if self.has_ended() {
            return;
        }
        let removed =
            self.hands.check_stop().and_then(|()| self.hands.replica.remove(path).map_err(MirrorError::of_replica));
        let mut tally = self.tally();
        match removed {
            Ok(()) => {
                tally.operations.push(Operation::Gone(path.clone()));
                tally.touched.extend(path.parent());
            }
            Err(error) => tally.end(error),
        }
    }

    fn act(&self, act: &Act) {
        if !self.has_ended() {
            let outcome = self.hands.act(act);
            self.tally().take(act, outcome);
        }
    }

    fn link(&self, link: &Act, not_made: &HashMap<RelPath, NotMade>) {
        let Kind::Link { to } = &link.entry.kind else { return self.act(link) };
        let Some(why) = not_made.get(to).filter(|_| !self.has_ended()) else { return self.act(link) };
        let outcome = match why {
            NotMade::Vanished => Outcome::Vanished,
            NotMade::Failed => {
                let gone = io::Error::new(io::ErrorKind::NotFound, format!("{to}, the same file, was not made"));
                Outcome::Failed(TreeError::on("linking", &link.entry.path)(gone))
            }
        };
        let outcome = self.hands.without(&link.entry, outcome);
        self.tally().take(link, outcome);
    }

    fn has_ended(&self) -> bool {
        self.tally().error.is_some()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Tally {
    fn take(&mut self, act: &Act, outcome: Outcome) {
        let path = &act.entry.path;
        match outcome {
            Outcome::Held { known, was, read } => {
                self.done.bytes += read;
                match was {
                    Was::Made => self.done.copied += 1,
                    Was::Dressed => self.done.dressed += 1,
                    Was::Unchanged => self.done.unchanged += 1,
                }
                if was == Was::Made {
                    self.touched.extend(path.parent());
                    // It is dressed when nothing more is put into it.
                    self.touched.extend(act.entry.is_dir().then(|| path.clone()));
                }
                self.operations.push(Operation::Know(*known));
            }
            Outcome::Changed { known, read } => {
                self.done.copied += 1;
                self.done.bytes += read;
                self.done.dirty_left.push(path.clone());
                self.touched.extend(path.parent());
                self.operations.push(Operation::Know(*known));
            }
            Outcome::Vanished => {
                self.done.dirty_left.push(path.clone());
                self.without(act, NotMade::Vanished);
            }
            Outcome::Failed(error) => {
                self.done.failed.push(error);
                self.without(act, NotMade::Failed);
            }
            Outcome::Ended(error) => self.end(error),
        }
    }

    fn without(&mut self, act: &Act, why: NotMade) {
        let path = &act.entry.path;
        self.operations.push(Operation::Gone(path.clone()));
        self.touched.extend(path.parent());
        if act.entry.stamp.links > 1 {
            self.not_made.insert(path.clone(), why);
        }
    }

    fn end(&mut self, error: MirrorError) {
        self.error.get_or_insert(error);
    }
}

impl Mirrored {
    pub(super) fn add(&mut self, other: Mirrored) {
        self.copied += other.copied;
        self.bytes += other.bytes;
        self.removed += other.removed;
        self.dressed += other.dressed;
        self.unchanged += other.unchanged;
        self.dirty_left.extend(other.dirty_left);
        self.failed.extend(other.failed);
    }
}
