//! `strongroom init`

use std::sync::Arc;

use serde::Serialize;
use strongroom_actions::{Created, Init};
use strongroom_secret::resolve;

use super::passphrase_of;
use crate::{
    args::InitArgs,
    exit::{Exit, Failure},
    face::Face,
    log::Log,
    prompt::NewSecret,
    settings::Settings,
    text,
};

/// The only output that has a secret in it.
#[derive(Serialize)]
struct CreatedWithKey<'a> {
    #[serde(flatten)]
    created: &'a Created,
    recovery_key: &'a str,
}

pub fn run(args: &InitArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    strongroom_actions::no_core_dumps();
    let context = settings.context(Arc::new(Log::default()));
    let request = Init {
        cipher: args.cipher.into(),
        names: args.names.into(),
        long_name_max: args.long_name_max,
        scrypt_log_n: args.scrypt_log_n.or(settings.scrypt_log_n()),
        reverse: args.reverse,
        ..Init::new(args.dir.clone())
    };
    let passphrase = || resolve(&args.passphrase.source(), &NewSecret, &format!("new {}", passphrase_of(&args.dir)));
    let (created, key) = strongroom_actions::init(&context, &request, passphrase)?;
    key.show(|recovery_key| {
        face.tell(&CreatedWithKey { created: &created, recovery_key }, |style| {
            text::created(&created, args.reverse, recovery_key, style)
        })
    })?;
    Ok(Exit::OK)
}
