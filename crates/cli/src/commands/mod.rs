//! One file a command that does something: plain structs down, results to the face.

mod audit;
mod backup;
mod check;
mod init;
mod migrate;
mod mount;
mod passwd;
pub mod stage;
mod words;

use std::{ffi::OsString, path::Path, time::Duration};

use serde_json::json;

use crate::{
    args::{
        Cli, Command,
        audit::{ConfigArgs, ConfigCommand},
    },
    exit::{Exit, Failure},
    face::{Face, plain},
    progress::{Progress, Unit},
    settings::Settings,
    text,
};

/// Runs a command. `arguments` are those of this process, for one that starts itself again.
pub fn run(cli: Cli, face: Face, arguments: &[OsString]) -> Result<Exit, Failure> {
    let settings = || Settings::read(cli.config.as_deref());
    match cli.command {
        Command::Init(args) => init::run(&args, &settings()?, face),
        Command::Mount(args) => mount::run(&args, face, arguments),
        Command::Umount(args) => {
            let unmounted = strongroom_actions::umount(&args.mountpoint, args.lazy)?;
            face.tell(&unmounted, |_| text::unmounted(&unmounted))?;
            Ok(Exit::OK)
        }
        Command::Passwd(args) => passwd::run(&args, &settings()?, face),
        Command::Info(args) => {
            let info = strongroom_actions::info(&args.dir)?;
            face.tell(&info, |_| text::info(&info))?;
            Ok(Exit::OK)
        }
        Command::Check(args) => check::run(&args, face),
        Command::Backup(args) => backup::run(&args, &settings()?, face),
        Command::Migrate(args) => migrate::run(&args, &settings()?, face),
        Command::Audit(args) => audit::run(&args, &settings()?, face),
        Command::Config(args) => config(&args, &settings()?, face),
        Command::Speed(_) => speed(face),
        Command::Completions(args) => words::completions(args.shell, face),
        Command::Man(args) => words::man(&args.command, face),
        Command::Help(args) => words::help(&args.topic, face),
    }
}

fn config(args: &ConfigArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let toml = settings.to_toml();
    let files: Vec<_> = settings.files().iter().map(|file| plain(file)).collect();
    match args.command {
        ConfigCommand::Show => {
            face.tell(&json!({ "files": files, "settings": toml }), |_| text::config(settings.files(), &toml))?;
        }
        ConfigCommand::Check => {
            face.tell(&json!({ "files": files, "ok": true }), |_| text::config_checked(settings.files()))?;
        }
    }
    Ok(Exit::OK)
}

/// How long each cipher is measured.
const MEASURED: Duration = Duration::from_millis(400);

fn speed(face: Face) -> Result<Exit, Failure> {
    let progress = Progress::new(Unit::Steps, face.json);
    let speed = strongroom_actions::speed(MEASURED, &progress);
    progress.finish();
    face.tell(&speed, |_| text::speed(&speed))?;
    Ok(Exit::OK)
}

/// What the passphrase of a vault is called, in prompts and messages.
fn passphrase_of(dir: &Path) -> String {
    format!("passphrase of {}", dir.display())
}
