//! How a migration comes to be, and how it is found again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use strongroom_crypto::Sha256;
use strongroom_durable::DirLock;

use crate::{
    Direction, Host, Identity, Ledger, Mark, MigrateError, Migration, MigrationId, Place, Plan, State,
    engine::{Locks, facts::Planned, locks::lock, parent},
    ledger::{Moment, Record, facts_of, hex},
    place::{clear_drafts, make_private, migrations},
};

/// A migration that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it keeps what it knows.
    pub place: Place,
    /// What was planned.
    pub plan: Plan,
    /// How far it is.
    pub state: State,
}

impl Found {
    /// Whether there is nothing more to be done.
    pub fn is_over(&self) -> bool {
        is_over(self.state)
    }
}

pub(crate) fn is_over(state: State) -> bool {
    matches!(state, State::Done | State::RolledBack)
}

/// Begins a migration: when this returns, it is on the disk, and nothing else was done.
pub fn begin<'h>(plan: Plan, state_dir: &Path, host: &'h dyn Host) -> Result<Migration<'h>, MigrateError> {
    let all = migrations(state_dir);
    make_private(&all)?;
    // Between looking for others and being found by them nobody else may begin.
    let beginning = DirLock::exclusive(&all)?;
    clear_drafts(&all)?;
    refuse_second(&plan, state_dir)?;
    // Somebody with another state directory may be at the same data.
    let taken = lock(&plan.data)?;
    let place = write(&plan, state_dir, host)?;
    drop((taken, beginning));
    open(&place, host)
}

fn write(plan: &Plan, state_dir: &Path, host: &dyn Host) -> Result<Place, MigrateError> {
    let json = serde_json::to_vec_pretty(plan).expect("a plan is a structure with text for keys");
    let draft = Place::of(state_dir, plan.id).draft(&json)?;
    let mut ledger = Ledger::create(&draft.place)?;
    let moment = Moment { time: host.now(), boot_id: host.boot_id() };
    ledger.append(State::Planned, Mark::Done, &Planned { plan_sha256: hex(&Sha256::of(&json)) }, moment)?;
    draft.settle()
}

pub(super) fn open<'h>(place: &Place, host: &'h dyn Host) -> Result<Migration<'h>, MigrateError> {
    if !place.exists() {
        return Err(MigrateError::NoMigration { path: place.dir().to_owned() });
    }
    let (plan, _) = place.read_plan()?;
    let locks = Locks::of(place, &plan)?;
    let mut ledger = Ledger::open(place)?;
    // Read again behind the lock.
    let (plan, json) = place.read_plan()?;
    is_as_begun(place, &json, ledger.records())?;
    let observer = host.observer();
    if ledger.was_torn() {
        let what = "the last record of the journal was torn, as by a power cut, and is not counted";
        observer.observe(&strongroom_event::Event::Warning(what.into()));
    }
    match is_over(ledger.state()) {
        false => ledger.keep_mark(&mark_of(&plan))?,
        // Whoever finished it may have been killed just before removing it.
        true => drop(fs::remove_file(mark_of(&plan))),
    }
    Ok(Migration {
        plan,
        place: place.clone(),
        ledger,
        host,
        observer,
        vault: None,
        journal_key: None,
        manifest: None,
        kinds: None,
        is_reconciled: false,
        may_take_long: false,
        _locks: locks,
    })
}

/// The mark of the journal, beside the data.
pub(crate) fn mark_of(plan: &Plan) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(plan.data.file_name().unwrap_or_default());
    name.push(format!(".{}.mark", plan.id));
    parent(&plan.data).join(name)
}

/// The plan is what the first record says it is.
pub(crate) fn is_as_begun(place: &Place, json: &[u8], records: &[Record]) -> Result<(), MigrateError> {
    let planned: Option<Planned> = records.first().and_then(facts_of);
    match planned {
        Some(planned) if planned.plan_sha256 == hex(&Sha256::of(json)) => Ok(()),
        _ => Err(MigrateError::PlanChanged { path: place.plan() }),
    }
}

/// The migrations of a state directory, or those of `data`: by its path, or whatever other path leads to it, before and
/// after the fence. One that cannot be read is an error: it may be the one.
pub fn find(state_dir: &Path, data: Option<&Path>) -> Result<Vec<Found>, MigrateError> {
    let mut found = all(state_dir)?;
    if let Some(data) = data {
        let real = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
        let identity = Identity::of(data).ok();
        found.retain(|one| leads_to(&one.plan, &real, identity.as_ref()));
    }
    Ok(found)
}

fn leads_to(plan: &Plan, real: &Path, identity: Option<&Identity>) -> bool {
    let is_path = [&plan.data, &plan.aside].into_iter().any(|path| path == real);
    let is_there = || {
        let identity = identity?;
        let now = Identity::of(&plan.data).ok();
        Some(identity.is(&plan.original) || now.is_some_and(|now| now.is(identity)))
    };
    is_path || is_there().unwrap_or(false)
}

fn all(state_dir: &Path) -> Result<Vec<Found>, MigrateError> {
    let dir = migrations(state_dir);
    let listed = match fs::read_dir(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(strongroom_durable::PathError::on("reading", &dir))?,
    };
    let ids = listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<MigrationId>().ok());
    let mut found = ids.map(|id| read(&Place::of(state_dir, id))).collect::<Result<Vec<_>, _>>()?;
    found.sort_by_key(|one| one.plan.created);
    Ok(found)
}

fn read(place: &Place) -> Result<Found, MigrateError> {
    let (plan, json) = place.read_plan()?;
    let records = Ledger::read(place)?;
    is_as_begun(place, &json, &records)?;
    let state = records.iter().rfind(|record| record.mark == Mark::Done).map_or(State::Planned, |record| record.state);
    Ok(Found { place: place.clone(), plan, state })
}

/// No other migration that is not over may be at the same data, above it or in it. Decrypting what was encrypted is the
/// one thing that can follow.
fn refuse_second(plan: &Plan, state_dir: &Path) -> Result<(), MigrateError> {
    for other in all(state_dir)?.into_iter().filter(|other| !other.is_over()) {
        let is_near = is_nested(&plan.data, &other.plan.data) || is_nested(&plan.vault, &other.plan.vault);
        let is_same = Identity::of(&plan.data).is_ok_and(|here| here.is(&other.plan.original));
        let may_follow = plan.direction == Direction::Decrypt && other.state == State::Erased;
        if (is_near || is_same) && !may_follow {
            let Found { plan: Plan { id, data, .. }, state, .. } = other;
            return Err(MigrateError::AlreadyOpen { id, data, state });
        }
    }
    Ok(())
}

fn is_nested(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}
