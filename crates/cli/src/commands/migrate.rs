//! `strongroom migrate`

use std::{path::Path, sync::Arc};

use serde_json::json;
use strongroom_actions::{
    ActionError, Context,
    migrate::{self, Back, Carrying, Destination, Finalizing, Handover, Preview, Request, Secrets, State, Wanted},
    stop_on_signals,
};
use strongroom_event::Operation;
use strongroom_secret::{Passphrase, SecretError, SecretRef, resolve};

use super::passphrase_of;
use crate::{
    args::{
        migrate::{
            DecryptArgs, EncryptArgs, FinalizeArgs, MigrateArgs, MigrateCommand, RecoverArgs, ResumeArgs, RollbackArgs,
            RunArgs, StatusArgs, VerifyArgs,
        },
        passphrase::PassphraseArgs,
    },
    confirm::confirm,
    exit::{Exit, Failure},
    face::{Face, plain, warn},
    keys::stop_asking_on,
    log::Log,
    prompt::{NewSecret, Terminal, show_recovery_key},
    report::Report,
    settings::Settings,
    surroundings, text,
};

pub fn run(args: &MigrateArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    strongroom_actions::no_core_dumps();
    match &args.command {
        MigrateCommand::Encrypt(args) => encrypt(args, settings, face),
        MigrateCommand::Decrypt(args) => decrypt(args, settings, face),
        MigrateCommand::Status(args) => status(args, settings, face),
        MigrateCommand::Resume(args) => resume(args, settings, face),
        MigrateCommand::Verify(args) => verify(args, settings, face),
        MigrateCommand::Rollback(args) => rollback(args, settings, face),
        MigrateCommand::Finalize(args) => finalize(args, settings, face),
        MigrateCommand::Recover(args) => recover(args, settings, face),
    }
}

fn encrypt(args: &EncryptArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    begin(&settings.encryption(args)?, &args.run, &args.passphrase, settings, face)
}

fn decrypt(args: &DecryptArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    begin(&settings.decryption(args)?, &args.run, &args.passphrase, settings, face)
}

fn begin(
    request: &Request,
    args: &RunArgs,
    passphrase: &PassphraseArgs,
    settings: &Settings,
    face: Face,
) -> Result<Exit, Failure> {
    let told = Told::new(args, settings, face)?;
    let world = settings.world(args.state.state_dir.as_deref())?;
    let consent = |preview: &Preview| told.consent(args.yes, &text::preview(preview), "Go on?");
    let secrets = told.secrets(settings.passphrase_of_vault(passphrase));
    let begins = json!({ "data": plain(&request.dir), "direction": request.direction, "dry_run": args.dry_run });
    let act = || migrate::migrate(&told.context, &world, request, secrets, args.dry_run, consent);
    let begun = told.report.around(&begins, || act().map_err(Failure::from))?;
    told.report.tell(&begun, |style| match &begun.migrated {
        Some(migrated) => text::migrated(migrated, style),
        None => text::preview(&begun.preview),
    })?;
    Ok(Exit::OK)
}

fn resume(args: &ResumeArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let told = Told::new(&args.run, settings, face)?;
    let world = settings.world(args.run.state.state_dir.as_deref())?;
    let secrets = told.secrets(settings.passphrase_of_vault(&args.passphrase));
    let dir = args.which.dir.as_deref();
    let consent = |plan: &migrate::Plan, state: State| match args.run.dry_run {
        true => Err(ActionError::Declined),
        false => told.consent(args.run.yes, &text::resuming(plan, state), "Go on?"),
    };
    let act = || migrate::resume(&told.context, &world, dir, args.any_downtime, secrets, consent);
    let migrated = told.report.around(&json!({ "data": dir.map(plain) }), || act().map_err(Failure::from))?;
    told.report.tell(&migrated, |style| text::migrated(&migrated, style))?;
    Ok(Exit::OK)
}

fn status(args: &StatusArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let world = settings.world(args.state.state_dir.as_deref())?;
    let context = settings.context(Arc::new(Log::default()));
    let found = migrate::status(&context, &world, args.which.dir.as_deref())?;
    face.tell(&json!({ "migrations": found }), |style| text::statuses(&found, style))?;
    Ok(Exit::OK)
}

fn verify(args: &VerifyArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let told = Told::with(args.threads, args.events.events.as_deref(), settings, face)?;
    let world = settings.world(args.state.state_dir.as_deref())?;
    let secrets = told.secrets(settings.passphrase_of_vault(&args.passphrase));
    let dir = args.which.dir.as_deref();
    let act = || match (&args.source, &args.target) {
        (Some(source), Some(target)) => migrate::compare(&told.context, source, target),
        _ => migrate::verify(&told.context, &world, dir, secrets),
    };
    let found = told.report.around(&json!({ "data": dir.map(plain) }), || act().map_err(Failure::from))?;
    told.report.tell(&found, |style| text::differing(&found, style))?;
    Ok(if found.ok { Exit::OK } else { Exit::DAMAGED })
}

fn rollback(args: &RollbackArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let told = Told::new(&args.run, settings, face)?;
    let world = settings.world(args.run.state.state_dir.as_deref())?;
    let secrets = told.secrets(settings.passphrase_of_vault(&args.passphrase));
    let dir = args.which.dir.as_deref();
    let back = Back {
        to: match (&args.backup, args.to_freeze) {
            (Some(archive), _) => Destination::Archive(std::path::absolute(archive).unwrap_or(archive.clone())),
            (None, true) => Destination::Freeze,
            (None, false) => Destination::Now,
        },
        leaves_obstacles: args.leave_obstacles,
    };
    let consent = |plan: &migrate::Plan, carrying: &Carrying| {
        told.consent(args.run.yes, &text::returning(plan, &back, carrying), "Go back?")
    };
    let act = || migrate::rollback(&told.context, &world, dir, &back, secrets, args.run.dry_run, consent);
    let returning = told.report.around(&json!({ "data": dir.map(plain) }), || act().map_err(Failure::from))?;
    told.report.tell(&returning, |style| match &returning.migrated {
        Some(migrated) => text::returned(migrated, &returning, style),
        None => text::carried(&returning.carrying),
    })?;
    Ok(if returning.is_complete() { Exit::OK } else { Exit::INCOMPLETE })
}

fn finalize(args: &FinalizeArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let told = Told::new(&args.run, settings, face)?;
    let world = settings.world(args.run.state.state_dir.as_deref())?;
    let secrets = told.secrets(settings.passphrase_of_vault(&args.passphrase));
    let dir = args.which.dir.as_deref();
    let consent = |plan: &migrate::Plan, finalizing: &Finalizing| {
        told.consent(args.run.yes, &text::finalizing(plan, finalizing), "Erase the originals?")
    };
    let act = || migrate::finalize(&told.context, &world, dir, &args.accept, secrets, args.run.dry_run, consent);
    let finalized = told.report.around(&json!({ "data": dir.map(plain) }), || act().map_err(Failure::from))?;
    told.report.tell(&finalized, |style| text::finalized(&finalized, style))?;
    Ok(Exit::OK)
}

fn recover(args: &RecoverArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let world = settings.world(args.state.state_dir.as_deref())?;
    let context = settings.context(Arc::new(Log::default()));
    let nobody = || Secrets {
        passphrase: Box::new(|wanted| Err(nobody_to_ask(wanted))),
        attempts: 1,
        recovery_key: Handover::Nobody,
    };
    let put = migrate::recover(&context, &world, args.which.dir.as_deref(), nobody, args.at_boot)?;
    face.tell(&json!({ "migrations": put }), |_| text::put_right(&put))?;
    Ok(Exit::OK)
}

fn nobody_to_ask(wanted: Wanted<'_>) -> SecretError {
    SecretError::NobodyToAsk { what: what(wanted), why: "nobody is asked while the machine starts".into() }
}

/// A command that takes long, with whoever is told of it.
struct Told {
    report: Arc<Report>,
    context: Context,
}

/// How often a person is asked for a passphrase that turns out to be wrong.
const ATTEMPTS: u32 = 3;

impl Told {
    fn new(args: &RunArgs, settings: &Settings, face: Face) -> Result<Self, Failure> {
        Self::with(args.threads, args.events.events.as_deref(), settings, face)
    }

    fn with(threads: Option<u16>, events: Option<&Path>, settings: &Settings, face: Face) -> Result<Self, Failure> {
        let report = Report::new(Operation::Migrate, events, face)?;
        let mut context = settings.context(report.clone());
        if let Some(threads) = threads {
            context.workers = threads.into();
        }
        stop_asking_on(&context.stop);
        stop_on_signals(&context.stop)
            .map_err(|error| Failure::new(Exit::FAILURE, format_args!("cannot listen to signals: {error}")))?;
        Ok(Self { report, context })
    }

    /// Shows what is going to be done, and asks, unless that was answered beforehand.
    fn consent(&self, yes: bool, what: &str, question: &str) -> Result<(), ActionError> {
        self.report.aside(|| match yes {
            true => {
                self.report.remark(what);
                Ok(())
            }
            false => confirm(what, question),
        })
    }

    /// Secrets from where they come from, asked for with nothing drawn in the way.
    fn secrets(&self, source: SecretRef) -> Secrets {
        let (asking, showing) = (self.report.clone(), self.report.clone());
        Secrets {
            attempts: if source == SecretRef::Prompt { ATTEMPTS } else { 1 },
            passphrase: Box::new(move |wanted| asking.aside(|| ask(&source, wanted))),
            recovery_key: match surroundings::has_terminal() {
                true => Handover::Shown(Box::new(move |key| showing.aside(|| key.show(show_recovery_key)))),
                false => Handover::Nobody,
            },
        }
    }
}

fn ask(source: &SecretRef, wanted: Wanted<'_>) -> Result<Passphrase, SecretError> {
    match wanted {
        Wanted::New(_) => resolve(source, &NewSecret, &what(wanted)),
        Wanted::Again(vault) => {
            warn(&format!("That is not the passphrase of {}.\n", vault.display()));
            resolve(source, &Terminal, &what(wanted))
        }
        // What did not open it would not the second time.
        Wanted::Archive(_) => resolve(&SecretRef::Prompt, &Terminal, &what(wanted)),
        Wanted::Open(_) => resolve(source, &Terminal, &what(wanted)),
    }
}

fn what(wanted: Wanted<'_>) -> String {
    match wanted {
        Wanted::New(vault) => format!("new {}", passphrase_of(vault)),
        Wanted::Open(vault) | Wanted::Again(vault) => passphrase_of(vault),
        Wanted::Archive(archive) => passphrase_of(archive),
    }
}
