//! The machine that moves a directory: looks at what the journal says, takes one step, which looks at the world, acts and
//! is recorded; and looks again. Killed anywhere and run again, it goes on.
//!
//! | file | what it knows |
//! |---|---|
//! | `begin`, `locks` | how a migration comes to be, how it is found, and who may touch it |
//! | `facts`, `history` | what is recorded, and what that says |
//! | `step`, `converge` | which step comes next |
//! | `invariant`, `world` | what must be true before it, and what is |
//! | `sides` | the two trees, and the path that leads to one of them |
//! | `prepare`, `copy`, `window`, `cutover`, `services` | the steps |
//! | `kept`, `writers` | what is copied of a tree, and who can still change it |
//! | `recover` | what is done first after a crash |
//! | `status`, `verify` | looking, and changing nothing |

mod amiss;
mod begin;
mod converge;
mod copy;
mod cutover;
mod facts;
mod history;
mod invariant;
mod kept;
mod locks;
mod prepare;
mod recover;
mod services;
mod sides;
mod status;
mod step;
mod verify;
mod window;
mod world;
mod writers;

use std::{path::Path, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use strongroom_crypto::Key;
use strongroom_event::Observer;
use strongroom_tree::Manifest;

use crate::{Back, Host, Kinds, Ledger, Mark, MigrateError, OpenVault, Place, Plan, State, ledger::Moment};
use converge::Verdict;
use invariant::Before;
use step::{Step, next};

pub(crate) use begin::mark_of;
pub use begin::{Found, begin, find};
pub use facts::{
    BackedUp, CaughtUp, CutOver, Finished, Frozen, Healthy, Planned, Quiescing, Ready, Round, Side, Stopped, Stuck,
    Verified, Window,
};
pub(crate) use history::History;
pub(crate) use invariant::may_erase;
pub(crate) use locks::Locks;
pub use recover::recover;
pub(crate) use sides::Readable;
pub use status::{Phase, Rollback, Status, status};
pub use verify::{Verification, change_aside, unreadable, verify};
pub(crate) use world::AtPath;

/// A migration that belongs to this process.
pub struct Migration<'h> {
    pub(crate) plan: Plan,
    pub(crate) place: Place,
    pub(crate) ledger: Ledger,
    pub(crate) host: &'h dyn Host,
    pub(crate) observer: Arc<dyn Observer>,
    /// Open from when it is needed first until the mount needs it.
    pub(crate) vault: Option<Box<dyn OpenVault>>,
    /// Known as soon as the vault was open once.
    pub(crate) journal_key: Option<Key<32>>,
    /// Open from when it is needed first.
    pub(crate) manifest: Option<Manifest>,
    /// What the survey saw in this run: one of each is tried in the vault.
    pub(crate) kinds: Option<Kinds>,
    /// Whether the copy was held against the manifest in this run.
    pub(crate) is_reconciled: bool,
    /// Whether the operator lets the services be down for longer than the plan has it.
    pub(crate) may_take_long: bool,
    _locks: Locks,
}

/// Where a run ended well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How far it is.
    pub state: State,
    /// For how long each service was down, and on which side it is now.
    pub windows: Vec<Window>,
}

impl<'h> Migration<'h> {
    /// The migration of `place`, for this process alone.
    pub fn open(place: &Place, host: &'h dyn Host) -> Result<Self, MigrateError> {
        begin::open(place, host)
    }

    /// Goes on from wherever it is, after whatever has happened, until it is finished, or must wait for the operator: in
    /// [`State::Soak`]. What it leaves when it fails is told by the error; it can be run again.
    pub fn run(&mut self) -> Result<Outcome, MigrateError> {
        let ended = self.restore(recover::When::Now).and_then(|()| self.drive());
        // What is reported is in the journal too; a full disk must not make a failure of a success.
        if let Err(error) = self.write_report() {
            self.warn(&format!("no report was written: {error}"));
        }
        ended
    }

    /// Lets the services be down for longer than the plan has it, if it must be: the answer to [`MigrateError::TooLong`].
    pub fn allow_long_window(&mut self) {
        self.may_take_long = true;
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where it keeps what it knows.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The journal.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How far it is.
    pub fn state(&self) -> State {
        self.ledger.state()
    }

    fn drive(&mut self) -> Result<Outcome, MigrateError> {
        loop {
            let step = next(self.history(), &self.plan);
            if step == Step::Rest {
                return self.outcome();
            }
            let is_safe_point = match step {
                // What has come home is not left there with its path shut and services down.
                Step::RollBack => self.state() == State::RollbackIntent && !self.history().is_committed(),
                Step::Finalize => true,
                _ => !self.history().is_committed(),
            };
            let done = match self.host.is_to_stop() && is_safe_point {
                true => Err(MigrateError::Stopped { state: self.state() }),
                false => self.perform(step),
            };
            match done {
                Ok(true) => {}
                Ok(false) => return self.outcome(),
                Err(cause) => return Err(self.out_of(cause)),
            }
        }
    }

    /// Takes a step. Whether there may be another one now.
    fn perform(&mut self, step: Step) -> Result<bool, MigrateError> {
        match step {
            Step::Preflight => self.preflight(),
            Step::BackUp => self.back_up(),
            Step::MakeTarget => self.make_target(),
            Step::Copy => self.copy_round(),
            Step::Ask(Verdict::TooLong(predicted)) if !self.may_take_long => {
                let allowed = self.plan.max_downtime.unwrap_or(Duration::MAX);
                Err(MigrateError::TooLong { predicted, allowed })
            }
            Step::Ask(verdict) | Step::Quiesce(verdict) => self.quiesce(verdict.window()),
            Step::Fence => self.fence(),
            Step::CatchUp => self.catch_up(),
            Step::Verify => self.verify_frozen(),
            Step::Prepare => self.prepare_mount(),
            Step::CutOver => self.cut_over(),
            Step::Start => self.start(),
            Step::AwaitHealth => self.see_health(),
            Step::Soak => self.begin_soak(),
            Step::RollBack => self.step_back(),
            Step::Finalize => return self.step_of_finalize(),
            Step::Rest => return Ok(false),
        }
        .map(|()| true)
    }

    /// What is done about a failure: whatever it was, services run afterwards, on one side or the other.
    fn out_of(&mut self, cause: MigrateError) -> MigrateError {
        let history = self.history();
        if history.is_in_window() {
            return match cause.is_in_doubt() && history.begun() == Some(State::Cutover) {
                true => self.stuck(&cause, None),
                false => self.back_out_of(cause),
            };
        }
        match (history.reached(), &cause) {
            (State::Cutover | State::ServicesUp, MigrateError::Workload(_) | MigrateError::Unhealthy { .. }) => {
                self.roll_back_of_itself(cause)
            }
            (State::Cutover | State::ServicesUp, _) => match self.start_services(Side::Vault) {
                Ok(()) => cause,
                Err(undo) => self.stuck(&cause, Some(&undo)),
            },
            _ => cause,
        }
    }

    fn back_out_of(&mut self, cause: MigrateError) -> MigrateError {
        match self.back_out(&cause.to_string(), recover::When::Now) {
            Ok(()) => MigrateError::BackedOut { cause: Box::new(cause) },
            Err(undo) => self.stuck(&cause, Some(&undo)),
        }
    }

    /// The services are not well on the vault, which is the truth: what was written there is carried back.
    fn roll_back_of_itself(&mut self, cause: MigrateError) -> MigrateError {
        match self.go_back(&Back::default()) {
            Ok(_) => MigrateError::RolledBack { cause: Box::new(cause) },
            // It is back; what ails the services there is not the vault.
            Err(undo) if self.state() == State::RolledBack => {
                self.warn(&undo.to_string());
                MigrateError::RolledBack { cause: Box::new(cause) }
            }
            Err(undo) => self.stuck(&cause, Some(&undo)),
        }
    }

    /// Nothing that could be done by itself is left.
    fn stuck(&self, cause: &MigrateError, undo: Option<&MigrateError>) -> MigrateError {
        let why = match undo {
            Some(undo) => format!("{cause}; and going back failed as well: {undo}"),
            None => cause.to_string(),
        };
        let next = format!("see to it, and run `strongroom migrate resume {}`", self.plan.data.display());
        MigrateError::NeedsOperator { why, next }
    }

    fn outcome(&self) -> Result<Outcome, MigrateError> {
        let history = self.history();
        if let (State::NeedsOperator, Some(Stuck { why, next })) =
            (self.state(), self.ledger.fact(State::NeedsOperator))
        {
            return Err(MigrateError::NeedsOperator { why, next });
        }
        Ok(Outcome { state: self.state(), windows: history.windows() })
    }

    pub(crate) fn history(&self) -> History<'_> {
        History(self.ledger.records())
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { time: self.host.now(), boot_id: self.host.boot_id() }
    }

    /// Records that `state` is about to be reached, if all is as it must be before that.
    pub(crate) fn intend(&mut self, state: State, facts: &impl Serialize) -> Result<(), MigrateError> {
        self.hold_against_invariants(state, Mark::Intent)?;
        let moment = self.moment();
        self.ledger.append(state, Mark::Intent, facts, moment)
    }

    /// Records that `state` is reached, if all is as it must be then.
    pub(crate) fn reached(&mut self, state: State, facts: &impl Serialize) -> Result<(), MigrateError> {
        self.hold_against_invariants(state, Mark::Done)?;
        let moment = self.moment();
        self.ledger.append(state, Mark::Done, facts, moment)
    }

    /// The same, confirmed with all before it by the vault's key.
    pub(crate) fn reached_sealed(&mut self, state: State, facts: &impl Serialize) -> Result<(), MigrateError> {
        self.hold_against_invariants(state, Mark::Done)?;
        self.journal_key()?;
        let moment = self.moment();
        let key = self.journal_key.as_ref().expect("it was asked for just now");
        self.ledger.append_sealed(state, Mark::Done, facts, moment, key)
    }

    fn hold_against_invariants(&self, state: State, mark: Mark) -> Result<(), MigrateError> {
        let (at_path, boot_id) = (self.at_path()?, self.host.boot_id());
        Before { history: self.history(), at_path: &at_path, boot_id: &boot_id, has_original: self.has_original() }
            .check(state, mark)
    }

    /// The vault, opened for this process if it is not yet.
    pub(crate) fn vault(&mut self) -> Result<&dyn OpenVault, MigrateError> {
        if self.vault.is_none() {
            let vault = self.host.vaults().open(&self.plan)?;
            self.journal_key = Some(vault.journal_key());
            self.vault = Some(vault);
        }
        Ok(&**self.vault.as_ref().expect("it was opened just now"))
    }

    /// Closes the vault, so that the mount can have it.
    pub(crate) fn close_vault(&mut self) {
        self.vault = None;
    }

    /// The key that confirms the journal. The vault is opened for it, if it was not before.
    pub(crate) fn journal_key(&mut self) -> Result<&Key<32>, MigrateError> {
        if self.journal_key.is_none() {
            // The mount may have the vault.
            self.journal_key = Some(self.host.vaults().look(&self.plan)?.journal_key());
        }
        Ok(self.journal_key.as_ref().expect("opening the vault gives it"))
    }

    /// Whether reaching `state` was confirmed by the vault's key. [`MigrateError::Forged`] if it was by another one.
    pub(crate) fn is_sealed(&mut self, state: State) -> Result<bool, MigrateError> {
        self.journal_key()?;
        let key = self.journal_key.as_ref().expect("it was asked for just now");
        self.ledger.is_sealed(state, key)
    }
}

pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
