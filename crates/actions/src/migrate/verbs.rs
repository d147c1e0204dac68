//! The verbs: each finds out what is meant, has it confirmed where something is at stake, and does it, audited.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use strongroom_format::CONF_NAME;
use strongroom_migrate::{
    Accepted, Back, Carried, Carrying, Destination, Direction, Finalizing, Found, Gone, Mark, MigrateError, Migration,
    Outcome, Plan, Side, State, Status, Window, begin, change_aside, find, recover as put_right, status as status_of,
    unreadable, verify as verify_all,
};
use strongroom_secret::{Passphrase, SecretError};
use strongroom_tree::{Comparison, Difference, Filter, LocalTree, compare as compare_trees};

use super::{Preview, Request, Secrets, World, host::RealHost, mounter::mounter, secret::Keyring, stage, which};
use crate::{
    ActionError, Context,
    perform::{Account, perform},
};

/// What became of a migration, or where it waits.
#[derive(Clone, Debug, Serialize)]
pub struct Migrated {
    /// Which.
    pub id: String,
    /// The path that did not change.
    #[serde(serialize_with = "crate::words::path")]
    pub data: PathBuf,
    /// The cipher directory.
    #[serde(serialize_with = "crate::words::path")]
    pub vault: PathBuf,
    /// Where the originals are, if they are still.
    #[serde(serialize_with = "crate::words::path")]
    pub aside: PathBuf,
    /// Which way it went.
    pub direction: Direction,
    /// How far it is.
    pub state: State,
    /// For how long each service was down.
    pub windows: Vec<Window>,
}

/// What was decided, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Begun {
    /// What it was to do.
    pub preview: Preview,
    /// What came of it; `None` if it was only to be shown.
    pub migrated: Option<Migrated>,
}

/// Moves a directory into a vault, or out of one. `consent` sees what is going to be done before anything is. Audited as
/// `migrate.encrypt` or `migrate.decrypt`.
pub fn migrate(
    context: &Context,
    world: &World,
    request: &Request,
    secrets: Secrets,
    dry_run: bool,
    consent: impl FnOnce(&Preview) -> Result<(), ActionError>,
) -> Result<Begun, ActionError> {
    let plan = request.plan(world, context)?;
    refuse_second(world, &plan)?;
    let host = host(context, world, secrets);
    let preview = Preview::new(plan.clone(), &host, world, context)?;
    if !preview.survey.refusals.is_empty() {
        return Err(ActionError::Refused(Box::new(preview)));
    }
    if dry_run {
        if plan.direction == Direction::Encrypt && host.has_nobody_for_the_key(&plan) {
            let what = "this would not begin: nobody is there to be shown the recovery key";
            context.warn(format!("{what}; give --recovery-key-file, or --accept without-recovery-key"));
        }
        return Ok(Begun { preview, migrated: None });
    }
    consent(&preview)?;
    host.prove(&plan)?;
    let verb = match plan.direction {
        Direction::Encrypt => "migrate.encrypt",
        Direction::Decrypt => "migrate.decrypt",
    };
    let migrated = perform(context, verb, &plan.data.clone(), |account| {
        account.note("id", plan.id.to_string());
        account.note_path("vault", &plan.vault);
        let mut migration = begin(plan, &world.state_dir, &host)?;
        run(&mut migration, account)
    })?;
    Ok(Begun { preview, migrated: Some(migrated) })
}

/// Goes on with a migration that was interrupted. `consent` sees which, and how far it is. With `any_downtime` the services
/// may be down for longer than was planned. Audited as `migrate.resume`.
pub fn resume(
    context: &Context,
    world: &World,
    dir: Option<&Path>,
    any_downtime: bool,
    secrets: Secrets,
    consent: impl FnOnce(&Plan, State) -> Result<(), ActionError>,
) -> Result<Migrated, ActionError> {
    let found = which::one(world, dir)?;
    consent(&found.plan, found.state)?;
    let host = host(context, world, secrets);
    if !found.is_over() {
        host.prove(&found.plan)?;
    }
    perform(context, "migrate.resume", &found.plan.data, |account| {
        stage::clear(&found.plan.stage)?;
        let mut migration = Migration::open(&found.place, &host)?;
        if any_downtime {
            migration.allow_long_window();
        }
        run(&mut migration, account)
    })
}

/// After a crash: sees to it that services can run. Every migration that is not over, or that of `dir`; one that fails does
/// not keep the others from it. Audited as `migrate.recover`.
pub fn recover(
    context: &Context,
    world: &World,
    dir: Option<&Path>,
    secrets: impl Fn() -> Secrets,
    at_boot: bool,
) -> Result<Vec<Put>, ActionError> {
    let open: Vec<_> = which::all(world, dir)?.into_iter().filter(|found| !found.is_over()).collect();
    let mut done = Vec::new();
    let mut failed = None;
    for found in open {
        let host = host(context, world, secrets());
        let put = perform(context, "migrate.recover", &found.plan.data, |account| {
            stage::clear(&found.plan.stage)?;
            let state = put_right(&found.place, &host, at_boot)?;
            account.note("id", found.plan.id.to_string());
            account.note("state", word(state));
            let mounted = status_of(&found.place, &host)?.mounted;
            Ok(Put { id: found.plan.id.to_string(), data: found.plan.data.clone(), state, mounted })
        });
        match put {
            Ok(put) => done.push(put),
            Err(error) => {
                if let Some(before) = failed.replace(error) {
                    context.warn(before.to_string());
                }
            }
        }
    }
    failed.map_or(Ok(done), Err)
}

/// A migration after a crash.
#[derive(Clone, Debug, Serialize)]
pub struct Put {
    /// Which.
    pub id: String,
    /// Of what.
    #[serde(serialize_with = "crate::words::path")]
    pub data: PathBuf,
    /// How far it is.
    pub state: State,
    /// Whether something is mounted at the path of the data; `None` if that cannot be told.
    pub mounted: Option<bool>,
}

/// What a comparison found.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// The originals, or what was named as the source.
    #[serde(serialize_with = "crate::words::path")]
    pub source: PathBuf,
    /// The vault, or what was named as the target.
    #[serde(serialize_with = "crate::words::path")]
    pub target: PathBuf,
    /// Whether services may have written since the two were the same, so that differences are to be expected.
    pub is_live: bool,
    /// In what they differ.
    pub differences: Vec<String>,
    /// Whether all of the vault was decrypted as well, by other code.
    pub is_decrypted: bool,
    /// What is no doing of services: what does not decrypt, or cannot be read, or was changed among the originals.
    pub damaged: Vec<String>,
    /// Whether nothing was found that should not be.
    pub ok: bool,
}

/// Compares the originals with the vault, every byte of both. If it is mounted, it is read there while services go on, and
/// differences are told and are no fault; else it is decrypted by other code, too, and the migration is at rest meanwhile. Audited as
/// `migrate.verify`.
pub fn verify(context: &Context, world: &World, dir: Option<&Path>, secrets: Secrets) -> Result<Verified, ActionError> {
    let found = which::one(world, dir)?;
    let host = host(context, world, secrets);
    perform(context, "migrate.verify", &found.plan.data, |account| {
        stage::clear(&found.plan.stage)?;
        if is_in_use(&found, &host)? {
            let verified = compare_in_use(context, &found, &host)?;
            account.note("ok", verified.ok);
            return Ok(verified);
        }
        let verification = verify_all(&found.place, &host)?;
        let ok = verification.is_sound();
        account.note("ok", ok);
        Ok(Verified {
            source: found.plan.data.clone(),
            target: found.plan.vault.clone(),
            is_live: verification.is_live,
            differences: verification.differences,
            is_decrypted: true,
            damaged: verification.damaged,
            ok,
        })
    })
}

/// Whether both trees are there to be read, and services use one of them.
fn is_in_use(found: &Found, host: &RealHost) -> Result<bool, ActionError> {
    let status = status_of(&found.place, host)?;
    Ok(status.committed && status.mounted == Some(true) && found.plan.aside.is_dir())
}

/// While services write: what differs is expected, and what is damaged, or was changed among the originals, is not.
fn compare_in_use(context: &Context, found: &Found, host: &RealHost) -> Result<Verified, ActionError> {
    let (aside, data) = (&found.plan.aside, &found.plan.data);
    let differences = differences(context, aside, data)?;
    let mut damaged = unreadable(&differences);
    damaged.extend(change_aside(&found.place, host)?);
    Ok(Verified { is_live: true, ok: damaged.is_empty(), damaged, ..verified(aside, data, &differences) })
}

/// Compares two directories, every byte and all metadata.
pub fn compare(context: &Context, source: &Path, target: &Path) -> Result<Verified, ActionError> {
    Ok(verified(source, target, &differences(context, source, target)?))
}

fn differences(context: &Context, source: &Path, target: &Path) -> Result<Vec<Difference>, ActionError> {
    let open = |path: &Path| LocalTree::open(path).map_err(MigrateError::from);
    let how = Comparison { workers: context.workers, plainly: true, ..Comparison::default() };
    let (first, second) = (open(source)?, open(target)?);
    Ok(compare_trees(&first, &second, &Filter::everything(), &how, &*context.observer))
}

fn verified(source: &Path, target: &Path, differences: &[Difference]) -> Verified {
    Verified {
        source: source.to_owned(),
        target: target.to_owned(),
        is_live: false,
        ok: differences.is_empty(),
        differences: differences.iter().map(ToString::to_string).collect(),
        is_decrypted: false,
        damaged: Vec::new(),
    }
}

/// What going back carries home, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Returning {
    /// Where to.
    pub back: Back,
    /// What was changed since the cut-over.
    pub carrying: Carrying,
    /// What did not come home, as far as that can be known.
    pub lost: Option<Carrying>,
    /// What came of it; `None` if it was only to be shown.
    pub migrated: Option<Migrated>,
}

impl Returning {
    /// Whether everything that was changed since the cut-over came home, or, before it is done, could.
    pub fn is_complete(&self) -> bool {
        self.carrying.unreadable.count == 0 && self.carrying.left_behind.count == 0
    }
}

/// Goes back to where a migration came from. `consent` sees what would be carried home. Audited as `migrate.rollback`.
pub fn rollback(
    context: &Context,
    world: &World,
    dir: Option<&Path>,
    back: &Back,
    secrets: Secrets,
    dry_run: bool,
    consent: impl FnOnce(&Plan, &Carrying) -> Result<(), ActionError>,
) -> Result<Returning, ActionError> {
    let found = which::one(world, dir)?;
    let host = host(context, world, secrets);
    stage::clear(&found.plan.stage)?;
    let mut migration = Migration::open(&found.place, &host)?;
    if back.to == Destination::Now {
        match found.plan.vault.join(CONF_NAME).exists() {
            true => host.prove(&found.plan)?,
            false if must_be_opened(&migration) => return Err(no_vault(&found.plan).into()),
            false => {}
        }
    }
    let carrying = match back.to {
        Destination::Now => migration.preview_rollback()?,
        Destination::Freeze | Destination::Archive(_) => Carrying::default(),
    };
    if dry_run {
        return Ok(Returning { back: back.clone(), carrying, lost: None, migrated: None });
    }
    consent(&found.plan, &carrying)?;
    let (carried, lost, migrated) = perform(context, "migrate.rollback", &found.plan.data, |account| {
        account.note("id", found.plan.id.to_string());
        account.note("changed", carrying.new.count + carrying.changed.count + carrying.gone.count);
        let Outcome { state, windows } = migration.roll_back(back)?;
        account.note("state", word(state));
        let carried: Option<Carried> = migration.ledger().fact(State::RollingBack);
        let Carried { carried, lost, .. } = carried.unwrap_or_default();
        Ok((carried, lost, migrated(&found.plan, state, windows)))
    })?;
    // What was done, where that is known: it may be less than what was foreseen.
    let carrying = carried.unwrap_or(carrying);
    Ok(Returning { back: back.clone(), carrying, lost, migrated: Some(migrated) })
}

/// Whether the vault was the truth, and nothing of it has come home yet.
fn must_be_opened(migration: &Migration<'_>) -> bool {
    let done = |state| migration.ledger().last(state, Mark::Done).is_some();
    done(State::Cutover) && !done(State::RollingBack) && !done(State::Erased)
}

/// What cannot be opened is found out before any service is stopped.
fn no_vault(plan: &Plan) -> MigrateError {
    let (vault, data) = (plan.vault.display(), plan.data.display());
    MigrateError::NeedsOperator {
        why: format!(
            "the vault {vault} has no {CONF_NAME}, without which what was written to it cannot be carried back"
        ),
        next: format!(
            "nothing was changed. As long as {data} is mounted, what is in it can be read, and copied elsewhere. Bring \
             {CONF_NAME} back, from wherever there is a copy; or, to lose what was written since the cut-over: strongroom \
             migrate rollback --to-freeze {data}; or the same with --backup ARCHIVE"
        ),
    }
}

/// What finalizing was to do, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Finalized {
    /// What it was to do.
    pub preview: Finalizing,
    /// What was erased, what was found of it afterwards, and what could not be done.
    pub gone: Option<Gone>,
    /// What came of it; `None` if it was only to be shown.
    pub migrated: Option<Migrated>,
}

/// Makes all checks once more, and erases the originals. `consent` sees what would be erased, and how far that reaches.
/// Audited as `migrate.finalize`.
pub fn finalize(
    context: &Context,
    world: &World,
    dir: Option<&Path>,
    accepted: &[Accepted],
    secrets: Secrets,
    dry_run: bool,
    consent: impl FnOnce(&Plan, &Finalizing) -> Result<(), ActionError>,
) -> Result<Finalized, ActionError> {
    let found = which::one(world, dir)?;
    let host = host(context, world, secrets);
    stage::clear(&found.plan.stage)?;
    host.prove(&found.plan)?;
    let mut migration = Migration::open(&found.place, &host)?;
    if !dry_run {
        migration.put_right()?;
    }
    let preview = migration.preview_finalize()?;
    if dry_run {
        return Ok(Finalized { preview, gone: None, migrated: None });
    }
    consent(&found.plan, &preview)?;
    let (gone, migrated) = perform(context, "migrate.finalize", &found.plan.data, |account| {
        account.note("id", found.plan.id.to_string());
        account.note("entries", preview.entries);
        let Outcome { state, windows } = migration.finalize(accepted)?;
        account.note("state", word(state));
        Ok((migration.ledger().fact(State::Erased), migrated(&found.plan, state, windows)))
    })?;
    Ok(Finalized { preview, gone, migrated: Some(migrated) })
}

/// How far migrations are: that of `dir`, or all. Changes nothing, and asks nobody.
pub fn status(context: &Context, world: &World, dir: Option<&Path>) -> Result<Vec<Status>, ActionError> {
    let nobody = |_: super::Wanted<'_>| -> Result<Passphrase, SecretError> {
        Err(SecretError::NobodyToAsk { what: "passphrase".into(), why: "it is not needed".into() })
    };
    let secrets = Secrets { passphrase: Box::new(nobody), attempts: 1, recovery_key: super::Handover::Nobody };
    let host = host(context, world, secrets);
    let found = which::all(world, dir)?;
    if let (Some(dir), true) = (dir, found.is_empty()) {
        return Err(MigrateError::NoMigration { path: dir.to_owned() }.into());
    }
    let status = |found: &Found| {
        let status = status_of(&found.place, &host)?;
        Ok(Status { windows: as_seen(status.direction, status.windows), ..status })
    };
    found.iter().map(status).collect()
}

fn run(migration: &mut Migration<'_>, account: &mut Account) -> Result<Migrated, ActionError> {
    let ended = migration.run();
    account.note("state", word(migration.state()));
    let Outcome { state, windows } = ended?;
    Ok(migrated(migration.plan(), state, windows))
}

pub(super) fn migrated(plan: &Plan, state: State, windows: Vec<Window>) -> Migrated {
    Migrated {
        id: plan.id.to_string(),
        data: plan.data.clone(),
        vault: plan.vault.clone(),
        aside: plan.aside.clone(),
        direction: plan.direction,
        state,
        windows: as_seen(plan.direction, windows),
    }
}

/// The engine counts from the original to the copy; of a decryption the original is the vault.
fn as_seen(direction: Direction, mut windows: Vec<Window>) -> Vec<Window> {
    if direction == Direction::Decrypt {
        windows.iter_mut().for_each(|window| {
            window.side = if window.side == Side::Vault { Side::Plaintext } else { Side::Vault };
        });
    }
    windows
}

/// The word of a state, as the journal has it.
pub(super) fn word(state: State) -> serde_json::Value {
    serde_json::to_value(state).unwrap_or_default()
}

pub(super) fn host(context: &Context, world: &World, secrets: Secrets) -> RealHost {
    let keyring = Arc::new(Keyring::new(secrets));
    RealHost::new(context, keyring.clone(), world, mounter(context, world, keyring))
}

/// Earlier than it would be found anyway, as what is open already looks odd in many ways.
fn refuse_second(world: &World, plan: &Plan) -> Result<(), ActionError> {
    let open = find(&world.state_dir, Some(&plan.data))?.into_iter().find(|found| !found.is_over());
    match open {
        Some(Found { plan: Plan { id, data, .. }, state, .. }) if plan.direction != Direction::Decrypt => {
            Err(MigrateError::AlreadyOpen { id, data, state }.into())
        }
        _ => Ok(()),
    }
}
