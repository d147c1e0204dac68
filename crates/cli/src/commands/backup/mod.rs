//! `strongroom backup`

mod create;
mod keep;
mod look;
mod restore;

use std::path::{Path, PathBuf};

use strongroom_actions::{
    backup::{self, Secrets, Wanted},
    stop_on_signals,
};
use strongroom_secret::{Passphrase, SecretError, SecretRef, resolve};

use crate::{
    args::backup::{BackupArgs, BackupCommand},
    exit::{Exit, Failure, VAULT_PASSPHRASE},
    face::Face,
    keys::stop_asking_on,
    prompt::{NewSecret, Terminal},
    settings::Settings,
};

pub fn run(args: &BackupArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    strongroom_actions::no_core_dumps();
    match &args.command {
        BackupCommand::Create(args) => create::run(args, settings, face),
        BackupCommand::Restore(args) => restore::run(args, settings, face),
        BackupCommand::Recover(args) => restore::recover(args, settings, face),
        BackupCommand::List(args) => look::list(args, settings, face),
        BackupCommand::Info(args) => look::info(args, settings, face),
        BackupCommand::Verify(args) => look::verify(args, settings, face),
        BackupCommand::Diff(args) => look::diff(args, settings, face),
        BackupCommand::Export(args) => look::export(args, settings, face),
        BackupCommand::Delete(args) => keep::delete(args, settings, face),
        BackupCommand::Cleanup(args) => keep::cleanup(args, settings, face),
        BackupCommand::Lock(args) => keep::lock(args, settings, face),
        BackupCommand::Unlock(args) => keep::unlock(args, settings, face),
        BackupCommand::Passwd(args) => keep::passwd(args, settings, face),
    }
}

/// The path of the archive that `word` means.
fn archive(word: &Path, place: Option<&Path>, settings: &Settings) -> Result<PathBuf, Failure> {
    let place = settings.place(place);
    match (backup::resolve(place.as_deref(), word), place) {
        (Err(_), Some(place)) if !place.exists() => Err(no_backups(&place).hint("Name another directory: --place DIR")),
        (resolved, _) => Ok(resolved?),
    }
}

fn no_backups(place: &Path) -> Failure {
    Failure::new(Exit::NO_ARCHIVE, format_args!("there are no backups: {} does not exist", place.display()))
}

/// Lets a long command be interrupted without leaving anything half done.
fn interruptible(context: &strongroom_actions::Context) -> Result<(), Failure> {
    stop_asking_on(&context.stop);
    stop_on_signals(&context.stop)
        .map_err(|error| Failure::new(Exit::FAILURE, format_args!("cannot listen to signals: {error}")))
}

/// Gets passphrases from their sources, with whatever is drawn on the terminal out of the way.
struct Asked<'a> {
    source: SecretRef,
    vault: Option<SecretRef>,
    /// Whether a new passphrase typed at the terminal is asked for twice.
    twice: bool,
    /// Does something without a bar in the way.
    aside: &'a dyn Fn(&mut dyn FnMut()),
}

/// For commands that draw nothing.
fn directly(act: &mut dyn FnMut()) {
    act();
}

impl<'a> Asked<'a> {
    /// For commands that open archives, and draw nothing.
    fn open(source: SecretRef) -> Asked<'static> {
        Asked { source, vault: None, twice: false, aside: &directly }
    }

    /// Calls `act` with them.
    fn with<T>(&self, act: impl FnOnce(&Secrets<'_>) -> T) -> T {
        let vault_source = self.vault.clone().unwrap_or(SecretRef::Prompt);
        let vault = || self.aside(|| resolve(&vault_source, &Terminal, VAULT_PASSPHRASE));
        let given: &dyn Fn() -> Result<Passphrase, SecretError> = &vault;
        let secrets = Secrets {
            archive: &|wanted| self.archive(wanted),
            vault: self.vault.as_ref().map(|_| given),
            vault_prompt: given,
        };
        act(&secrets)
    }

    fn archive(&self, wanted: Wanted<'_>) -> Result<Passphrase, SecretError> {
        match wanted {
            Wanted::New if self.twice => {
                self.aside(|| resolve(&self.source, &NewSecret, "new passphrase of the backup"))
            }
            Wanted::New => self.aside(|| resolve(&self.source, &Terminal, "passphrase of the backup")),
            Wanted::Open { path, .. } => {
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
                self.aside(|| resolve(&self.source, &Terminal, &format!("passphrase of {name}")))
            }
        }
    }

    fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        let (mut act, mut done) = (Some(act), None);
        (self.aside)(&mut || done = act.take().map(|act| act()));
        done.expect("what is done aside is done")
    }
}
