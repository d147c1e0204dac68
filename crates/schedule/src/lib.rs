//! When, and what to keep. Pure: no clock, no disk; whoever asks hands in `now` and the time zone.
//!
//! * [`Retention`]: which backups a person wants to have; [`keep`] says of each whether it stays, and why.

mod reason;
mod retention;

pub use reason::Reason;
pub use retention::{Condition, Dated, Retention, Verdict, keep};
