//! Which step comes next: a function of what is recorded, and of nothing else. What a step finds when it looks at the world
//! is its own affair.

use super::{
    converge::{Verdict, judge},
    history::History,
};
use crate::{Plan, State};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// Look at everything that can be checked beforehand, and reserve room.
    Preflight,
    /// Back the plaintext up.
    BackUp,
    /// Make the vault.
    MakeTarget,
    /// Copy what is not copied, while the services run.
    Copy,
    /// Data change as fast as they are copied: only the operator can decide to go on.
    Ask(Verdict),
    /// Read back and compare what was copied, wait as long as the operator wishes, stop the services.
    Quiesce(Verdict),
    /// Shut the path.
    Fence,
    /// Copy what had changed, and freeze.
    CatchUp,
    /// Compare.
    Verify,
    /// Write what mounts the vault.
    Prepare,
    /// Mount it at the path, and commit to it.
    CutOver,
    /// Start what ran.
    Start,
    /// See that it is well.
    AwaitHealth,
    /// Begin the time in which the way back is open.
    Soak,
    /// Erase the originals, if that is wanted in the same run and the time is over.
    Finalize,
    /// Carry back what was done since, and return to the original.
    RollBack,
    /// There is nothing to be done.
    Rest,
}

/// The next step.
pub(crate) fn next(history: History<'_>, plan: &Plan) -> Step {
    match history.reached() {
        State::Planned => Step::Preflight,
        State::Ready => Step::BackUp,
        State::BackedUp => Step::MakeTarget,
        State::TargetMade => Step::Copy,
        State::Copied => after_round(history, plan),
        State::Quiescing => Step::Fence,
        State::Fenced => Step::CatchUp,
        State::CaughtUp => Step::Verify,
        State::Verified => Step::Prepare,
        State::CutoverIntent => Step::CutOver,
        State::Cutover => Step::Start,
        State::ServicesUp => Step::AwaitHealth,
        State::Healthy => Step::Soak,
        State::Soak if plan.finalize && !history.was_to_go_back() => Step::Finalize,
        State::FinalizeIntent | State::Finalizing | State::Erased => Step::Finalize,
        State::RollbackIntent | State::RollingBack => Step::RollBack,
        State::Soak | State::Done | State::RolledBack | State::NeedsOperator => Step::Rest,
    }
}

fn after_round(history: History<'_>, plan: &Plan) -> Step {
    match judge(&history.rounds(), plan.max_downtime) {
        Verdict::Again => Step::Copy,
        verdict @ Verdict::Enough(_) => Step::Quiesce(verdict),
        verdict @ Verdict::TooLong(_) => Step::Ask(verdict),
    }
}
