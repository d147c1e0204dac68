//! An encrypted file system without FUSE: ciphertext on a [`Backing`], plaintext to whoever asks.
//!
//! | file | what it does |
//! |---|---|
//! | `vault.rs` | the vault, lookup, and what all operations share |
//! | `node.rs` | the files in use, and where each is found |
//! | `directory.rs` | directory descriptors, IVs, listing, healing after a crash |
//! | `bad_name.rs` | names for entries whose own cannot be decoded |
//! | `names.rs` | create, mkdir, mknod, symlink, link, unlink, rmdir, rename |
//! | `open_file.rs`, `cache.rs` | descriptors, opened and closed behind the scenes |
//! | `content.rs` | the order that keeps files readable through a crash; one block |
//! | `path.rs` | what a path is called on the other side |
//! | `read.rs`, `write.rs`, `resize.rs` | file content |
//! | `kept_time.rs` | modification times where the kernel's cache keeps them |
//! | `metadata.rs` | attributes, link targets, extended attributes |
//! | `unsynced.rs` | fsync: what must be on the disk for a file to be found again |
//! | `tree.rs` and `tree/` | the vault as a tree that files flow out of and into |
//! | `check/` | authenticates everything, past all of the above |
//! | `repair/` | puts right what a check found, as far as nothing can be lost |
//! | `backing.rs`, `real_backing.rs` | the system calls on ciphertext |
//!
//! Lock order: `moving` (before more than one of the next) → names of directories → `making_dirs` → content of a file → its id and time → caches. No lock
//! is held while another process is waited for, but for the disk.

pub mod attr;
pub mod backing;
mod bad_name;
mod cache;
mod check;
mod content;
mod credentials;
mod directory;
mod error;
mod kept_time;
mod metadata;
mod names;
mod node;
mod open_file;
mod path;
mod read;
mod real_backing;
mod repair;
mod resize;
mod tree;
mod unsynced;
mod vault;
mod write;

pub use attr::*;
pub use backing::{Backing, OpenMode, RenameMode, XattrMode};
pub use bad_name::{BadNamePattern, NamePattern};
pub use check::{CheckOptions, Holes, Part, Problem, ProblemKind, Report, check};
pub use directory::Directory;
pub use error::{Result, VaultError};
pub use open_file::Access;
pub use real_backing::RealBacking;
pub use repair::{Advice, Aside, Left, Plan, Remedy, Repair, Repaired, Repairs, repair};
pub use tree::VaultTree;
pub use vault::{Vault, VaultOptions};
