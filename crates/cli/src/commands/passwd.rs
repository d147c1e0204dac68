//! `strongroom passwd`

use std::{io::IsTerminal, sync::Arc};

use strongroom_actions::{ActionError, OldSecret, RecoveryKey};
use strongroom_secret::{SecretRef, resolve};

use super::passphrase_of;
use crate::{
    args::{PasswdArgs, passphrase::OldSource},
    exit::{Exit, Failure},
    face::Face,
    log::Log,
    prompt::{NewSecret, Terminal},
    settings::Settings,
    text,
};

pub fn run(args: &PasswdArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    strongroom_actions::no_core_dumps();
    let context = settings.context(Arc::new(Log::default()));
    let old = || match args.old.source(std::io::stdin().is_terminal()) {
        OldSource::Passphrase(source) => {
            Ok(OldSecret::Passphrase(resolve(&source, &Terminal, &passphrase_of(&args.dir))?))
        }
        OldSource::RecoveryKey(source) => recovery_key(&source, args).map(OldSecret::RecoveryKey),
    };
    let new = || resolve(&args.new.source(), &NewSecret, &format!("new {}", passphrase_of(&args.dir)));
    let changed = strongroom_actions::change_passphrase(&context, &args.dir, old, new)?;
    face.tell(&changed, |_| text::passphrase_changed(&changed))?;
    Ok(Exit::OK)
}

fn recovery_key(source: &SecretRef, args: &PasswdArgs) -> Result<RecoveryKey, ActionError> {
    let written = resolve(source, &Terminal, &format!("recovery key of {}", args.dir.display()))?;
    // What is not UTF-8 has no digit in it either.
    RecoveryKey::parse(std::str::from_utf8(written.expose()).unwrap_or("?"))
}
