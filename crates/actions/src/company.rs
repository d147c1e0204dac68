//! Mounting a vault that somebody else has mounted already, for those who expect to be let.
//!
//! The first one had the directory to itself until then. It notices, and goes no more by the file ids that it remembers, which
//! would damage files that the second one has replaced. The kernel's caches in front of it remain: it sees late what the second
//! one does, and may write back over it what it knew before.

use std::{
    fs::{self, File},
    io,
    os::fd::OwnedFd,
    path::Path,
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    pipe::{PipeFlags, pipe_with},
};
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
        "{} is mounted already{at}, where much may be cached: what is changed here may be seen late there, and be \
         overwritten, unless both are mounted for shared storage",
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

/// Watches whether somebody else mounts the directory, until it is dropped.
pub(crate) struct Watch {
    _stop: OwnedFd,
}

impl Watch {
    /// Calls `share` once the directory is mounted a second time. It is this process that mounted it the first time.
    pub fn begin(dir: &Path, share: impl FnOnce() + Send + 'static) -> io::Result<Watch> {
        let mounts = File::open("/proc/self/mountinfo")?;
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC)?;
        let dir = dir.to_owned();
        let watch = move || {
            if comes_to_be_shared(&dir, &mounts, &stopped) {
                share();
            }
        };
        thread::Builder::new().name("company".into()).spawn(watch)?;
        Ok(Watch { _stop: stop })
    }
}

fn comes_to_be_shared(dir: &Path, table: &File, stopped: &OwnedFd) -> bool {
    loop {
        let mounts = mounts::list().unwrap_or_default();
        if mounts.iter().filter(|mount| mount.is_of(dir)).count() > 1 {
            return true;
        }
        // The kernel tells of a change of the table as of something urgent.
        let mut awaited = [PollFd::new(table, PollFlags::PRI), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut awaited, None) {
            Ok(_) if !awaited[1].revents().is_empty() => return false,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
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
