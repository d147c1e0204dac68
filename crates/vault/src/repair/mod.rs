//! Puts right what can be put right without losing anything. A [`Plan`] is made of what a check found, to be shown first;
//! [`repair`] carries it out. Nothing is deleted: what cannot be used is set aside, under the path that it had.
//!
//! Whoever is killed on the way has lost nothing. Each step is one rename, or makes something durable before it changes
//! anything, and looks first whether it was done already: a second check and a second repair finish the work, without a
//! journal. Nobody else may use the vault meanwhile.
//!
//! What is never touched: blocks, headers, links and attributes that do not authenticate, for a later program may be able
//! to read them, and a backup restores over them; and directories whose IV is lost while they hold something, for it is
//! the key to every name in them and may still be found.

mod aside;
mod perform;
mod plan;

pub(crate) use aside::ASIDE_WITHIN;
pub use aside::Aside;
pub use perform::{Repaired, Repairs, repair};
pub use plan::{Advice, Left, Plan, Remedy, Repair};
