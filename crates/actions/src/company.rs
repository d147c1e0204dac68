//! Mounting a vault that somebody else has mounted already, for those who expect to be let.
//!
//! The first one has the directory to itself as far as it knows: it goes on with the sizes and file ids that it remembers, so
//! that a file which both change can be damaged, and it sees late what the second one does.

use std::{fs, path::Path, thread, time::Duration};

use strongroom_durable::DirLock;
use strongroom_event::{Event, Observer};
use strongroom_mount::mounts::{self, MountEntry};

use crate::{ActionError, open::take};

/// How often a vault is tried to be taken that a mount which just ended may have, and with which pause.
const ATTEMPTS: u32 = 300;
const PAUSE: Duration = Duration::from_millis(10);

/// A vault that may be mounted.
pub(crate) struct Taken {
    /// The lock on its directory, if there is one to be had.
    pub lock: Option<DirLock>,
    /// Whether somebody else has it mounted, so that nothing may be cached.
    pub in_company: bool,
}

/// Takes the vault; or, if what has it is a mount, says so and goes on without. Whoever checks, repairs or migrates it is not
/// disturbed.
pub(crate) fn take_or_join(dir: &Path, shared: bool, observer: &dyn Observer) -> Result<Taken, ActionError> {
    let is_busy = |error: &ActionError| matches!(error, ActionError::InUse { .. });
    let owner = match patiently(dir, is_busy, || take(dir, shared, observer)) {
        Ok(lock) => return Ok(Taken { lock, in_company: false }),
        Err(ActionError::InUse { owner, .. }) => owner,
        Err(error) => return Err(error),
    };
    let mounts = mounts::list().unwrap_or_default();
    let Some(at) = mounted_by(owner, dir, &mounts) else {
        return Err(ActionError::InUse { path: dir.to_owned(), owner });
    };
    observer.observe(&Event::Warning(format!(
        "{} is mounted already{at}, where much may be cached: a file that is changed here and there is damaged, unless both \
         are mounted for shared storage",
        dir.display()
    )));
    Ok(Taken { lock: None, in_company: true })
}

/// Tries to take the vault again for a moment, unless it is seen to be mounted. A mount that was just taken down keeps its
/// directory until its process is gone, and scripts mount again at once.
pub(crate) fn patiently<T, E>(
    dir: &Path,
    is_busy: impl Fn(&E) -> bool,
    attempt: impl Fn() -> Result<T, E>,
) -> Result<T, E> {
    let is_mounted = || mounts::list().is_ok_and(|mounts| mounts.iter().any(|mount| mount.is_of(dir)));
    for _ in 0..ATTEMPTS {
        match attempt() {
            Err(error) if is_busy(&error) && !is_mounted() => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    attempt()
}

/// Where the owner has the directory mounted, in words, if that is what it is doing.
fn mounted_by(owner: Option<u32>, dir: &Path, mounts: &[MountEntry]) -> Option<String> {
    let here = mounts.iter().filter(|mount| mount.is_of(dir)).find(|mount| owner.is_none() || mount.server() == owner);
    let elsewhere = || mounts.iter().filter(|mount| mount.is_vault()).find(|mount| mount.server() == owner);
    match here.or_else(|| owner.and_then(|_| elsewhere())) {
        Some(mount) => Some(format!(" at {}", mount.mountpoint.display())),
        // Its mount is out of sight, and goes on for the programs that use it.
        None => owner.filter(|&pid| talks_to_fuse(pid)).map(|_| String::new()),
    }
}

/// Whether a process serves a FUSE mount, as far as this process may know.
fn talks_to_fuse(pid: u32) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target == Path::new("/dev/fuse"))
}
