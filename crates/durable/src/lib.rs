//! What survives a power cut, and who may touch it.
//!
//! * [`AtomicFile`]: a file that is there as it was, or as it is to be, and never in between.
//! * [`Beneath`]: what is below a directory, reached without following links.
//! * [`DirLock`]: a directory that belongs to one process at a time.
//! * [`Swap`]: a list of renames that come about all or not at all.
//! * [`leftovers`]: the temporary files of writers that were killed.
//! * [`sync_dir`]: the names in a directory reach the disk.

mod atomic;
mod beneath;
mod error;
mod leftover;
mod lock;
mod swap;

pub use atomic::{AtomicFile, sync_dir};
pub use beneath::{Beneath, PASSING};
pub use error::PathError;
pub use leftover::{Leftover, leftovers};
pub use lock::{DirLock, LockError};
pub use swap::{How, Move, Recovered, Swap, SwapError};
