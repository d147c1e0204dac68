//! The verbs: each finds out what is meant, has it confirmed where something is at stake, and does it, audited.

use std::{path::Path, sync::Arc};

use serde::Serialize;
use strongroom_migrate::{
    Found, MigrateError, Migration, Outcome, Plan, State, Status, Window, begin, find, recover as put_right,
    status as status_of,
};
use strongroom_secret::{Passphrase, SecretError};

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
    pub data: std::path::PathBuf,
    /// The cipher directory.
    #[serde(serialize_with = "crate::words::path")]
    pub vault: std::path::PathBuf,
    /// Where the originals are, if they are still.
    #[serde(serialize_with = "crate::words::path")]
    pub aside: std::path::PathBuf,
    /// Which way it went.
    pub direction: strongroom_migrate::Direction,
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
        return Ok(Begun { preview, migrated: None });
    }
    consent(&preview)?;
    let verb = match plan.direction {
        strongroom_migrate::Direction::Encrypt => "migrate.encrypt",
        strongroom_migrate::Direction::Decrypt => "migrate.decrypt",
    };
    let migrated = perform(context, verb, &plan.data.clone(), |account| {
        account.note("id", plan.id.to_string());
        account.note_path("vault", &plan.vault);
        let mut migration = begin(plan, &world.state_dir, &host)?;
        run(&mut migration, account)
    })?;
    Ok(Begun { preview, migrated: Some(migrated) })
}

/// Goes on with a migration that was interrupted. `consent` sees which, and how far it is. Audited as `migrate.resume`.
pub fn resume(
    context: &Context,
    world: &World,
    dir: Option<&Path>,
    secrets: Secrets,
    consent: impl FnOnce(&Plan, State) -> Result<(), ActionError>,
) -> Result<Migrated, ActionError> {
    let found = which::one(world, dir)?;
    consent(&found.plan, found.state)?;
    let host = host(context, world, secrets);
    perform(context, "migrate.resume", &found.plan.data, |account| {
        stage::clear(&found.plan.stage)?;
        let mut migration = Migration::open(&found.place, &host)?;
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
            Ok(Put { id: found.plan.id.to_string(), data: found.plan.data.clone(), state })
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
    pub data: std::path::PathBuf,
    /// How far it is.
    pub state: State,
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
    Ok(found.iter().map(|found| status_of(&found.place, &host)).collect::<Result<_, _>>()?)
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
        windows,
    }
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
        Some(Found { plan: Plan { id, data, .. }, state, .. })
            if plan.direction != strongroom_migrate::Direction::Decrypt =>
        {
            Err(MigrateError::AlreadyOpen { id, data, state }.into())
        }
        _ => Ok(()),
    }
}
