//! The programs that use the data: how to have a copy of what they write that is whole, while they write it.
//!
//! * [`Capture`]: a consistent copy of something that is in use. [`Sqlite`] is one; other databases follow the same trait.
//! * [`Scratch`]: where such a copy lies meanwhile, without a name, so that a kill leaves nothing behind.
//! * [`connect`] and [`Service`]: a service behind whatever manages it, stopped and had again exactly as it was.
//! * [`await_health`]: whether services do what they are there for.
//! * [`holders`] and [`lease_probe`]: who uses a tree, and whether anybody can still write.
//! * [`Hook`] and [`run`]: a command of the operator's, before or after, with a time limit.

mod capture;
mod error;
mod health;
mod holder;
mod hook;
mod lock;
mod raw;
mod scratch;
mod service;
mod sqlite;

pub use capture::{Capture, Captured, Component, How, Part, Report, Verdict};
pub use error::WorkloadError;
pub use health::{BadHealthSpec, Evidence, HealthSpec, Healthcheck, Symptom, Unhealthy, await_health};
pub use holder::{
    Asked, Busy, Hold, Holder, MountLine, Probed, Sightings, Undecided, Unseen, holders, lease_probe, mounts_of,
};
pub use hook::{Hook, HookOutcome, run};
pub use scratch::Scratch;
pub use service::{
    BadSpec, Commands, Problem, Running, Service, ServiceSpec, Snapshot, Surroundings, SystemdManager, connect,
};
pub use sqlite::{Depth, Sqlite, is_database, main_of_sidecar, name_suggests};
