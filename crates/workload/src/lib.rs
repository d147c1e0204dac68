//! The programs that use the data: how to have a copy of what they write that is whole, while they write it.
//!
//! * [`Capture`]: a consistent copy of something that is in use. [`Sqlite`] is one; other databases follow the same trait.
//! * [`Scratch`]: where such a copy lies meanwhile, without a name, so that a kill leaves nothing behind.
//! * [`Hook`] and [`run`]: a command of the operator's, before or after, with a time limit.

mod capture;
mod error;
mod hook;
mod lock;
mod raw;
mod scratch;
mod service;
mod sqlite;

pub use capture::{Capture, Captured, Component, How, Part, Report, Verdict};
pub use error::WorkloadError;
pub use hook::{Hook, HookOutcome, run};
pub use scratch::Scratch;
pub use service::{BadSpec, Commands, Running, Service, ServiceSpec, Snapshot};
pub use sqlite::{Depth, Sqlite, is_database, main_of_sidecar, name_suggests};
