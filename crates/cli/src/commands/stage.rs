//! `strongroom stage -- CIPHERDIR AT`: serves a vault, read-only, to the migration that started this process, until that
//! closes its end of the pipe. The master key is the first line that comes through it.

use std::{io, path::Path, sync::Arc};

use strongroom_actions::{RecoveryKey, migrate::serve_stage};
use strongroom_event::Silent;
use strongroom_secret::{NoPrompt, SecretRef, resolve};

use crate::exit::{Exit, Failure};

pub fn run(dir: &Path, at: &Path) -> Exit {
    match serve(dir, at) {
        Ok(()) => Exit::OK,
        Err(failure) => failure.exit,
    }
}

fn serve(dir: &Path, at: &Path) -> Result<(), Failure> {
    strongroom_actions::no_core_dumps();
    let given = resolve(&SecretRef::Stdin, &NoPrompt, "master key")?;
    let key = RecoveryKey::parse(&String::from_utf8_lossy(given.expose()))?;
    let (mut leash, mut answer) = (io::stdin().lock(), io::stdout().lock());
    Ok(serve_stage(dir, at, &key, &mut leash, &mut answer, Arc::new(Silent))?)
}
