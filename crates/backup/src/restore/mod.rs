//! Puts a tree back from archives: plan, stage, prove, swap.

use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom_tree::Owners;

use crate::{BackupError, Context, words};

/// What is to be restored, and where to.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// The archive. Those that it needs are looked for beside it.
    pub archive: PathBuf,
    /// Where to; the path of the source as the archive has it if not given.
    pub target: Option<PathBuf>,
    /// These components only, by name; all if empty. `databases`, `config` and `files` are names too.
    pub components: Vec<String>,
    /// What these patterns match, and what is in it; all if empty.
    pub paths: Vec<String>,
    /// Only configuration.
    pub config_only: bool,
    /// What happens to what is there already.
    pub mode: Mode,
    /// Keeps what was replaced, beside the target.
    pub keep_old: bool,
    /// Who owns what is made.
    pub owners: Owners,
    /// Restores set-user-id and set-group-id bits, and file capabilities.
    pub set_id: bool,
    /// Restores device nodes.
    pub devices: bool,
    /// Opens databases before they are put in place.
    pub check_databases: bool,
}

/// What happens to what is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nothing is restored when something would be replaced or removed.
    Refuse,
    /// It is replaced. When all is restored, what the archive does not have is removed.
    Force,
    /// It stays as it is; only what is missing is added.
    Merge,
}

/// What a restore will do.
#[derive(Clone, Debug, Serialize)]
pub struct RestorePlan {
    /// The archive.
    #[serde(serialize_with = "words::path")]
    pub archive: PathBuf,
    /// The archives that bytes are taken from, by file name.
    pub from: Vec<String>,
    /// Where to.
    #[serde(serialize_with = "words::path")]
    pub target: PathBuf,
    /// When the archive was made.
    pub created: String,
    /// What happens to what is there already.
    pub mode: Mode,
    /// Whether the target is replaced as a whole, in one step.
    pub whole: bool,
    /// What is not there yet.
    pub made: Listing,
    /// What is there and is replaced.
    pub replaced: Listing,
    /// What is there and stays although the archive has something else (or the same).
    pub left_alone: Listing,
    /// What is there and goes, as the archive does not have it.
    pub removed: Listing,
    /// What the archive has and is not restored: devices, set-id bits, configuration from elsewhere.
    pub withheld: Listing,
    /// Databases that are put back.
    pub databases: Vec<String>,
    /// Bytes of content that are written.
    pub bytes: u64,
    /// Bytes that are free where they are written.
    pub available: u64,
    /// Programs that have something of the target open, as far as can be seen.
    pub in_use_by: Vec<String>,
    /// What else one should know.
    pub warnings: Vec<String>,
}

/// How many, and the first of them by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// How many.
    pub count: u64,
    /// Bytes of content in them.
    pub bytes: u64,
    /// The first of them, odd bytes escaped; directories end with `/`.
    pub sample: Vec<String>,
}

/// A restore that is ready to run.
pub struct Prepared {
    plan: RestorePlan,
}

/// What a restore did.
#[derive(Debug, Serialize)]
pub struct Restored {
    /// Where to.
    #[serde(serialize_with = "words::path")]
    pub target: PathBuf,
    /// The archive.
    #[serde(serialize_with = "words::path")]
    pub archive: PathBuf,
    /// Entries that were made or replaced.
    pub entries: u64,
    /// Bytes of content that were written.
    pub bytes: u64,
    /// Databases that were opened and found well.
    pub databases: Vec<String>,
    /// Where what was replaced is kept, if that was asked for.
    #[serde(serialize_with = "words::paths")]
    pub kept_old: Vec<PathBuf>,
    /// What else one should know.
    pub warnings: Vec<String>,
}

/// What an interrupted restore was brought to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovered {
    /// There was nothing to do.
    Nothing,
    /// The target is as it was before; what was staged is gone.
    RolledBack,
    /// The target is restored; what was replaced is gone (or kept, if that was asked for).
    RolledForward,
}

/// Checks everything that can be checked before a byte is written, and says what would be done: the archive and all that
/// it needs are there and open with the passphrase, their indexes authenticate, there is room. Interrupted restores to
/// the same target are recovered first, unless `dry_run`.
pub fn prepare(request: &RestoreRequest, dry_run: bool, context: &Context<'_>) -> Result<Prepared, BackupError> {
    let _ = (request, dry_run, context);
    todo!()
}

impl Prepared {
    /// What it will do.
    pub fn plan(&self) -> &RestorePlan {
        &self.plan
    }

    /// Does it. When this fails, the target is as it was.
    pub fn run(self, context: &Context<'_>) -> Result<Restored, BackupError> {
        let _ = context;
        todo!()
    }
}

/// Brings `target` to where an interrupted restore of it was going, or back to where it was; removes what was staged.
pub fn recover(target: &Path, context: &Context<'_>) -> Result<Recovered, BackupError> {
    let _ = (target, context);
    todo!()
}
