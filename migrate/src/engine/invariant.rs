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
    /// Whether the original is where it should be, whatever the path leads to.
    pub(crate) has_original: bool,
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
        if !self.has_original {
            return Err(("I1", "the original is nowhere to be found"));
        }
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde::Serialize;
    use strongroom_workload::ServiceSpec;

    use super::*;
    use crate::{Quiescing, Record, Round};

    const HERE: &str = "this start";

    fn record(seq: u64, state: State, mark: Mark, facts: &impl Serialize) -> Record {
        let facts = serde_json::to_value(facts).unwrap();
        Record { seq, time: Timestamp::UNIX_EPOCH, boot_id: HERE.into(), state, mark, facts }
    }

    fn ran(name: &str) -> Snapshot {
        let spec = ServiceSpec::Command(name.into());
        Snapshot { spec, was_running: true, pids: Vec::new(), facts: Default::default() }
    }

    fn caught_up(manifest: &str) -> CaughtUp {
        CaughtUp { manifest: manifest.into(), entries: 1, bytes: 1, copied: 0, copied_bytes: 0 }
    }

    fn verified(manifest: &str) -> Verified {
        Verified { manifest: manifest.into(), checks: vec![Check::Compared], read: 1, settled: 0 }
    }

    /// Up to where the mount is seen to work.
    fn until_mounted() -> Vec<Record> {
        let quiescing = Quiescing { services: vec![ran("db")], predicted_seconds: None };
        vec![
            record(0, State::Copied, Mark::Done, &Round::default()),
            record(1, State::Quiescing, Mark::Intent, &quiescing),
            record(2, State::Fenced, Mark::Done, &()),
            record(3, State::CaughtUp, Mark::Done, &caught_up("m0")),
            record(4, State::Verified, Mark::Done, &verified("m0")),
            record(5, State::CutoverIntent, Mark::Done, &()),
        ]
    }

    fn committed() -> Vec<Record> {
        let mut records = until_mounted();
        records.push(record(6, State::Cutover, Mark::Done, &()));
        records
    }

    fn before<'a>(records: &'a [Record], at_path: &'a AtPath) -> Before<'a> {
        Before { history: History(records), at_path, boot_id: HERE, has_original: true }
    }

    #[track_caller]
    fn breaks(wanted: &str, result: Result<(), MigrateError>) {
        match result {
            Err(MigrateError::Broken { invariant, .. }) => assert_eq!(invariant, wanted),
            other => panic!("{wanted} was to be broken: {other:?}"),
        }
    }

    #[test]
    fn a_copy_that_was_verified_and_is_at_the_path_is_committed_to() {
        before(&until_mounted(), &AtPath::Target(1)).check(State::Cutover, Mark::Done).unwrap();
    }

    #[test]
    fn i1_a_copy_that_was_not_verified_is_not_committed_to() {
        let commit = |records: &[Record]| before(records, &AtPath::Target(1)).check(State::Cutover, Mark::Done);
        let mut never = until_mounted();
        never.remove(4);
        breaks("I1", commit(&never));
        let mut another = until_mounted();
        another[4] = record(4, State::Verified, Mark::Done, &verified("m1"));
        breaks("I1", commit(&another));
        let mut frozen_again = until_mounted();
        frozen_again.push(record(6, State::CaughtUp, Mark::Done, &caught_up("m0")));
        breaks("I1", commit(&frozen_again));
        let mut backed_out = until_mounted();
        backed_out.push(record(6, State::Copied, Mark::Done, &Round::default()));
        breaks("I1", commit(&backed_out));
    }

    #[test]
    fn i1_what_was_verified_before_the_machine_was_started_anew_is_not_committed_to() {
        let records = until_mounted();
        let later = Before { boot_id: "another start", ..before(&records, &AtPath::Target(1)) };
        breaks("I1", later.check(State::Cutover, Mark::Done));
        breaks("I1", later.check(State::CutoverIntent, Mark::Intent));
    }

    #[test]
    fn i1_nothing_is_committed_to_when_the_original_is_gone() {
        let records = until_mounted();
        let gone = Before { has_original: false, ..before(&records, &AtPath::Target(1)) };
        breaks("I1", gone.check(State::Cutover, Mark::Done));
    }

    #[test]
    fn i1_a_copy_that_is_the_truth_is_not_copied_over() {
        breaks("I1", before(&committed(), &AtPath::Target(1)).check(State::Copied, Mark::Done));
    }

    #[test]
    fn i2_nothing_is_erased_before_every_check_has_passed_or_was_waived_by_name() {
        let mut plan = plan();
        may_erase(&plan, &ALL, true).unwrap();
        for missing in 0..ALL.len() {
            let mut passed = ALL.to_vec();
            let check = passed.remove(missing);
            breaks("I2", may_erase(&plan, &passed, true));
            plan.accepted = vec![Accepted::WithoutCheck(check)];
            may_erase(&plan, &passed, true).unwrap();
            plan.accepted.clear();
        }
    }

    #[test]
    fn i3_the_path_is_shut_before_anything_copied_behind_it_is_believed() {
        for state in [State::Fenced, State::CaughtUp, State::Verified] {
            before(&until_mounted(), &AtPath::Shut).check(state, Mark::Done).unwrap();
            for open in [AtPath::Source, AtPath::Target(1), AtPath::Dead, AtPath::Strange("x".into())] {
                breaks("I3", before(&until_mounted(), &open).check(state, Mark::Done));
            }
        }
    }

    #[test]
    fn i3_nothing_is_committed_to_that_the_path_does_not_lead_to() {
        for elsewhere in [AtPath::Source, AtPath::Shut, AtPath::Dead, AtPath::Strange("x".into())] {
            breaks("I3", before(&until_mounted(), &elsewhere).check(State::Cutover, Mark::Done));
        }
    }

    #[test]
    fn i3_services_that_do_not_use_the_data_are_not_stopped_for_it() {
        for elsewhere in [AtPath::Target(1), AtPath::Shut, AtPath::Dead] {
            breaks("I3", before(&until_mounted()[..1], &elsewhere).check(State::Quiescing, Mark::Intent));
        }
    }

    #[test]
    fn i4_services_run_on_the_truth_and_only_there() {
        let (early, late) = (until_mounted(), committed());
        before(&early, &AtPath::Source).may_run_services(Side::Plaintext).unwrap();
        before(&late, &AtPath::Target(1)).may_run_services(Side::Vault).unwrap();
        breaks("I4", before(&early, &AtPath::Target(1)).may_run_services(Side::Vault));
        breaks("I4", before(&late, &AtPath::Source).may_run_services(Side::Plaintext));
        for (records, side) in [(&early, Side::Plaintext), (&late, Side::Vault)] {
            for nowhere in [AtPath::Shut, AtPath::Dead, AtPath::Strange("x".into())] {
                breaks("I3", before(records, &nowhere).may_run_services(side));
            }
        }
    }

    #[test]
    fn i6_only_what_was_seen_to_run_is_started() {
        let records = until_mounted();
        let before = before(&records, &AtPath::Source);
        before.may_start(&ran("db")).unwrap();
        breaks("I6", before.may_start(&ran("web")));
        breaks("I6", before.may_start(&Snapshot { was_running: false, ..ran("db") }));
    }

    #[test]
    fn i9_the_path_is_not_shut_before_it_is_known_what_to_start_again() {
        let records = until_mounted();
        before(&records[..2], &AtPath::Source).check(State::Fenced, Mark::Intent).unwrap();
        breaks("I9", before(&records[..1], &AtPath::Source).check(State::Fenced, Mark::Intent));
    }

    #[test]
    fn i10_nothing_is_erased_on_the_word_of_a_journal_that_the_vault_has_not_confirmed() {
        breaks("I10", may_erase(&plan(), &ALL, false));
    }

    fn plan() -> Plan {
        serde_json::from_value(serde_json::json!({
            "version": 1, "id": "00112233445566aa", "direction": "encrypt", "created": "2026-01-01T00:00:00Z",
            "data": "/d", "original": { "dev": 1, "ino": 2, "born": null }, "aside": "/a", "vault": "/v", "stage": "/s",
            "services": [], "commands": [], "health": [], "health_commands": [],
            "service_timeout": { "secs": 5, "nanos": 0 }, "health_timeout": { "secs": 5, "nanos": 0 },
            "backup": "declined", "max_downtime": null, "postpone_file": null, "soak": { "secs": 0, "nanos": 0 },
            "finalize": false, "boot": "manual", "boot_secret": "asked", "accepted": [],
            "erasure": { "passes": 1, "prove": false, "scrub_free": false, "scrub_journal": false }
        }))
        .unwrap()
    }
}
