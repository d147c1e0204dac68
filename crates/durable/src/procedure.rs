//! Driving small idempotent steps, each recorded when it is done: kill it anywhere, and driving it again is the
//! recovery.
//!
//! Between a step and its record there is always a moment in which the power can go, and then the step is performed
//! again. So it looks first: exchanging two directories, blindly repeated, exchanges them back.

use std::{error::Error, fmt::Debug, marker::PhantomData};

use crate::{Journal, JournalError};

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was so already.
    AlreadySo,
    /// It had to be brought about.
    Done,
}

/// A step, as it is recorded.
pub trait Step: Copy + Eq + Debug {
    /// As bytes.
    fn to_record(&self) -> Vec<u8>;
    /// From these bytes; `None` if they mean nothing (to this version).
    fn from_record(record: &[u8]) -> Option<Self>;
}

/// Something to be brought about in steps.
pub trait Procedure {
    /// Its steps.
    type Step: Step;
    /// How a step fails.
    type Error: Error;

    /// The next step after those `done`; `None` when all is done. Looks at nothing else.
    fn next(&self, done: &[Self::Step]) -> Option<Self::Step>;

    /// Brings the step about, or finds that it is so already.
    fn perform(&mut self, step: Self::Step) -> Result<Found, Self::Error>;
}

/// Where steps are recorded.
pub trait Record<S> {
    /// What was recorded.
    fn done(&self) -> &[S];
    /// Records a step, and returns when that survives a power cut.
    fn record(&mut self, step: S) -> Result<(), JournalError>;
}

/// Why a procedure stopped. Driving it again goes on with the step that failed.
#[derive(Debug, thiserror::Error)]
pub enum DriveError<E: Error> {
    /// A step failed.
    #[error("{step}: {source}")]
    Step {
        /// Which.
        step: String,
        /// Why.
        #[source]
        source: E,
    },
    /// A step is done and could not be recorded.
    #[error(transparent)]
    Journal(JournalError),
}

/// Performs and records one step after the other, until none is left.
pub fn drive<P: Procedure>(procedure: &mut P, journal: &mut dyn Record<P::Step>) -> Result<(), DriveError<P::Error>> {
    while let Some(step) = procedure.next(journal.done()) {
        procedure.perform(step).map_err(|source| DriveError::Step { step: format!("{step:?}"), source })?;
        journal.record(step).map_err(DriveError::Journal)?;
    }
    Ok(())
}

/// A [`Journal`] of steps.
#[derive(Debug)]
pub struct StepJournal<S> {
    journal: Journal,
    done: Vec<S>,
    steps: PhantomData<S>,
}

impl<S: Step> StepJournal<S> {
    /// Reads what the journal has. A record that is no step says that another version wrote it: it is damaged to us.
    pub fn new(journal: Journal) -> Result<Self, JournalError> {
        let damaged = |record| JournalError::Damaged { path: journal.path().to_owned(), record };
        let steps = journal.records().iter().enumerate();
        let done = steps.map(|(index, record)| S::from_record(record).ok_or_else(|| damaged(index)));
        let done = done.collect::<Result<_, _>>()?;
        Ok(Self { journal, done, steps: PhantomData })
    }

    /// The journal itself, to be removed when all is done.
    pub fn into_journal(self) -> Journal {
        self.journal
    }
}

impl<S: Step> Record<S> for StepJournal<S> {
    fn done(&self) -> &[S] {
        &self.done
    }

    fn record(&mut self, step: S) -> Result<(), JournalError> {
        self.journal.append(&step.to_record())?;
        self.done.push(step);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, io, path::Path, rc::Rc};

    use super::*;
    use crate::PathError;

    /// Power for so many more effects and records.
    #[derive(Clone)]
    struct Power(Rc<Cell<usize>>);

    impl Power {
        fn use_up(&self) -> io::Result<()> {
            let left = self.0.get().checked_sub(1).ok_or_else(|| io::Error::other("power cut"))?;
            self.0.set(left);
            Ok(())
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Change {
        Build,
        Exchange,
        Announce,
    }

    impl Step for Change {
        fn to_record(&self) -> Vec<u8> {
            vec![*self as u8]
        }

        fn from_record(record: &[u8]) -> Option<Self> {
            [Change::Build, Change::Exchange, Change::Announce].into_iter().find(|step| step.to_record() == record)
        }
    }

    /// A machine in memory: a staged value that is exchanged with the one in use, and announced.
    struct Machine {
        staged: &'static str,
        in_use: &'static str,
        announced: Option<&'static str>,
        power: Power,
        is_careless: bool,
    }

    impl Procedure for Machine {
        type Step = Change;
        type Error = io::Error;

        fn next(&self, done: &[Change]) -> Option<Change> {
            [Change::Build, Change::Exchange, Change::Announce].get(done.len()).copied()
        }

        fn perform(&mut self, step: Change) -> io::Result<Found> {
            match step {
                Change::Build if self.staged == "new" => return Ok(Found::AlreadySo),
                Change::Exchange if self.in_use == "new" && !self.is_careless => return Ok(Found::AlreadySo),
                _ => self.power.use_up()?,
            }
            match step {
                Change::Build => self.staged = "new",
                Change::Exchange => std::mem::swap(&mut self.staged, &mut self.in_use),
                Change::Announce => self.announced = Some(self.in_use),
            }
            Ok(Found::Done)
        }
    }

    struct Powered<'a>(StepJournal<Change>, &'a Power);

    impl Record<Change> for Powered<'_> {
        fn done(&self) -> &[Change] {
            self.0.done()
        }

        fn record(&mut self, step: Change) -> Result<(), JournalError> {
            self.1.use_up().map_err(PathError::on("recording", Path::new("journal")))?;
            self.0.record(step)
        }
    }

    /// Cuts the power after so many effects and records, then drives it again. What is announced at the end.
    fn announced_after_a_cut(cut: usize, is_careless: bool) -> Option<&'static str> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let power = Power(Rc::new(Cell::new(cut)));
        let mut machine = Machine { staged: "", in_use: "old", announced: None, power: power.clone(), is_careless };
        let journal = StepJournal::new(Journal::create(&path).unwrap()).unwrap();
        let first = drive(&mut machine, &mut Powered(journal, &power));
        assert_eq!(first.is_err(), cut < 6, "three effects and three records");
        power.0.set(usize::MAX);
        let journal = StepJournal::new(Journal::open(&path).unwrap().unwrap()).unwrap();
        drive(&mut machine, &mut Powered(journal, &power)).unwrap();
        machine.announced
    }

    #[test]
    fn a_procedure_survives_a_power_cut_after_every_effect_and_record() {
        for cut in 0..=6 {
            assert_eq!(announced_after_a_cut(cut, false), Some("new"), "cut after {cut}");
        }
    }

    #[test]
    fn the_enumeration_finds_a_step_that_does_not_look_first() {
        assert!((0..=6).any(|cut| announced_after_a_cut(cut, true) != Some("new")));
    }

    #[test]
    fn a_record_of_another_version_is_not_taken_for_done() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(&dir.path().join("journal")).unwrap();
        journal.append(b"a step of next year").unwrap();
        assert!(matches!(StepJournal::<Change>::new(journal), Err(JournalError::Damaged { record: 0, .. })));
    }
}
