//! What lies beside the files: the journal, and free space.

use std::{os::fd::BorrowedFd, sync::atomic::AtomicBool};

use serde::{Deserialize, Serialize};
use strongroom_event::Observer;

use crate::EraseError;

/// How a journal was made to wrap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Churned {
    /// How long the journal is, as far as the file system tells; else as long as it is at most by default.
    pub journal: u64,
    /// How much was written to it, at least.
    pub written: u64,
}

/// How free space was filled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filled {
    /// How much was written.
    pub written: u64,
    /// How much was left free, and is as it was.
    pub left: u64,
}

/// Makes and removes files in `dir` until twice the journal of its file system has been written. None where there is no
/// journal that this would reach.
pub fn scrub_journal(
    _dir: BorrowedFd<'_>,
    _observer: &dyn Observer,
    _stop: &AtomicBool,
) -> Result<Option<Churned>, EraseError> {
    unimplemented!()
}

/// Fills the free space of the file system of `dir`, but for one part in a hundred and `keep` bytes, and gives it back. What
/// a run left behind that was killed goes with the next.
pub fn scrub_free(
    _dir: BorrowedFd<'_>,
    _keep: u64,
    _observer: &dyn Observer,
    _stop: &AtomicBool,
) -> Result<Filled, EraseError> {
    unimplemented!()
}

/// Tells the device what is free (FITRIM). How many bytes, or nothing where it does not take that.
pub fn trim(_dir: BorrowedFd<'_>) -> Result<Option<u64>, EraseError> {
    unimplemented!()
}
