//! What is mounted at a path, told without ever waiting for a server that does not answer.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use strongroom_durable::{DirLock, LockError};
use strongroom_migrate::Standing;
use strongroom_mount::{UmountError, mounts};

/// How long a server may take to say that it lives.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error(transparent)]
    Mounts(#[from] UmountError),
    #[error("the server of the mount at {} does not answer", .0.display())]
    Silent(PathBuf),
}

/// What is mounted topmost at `at`, and whether it is the vault in `vault`.
pub(super) fn standing(at: &Path, vault: &Path) -> Result<Standing, LookError> {
    let Some(entry) = mounts::find(at)? else { return Ok(Standing::Absent) };
    let vault = vault.canonicalize().unwrap_or_else(|_| vault.to_owned());
    if !entry.is_vault() || entry.source != vault.as_os_str() {
        return Ok(Standing::Foreign);
    }
    let device = rustix::fs::makedev(entry.device.0, entry.device.1);
    let (said, heard) = mpsc::channel();
    // A server that is stopped lets whoever asks it wait for ever: that is then this thread, and not us.
    thread::spawn(move || said.send(entry.is_dead()));
    match heard.recv_timeout(PATIENCE) {
        Ok(true) => Ok(Standing::Dead),
        Ok(false) => Ok(Standing::Ours(device)),
        Err(_) => Err(LookError::Silent(at.to_owned())),
    }
}

/// Waits until nobody has the vault, as its lock tells. One that is lost has nobody.
pub(super) fn await_gone(vault: &Path, within: Duration) -> Result<(), LockError> {
    let deadline = Instant::now() + within;
    loop {
        match DirLock::exclusive(vault) {
            Ok(_) | Err(LockError::Unsupported { .. }) => return Ok(()),
            Err(LockError::Path(_)) if !vault.exists() => return Ok(()),
            Err(LockError::Busy { .. }) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(error),
        }
    }
}
