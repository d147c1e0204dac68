//! What must be true before a transition (docs/MIGRATION.md, I1 to I10). A violation stops before anything is done.

use strongroom_workload::Snapshot;

use super::{CaughtUp, Side, Verified, history::History, world::AtPath};
use crate::{Accepted, Check, Mark, MigrateError, Plan, State, ledger::facts_of};

/// All checks that must have passed before originals are erased.
const ALL: [Check; 6] =
    [Check::Copy, Check::Compared, Check::Decrypted, Check::Services, Check::RecoveryKey, Check::Unchanged];

/// What is held against the invariants: what is recorded, and what was just seen.
pub(crate) struct Before<'a> {
    pub(crate) history: History<'a>,
    pub(crate) at_path: &'a AtPath,
    pub(crate) boot_id: &'a str,
}

impl Before<'_> {
    /// Before a record of this kind is written: before acting for an intent, before believing for the rest.
    pub(crate) fn check(&self, state: State, mark: Mark) -> Result<(), MigrateError> {
        let refuse = |invariant, why: &str| Err(MigrateError::Broken { invariant, before: state, why: why.into() });
        match (state, mark) {
            (State::Copied, _) if self.history.is_committed() => {
                refuse("I1", "the copy is the truth already, and would be overwritten with the past")
            }
            (State::Quiescing, Mark::Intent) if *self.at_path != AtPath::Source => {
                refuse("I3", "the path does not lead to the data that services use")
            }
            (State::Fenced, Mark::Intent) if !self.knows_services() => {
                refuse("I9", "what runs is not recorded, so nobody could start it again")
            }
            (State::Fenced | State::CaughtUp | State::Verified, Mark::Done) if *self.at_path != AtPath::Shut => {
                refuse("I3", "the path is not shut, so what is copied can change")
            }
            (State::CutoverIntent, Mark::Intent) => self.is_verified().map_err(|why| self.broken("I1", state, why)),
            (State::Cutover, Mark::Done) => self.may_commit().map_err(|(number, why)| self.broken(number, state, why)),
            _ => Ok(()),
        }
    }

    /// I4 and I3: services are only started on the tree that is the truth, and only when the path leads there.
    pub(crate) fn may_run_services(&self, side: Side) -> Result<(), MigrateError> {
        let broken = |invariant, why: &str| Err(self.broken(invariant, self.history.reached(), why));
        match (side, self.history.is_committed(), self.at_path) {
            (Side::Plaintext, false, AtPath::Source) | (Side::Vault, true, AtPath::Target(_)) => Ok(()),
            (Side::Plaintext, true, _) => broken("I4", "the vault is the truth, and services would write to the past"),
            (Side::Vault, false, _) => broken("I4", "the plaintext is the truth, and services would write to a copy"),
            (_, _, at_path) => broken("I3", &format!("the path does not lead to the data, but to {at_path:?}")),
        }
    }

    /// I6: only what was recorded to run is started.
    pub(crate) fn may_start(&self, was: &Snapshot) -> Result<(), MigrateError> {
        if self.history.services().contains(was) {
            return Ok(());
        }
        Err(self.broken("I6", self.history.reached(), "a service would be started that was not seen to run"))
    }

    fn may_commit(&self) -> Result<(), (&'static str, &'static str)> {
        self.is_verified().map_err(|why| ("I1", why))?;
        match self.at_path {
            AtPath::Target(_) => Ok(()),
            _ => Err(("I3", "the copy is not what the path leads to")),
        }
    }

    /// The copy was found equal to what was frozen last, in this start of the machine.
    fn is_verified(&self) -> Result<(), &'static str> {
        let done = |state| self.history.0.iter().rfind(|record| (record.state, record.mark) == (state, Mark::Done));
        let Some(verified) = done(State::Verified) else { return Err("the copy was never compared") };
        let Some(caught_up) = done(State::CaughtUp) else { return Err("nothing was frozen") };
        let (Some(seen), Some(frozen)) = (facts_of::<Verified>(verified), facts_of::<CaughtUp>(caught_up)) else {
            return Err("what was compared is not known");
        };
        if !self.history.is_in_window() {
            return Err("the services are not stopped");
        }
        if verified.seq < caught_up.seq || seen.manifest != frozen.manifest {
            return Err("another copy was compared than the one that was frozen last");
        }
        if verified.boot_id != self.boot_id {
            return Err("the copy was compared before the machine was started anew");
        }
        Ok(())
    }

    fn knows_services(&self) -> bool {
        self.history.is_in_window()
    }

    fn broken(&self, invariant: &'static str, before: State, why: impl Into<String>) -> MigrateError {
        MigrateError::Broken { invariant, before, why: why.into() }
    }
}

/// I2 and I10: originals are only erased when all checks have passed, or were waived by name, and somebody who can open the
/// vault has confirmed the record of the cut-over.
pub(crate) fn may_erase(plan: &Plan, passed: &[Check], is_sealed: bool) -> Result<(), MigrateError> {
    let broken = |invariant, why: String| MigrateError::Broken { invariant, before: State::FinalizeIntent, why };
    if !is_sealed {
        return Err(broken("I10", "nobody who can open the vault has confirmed that it is the truth".into()));
    }
    let is_met = |check: &Check| passed.contains(check) || plan.accepts(&Accepted::WithoutCheck(*check));
    match ALL.iter().find(|check| !is_met(check)) {
        Some(missing) => Err(broken("I2", format!("the check {missing:?} has not passed"))),
        None => Ok(()),
    }
}
