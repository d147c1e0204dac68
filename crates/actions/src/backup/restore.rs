//! `backup restore`: checks, plan, consent, a backup of what is there if wanted, and then the exchange.

use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom_backup::{
    Created, Wanted,
    restore::{Mode, Recovered, RestorePlan, RestoreRequest, Restored, prepare, recover as bring_back},
};
use strongroom_secret::Passphrase;

use super::{
    create::{BackupCreate, make_archive},
    hooks::{Ended, Hooks, Told, around},
    keep::nobody,
    secrets::{Remembered, Secrets, with_world},
    source::is_ciphertext,
};
use crate::{
    ActionError, Context,
    perform::{Account, perform},
};

/// What to restore, and what to do before.
pub struct BackupRestore {
    /// What, where to and how.
    pub request: RestoreRequest,
    /// Shows the plan and does nothing.
    pub dry_run: bool,
    /// Makes a backup of the target first: like this, but for the source.
    pub backup_first: Option<BackupCreate>,
    /// The operator's commands around it.
    pub hooks: Hooks,
}

/// What became of it.
#[derive(Debug, Serialize)]
pub struct RestoreOutcome {
    /// What it was to do.
    pub plan: RestorePlan,
    /// The backup of what was there.
    pub backup: Option<Created>,
    /// What was restored; `None` if it was only to show the plan.
    pub restored: Option<Restored>,
}

/// Restores. `consent` sees the plan before anything is done. Audited as `backup.restore`, unless it only shows the plan.
pub fn restore(
    context: &Context,
    restore: &BackupRestore,
    secrets: &Secrets<'_>,
    consent: impl FnOnce(&RestorePlan) -> Result<(), ActionError>,
) -> Result<RestoreOutcome, ActionError> {
    if let Some(target) = &restore.request.target {
        refuse_ciphertext(target)?;
    }
    let remembered = Remembered::new(secrets.archive);
    // What opened the archive is what a backup of the target is sealed with.
    let secret = |wanted: Wanted<'_>| {
        let is_opening = matches!(wanted, Wanted::Open { .. });
        let passphrase: Passphrase = remembered.give(wanted)?;
        if is_opening {
            remembered.set_new(&passphrase);
        }
        Ok(passphrase)
    };
    if restore.dry_run {
        let prepared = with_world(context, &secret, |world| prepare(&restore.request, true, world))?;
        return Ok(RestoreOutcome { plan: prepared.plan().clone(), backup: None, restored: None });
    }
    perform(context, "backup.restore", &restore.request.archive, |account| {
        let prepared = with_world(context, &secret, |world| prepare(&restore.request, false, world))?;
        let plan = prepared.plan().clone();
        account.note_path("target", &plan.target);
        account.note("mode", mode(plan.mode));
        refuse_ciphertext(&plan.target)?;
        refuse_what_is_in_the_way(&plan)?;
        refuse_to_lose_archives(&restore.request, &plan)?;
        consent(&plan)?;
        let backup = back_up_first(context, restore, &plan.target, secrets, &remembered, account)?;
        let told = Told::of("restore").and_path("ARCHIVE", &restore.request.archive).and_path("TARGET", &plan.target);
        let act = || Ok(with_world(context, &secret, |world| prepared.run(world))?);
        let restored = around(context, &restore.hooks, &told, act, |_| Ended { outcome: "ok", archive: None })?;
        account.note("entries", restored.entries);
        account.note("bytes", restored.bytes);
        Ok(RestoreOutcome { plan, backup, restored: Some(restored) })
    })
}

/// What an interrupted restore was brought to.
#[derive(Debug, Serialize)]
pub struct RecoverOutcome {
    /// Where it had been going.
    #[serde(serialize_with = "crate::words::path")]
    pub target: PathBuf,
    /// What became of it.
    pub recovered: Recovered,
}

/// Brings `target` to where an interrupted restore was going, or back to where it was. Audited as `backup.recover`.
pub fn recover(context: &Context, target: &Path) -> Result<RecoverOutcome, ActionError> {
    perform(context, "backup.recover", target, |account| {
        let recovered = with_world(context, &nobody, |world| bring_back(target, world))?;
        if recovered == Recovered::Nothing && !target.exists() {
            return Err(ActionError::NothingToRecover(target.to_owned()));
        }
        account.note("recovered", format!("{recovered:?}"));
        Ok(RecoverOutcome { target: target.to_owned(), recovered })
    })
}

/// Plaintext among ciphertext would be neither safe nor a vault any more.
fn refuse_ciphertext(target: &Path) -> Result<(), ActionError> {
    let existing = target.ancestors().find(|path| path.exists()).unwrap_or(target);
    if is_ciphertext(existing) { Err(ActionError::IntoCiphertext(target.to_owned())) } else { Ok(()) }
}

/// Before anything is done, hooks and a backup of the target among it.
fn refuse_what_is_in_the_way(plan: &RestorePlan) -> Result<(), ActionError> {
    let count = plan.replaced.count + plan.removed.count;
    if plan.mode != Mode::Refuse || count == 0 {
        return Ok(());
    }
    let sample = plan.replaced.sample.first().or(plan.removed.sample.first()).cloned().unwrap_or_default();
    Err(ActionError::InTheWay { target: plan.target.clone(), count, sample })
}

/// What the archive does not have is removed, and it does not have itself, nor the archives beside it.
fn refuse_to_lose_archives(request: &RestoreRequest, plan: &RestorePlan) -> Result<(), ActionError> {
    let is_partial = !request.components.is_empty() || !request.paths.is_empty() || request.config_only;
    let (Ok(archive), Ok(target)) = (request.archive.canonicalize(), plan.target.canonicalize()) else { return Ok(()) };
    if is_partial || plan.mode != Mode::Force || !archive.starts_with(&target) {
        return Ok(());
    }
    Err(ActionError::OverArchives { target, archive })
}

fn back_up_first(
    context: &Context,
    restore: &BackupRestore,
    target: &Path,
    secrets: &Secrets<'_>,
    remembered: &Remembered<'_>,
    account: &mut Account,
) -> Result<Option<Created>, ActionError> {
    let Some(request) = restore.backup_first.as_ref().filter(|_| holds_anything(target)) else { return Ok(None) };
    let request = BackupCreate { source: target.to_owned(), ..request.clone() };
    let mut own = Account::default();
    let created = make_archive(context, &request, secrets, remembered, &mut own)?;
    account.note_path("backup", &created.path);
    Ok(Some(created))
}

fn holds_anything(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Refuse => "refuse",
        Mode::Force => "force",
        Mode::Merge => "merge",
    }
}
