//! A list of renames within one directory tree that come about all or not at all, kill and power cut included.
//!
//! Before the first, what is to be moved is noted in a journal by inode numbers. So every move can be looked at before
//! it is made or taken back: exchanging is its own inverse, and doing it twice would undo it.
//!
//! | killed | and recovered |
//! |---|---|
//! | before [`Swap::commit`] | everything is as it was |
//! | after it | everything is as it is to be |
//!
//! Left to the caller: that what is staged is on the disk, and removing the old when it is not wanted any more.

mod names;
mod one;
mod record;

use std::path::{Component, Path, PathBuf};

use crate::{ExchangeError, Journal, JournalError, PathError};
use names::{Log, Names, RealNames};
use record::{Bound, Plan, Record};

/// One rename. Both paths are relative to the root of the swap and end in a name; they are on one file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where the new is before, and for [`How::Exchange`] and [`How::SetAside`] the old after.
    pub staged: PathBuf,
    /// Where programs look.
    pub target: PathBuf,
    /// What becomes of what is there.
    pub how: How,
}

/// What a move does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Swaps the two, in one step where the file system can, and else by three renames between which the target is
    /// missing for a moment. Only then is `staged` with `.spare` at its end in use as well.
    Exchange,
    /// Moves `staged` to `target`, where nothing is.
    PlaceNew,
    /// Moves `target` to `staged`, where nothing is.
    SetAside,
}

/// Why a swap could not be made, or not be undone.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// A system call failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Two names were not exchanged.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A path is absolute, or climbs, or is empty.
    #[error("{} is no path below the directory", path.display())]
    NotBelow {
        /// The path.
        path: PathBuf,
    },
    /// A path is within another one, so that one move would move the other.
    #[error("{} is within {}, which is moved too", inner.display(), outer.display())]
    Nested {
        /// The path.
        inner: PathBuf,
        /// The other one.
        outer: PathBuf,
    },
    /// Something else is mounted there.
    #[error("{} is on another file system than the directory", path.display())]
    ElsewhereMounted {
        /// The path.
        path: PathBuf,
    },
    /// What is to be moved is not there, or something is where nothing should be.
    #[error("{} cannot be moved to its place: something is missing, or in the way", path.display())]
    NotReady {
        /// The target.
        path: PathBuf,
    },
    /// Neither what was there before nor what was to come: somebody else changed it.
    #[error("{} was changed by somebody else, and is left as it is", path.display())]
    Changed {
        /// The target.
        path: PathBuf,
    },
    /// A swap is planned, then performed, then committed, then settled.
    #[error("a swap that is {stage} is past this, or not there yet")]
    OutOfOrder {
        /// How far it is.
        stage: &'static str,
    },
    /// The journal is about another directory.
    #[error("the journal is about another directory than {}", path.display())]
    AnotherRoot {
        /// The directory.
        path: PathBuf,
    },
    /// A move failed, and taking back those before it failed too. The journal is still there, for [`Swap::recover`].
    #[error("{cause}; and taking it back failed as well: {undo}")]
    NotUndone {
        /// What failed first.
        cause: Box<SwapError>,
        /// What failed then.
        undo: Box<SwapError>,
    },
}

/// A swap that has been planned and not been settled: its journal exists.
pub struct Swap(Moving<RealNames, Journal>);

/// What [`Swap::recover`] found.
pub enum Recovered {
    /// No swap was under way.
    Nothing,
    /// One was, and everything is as it was before. Its journal is gone.
    RolledBack,
    /// One had been committed: everything is as it is to be, and the old can go. Then [`Swap::settle`].
    Committed(Swap),
}

impl Swap {
    /// Notes in a new file `journal` what is to be moved below `root`, and moves nothing yet. Everything staged must be
    /// on the disk already, and no path within another.
    pub fn plan(root: &Path, journal: &Path, moves: Vec<Move>) -> Result<Self, SwapError> {
        let names = RealNames::open(root)?;
        let plan = bind(&names, moves)?;
        Ok(Self(Moving::begin(names, Journal::create(journal)?, plan)?))
    }

    /// Makes all moves and puts them on the disk. If one fails, those before it are taken back, and the journal is gone.
    pub fn perform(&mut self) -> Result<(), SwapError> {
        self.0.perform()
    }

    /// From here on an interruption keeps the new; until here, it brings back the old. If this fails, only
    /// [`Swap::recover`] finds out which of the two it is.
    pub fn commit(&mut self) -> Result<(), SwapError> {
        self.0.commit()
    }

    /// Takes all moves back, before they are committed, and removes the journal.
    pub fn roll_back(mut self) -> Result<(), SwapError> {
        self.0.roll_back()
    }

    /// Ends a committed swap: the old has been removed, or is kept on purpose. Removes the journal.
    pub fn settle(mut self) -> Result<(), SwapError> {
        self.0.settle()
    }

    /// The moves.
    pub fn moves(&self) -> impl Iterator<Item = &Move> {
        self.0.plan.moves.iter().map(|bound| &bound.wanted)
    }

    /// After an interruption: takes back what was not committed, or sees to it that what was committed is in place.
    pub fn recover(root: &Path, journal: &Path) -> Result<Recovered, SwapError> {
        let Some(journal) = Journal::open(journal)? else { return Ok(Recovered::Nothing) };
        let records = journal.records().iter().enumerate();
        let damaged = |record| JournalError::Damaged { path: journal.path().to_owned(), record };
        let records = records.map(|(index, record)| Record::decode(record).ok_or_else(|| damaged(index)));
        let records = records.collect::<Result<Vec<_>, _>>()?;
        let (plan, is_committed) = match records.as_slice() {
            // Nothing was moved yet.
            [] => {
                journal.remove()?;
                return Ok(Recovered::RolledBack);
            }
            [Record::Planned(plan)] => (plan.clone(), false),
            [Record::Planned(plan), Record::Committed] => (plan.clone(), true),
            _ => return Err(damaged(1).into()),
        };
        let names = RealNames::open(root)?;
        if names.root()? != plan.root {
            return Err(SwapError::AnotherRoot { path: root.to_owned() });
        }
        let stage = if is_committed { Stage::Committed } else { Stage::Planned };
        let mut moving = Moving { names, log: journal, plan, stage };
        if !is_committed {
            moving.roll_back()?;
            return Ok(Recovered::RolledBack);
        }
        moving.roll_forward()?;
        Ok(Recovered::Committed(Self(moving)))
    }
}

/// Looks at everything that is to be moved, and notes what it is.
fn bind(names: &dyn Names, moves: Vec<Move>) -> Result<Plan, SwapError> {
    refuse_nested(&moves)?;
    let bound = moves.into_iter().map(|wanted| {
        let (staged, target) = (names.look(&wanted.staged)?, names.look(&wanted.target)?);
        let (new, old) = match (wanted.how, staged, target) {
            (How::Exchange, Some(new), Some(old)) => (Some(new), Some(old)),
            (How::PlaceNew, Some(new), None) => (Some(new), None),
            (How::SetAside, None, Some(old)) => (None, Some(old)),
            _ => return Err(SwapError::NotReady { path: wanted.target }),
        };
        Ok(Bound { wanted, new, old })
    });
    Ok(Plan { root: names.root()?, moves: bound.collect::<Result<_, _>>()? })
}

fn refuse_nested(moves: &[Move]) -> Result<(), SwapError> {
    let mut paths: Vec<_> = moves.iter().flat_map(|wanted| [&wanted.staged, &wanted.target]).collect();
    let is_below = |path: &Path| {
        let mut parts = path.components().peekable();
        parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    if let Some(path) = paths.iter().find(|path| !is_below(path)) {
        return Err(SwapError::NotBelow { path: path.to_path_buf() });
    }
    // Paths are ordered by their names, so what is within one follows it.
    paths.sort_unstable();
    match paths.windows(2).find(|pair| pair[1].starts_with(pair[0])) {
        Some(pair) => Err(SwapError::Nested { inner: pair[1].clone(), outer: pair[0].clone() }),
        None => Ok(()),
    }
}

/// A swap, whatever its names and journal are made of.
struct Moving<N, L> {
    names: N,
    log: L,
    plan: Plan,
    stage: Stage,
}

/// How far a swap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Planned,
    Performed,
    Committed,
    /// It ended, with the old or with the new.
    Over,
}

impl<N: Names, L: Log> Moving<N, L> {
    fn begin(names: N, mut log: L, plan: Plan) -> Result<Self, SwapError> {
        log.append(&Record::Planned(plan.clone()).encode())?;
        Ok(Self { names, log, plan, stage: Stage::Planned })
    }

    fn perform(&mut self) -> Result<(), SwapError> {
        self.is_at(Stage::Planned)?;
        if let Err(cause) = self.make_all() {
            return Err(match self.roll_back() {
                Ok(()) => cause,
                Err(undo) => SwapError::NotUndone { cause: Box::new(cause), undo: Box::new(undo) },
            });
        }
        self.stage = Stage::Performed;
        Ok(())
    }

    fn make_all(&mut self) -> Result<(), SwapError> {
        for index in 0..self.plan.moves.len() {
            let bound = self.plan.moves[index].clone();
            match one::standing(&self.names, &bound)? {
                Some(standing) => one::make(&mut self.names, &bound.wanted, standing)?,
                None => return Err(SwapError::Changed { path: bound.wanted.target }),
            }
        }
        self.sync()
    }

    fn commit(&mut self) -> Result<(), SwapError> {
        self.is_at(Stage::Performed)?;
        self.log.append(&Record::Committed.encode())?;
        self.stage = Stage::Committed;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), SwapError> {
        self.is_at(Stage::Committed)?;
        self.end()
    }

    /// Takes back, last first, what was made. One that somebody changed meanwhile does not keep the others from it.
    fn roll_back(&mut self) -> Result<(), SwapError> {
        if self.stage == Stage::Committed {
            return Err(SwapError::OutOfOrder { stage: "committed" });
        }
        let mut undone = Ok(());
        for bound in self.plan.moves.clone().iter().rev() {
            undone = undone.and(match one::standing(&self.names, bound) {
                Ok(Some(standing)) => one::take_back(&mut self.names, &bound.wanted, standing),
                Ok(None) => Err(SwapError::Changed { path: bound.wanted.target.clone() }),
                Err(error) => Err(error),
            });
        }
        self.sync().and(undone)?;
        self.end()
    }

    fn end(&mut self) -> Result<(), SwapError> {
        self.log.remove()?;
        self.stage = Stage::Over;
        Ok(())
    }

    fn is_at(&self, stage: Stage) -> Result<(), SwapError> {
        let now = match self.stage {
            now if now == stage => return Ok(()),
            Stage::Planned => "planned",
            Stage::Performed => "performed",
            Stage::Committed => "committed",
            Stage::Over => "over",
        };
        Err(SwapError::OutOfOrder { stage: now })
    }

    /// All moves were made and on the disk when they were committed; but who has only one disk looks once more. What
    /// somebody changed since is theirs.
    fn roll_forward(&mut self) -> Result<(), SwapError> {
        for bound in self.plan.moves.clone() {
            if let Some(standing) = one::standing(&self.names, &bound)? {
                one::make(&mut self.names, &bound.wanted, standing)?;
            }
        }
        self.sync()
    }

    fn sync(&mut self) -> Result<(), SwapError> {
        let mut paths: Vec<_> = self
            .plan
            .moves
            .iter()
            .flat_map(|bound| [bound.wanted.staged.clone(), bound.wanted.target.clone()])
            .collect();
        paths.sort_unstable();
        paths.dedup_by(|a, b| a.parent() == b.parent());
        paths.iter().try_for_each(|path| self.names.sync_parent(path))
    }
}

#[cfg(test)]
mod tests;
