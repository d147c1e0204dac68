//! From a quiet workload to a kept archive, and back.
//!
//! * [`create()`]: a source, its databases captured, into a new archive in a place; against a base if asked.
//! * [`Catalog`]: what a place holds, read from the archives themselves; [`info`], [`diff`], [`export`], [`keys_only`].
//! * [`verify`]: every byte, the chain it needs, and on request a restore to scratch with every database opened.
//! * [`restore`]: plan, stage beside the target, prove, swap. Killed anywhere, the target is the old one or the new one.
//! * [`lock`], [`unlock`], [`delete`], [`cleanup`]: what is kept. A base that is needed is never deleted.
//!
//! A *place* is a directory of archives. There is no database beside them: what is known of an archive stands in it, and
//! a small file next to it holds marks whose loss loses nothing else.

#![deny(unsafe_code)]

mod catalog;
mod chain;
mod content;
mod context;
pub mod create;
mod diff;
mod error;
mod head;
mod info;
mod instant;
pub mod restore;
mod retention;
mod state;
mod verify;
mod words;

pub use catalog::{Catalog, Leftover, Listed, Need, Stranger};
pub use context::{Context, Wanted};
pub use create::{
    Component, ComponentKind, Create, Created, Databases, Keys, Live, Origin, SealedUnder, Selection, create,
};
pub use diff::{Change, ChangeKind, Comparison, diff};
pub use error::{BackupError, Missing};
pub use info::{Info, ListedEntry, contents, export, info, keys_only};
pub use retention::{Cleanup, CleanupRequest, Deleted, Verdict, cleanup, delete};
pub use state::{How, Marks, Verified, lock, unlock};
pub use verify::{Checked, Verification, VerifyRequest, verify};

pub use strongroom_archive::{Algorithm, ArchiveKind, Compression, Issue, Kdf, Metadata};
pub use strongroom_schedule::Retention;
pub use strongroom_tree::Crossing;
pub use strongroom_tree::Owners;
pub use strongroom_workload::{Depth, Sqlite};
