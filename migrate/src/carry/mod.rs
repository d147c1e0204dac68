//! Carrying home what was changed in the vault since the cut-over: the original, which lies aside as it was then, becomes
//! equal to the vault, or stays as it was.
//!
//! What is new is made beside the original, and changes places with what is old by renames that come about all or not at
//! all ([`Swap`]); metadata that change in place are written down first. Then original and vault are compared, all of
//! them, through a mount that was made for that. Only when they are equal is it committed, and only then does the old go:
//!
//! | killed | and recovered |
//! |---|---|
//! | before the commit | the original is as it was at the cut-over |
//! | after it | the original is what the vault is |
//!
//! The way back of a decryption needs none of this: there the plaintext is whole until the end, and the vault, a
//! [`Replica`], is made to follow it ([`strongroom_tree::mirror`]).

mod carrying;
mod dressing;
mod layout;
mod listing;
mod staging;
mod stoppable;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use strongroom_durable::{Move, PathError, Recovered, Swap};
use strongroom_event::{Event, Observer};
use strongroom_tree::{
    Comparison, Difference, Entry, Filter, Kind, LocalReplica, LocalTree, Meta, RelPath, Replica, Source, TreeError,
    What, compare,
};

pub(crate) use carrying::by_times;
pub use carrying::{Carrying, Paths};
pub(crate) use dressing::{hex, is_same_meta, unhex, within};
use layout::{Layout, layout};
pub(crate) use listing::{Contents, list};
use staging::{Obstacles, Staging, joined};
pub(crate) use stoppable::{IsToStop, Stoppable};

use crate::{Accepted, MigrateError, Place, Plan, Staged, State};

/// How changes are carried.
#[derive(Clone, Copy)]
pub struct Porter<'a> {
    /// Files at once.
    pub workers: usize,
    /// Goes on without what cannot be read, or not be held by the file system of the original: there the original stays as
    /// it was at the cut-over. Else it is a failure, and nothing is changed.
    pub leaves_obstacles: bool,
    /// Who watches.
    pub observer: &'a dyn Observer,
    /// Whether to stop; everything is as it was then.
    pub is_to_stop: IsToStop<'a>,
}

/// The original of a migration, to which changes are carried.
pub struct Carry<'a> {
    original: PathBuf,
    staging: PathBuf,
    /// The journal of the swap.
    journal: PathBuf,
    /// What the metadata were that are changed in place.
    notes: PathBuf,
    /// Attributes that the vault does not have, by choice: the original keeps its own.
    dropped: Vec<Vec<u8>>,
    porter: Porter<'a>,
}

/// How far a carry-back is.
#[derive(Clone, Copy, Debug)]
pub enum Point<'p> {
    /// The original is what the vault is, and can still be taken back.
    About,
    /// It is so for good.
    Committed(&'p Carrying),
}

/// Mounts the vault for us alone, read anew from the disk.
pub type Fresh<'f> = &'f mut dyn FnMut() -> Result<Box<dyn Staged>, MigrateError>;

impl<'a> Carry<'a> {
    /// To the original of `plan`, which is aside.
    pub fn new(plan: &Plan, place: &Place, porter: Porter<'a>) -> Self {
        let dropped = plan.accepted.iter().filter_map(|accepted| match accepted {
            Accepted::DropXattr(name) => Some(name.clone().into_bytes()),
            _ => None,
        });
        Self {
            original: plan.aside.clone(),
            staging: beside(plan, "carry"),
            journal: place.dir().join("carry"),
            notes: place.dir().join("carry.was"),
            dropped: dropped.collect(),
            porter,
        }
    }

    /// What would be carried, by names, lengths, times and metadata. Nothing is changed; `now` may be in use.
    pub fn preview(&self, now: &dyn Source) -> Result<Carrying, MigrateError> {
        let original = LocalTree::open(&self.original)?;
        let everything = Filter::everything();
        let was = list(&self.stoppable(&original), &everything);
        let now = list(&self.stoppable(now), &everything);
        self.stop_if_told()?;
        Ok(match now {
            Ok(now) => by_times(&was.map_err(uncopied)?, &now),
            Err(failed) => Carrying::unreadable(&failed),
        })
    }

    /// Looks, while programs still use the vault, whether all that was changed could be carried; nothing is changed. What comes
    /// up only later is found when it is carried.
    pub fn rehearse(&self, now: &dyn Source) -> Result<(), MigrateError> {
        let Porter { workers, observer, .. } = self.porter;
        let original = LocalTree::open(&self.original)?;
        let (original, vault) = (self.stoppable(&original), &self.stoppable(now));
        let everything = Filter::everything();
        let (was, now) = (list(&original, &everything), list(vault, &everything));
        self.stop_if_told()?;
        let damaged = |error: &TreeError| error.source.raw_os_error() == Some(libc::EIO);
        let (was, now) = match (was, now) {
            (Ok(was), Ok(now)) => (was, without_sockets(now).0),
            (_, Err(failed)) if failed.iter().any(damaged) => {
                let unreadable = failed.into_iter().filter(damaged).collect();
                return Attempt::default().leave(Obstacles { unreadable, ..Obstacles::default() }, false);
            }
            // It is in use: what is there for a moment only is no obstacle.
            _ => return Ok(()),
        };
        let contents = Contents::look((&original, &was), (vault, &now), &BTreeSet::new(), workers, observer);
        let layout = layout(&was, &now, &|now, was| contents.are_same(now, was))?;
        self.stop_if_told()?;
        let total = layout.pieces.iter().map(|piece| now[piece.entry].len()).sum();
        observer.observe(&Event::Phase { name: "reading what changed", total: Some(total) });
        let obstacles = self.staging()?.rehearse(&layout, &now, vault)?;
        self.stop_if_told()?;
        if obstacles.is_empty() { Ok(()) } else { Attempt::default().leave(obstacles, false) }
    }

    /// After a kill: takes back what was not committed. Whether it had been committed; `committed` is called then, before
    /// the old goes.
    pub fn recover(&self, committed: &mut dyn FnMut() -> Result<(), MigrateError>) -> Result<bool, MigrateError> {
        match Swap::recover(self.parent(), &self.journal)? {
            Recovered::Committed(swap) => {
                committed()?;
                self.clear(swap)?;
                Ok(true)
            }
            Recovered::RolledBack | Recovered::Nothing => {
                self.undress()?;
                staging::remove(&self.staging)?;
                Ok(false)
            }
        }
    }

    /// Makes the original what `vault` is, verified through `fresh`; calls `at` before that is so for good and after it, and
    /// then lets go of the old. If anything fails before, the original is as it was.
    pub fn apply(
        &self,
        vault: &dyn Source,
        fresh: Fresh<'_>,
        at: &mut dyn FnMut(Point<'_>) -> Result<(), MigrateError>,
    ) -> Result<Carrying, MigrateError> {
        let mut attempt = Attempt::default();
        loop {
            self.porter.observer.observe(&Event::Phase { name: "looking for what changed", total: None });
            match self.attempt(vault, fresh, &attempt)? {
                Ended::Equal(swap, mut carrying) => {
                    carrying.unreadable = attempt.unreadable;
                    carrying.left_behind = attempt.left_behind;
                    if let Err(error) = at(Point::About) {
                        drop(swap);
                        return self.taken_back(Err(error));
                    }
                    self.commit(swap, &mut || at(Point::Committed(&carrying)))?;
                    return Ok(*carrying);
                }
                Ended::Obstructed(obstacles) => attempt.leave(obstacles, self.porter.leaves_obstacles)?,
                Ended::Different(differences) => attempt.doubt(differences)?,
            }
        }
    }

    fn attempt(&self, vault: &dyn Source, fresh: Fresh<'_>, attempt: &Attempt) -> Result<Ended, MigrateError> {
        let filter = Filter::everything().without(attempt.left.iter().cloned());
        let original = LocalTree::open(&self.original)?;
        let (original, vault) = (self.stoppable(&original), &self.stoppable(vault));
        let (was, now) = (list(&original, &filter), list(vault, &filter));
        self.stop_if_told()?;
        let was = was.map_err(uncopied)?;
        let (now, sockets) = match now {
            Ok(now) => without_sockets(now),
            Err(unreadable) => return Ok(Ended::Obstructed(Obstacles { unreadable, ..Obstacles::default() })),
        };
        let filter = filter.without(sockets).without(sockets_left(&was, &now));
        let Porter { workers, observer, .. } = self.porter;
        let contents = Contents::look((&original, &was), (vault, &now), &attempt.doubted, workers, observer);
        let has_content_of = |now: &RelPath, was: &RelPath| contents.are_same(now, was);
        let layout = layout(&was, &now, &has_content_of)?;
        self.stop_if_told()?;
        let carrying =
            Carrying::between(&was, &now, &has_content_of, &|was, now, kind| self.is_dressed(was, now, kind));
        match self.change(vault, fresh, &filter, (&was, &now), &layout) {
            Ok(Ok(swap)) => Ok(Ended::Equal(swap, Box::new(carrying))),
            Ok(Err(ended)) => self.taken_back(Ok(ended)),
            Err(error) => self.taken_back(Err(error)),
        }
    }

    /// The swap, performed and found right, or why not. What was done is not taken back here.
    fn change(
        &self,
        vault: &dyn Source,
        fresh: Fresh<'_>,
        filter: &Filter,
        (was, now): (&[Entry], &[Entry]),
        layout: &Layout,
    ) -> Result<Result<Swap, Ended>, MigrateError> {
        let Porter { observer, .. } = self.porter;
        let total = layout.pieces.iter().map(|piece| now[piece.entry].len()).sum();
        observer.observe(&Event::Phase { name: "copying back", total: Some(total) });
        let obstacles = self.staging()?.make(layout, now, vault)?;
        if !obstacles.is_empty() {
            return Ok(Err(Ended::Obstructed(obstacles)));
        }
        self.stop_if_told()?;
        let dressings = self.dressings(layout, was, now);
        dressing::write(&self.notes, &dressings.before)?;
        let mut swap = Swap::plan(self.parent(), &self.journal, self.moves(layout)?)?;
        let original = LocalReplica::open(&self.original, observer)?;
        dressings.loosened.iter().try_for_each(|entry| original.dress(entry))?;
        swap.perform()?;
        dressing::dress(&original, &dressings.after)?;
        let total = now.iter().map(Entry::len).sum();
        observer.observe(&Event::Phase { name: "comparing", total: Some(total) });
        let differences = self.compare(fresh, filter)?;
        Ok(if differences.is_empty() { Ok(swap) } else { Err(Ended::Different(differences)) })
    }

    /// All in which the original and the vault differ, read through a mount of its own.
    fn compare(&self, fresh: Fresh<'_>, filter: &Filter) -> Result<Vec<Difference>, MigrateError> {
        let Porter { workers, observer, .. } = self.porter;
        let mount = fresh()?;
        let (original, vault) = (LocalTree::open(&self.original)?, LocalTree::open(mount.path())?);
        let comparison = Comparison { workers, ..Comparison::default() };
        let mut found = compare(&self.stoppable(&original), &self.stoppable(&vault), filter, &comparison, observer);
        self.stop_if_told()?;
        found.retain(|difference| !matches!(&difference.what, What::Xattr(name) if self.dropped.contains(name)));
        drop((original, vault));
        mount.end()?;
        Ok(found)
    }

    fn commit(
        &self,
        mut swap: Swap,
        committed: &mut dyn FnMut() -> Result<(), MigrateError>,
    ) -> Result<(), MigrateError> {
        if let Err(error) = swap.commit() {
            // Whether the record reached the disk, only reading it again tells.
            drop(swap);
            return if self.recover(committed)? { Ok(()) } else { Err(error.into()) };
        }
        committed()?;
        self.clear(swap)
    }

    /// Lets go of the old: it is committed.
    fn clear(&self, swap: Swap) -> Result<(), MigrateError> {
        staging::remove(&self.staging)?;
        self.forget_notes()?;
        Ok(swap.settle()?)
    }

    /// Makes everything as it was at the cut-over again, and goes on with `ended`.
    fn taken_back<T>(&self, ended: Result<T, MigrateError>) -> Result<T, MigrateError> {
        match (self.recover(&mut || Ok(())), ended) {
            (Ok(_), ended) => ended,
            (Err(undo), Ok(_)) => Err(undo),
            (Err(undo), Err(cause)) => Err(MigrateError::NotUndone { cause: Box::new(cause), undo: Box::new(undo) }),
        }
    }

    /// Gives everything its old metadata again, if any were changed.
    fn undress(&self) -> Result<(), MigrateError> {
        if let Some(entries) = dressing::read(&self.notes)? {
            let original = LocalReplica::open(&self.original, self.porter.observer)?;
            dressing::dress(&original, &entries)?;
            self.forget_notes()?;
        }
        Ok(())
    }

    fn forget_notes(&self) -> Result<(), MigrateError> {
        match std::fs::remove_file(&self.notes) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(PathError::on("removing", &self.notes)(error).into())
            }
            _ => Ok(()),
        }
    }

    fn dressings(&self, layout: &Layout, was: &[Entry], now: &[Entry]) -> Dressings {
        let moved_in: BTreeSet<_> = layout.turns.iter().filter_map(|turn| turn.target.parent()).collect();
        let mut dressings = Dressings::default();
        for stay in &layout.stays {
            let (was, now) = (&was[stay.was], &now[stay.now]);
            let mut after = Entry { path: stay.path.clone(), ..now.clone() };
            after
                .meta
                .xattrs
                .extend(was.meta.xattrs.iter().filter(|xattr| self.dropped.contains(&xattr.name)).cloned());
            after.meta.xattrs.sort_unstable();
            if moved_in.contains(&stay.path) || !is_same_meta(&was.meta, &after.meta, &now.kind) {
                dressings.before.push(Entry { path: stay.path.clone(), ..was.clone() });
                dressings.after.push(after);
            }
        }
        if !rustix::process::geteuid().is_root() {
            dressings.loosen(layout, was, now, &moved_in);
        }
        dressings
    }

    fn moves(&self, layout: &Layout) -> Result<Vec<Move>, MigrateError> {
        let staging = self.staging()?;
        let path = |dir, path| joined(dir, path).map(|path| within(Path::new(""), &path));
        let turns = layout.turns.iter();
        let moves = turns.map(|turn| {
            Ok(Move {
                staged: path(&staging.name, &turn.staged)?,
                target: path(&staging.original, &turn.target)?,
                how: turn.how,
            })
        });
        moves.collect()
    }

    fn staging(&self) -> Result<Staging<'_>, MigrateError> {
        let Porter { workers, observer, is_to_stop, .. } = self.porter;
        Ok(Staging {
            parent: self.parent(),
            original: name(&self.original)?,
            name: name(&self.staging)?,
            workers,
            observer,
            is_to_stop,
        })
    }

    fn parent(&self) -> &Path {
        self.original.parent().unwrap_or(Path::new("/"))
    }

    fn is_dressed(&self, was: &Meta, now: &Meta, kind: &Kind) -> bool {
        let kept = |meta: &Meta| {
            let mut meta = meta.clone();
            meta.xattrs.retain(|xattr| !self.dropped.contains(&xattr.name));
            meta
        };
        is_same_meta(&kept(was), &kept(now), kind)
    }

    fn stoppable<'t>(&'t self, tree: &'t dyn Source) -> Stoppable<'t> {
        Stoppable { tree, is_to_stop: self.porter.is_to_stop }
    }

    fn stop_if_told(&self) -> Result<(), MigrateError> {
        if (self.porter.is_to_stop)() { Err(MigrateError::Stopped { state: State::RollingBack }) } else { Ok(()) }
    }
}

/// How an attempt ended that was taken back, or not.
enum Ended {
    /// Performed, and found equal: to be committed.
    Equal(Swap, Box<Carrying>),
    /// Something cannot be read, or not be held.
    Obstructed(Obstacles),
    /// Performed, and not equal after all.
    Different(Vec<Difference>),
}

/// What earlier attempts taught.
#[derive(Default)]
struct Attempt {
    /// Files that differed although their times did not tell.
    doubted: BTreeSet<RelPath>,
    /// What is not carried.
    left: BTreeSet<RelPath>,
    unreadable: Paths,
    left_behind: Paths,
}

impl Attempt {
    /// Goes on without what is in the way, if that is allowed.
    fn leave(&mut self, obstacles: Obstacles, is_allowed: bool) -> Result<(), MigrateError> {
        let mut is_new = true;
        let mut note = |paths: &mut Paths, error: TreeError| {
            paths.add(format!("{}: {}", error.path, error.source));
            is_new &= !error.path.is_root() && self.left.insert(error.path);
        };
        obstacles.unreadable.into_iter().for_each(|error| note(&mut self.unreadable, error));
        obstacles.unholdable.into_iter().for_each(|error| note(&mut self.left_behind, error));
        if is_allowed && is_new {
            return Ok(());
        }
        let (unreadable, unholdable) = (std::mem::take(&mut self.unreadable), std::mem::take(&mut self.left_behind));
        Err(MigrateError::Obstructed { unreadable, unholdable })
    }

    /// Looks more closely the next time, at what had looked the same and is not.
    fn doubt(&mut self, differences: Vec<Difference>) -> Result<(), MigrateError> {
        let count = differences.len();
        let first = differences.first().map(ToString::to_string).unwrap_or_default();
        let mut has_learned = false;
        for difference in differences {
            if matches!(difference.what, What::Content(_)) {
                has_learned |= self.doubted.insert(difference.path);
            }
        }
        match has_learned {
            true => Ok(()),
            false => Err(MigrateError::Different { what: "the original with the vault", count, first }),
        }
    }
}

/// Metadata to be changed in place.
#[derive(Default)]
struct Dressings {
    /// As it was, of all that is touched.
    before: Vec<Entry>,
    /// For the time of the moves.
    loosened: Vec<Entry>,
    /// As it is to be.
    after: Vec<Entry>,
}

impl Dressings {
    /// Whoever is not root can move only what is in directories that he may write to, and directories only that he may
    /// write to themselves.
    fn loosen(&mut self, layout: &Layout, was: &[Entry], now: &[Entry], moved_in: &BTreeSet<RelPath>) {
        let moved: BTreeSet<_> = layout.turns.iter().map(|turn| &turn.target).collect();
        for dir in was.iter().filter(|entry| entry.is_dir()) {
            if moved.contains(&dir.path) {
                self.before.push(dir.clone());
            }
            if (moved.contains(&dir.path) || moved_in.contains(&dir.path)) && dir.meta.mode & 0o700 != 0o700 {
                let mut open = dir.clone();
                open.meta.mode |= 0o700;
                self.loosened.push(open);
            }
        }
        let made = layout.pieces.iter().map(|piece| &now[piece.entry]).filter(|entry| entry.is_dir());
        self.after.extend(made.cloned());
    }
}

/// A socket is of the program that listens there: it is not data, and cannot be copied.
pub(crate) fn without_sockets(entries: Vec<Entry>) -> (Vec<Entry>, Vec<RelPath>) {
    let (sockets, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.kind == Kind::Socket);
    (entries, sockets.into_iter().map(|entry| entry.path).collect())
}

/// Sockets of the original that are not in the way of anything, and stay.
fn sockets_left(was: &[Entry], now: &[Entry]) -> Vec<RelPath> {
    let taken: BTreeSet<_> = now.iter().map(|entry| &entry.path).collect();
    let sockets = was.iter().filter(|entry| entry.kind == Kind::Socket && !taken.contains(&entry.path));
    sockets.map(|entry| entry.path.clone()).collect()
}

fn uncopied(failed: Vec<TreeError>) -> MigrateError {
    let first = failed.first().map(ToString::to_string).unwrap_or_default();
    MigrateError::Uncopied { count: failed.len(), first }
}

fn name(path: &Path) -> Result<RelPath, TreeError> {
    let name = path.file_name().unwrap_or_default().as_bytes();
    RelPath::parse(name).map_err(TreeError::on("naming", &RelPath::root()))
}

/// A hidden name beside the data that only this migration uses.
pub(crate) fn beside(plan: &Plan, what: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(plan.data.file_name().unwrap_or_default());
    name.push(format!(".{}.{what}", plan.id));
    plan.data.with_file_name(name)
}
