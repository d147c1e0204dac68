//! What a restore will do to its target, found by looking and without touching anything.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use strongroom_event::PathText;
use strongroom_tree::{Entry, Filter, Kind, LocalTree, RelPath, Source};

use super::{
    Listing, Mode, RestorePlan, RestoreRequest, STAGING_WITHIN,
    refuse::place_within,
    select::{Planned, Selection},
    stage::is_staged_although_alone,
    target::{Target, There, in_use_by},
};
use crate::{BackupError, catalog::file_name, chain::Chain};

/// What may follow the name of a database, and spoils another one of that name.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// At the top of some file systems, and nobody's.
const LOST_AND_FOUND: &[u8] = b"lost+found";
/// Entries that a listing names.
const SAMPLE: usize = 100;

/// What a restore will do, for a machine.
pub(crate) struct Work {
    /// What is moved into place.
    pub units: Vec<Unit>,
    /// The archives that bytes come from.
    pub needed: BTreeSet<u32>,
    /// What is there already and stays: the uppermost of each.
    pub alone: HashSet<RelPath>,
    /// Directories that are there and stay: what is staged for them is scaffolding.
    pub there: HashSet<RelPath>,
    /// Databases, to be opened before they are put in place.
    pub databases: Vec<RelPath>,
    /// Entries and bytes to be staged.
    pub entries: u64,
    pub bytes: u64,
}

/// Something that is moved into place in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub path: RelPath,
    pub how: Change,
}

/// What becomes of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// There is nothing.
    Place,
    /// It is replaced.
    Replace,
    /// It goes.
    Remove,
}

/// Looks at the target, and tells what would be done.
pub(crate) fn plan(
    request: &RestoreRequest,
    chain: &Chain,
    selection: &Selection,
    target: &Target,
) -> Result<(RestorePlan, Work), BackupError> {
    let is_whole = selection.whole && request.mode != Mode::Merge;
    let keep = place_within(chain, target);
    let by_children = target.within_only || keep.is_some();
    let mut looking = Looking {
        target,
        mode: request.mode,
        by_children,
        is_whole,
        keep,
        plan: RestorePlan { whole: is_whole && !by_children, ..draft(request, chain, selection, target) },
        work: Work {
            units: Vec::new(),
            needed: BTreeSet::new(),
            alone: HashSet::new(),
            there: HashSet::new(),
            databases: Vec::new(),
            entries: 0,
            bytes: 0,
        },
        above: Vec::new(),
        companions: BTreeMap::new(),
        room: 0,
    };
    for planned in selection.entries(chain)? {
        looking.take(selection, &planned?)?;
    }
    if looking.work.entries == 0 {
        let known = vec!["what `backup info` lists".to_owned()];
        return Err(BackupError::Unknown { what: "entry that matches", word: request.paths.join(", "), known });
    }
    looking.finish(chain, selection)
}

fn draft(request: &RestoreRequest, chain: &Chain, selection: &Selection, target: &Target) -> RestorePlan {
    let metadata = chain.newest().metadata();
    let mut withheld = Listing::default();
    selection.withheld.iter().for_each(|path| withheld.add(path.clone(), 0));
    RestorePlan {
        archive: chain.path().to_owned(),
        from: Vec::new(),
        target: target.path.clone(),
        created: metadata.created.clone(),
        mode: request.mode,
        whole: false,
        made: Listing::default(),
        replaced: Listing::default(),
        left_alone: Listing::default(),
        removed: Listing::default(),
        withheld,
        databases: Vec::new(),
        bytes: 0,
        available: 0,
        in_use_by: Vec::new(),
        warnings: Vec::new(),
    }
}

/// What is known of a directory on the way down.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is there, and stays.
    There,
    /// It is made as a whole, or replaced as one.
    New,
    /// It, or something else of its name, is there and stays.
    Alone,
}

pub(super) struct Looking<'a> {
    pub(super) target: &'a Target,
    mode: Mode,
    /// Whether a whole restore replaces what is in the target and not the target.
    by_children: bool,
    is_whole: bool,
    /// The archives, if they are within the target.
    pub(super) keep: Option<RelPath>,
    pub(super) plan: RestorePlan,
    pub(super) work: Work,
    above: Vec<(RelPath, State)>,
    /// Files that would spoil a database, by their paths.
    companions: BTreeMap<RelPath, RelPath>,
    pub(super) room: u64,
}

impl Looking<'_> {
    fn take(&mut self, selection: &Selection, planned: &Planned) -> Result<(), BackupError> {
        let entry = &planned.record.entry;
        let path = &entry.path;
        self.above.truncate(self.above.iter().take_while(|one| path.is_within(&one.0)).count());
        let state = match self.above.last().map(|one| one.1) {
            Some(State::New) => self.made(entry, None),
            Some(State::Alone) => self.alone(entry),
            Some(State::There) | None => self.decide(selection, planned)?,
        };
        if entry.is_dir() {
            self.above.push((path.clone(), state));
        }
        if state == State::There {
            self.work.there.insert(path.clone());
        }
        if state != State::Alone || is_staged_although_alone(entry) {
            self.stage(selection, planned);
        }
        Ok(())
    }

    fn stage(&mut self, selection: &Selection, planned: &Planned) {
        let record = &planned.record;
        if (record.changed || record.damaged) && self.plan.warnings.len() < SAMPLE {
            let what = if record.damaged { "could not be read wholly" } else { "was written to" };
            self.plan.warnings.push(format!("{} {what} while it was backed up", record.entry.path));
        }
        self.work.entries += 1;
        if let Kind::File { len } = record.entry.kind {
            self.work.bytes += len;
            self.room += len.min(record.entry.stamp.blocks.saturating_mul(512));
            self.work.needed.extend(record.at.map(|at| at.archive));
        }
        if selection.is_database(record) {
            self.work.databases.push(record.entry.path.clone());
        }
    }

    fn decide(&mut self, selection: &Selection, planned: &Planned) -> Result<State, BackupError> {
        let entry = &planned.record.entry;
        let there = self.target.at(&entry.path)?;
        if self.is_whole && self.keep.as_ref().is_some_and(|keep| entry.path.is_within(keep)) {
            return Ok(self.alone(entry));
        }
        let leads_to_archives = self.keep.as_ref().is_some_and(|keep| keep.is_within(&entry.path)) && entry.is_dir();
        let is_descended = leads_to_archives || self.by_children && entry.path.is_root();
        if self.is_whole && !(is_descended && there == There::Directory) {
            return Ok(self.decide_whole(entry, there));
        }
        self.companions.remove(&entry.path);
        if selection.is_database(&planned.record) && !self.may_have_database(entry)? {
            return Ok(self.alone(entry));
        }
        Ok(match (there, entry.is_dir()) {
            (There::Directory, true) => State::There,
            (There::Nothing, _) => self.made(entry, Some(Change::Place)),
            _ if self.mode == Mode::Merge => self.alone(entry),
            (There::Other(_), _) => self.replaced(entry),
            (There::Directory, false) => {
                self.removed_below(&entry.path)?;
                self.replaced(entry)
            }
        })
    }

    /// The target, or what is at its top, is replaced as a whole; what goes with it is told later.
    fn decide_whole(&mut self, entry: &Entry, there: There) -> State {
        let how = if there == There::Nothing { Change::Place } else { Change::Replace };
        self.work.units.push(Unit { path: entry.path.clone(), how });
        if there == There::Nothing {
            self.plan.made.add_entry(entry);
        } else {
            self.plan.replaced.add_entry(entry);
        }
        State::New
    }

    fn made(&mut self, entry: &Entry, how: Option<Change>) -> State {
        self.work.units.extend(how.map(|how| Unit { path: entry.path.clone(), how }));
        // Of a whole restore, what is made and what is replaced is told apart by a walk of the target, if it is there.
        if !self.is_whole || self.target.dir.is_none() {
            self.plan.made.add_entry(entry);
        }
        State::New
    }

    fn replaced(&mut self, entry: &Entry) -> State {
        self.work.units.push(Unit { path: entry.path.clone(), how: Change::Replace });
        self.plan.replaced.add_entry(entry);
        State::New
    }

    fn alone(&mut self, entry: &Entry) -> State {
        let is_uppermost = self.above.last().is_none_or(|one| one.1 != State::Alone);
        if is_uppermost {
            self.work.alone.insert(entry.path.clone());
        }
        self.plan.left_alone.add_entry(entry);
        State::Alone
    }

    /// Sees to it that nothing is left beside a database that would be taken for a part of it. Merging removes nothing,
    /// so then the database is not restored.
    fn may_have_database(&mut self, entry: &Entry) -> Result<bool, BackupError> {
        for companion in COMPANIONS {
            let Ok(path) = RelPath::parse(&[entry.path.as_bytes(), companion.as_bytes()].concat()) else { continue };
            if self.target.at(&path)? == There::Nothing {
                continue;
            }
            if self.mode == Mode::Merge && self.target.at(&entry.path)? == There::Nothing {
                self.plan.warnings.push(format!("{} is not restored, as {path} is beside it", entry.path));
                return Ok(false);
            }
            if self.mode != Mode::Merge {
                self.companions.insert(path, entry.path.clone());
            }
        }
        Ok(true)
    }

    /// What is in a directory that something else takes the place of.
    fn removed_below(&mut self, path: &RelPath) -> Result<(), BackupError> {
        let inner = self.target.path.join(path.as_path());
        let tree = LocalTree::open(&inner).map_err(BackupError::tree(&inner))?;
        for entry in tree.entries(&Filter::everything()).flatten().filter(|entry| !entry.path.is_root()) {
            let path = format!("{path}/{}", entry.path);
            self.plan.removed.add(path, entry.len());
        }
        Ok(())
    }

    fn finish(mut self, chain: &Chain, selection: &Selection) -> Result<(RestorePlan, Work), BackupError> {
        for companion in std::mem::take(&mut self.companions).into_keys() {
            self.plan.removed.add(companion.to_string(), 0);
            self.work.units.push(Unit { path: companion, how: Change::Remove });
        }
        if self.is_whole && self.target.dir.is_some() {
            self.compare_whole(chain, selection)?;
        }
        self.refuse_mounts()?;
        self.refuse_archives()?;
        self.plan.bytes = self.work.bytes;
        self.plan.databases = self.work.databases.iter().map(RelPath::to_string).collect();
        self.plan.in_use_by = if self.target.dir.is_some() { in_use_by(&self.target.path) } else { Vec::new() };
        self.check_room()?;
        Ok((self.plan, self.work))
    }

    /// Tells what of the target is replaced and what is removed, and, where its children are replaced one by one, takes
    /// those away that the archive does not have.
    fn compare_whole(&mut self, chain: &Chain, selection: &Selection) -> Result<(), BackupError> {
        let tree = LocalTree::open(&self.target.path).map_err(BackupError::tree(&self.target.path))?;
        let filter = Filter::everything().without(self.not_ours()?.into_iter().chain(self.keep.clone()));
        // Directories that the archive does not have, and that lead to the archives.
        let mut leading: Vec<RelPath> = Vec::new();
        let mut entries = selection.entries(chain)?.peekable();
        (self.plan.made, self.plan.replaced) = (Listing::default(), Listing::default());
        for there in tree.entries(&filter).flatten() {
            while let Some(planned) =
                entries.next_if(|next| next.as_ref().map_or(true, |next| next.record.entry.path < there.path))
            {
                self.plan.made.add_entry(&planned?.record.entry);
            }
            let same = entries.next_if(|next| next.as_ref().is_ok_and(|next| next.record.entry.path == there.path));
            match same {
                Some(_) if there.path.is_root() => {}
                Some(_) => self.plan.replaced.add_entry(&there),
                None if self.keep.as_ref().is_some_and(|keep| keep.is_within(&there.path)) => leading.push(there.path),
                None if leading.iter().any(|dir| there.path.is_within(dir)) => self.plan.left_alone.add_entry(&there),
                None => {
                    self.plan.removed.add_entry(&there);
                    if there.path.parent().is_some_and(|parent| self.work.there.contains(&parent)) {
                        self.work.units.push(Unit { path: there.path, how: Change::Remove });
                    }
                }
            }
        }
        for planned in entries {
            self.plan.made.add_entry(&planned?.record.entry);
        }
        Ok(())
    }

    /// At the top of the target: what belongs to the file system, and to restores.
    fn not_ours(&self) -> Result<Vec<RelPath>, BackupError> {
        let names =
            self.target.names()?.into_iter().filter(|name| {
                name.starts_with(STAGING_WITHIN.as_bytes()) || self.by_children && name == LOST_AND_FOUND
            });
        Ok(names.filter_map(|name| RelPath::parse(&name).ok()).collect())
    }
}

/// The archives that bytes come from, by name.
pub(crate) fn sources(chain: &Chain, needed: &BTreeSet<u32>) -> Vec<String> {
    needed.iter().map(|&number| file_name(chain.path_of(number))).collect()
}

impl Listing {
    fn add(&mut self, path: String, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        if self.sample.len() < SAMPLE {
            self.sample.push(path);
        }
    }

    fn add_entry(&mut self, entry: &Entry) {
        let slash = if entry.is_dir() { "/" } else { "" };
        let path = if entry.path.is_root() { ".".into() } else { PathText(entry.path.as_bytes()).to_string() };
        self.add(format!("{path}{slash}"), entry.len());
    }
}
