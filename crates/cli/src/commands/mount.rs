//! `strongroom mount`
//!
//! The process at the terminal starts itself again and waits. The second one, which has the terminal still, asks for the
//! passphrase and mounts; when the mount answers it leaves the terminal, and the first one returns.

use std::{ffi::OsString, sync::Arc};

use strongroom_actions::{Inherited, Mount, UmaskGuard, Unlock, harden, ready};
use strongroom_event::Observer;
use strongroom_secret::{SecretRef, resolve};

use super::passphrase_of;
use crate::{
    args::mount::MountArgs,
    exit::{Exit, Failure},
    face::Face,
    log::Log,
    prompt::Terminal,
    text,
};

pub fn run(args: &MountArgs, face: Face, arguments: &[OsString]) -> Result<Exit, Failure> {
    let (options, source) = args.settle()?;
    let request = Mount::new(args.dir.clone(), args.mountpoint.clone(), options);
    let notifier = ready::Notifier::from_env();
    match args.foreground || notifier.is_launched() {
        true => serve(&request, &source, face, notifier),
        false => launch(&request, face, arguments),
    }
}

/// The process at the terminal.
fn launch(request: &Mount, face: Face, arguments: &[OsString]) -> Result<Exit, Failure> {
    ready::launch(&arguments[1..])?;
    let mounted = request.outcome();
    face.tell(&mounted, |_| text::mounted(&mounted, false))?;
    Ok(Exit::OK)
}

/// The process that serves the mount.
fn serve(request: &Mount, source: &SecretRef, face: Face, mut notifier: ready::Notifier) -> Result<Exit, Failure> {
    let is_launched = notifier.is_launched();
    match mount_and_wait(request, source, face, &mut notifier) {
        Err(failure) if notifier.failed(failure.exit.code(), &failure.to_line()) => Ok(failure.exit),
        Err(failure) if is_launched => {
            // The terminal is gone, so there is only the log to tell.
            let log = Log::default();
            log.go_to_background();
            log.observe(&strongroom_event::Event::Warning(failure.message));
            Ok(failure.exit)
        }
        ended => ended,
    }
}

fn mount_and_wait(
    request: &Mount,
    source: &SecretRef,
    face: Face,
    notifier: &mut ready::Notifier,
) -> Result<Exit, Failure> {
    let inherited = Inherited::find();
    let umask = UmaskGuard::new();
    harden();
    let passphrase = || umask.around(|| resolve(source, &Terminal, &passphrase_of(&request.dir)));
    let log = Arc::new(Log::default());
    let (session, mounted) = strongroom_actions::mount(request, Unlock::by_passphrase(passphrase), log.clone())?;
    if notifier.is_launched() {
        inherited.close();
        log.go_to_background();
    } else {
        face.tell(&mounted, |_| text::mounted(&mounted, true))?;
    }
    notifier
        .ready()
        .map_err(|error| Failure::new(Exit::FAILURE, format_args!("cannot leave the terminal: {error}")))?;
    session.wait()?;
    notifier.stopping();
    Ok(Exit::OK)
}
