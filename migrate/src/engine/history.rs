//! What the journal says, as answers.

use strongroom_workload::Snapshot;

use super::{Healthy, Quiescing, Round, Window};
use crate::{Mark, Record, Returned, State, ledger::facts_of};

/// The records of a migration.
#[derive(Clone, Copy)]
pub(crate) struct History<'a>(pub(crate) &'a [Record]);

impl<'a> History<'a> {
    /// The state that was reached last.
    pub(crate) fn reached(self) -> State {
        self.last_done().map_or(State::Planned, |record| record.state)
    }

    /// What was begun last and is not known to have ended.
    pub(crate) fn begun(self) -> Option<State> {
        let last = self.0.iter().rfind(|record| record.mark != Mark::Seal)?;
        (last.mark == Mark::Intent).then_some(last.state)
    }

    /// Whether the copy is the truth.
    pub(crate) fn is_committed(self) -> bool {
        // What was changed is carried back from here on, wherever the path leads.
        let back = self.position(State::RolledBack).max(self.position(State::RollingBack));
        self.position(State::Cutover).is_some_and(|at| back.is_none_or(|back| back < at))
    }

    /// Whether services may be stopped, or the path be shut, before the commit point: from the intent to stop the first
    /// until all is seen to be as before.
    pub(crate) fn is_in_window(self) -> bool {
        let begun = self.0.iter().rposition(|record| record.state == State::Quiescing && record.mark == Mark::Intent);
        let ended = self.0.iter().rposition(|record| {
            record.mark == Mark::Done && matches!(record.state, State::Copied | State::Cutover | State::RolledBack)
        });
        begun.is_some_and(|begun| ended.is_none_or(|ended| ended < begun))
    }

    /// Whether the way back was chosen once, and perhaps could not be gone: then nothing is erased but when it is asked for.
    pub(crate) fn was_to_go_back(self) -> bool {
        self.0.iter().any(|record| record.state == State::RollbackIntent)
    }

    /// Whether nothing that was set aside may be expected to be whole any more.
    pub(crate) fn is_erasing(self) -> bool {
        self.0.iter().any(|record| {
            matches!(record.state, State::Finalizing | State::Erased | State::Done)
                || (record.state == State::FinalizeIntent && record.mark == Mark::Done)
        })
    }

    /// What ran when services were last to be stopped.
    pub(crate) fn services(self) -> Vec<Snapshot> {
        let record = self.0.iter().rfind(|record| record.state == State::Quiescing && record.mark == Mark::Intent);
        record.and_then(facts_of::<Quiescing>).map_or_else(Vec::new, |quiescing| quiescing.services)
    }

    /// The rounds of copying since the last way back.
    pub(crate) fn rounds(self) -> Vec<Round> {
        let done = self.0.iter().filter(|record| record.state == State::Copied && record.mark == Mark::Done);
        let mut rounds = Vec::new();
        for round in done.filter_map(facts_of::<Round>) {
            match round.backed_out {
                Some(_) => rounds.clear(),
                None => rounds.push(round),
            }
        }
        rounds
    }

    /// How many rounds there were in all.
    pub(crate) fn rounds_ever(self) -> u32 {
        let is_round = |record: &&Record| record.state == State::Copied && record.mark == Mark::Done;
        let rounds = self.0.iter().filter(is_round).filter_map(facts_of::<Round>);
        rounds.filter(|round| round.backed_out.is_none()).count() as u32
    }

    /// What was recorded since services were last to be stopped.
    pub(crate) fn since_window(self) -> &'a [Record] {
        let begun = self.0.iter().rposition(|record| record.state == State::Quiescing && record.mark == Mark::Intent);
        begun.map_or(&[], |begun| &self.0[begun..])
    }

    /// For how long services were down, in every window there was.
    pub(crate) fn windows(self) -> Vec<Window> {
        let of = |record: &Record| match record.state {
            State::Copied => facts_of::<Round>(record).map(|round| round.windows),
            State::Healthy => facts_of::<Healthy>(record).map(|healthy| healthy.windows),
            State::RolledBack => facts_of::<Returned>(record).map(|returned| returned.windows),
            _ => None,
        };
        self.0.iter().filter(|record| record.mark == Mark::Done).filter_map(of).flatten().collect()
    }

    /// The record of the state that was reached last.
    pub(crate) fn last_done(self) -> Option<&'a Record> {
        self.0.iter().rfind(|record| record.mark == Mark::Done)
    }

    fn position(self, state: State) -> Option<usize> {
        self.0.iter().rposition(|record| record.state == state && record.mark == Mark::Done)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(state: State, mark: Mark, facts: Value) -> Record {
        Record { seq: 0, time: jiff::Timestamp::UNIX_EPOCH, boot_id: "b".into(), state, mark, facts }
    }

    fn done(state: State) -> Record {
        record(state, Mark::Done, Value::Null)
    }

    fn intent(state: State) -> Record {
        record(state, Mark::Intent, Value::Null)
    }

    #[test]
    fn the_window_is_open_from_the_first_intent_to_stop_until_the_commit_point_or_the_way_back() {
        let mut records = vec![done(State::Copied), intent(State::Quiescing)];
        assert!(History(&records).is_in_window());
        records.push(done(State::Quiescing));
        records.push(intent(State::Fenced));
        assert!(History(&records).is_in_window());
        let mut out = records.clone();
        out.push(record(State::Copied, Mark::Done, json!({"number": 1, "backed_out": "no room"})));
        assert!(!History(&out).is_in_window());
        records.push(done(State::Cutover));
        assert!(!History(&records).is_in_window() && History(&records).is_committed());
    }

    #[test]
    fn what_was_rolled_back_is_not_committed() {
        let records = [done(State::Cutover), done(State::RolledBack)];
        assert!(!History(&records).is_committed());
    }

    #[test]
    fn a_seal_ends_nothing_that_was_begun() {
        let records = [done(State::Copied), intent(State::Fenced), record(State::Copied, Mark::Seal, Value::Null)];
        assert_eq!(History(&records).begun(), Some(State::Fenced));
        assert_eq!(History(&records).reached(), State::Copied);
    }

    #[test]
    fn rounds_are_counted_anew_after_a_way_back() {
        let round = |number| {
            let facts = serde_json::to_value(Round { number, ..Round::default() }).unwrap();
            record(State::Copied, Mark::Done, facts)
        };
        let back = Round { backed_out: Some("why".into()), ..Round::default() };
        let back = record(State::Copied, Mark::Done, serde_json::to_value(back).unwrap());
        let records = [round(0), round(1), back, round(2)];
        assert_eq!(History(&records).rounds().len(), 1);
        assert_eq!(History(&records).rounds_ever(), 3);
    }
}
