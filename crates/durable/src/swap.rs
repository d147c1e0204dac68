//! A list of renames within one directory tree that come about all or not at all, kill and power cut included.
//!
//! Each move is looked at before it is made, by the inode numbers that were noted before the first: exchanging is its
//! own inverse, and doing it twice would undo it.

use std::path::{Path, PathBuf};

use crate::PathError;

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
    /// Swaps the two.
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
}

/// A swap that has been planned and not been settled: its journal exists.
pub struct Swap {
    journal: PathBuf,
}

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
    /// on the disk already.
    pub fn plan(_root: &Path, journal: &Path, _moves: Vec<Move>) -> Result<Self, SwapError> {
        Ok(Self { journal: journal.to_owned() })
    }

    /// Makes all moves and puts them on the disk. If one fails, those before it are taken back, and the journal is gone.
    pub fn perform(&mut self) -> Result<(), SwapError> {
        todo!()
    }

    /// From here on an interruption keeps the new; until here, it brings back the old.
    pub fn commit(&mut self) -> Result<(), SwapError> {
        todo!()
    }

    /// Takes all moves back, before they are committed, and removes the journal.
    pub fn roll_back(self) -> Result<(), SwapError> {
        todo!()
    }

    /// Ends the swap: the old has been removed, or is kept on purpose. Removes the journal.
    pub fn settle(self) -> Result<(), SwapError> {
        let _ = self.journal;
        todo!()
    }

    /// The moves.
    pub fn moves(&self) -> &[Move] {
        todo!()
    }

    /// After an interruption: takes back what was not committed, or sees to it that what was committed is in place.
    pub fn recover(_root: &Path, _journal: &Path) -> Result<Recovered, SwapError> {
        todo!()
    }
}
