//! Doubles, models and conformance suites. Used from the `tests/` folders only: this crate imports the crates it tests.
//!
//! - [`SimBacking`]: a disk in memory whose power can be cut, whose user can be killed, whose space can run out.
//! - [`conform`]: what every [`Backing`](strongroom_vault::Backing) must do, asked of the real and of the simulated one; and every
//!   [`Source`](strongroom_tree::Source) and [`Sink`](strongroom_tree::Sink).
//! - [`MemTree`]: a tree in memory, for whatever files flow out of or into.
//! - [`FaultyReplica`]: a replica that fails when it is told to.
//! - [`ReferenceTree`], [`Op`]: a POSIX tree in clear, and operations to compare a vault with it.
//! - [`Mounted`]: a vault used by paths, for the comparison.
//! - [`RestlessTree`]: a directory that changes as running programs change theirs.
//! - [`UserSystemd`]: a real `systemd --user`, for whatever talks to one.

pub mod conform;
mod faulty_replica;
mod mem_tree;
mod mounted;
mod op;
mod random;
mod reference_tree;
mod restless_tree;
mod sim;
mod user_systemd;

pub use faulty_replica::{FaultyReplica, Mishap};
pub use mem_tree::{MemContent, MemTree};
pub use mounted::{Fixture, Mounted};
pub use op::{Op, Place, SLOTS, at, content_op, names, op, ops, under};
pub use random::{Dice, SeededRandom, bytes};
pub use reference_tree::{Answer, Entry, Failure, ReferenceTree, Snapshot};
pub use restless_tree::RestlessTree;
pub use sim::{CrashState, Journal, KILLED, SimBacking, SimDir, SimFile, SimHeld};
pub use user_systemd::UserSystemd;
