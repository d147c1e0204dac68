//! A machine to try migrations on: the vault is a directory, a mount of it is a bind mount in a mount namespace of the
//! test's own, services are kept in memory. Paths, exchanges, locks, journals and copies are real.
//!
//! Every call to the machine is counted, and the process can be killed at any of them: what runs is unwound without any of
//! its own ways to deal with failures, as after SIGKILL, and then everything is opened anew.

#![allow(dead_code, unused_imports, reason = "each test uses its part")]

mod fleet;
mod machine;
mod vault;
mod world;

pub use fleet::{Fleet, Ran};
pub use machine::{Machine, run_until_killed};
pub use world::{World, listing, needs_root};
