//! The audit log: what created, restored, deleted or changed keys, by whom, and how it ended.
//!
//! One JSON object a line, one file a day, each record holding the SHA-256 of the one before, so that a record that was
//! altered, removed or moved shows. It does not show that the last records were cut off, nor that somebody who may write
//! the files has written all of them anew: for that the head's hash has to be noted elsewhere.

mod actor;
mod chain;
mod log;
mod query;
mod record;

pub use chain::{Chain, Fault, Head, Place, Verified};
pub use log::AuditLog;
pub(crate) use log::Draft;
pub use query::{AuditFilter, Counts, Summary, list, summary, verify};
pub use record::{Actor, AuditRecord, Details, Outcome};
