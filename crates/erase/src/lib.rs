//! Secure deletion: what overwriting a file reaches on this file system and device, doing it, and proving it.
//!
//! * [`judge`]: whether overwriting reaches the old blocks here, told honestly: [`Grade`] A, B or C, and why.
//! * [`erase`]: destroys a list of files, known by device and inode number, and nothing else, whoever renames what meanwhile.
//! * [`Markers`] and [`Samples`]: what is planted in a tree, or remembered of it, to be looked for afterwards.
//! * [`prove`]: looks for them on the raw device.
//! * [`scrub_journal`], [`scrub_free`] and [`trim`]: what lies beside the files.
//!
//! Nothing here reaches what a flash translation layer keeps, a snapshot below the file system, or a copy elsewhere. NIST
//! SP 800-88 does not count overwriting single files as sanitization of any kind, and neither does this crate.

mod erase;
mod error;
mod hex;
mod journal;
mod judge;
mod look;
mod mark;
mod noise;
mod prove;
mod sample;
mod scrub;
mod sys;
mod target;

pub use erase::{erase, remove_root};
pub use error::EraseError;
pub use judge::{Facts, Grade, Layer, Medium, Snapshots, Verdict, device_below, gather, judge, weigh};
pub use mark::{MarkKind, Markers};
pub use prove::{Found, Proof, Region, prove};
pub use sample::Samples;
pub use scrub::{Churned, Filled, scrub_free, scrub_journal, trim};
pub use target::{Batch, Erased, Erasing, Kind, Target};
