//! How far a migration is, and what is proven: for a person or a program, without anything secret, and without being in the
//! way of the process that is at it.

use std::{io::Write, path::PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use strongroom_durable::{AtomicFile, DirLock, PathError};

use super::{
    BackedUp, CaughtUp, Finished, Healthy, Round, Stuck, Verified, Window, begin::is_as_begun, history::History,
};
use crate::{
    Archived, Check, Direction, Host, Ledger, Mark, MigrateError, Migration, MigrationId, Place, Plan, Record,
    Standing, State, ledger::facts_of,
};

/// How far a migration is.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Which.
    pub id: MigrationId,
    /// Which way.
    pub direction: Direction,
    /// The path that does not change.
    pub data: PathBuf,
    /// The cipher directory.
    pub vault: PathBuf,
    /// Where the original is from the fence on.
    pub aside: PathBuf,
    /// The state that was reached last.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// What was begun last and is not known to have ended.
    pub begun: Option<State>,
    /// The process that is at it now.
    pub process: Option<u32>,
    /// Whether the copy is the truth.
    pub committed: bool,
    /// What is mounted at the path of the data; `None` if that cannot be told.
    pub mounted: Option<bool>,
    /// The checks that have passed.
    pub proven: Vec<Check>,
    /// Those that are not made, as was accepted in the plan.
    pub left_out: Vec<Check>,
    /// What is not as it should be in this state, each a sentence. Nothing while a process is at it.
    pub amiss: Vec<String>,
    /// Whether one can go back.
    pub rollback: Rollback,
    /// Until when the originals are kept at least.
    pub soak_until: Option<Timestamp>,
    /// The archive of the plaintext.
    pub backup: Option<Archived>,
    /// Entries, as of the freeze.
    pub entries: Option<u64>,
    /// Bytes, likewise.
    pub bytes: Option<u64>,
    /// The rounds of copying, and the ways back out of windows.
    pub rounds: Vec<Round>,
    /// For how long services were down.
    pub windows: Vec<Window>,
    /// What the last window was made of.
    pub phases: Vec<Phase>,
    /// Why only a person can go on.
    pub stuck: Option<Stuck>,
}

/// Whether one can go back to the plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rollback {
    /// Yes: the plaintext was never left.
    Free,
    /// Yes: what was written since the cut-over is carried back.
    CarriesBack,
    /// It is done, or being done.
    Done,
    /// No: the originals are being erased, or are. The way back is another migration.
    Gone,
}

/// A part of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// The state that it ended in.
    pub reached: State,
    /// How long it took.
    pub milliseconds: u64,
}

/// How far the migration of `place` is. Nothing is locked or changed.
pub fn status(place: &Place, host: &dyn Host) -> Result<Status, MigrateError> {
    let (plan, json) = place.read_plan()?;
    let records = Ledger::read(place)?;
    is_as_begun(place, &json, &records)?;
    let process = DirLock::holder(place.dir()).ok().flatten();
    let standing = host.mounter().standing(&plan).ok();
    let mounted = standing.as_ref().map(|standing| *standing != Standing::Absent);
    let amiss = match process {
        Some(_) => Vec::new(),
        None => super::amiss::amiss(&plan, History(&records), standing),
    };
    Ok(Status { process, mounted, amiss, ..of(&plan, &records) })
}

impl Migration<'_> {
    /// Writes what came of it, for whoever reads reports.
    pub(crate) fn write_report(&self) -> Result<(), MigrateError> {
        let path = self.place.report();
        let json =
            serde_json::to_vec_pretty(&of(&self.plan, self.ledger.records())).expect("a status is text for keys");
        let mut file = AtomicFile::create(&path, 0o600)?;
        file.write_all(&json).map_err(PathError::on("writing", &path))?;
        Ok(file.replace()?)
    }
}

fn of(plan: &Plan, records: &[Record]) -> Status {
    let history = History(records);
    let frozen: Option<CaughtUp> = fact(records, State::CaughtUp);
    let rounds = records.iter().filter(|record| record.state == State::Copied && record.mark == Mark::Done);
    Status {
        id: plan.id,
        direction: plan.direction,
        data: plan.data.clone(),
        vault: plan.vault.clone(),
        aside: plan.aside.clone(),
        state: history.reached(),
        since: history.last_done().map_or(plan.created, |record| record.time),
        begun: history.begun(),
        process: None,
        committed: history.is_committed(),
        mounted: None,
        proven: proven(plan, history),
        left_out: plan.left_out(),
        amiss: Vec::new(),
        rollback: rollback(history),
        soak_until: fact(records, State::Soak).map(|finished: Finished| finished.soak_until),
        backup: fact(records, State::BackedUp).and_then(|made: BackedUp| made.archive),
        entries: frozen.as_ref().map(|frozen| frozen.entries),
        bytes: frozen.as_ref().map(|frozen| frozen.bytes),
        rounds: rounds.filter_map(facts_of).collect(),
        windows: history.windows(),
        phases: phases(history),
        stuck: fact(records, State::NeedsOperator).filter(|_| history.reached() == State::NeedsOperator),
    }
}

fn fact<T: serde::de::DeserializeOwned>(records: &[Record], state: State) -> Option<T> {
    let last = records.iter().rfind(|record| (record.state, record.mark) == (state, Mark::Done));
    last.and_then(facts_of)
}

/// What has been shown of the copy that is the truth now, or would be.
fn proven(plan: &Plan, history: History<'_>) -> Vec<Check> {
    let mut proven = Vec::new();
    let has = |state| history.0.iter().any(|record| (record.state, record.mark) == (state, Mark::Done));
    if has(State::TargetMade) && !plan.leaves_out(Check::RecoveryKey) {
        proven.push(Check::RecoveryKey);
    }
    if let Some(verified) = fact::<Verified>(history.0, State::Verified)
        && (history.is_committed() || history.is_in_window())
    {
        proven.extend(verified.checks);
    }
    if history.is_committed() && fact::<Healthy>(history.0, State::Healthy).is_some() {
        proven.push(Check::Services);
    }
    proven.sort();
    proven.dedup();
    proven
}

fn rollback(history: History<'_>) -> Rollback {
    match history.reached() {
        State::RollbackIntent | State::RollingBack | State::RolledBack => Rollback::Done,
        _ if history.is_erasing() => Rollback::Gone,
        _ if history.is_committed() => Rollback::CarriesBack,
        _ => Rollback::Free,
    }
}

/// From the intent to stop the first service until they were well, or the way back was gone.
fn phases(history: History<'_>) -> Vec<Phase> {
    let window = history.since_window();
    let end = window.iter().position(|record| {
        record.mark == Mark::Done && matches!(record.state, State::Healthy | State::Copied | State::RolledBack)
    });
    let window = &window[..end.map_or(window.len(), |end| end + 1)];
    let Some(mut since) = window.first().map(|first| first.time) else { return Vec::new() };
    let done = window.iter().filter(|record| record.mark == Mark::Done);
    done.map(|record| {
        let milliseconds = u64::try_from(record.time.as_millisecond() - since.as_millisecond()).unwrap_or(0);
        since = record.time;
        Phase { reached: record.state, milliseconds }
    })
    .collect()
}
