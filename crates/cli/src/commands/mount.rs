//! `strongroom mount`
//!
//! The process at the terminal starts itself again and waits. The second one, which has the terminal still, asks for the
//! passphrase and mounts; when the mount answers it leaves the terminal, and the first one returns.

use std::{ffi::OsString, sync::Arc};

use strongroom_actions::{
    ActionError, ControlPlace, Inherited, Mount, MountReverse, Mounted, Session, UmaskGuard, Unlock, harden, ready,
};
use strongroom_event::Observer;
use strongroom_secret::{SecretRef, resolve};

use super::passphrase_of;
use crate::{
    args::mount::{MountArgs, Settled},
    exit::{Exit, Failure},
    face::Face,
    log::Log,
    prompt::Terminal,
    text,
};

pub fn run(args: &MountArgs, face: Face, arguments: &[OsString]) -> Result<Exit, Failure> {
    let Settled { options, source, reverse } = args.settle()?;
    let (dir, mountpoint) = (args.dir.clone(), args.mountpoint.clone());
    // For the owner alone: the names in a vault are part of what it keeps.
    let control = args.control_socket.clone().map(|path| ControlPlace { path, permissions: 0o600 });
    let request = match reverse {
        None => Request::Vault(Mount { control, ..Mount::new(dir, mountpoint, options) }),
        Some(reverse) => Request::View(MountReverse {
            exclude: reverse.exclude(),
            one_file_system: reverse.one_file_system,
            control,
            ..MountReverse::new(dir, mountpoint, options)
        }),
    };
    let notifier = ready::Notifier::from_env();
    match args.foreground || notifier.is_launched() {
        true => serve(&request, &source, face, notifier),
        false => launch(&request, face, arguments),
    }
}

/// What is to be mounted.
enum Request {
    Vault(Mount),
    View(MountReverse),
}

impl Request {
    fn outcome(&self) -> Mounted {
        match self {
            Request::Vault(vault) => vault.outcome(),
            Request::View(view) => view.outcome(),
        }
    }

    fn passphrase(&self) -> String {
        passphrase_of(match self {
            Request::Vault(vault) => &vault.dir,
            Request::View(view) => &view.dir,
        })
    }

    fn mount(&self, unlock: Unlock<'_>, log: Arc<Log>) -> Result<(Session, Mounted), ActionError> {
        match self {
            Request::Vault(vault) => strongroom_actions::mount(vault, unlock, log),
            Request::View(view) => strongroom_actions::mount_reverse(view, unlock, log),
        }
    }
}

/// The process at the terminal.
fn launch(request: &Request, face: Face, arguments: &[OsString]) -> Result<Exit, Failure> {
    ready::launch(&arguments[1..])?;
    let mounted = request.outcome();
    face.tell(&mounted, |_| text::mounted(&mounted, false))?;
    Ok(Exit::OK)
}

/// The process that serves the mount.
fn serve(request: &Request, source: &SecretRef, face: Face, mut notifier: ready::Notifier) -> Result<Exit, Failure> {
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
    request: &Request,
    source: &SecretRef,
    face: Face,
    notifier: &mut ready::Notifier,
) -> Result<Exit, Failure> {
    let inherited = Inherited::find();
    let umask = UmaskGuard::new();
    harden();
    let passphrase = || umask.around(|| resolve(source, &Terminal, &request.passphrase()));
    let log = Arc::new(Log::default());
    let (session, mounted) = request.mount(Unlock::by_passphrase(passphrase), log.clone())?;
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
