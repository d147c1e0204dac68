//! Puts a tree back from archives: plan, stage, prove, swap.

mod plan;
mod prove;
mod refuse;
pub(crate) mod select;
mod stage;
pub(crate) mod staging;
mod target;

use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom_archive::{Metadata, Record};
use strongroom_event::Event;
use strongroom_tree::{Owners, Planting, Xattrs};

use self::{plan::Work, select::Selection, stage::Staged, staging::Staging, target::Target};
use crate::{
    BackupError, Context,
    chain::{Chain, Opener},
    create::lock_shared,
    words,
};

/// What the names of staging directories begin with that are within their target.
pub(crate) const STAGING_WITHIN: &str = ".strongroom-restore-";

/// How a source is called that is a vault, read without a mount.
const VAULT: &str = "vault";

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
    /// Restores set-user-id and set-group-id bits, and file capabilities. If it is not said, they come back where root
    /// restores the owners, too, and the archive is sealed: from strangers they are not taken.
    pub set_id: Option<bool>,
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
    request: RestoreRequest,
    chain: Chain,
    selection: Selection,
    target: Target,
    work: Work,
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
    let opener = Opener::new(context);
    let mut chain = Chain::open(&opener, &request.archive)?;
    let selection = Selection::of(request, &chain)?;
    let path = match (&request.target, &selection.elsewhere) {
        (Some(target), _) => target.clone(),
        (None, Some(elsewhere)) => elsewhere.clone(),
        (None, None) => source_path(chain.newest().metadata())?,
    };
    if !dry_run {
        recover(&path, context)?;
    }
    let target = Target::look(&path)?;
    let (mut plan, work) = plan::plan(request, &chain, &selection, &target)?;
    chain.need(&opener, &work.needed)?;
    plan.from = plan::sources(&chain, &work.needed);
    Ok(Prepared { plan, request: request.clone(), chain, selection, target, work })
}

/// The path that was backed up, which text can tell unless it has odd bytes in it.
fn source_path(metadata: &Metadata) -> Result<PathBuf, BackupError> {
    let path = PathBuf::from(&metadata.source);
    let refused = |why: &str| BackupError::Refused { target: path.clone(), why: why.into() };
    if metadata.source_kind == VAULT {
        return Err(refused("this is the vault's ciphertext, and the backup is of what was in it: name a target"));
    }
    if !path.is_absolute() || metadata.source.contains('\\') {
        return Err(refused("the archive does not tell where it was made of: name a target"));
    }
    Ok(path)
}

impl Prepared {
    /// What it will do.
    pub fn plan(&self) -> &RestorePlan {
        &self.plan
    }

    /// Does it. When this fails, the target is as it was.
    pub fn run(self, context: &Context<'_>) -> Result<Restored, BackupError> {
        if let Some(refusal) = refuse::refusal(&self.plan) {
            return Err(refusal);
        }
        if self.work.units.is_empty() {
            return Ok(self.restored(Vec::new(), Vec::new(), Vec::new()));
        }
        let _lock = lock_shared(self.chain.path().parent().unwrap_or(Path::new(".")))?;
        let staging = Staging::create(&self.target, context.random)?;
        let (databases, mut warnings) = match self.stage(&staging, context) {
            Ok(staged) => staged,
            Err(cause) => return Err(undone(cause, staging.discard())),
        };
        if self.request.keep_old {
            staging.keep_old_at(&self.old_path(context))?;
        }
        context.observer.observe(&Event::Phase { name: "swapping", total: None });
        let swap = match staging.swap(&self.work.units) {
            Ok(swap) => swap,
            // What could not be undone is kept for whoever recovers.
            Err(failed @ BackupError::Undo { .. }) => return Err(failed),
            Err(cause) => return Err(undone(cause, staging.discard())),
        };
        context.observer.observe(&Event::Phase { name: "settling", total: None });
        // The new is in place: whatever goes wrong now, the restore has been made.
        let kept = staging.settle(swap).unwrap_or_else(|error| {
            warnings.push(format!("what was replaced is left over, and the next restore removes it: {error}"));
            None
        });
        Ok(self.restored(databases, kept.into_iter().collect(), warnings))
    }

    /// Makes and proves everything, away from the target.
    fn stage(&self, staging: &Staging, context: &Context<'_>) -> Result<(Vec<String>, Vec<String>), BackupError> {
        let planting = Planting {
            owners: self.request.owners,
            set_id: self.request.set_id.unwrap_or_else(|| self.trusts_set_id()),
            devices: self.request.devices,
            xattrs: Xattrs::Noted,
        };
        let staged = Staged { chain: &self.chain, selection: &self.selection, work: &self.work, planting };
        let root = staging.new_tree();
        let mut warnings = staged.make(&root, context)?;
        let unproven = staged.prove(&root, !warnings.is_empty(), context);
        let unproven = unproven.map_err(|error| self.of_archive(error, &root))?;
        warnings.extend(unproven);
        if !self.request.check_databases {
            return Ok((Vec::new(), warnings));
        }
        let (databases, more) = prove::open_databases(&root, &self.work.databases, context)?;
        warnings.extend(more);
        Ok((databases, warnings))
    }

    /// Damage in what was staged below `root` is told of the archive it came from: nobody knows the staging directory,
    /// and it is about to go.
    fn of_archive(&self, error: BackupError, root: &Path) -> BackupError {
        let BackupError::Damaged { path, what } = error else { return error };
        let Ok(inner) = path.strip_prefix(root) else { return BackupError::Damaged { path, what } };
        let is_it = |record: &Record| record.entry.path.as_path() == inner;
        let record = self.chain.newest().records().ok().and_then(|records| records.flatten().find(is_it));
        let from = record.and_then(|record| record.at).map_or(0, |at| at.archive);
        let from = if self.work.needed.contains(&from) { from } else { 0 };
        BackupError::Damaged {
            path: self.chain.path_of(from).to_owned(),
            what: format!("{}: {what}", words::text(inner)),
        }
    }

    fn trusts_set_id(&self) -> bool {
        let is_sealed = self.chain.newest().container().is_sealed();
        is_sealed && self.request.owners != Owners::Mine && rustix::process::geteuid().is_root()
    }

    /// Where the old is kept: beside the target, or within it if nothing can be beside it.
    fn old_path(&self, context: &Context<'_>) -> PathBuf {
        let at = (context.now)().strftime("%Y%m%d-%H%M%S").to_string();
        let name = self.target.path.file_name().unwrap_or_default();
        let mut old = if self.target.within_only { "".into() } else { name.to_owned() };
        old.push(format!(".before-restore-{at}"));
        let dir = if self.target.within_only { &self.target.path } else { self.target.parent() };
        dir.join(old)
    }

    fn restored(&self, databases: Vec<String>, kept_old: Vec<PathBuf>, warnings: Vec<String>) -> Restored {
        Restored {
            target: self.target.path.clone(),
            archive: self.chain.path().to_owned(),
            entries: self.plan.made.count + self.plan.replaced.count,
            bytes: self.work.bytes,
            databases,
            kept_old,
            warnings: self.plan.warnings.iter().cloned().chain(warnings).collect(),
        }
    }
}

/// Both, if cleaning up fails too.
fn undone(cause: BackupError, undo: Result<(), BackupError>) -> BackupError {
    match undo {
        Ok(()) => cause,
        Err(undo) => BackupError::Undo { cause: Box::new(cause), undo: Box::new(undo) },
    }
}

/// Brings `target` to where an interrupted restore of it was going, or back to where it was; removes what was staged.
pub fn recover(target: &Path, context: &Context<'_>) -> Result<Recovered, BackupError> {
    let target = Target::look(target)?;
    let mut outcome = Recovered::Nothing;
    for staging in Staging::left(&target)? {
        let path = staging.path().as_os_str().as_encoded_bytes().to_vec();
        let recovered = staging.recover()?;
        let what = match recovered {
            Recovered::RolledForward => "an interrupted restore was completed",
            _ => "what an interrupted restore had staged was removed",
        };
        context.observer.observe(&Event::Healed { path, what: what.into() });
        if outcome != Recovered::RolledForward {
            outcome = recovered;
        }
    }
    Ok(outcome)
}
