//! The verbs of backup: real parts put together, and audited.

mod create;
mod hooks;
mod keep;
mod look;
mod restore;
mod secrets;
mod source;

pub(crate) use create::prepare_place;
pub use create::{BackupCreate, BackupMade, create};
pub use hooks::Hooks;
pub use keep::{PassphraseReplaced, cleanup, delete, lock, replace_passphrase, unlock};
pub use look::{catalog, contents, diff, export, info, is_sealed, keys, resolve, verify};
pub use restore::{BackupRestore, RecoverOutcome, RestoreOutcome, recover, restore};
pub use secrets::Secrets;
pub(crate) use secrets::with_world;

pub use strongroom_archive::{ArchiveError, sanitise};
pub use strongroom_backup::{
    Algorithm, ArchiveKind, BackupError, Catalog, Change, ChangeKind, Checked, Cleanup, CleanupRequest, Comparison,
    Component, ComponentKind, Compression, Created, Deleted, How, Info, Issue, Kdf, Leftover, Listed, ListedEntry,
    Marks, Metadata, Missing, Need, Retention, SealedUnder, Selection, Stranger, Verdict, Verification, VerifyRequest,
    Wanted,
    restore::{Listing, Mode, Recovered, RestorePlan, RestoreRequest, Restored},
};
pub use strongroom_backup::{Crossing, Databases, Depth, Live, Sqlite};
pub use strongroom_tree::Owners;
pub use strongroom_workload::Hook;
