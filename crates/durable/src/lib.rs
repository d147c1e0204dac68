//! What survives a power cut, and who may touch it.
//!
//! * [`AtomicFile`]: a file that is there as it was, or as it is to be, and never in between.
//! * [`exchange`]: two names that change places in one step.
//! * [`Journal`]: records that are added and survive.
//! * [`Procedure`] and [`drive`]: steps that are recorded, so that driving them again is the recovery.
//! * [`Swap`]: a list of renames that come about all or not at all.
//! * [`Beneath`]: what is below a directory, reached without following links.
//! * [`DirLock`]: a directory that belongs to one process at a time.
//! * [`leftovers`]: the temporary files of writers that were killed.
//! * [`sync_dir`]: the names in a directory reach the disk.

mod atomic;
mod beneath;
mod crc;
mod error;
mod exchange;
mod journal;
mod leftover;
mod lock;
mod procedure;
mod swap;

pub use atomic::{AtomicFile, sync_dir};
pub use beneath::{Beneath, PASSING};
pub use error::PathError;
pub use exchange::{ExchangeError, exchange, exchange_and};
pub use journal::{Journal, JournalError};
pub use leftover::{Leftover, leftovers};
pub use lock::{DirLock, LockError};
pub use procedure::{DriveError, Found, Procedure, Record, Step, StepJournal, drive};
pub use swap::{How, Move, Recovered, Swap, SwapError};
