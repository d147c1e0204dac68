//! The encrypted view of a plaintext directory: what gocryptfs calls reverse mode. Nothing is written and nothing stored;
//! whoever copies the view has a vault.
//!
//! | file | what it does |
//! |---|---|
//! | `view.rs` | the view, lookup, attributes, links |
//! | `node.rs`, `numbers.rs` | the files in use, and their inode numbers |
//! | `names.rs`, `listing.rs` | names and paths of the plaintext from and to those of the view; directories |
//! | `read.rs` | file content |
//! | `xattr.rs` | extended attributes |
//! | `exclude.rs`, `go_regex.rs` | what is left out |
//!
//! Everything is reached from the root's descriptor without following a symbolic link, and what is reached is compared with
//! what was looked up, so nobody who changes the plaintext meanwhile can have something else shown in its place.
//!
//! Lock order: the table of nodes → a node's own. No lock is held over a call to the kernel, but for that on the vectors of
//! files with several names.

#![forbid(unsafe_code)]

mod attr;
mod error;
mod exclude;
mod go_regex;
mod listing;
mod names;
mod node;
mod numbers;
mod read;
mod view;
mod xattr;

pub use attr::*;
pub use error::{Result, ViewError};
pub use exclude::{Exclusions, IgnoredPattern};
pub use listing::{Entry, Listing};
pub use view::{View, ViewOptions};
