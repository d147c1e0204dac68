//! Waiting for a process of ours that still has a vault and is about to let go of it: one that was killed, or has just
//! unmounted, needs a moment.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use strongroom_durable::{DirLock, LockError};
use strongroom_event::{Event, Observer};
use strongroom_mount::mounts;

use crate::{ActionError, Context, open::take};

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// As [`take`], for this process alone; what is ending is waited for.
pub(super) fn take_when_left(dir: &Path, context: &Context) -> Result<Option<DirLock>, ActionError> {
    patiently(dir, &context.stop, &*context.observer, || take(dir, false, &*context.observer))
}

/// Waits until nobody has the vault, if who has it is ending. Whoever mounts it next says who has it if not.
pub(super) fn await_left(dir: &Path, observer: &dyn Observer) {
    let looked = || match DirLock::exclusive(dir) {
        Err(error @ LockError::Busy { .. }) => Err(ActionError::lock(error)),
        _ => Ok(()),
    };
    let _ = patiently(dir, &AtomicBool::new(false), observer, looked);
}

fn patiently<T>(
    dir: &Path,
    stop: &AtomicBool,
    observer: &dyn Observer,
    mut attempt: impl FnMut() -> Result<T, ActionError>,
) -> Result<T, ActionError> {
    let deadline = Instant::now() + PATIENCE;
    let mut is_told = false;
    loop {
        let error = match attempt() {
            Err(error @ ActionError::InUse { .. }) => error,
            attempted => return attempted,
        };
        let ActionError::InUse { owner, .. } = &error else { return Err(error) };
        if stop.load(Ordering::Relaxed) || Instant::now() >= deadline || !is_ending(dir, *owner) {
            return Err(error);
        }
        if !is_told {
            observer.observe(&Event::Waiting { why: format!("{error}, which is ending") });
            is_told = true;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Whether it is a process of ours that serves no mount of the vault any more.
fn is_ending(dir: &Path, owner: Option<u32>) -> bool {
    owner.is_none_or(is_ours) && !is_mounted(dir)
}

/// One that is gone, or has given up its memory, is told by its name only, or not at all.
fn is_ours(pid: u32) -> bool {
    let process = |what: &str| Path::new("/proc").join(pid.to_string()).join(what);
    let is_this_program = || {
        let own = fs::read_link("/proc/self/exe").ok();
        own.is_some() && fs::read_link(process("exe")).ok() == own
    };
    fs::read_to_string(process("comm")).map_or(true, |name| name.starts_with("strongroom")) || is_this_program()
}

fn is_mounted(dir: &Path) -> bool {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounted = mounts::list().unwrap_or_default();
    mounted.iter().any(|mount| mount.is_vault() && mount.source == dir.as_os_str() && !mount.is_dead())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        process::{Child, Command, Stdio},
        sync::mpsc,
    };

    use super::*;

    /// Another process that has the vault, until it is told to end.
    struct Owner(Child);

    impl Owner {
        /// `program` sleeps with a lock on `dir` that it got from us.
        fn of(dir: &Path, program: &Path) -> Self {
            let dir = File::open(dir).unwrap();
            rustix::fs::flock(&dir, rustix::fs::FlockOperation::LockExclusive).unwrap();
            Self(Command::new(program).arg("1000").stdin(Stdio::from(dir)).spawn().unwrap())
        }
    }

    impl Drop for Owner {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn attempt(dir: &Path) -> Result<(), ActionError> {
        DirLock::exclusive(dir).map(drop).map_err(ActionError::lock)
    }

    #[test]
    fn who_is_ending_is_waited_for_and_that_is_told() {
        let dir = tempfile::tempdir().unwrap();
        // The kernel names who took the lock: this process, which is this program.
        let owner = Owner::of(dir.path(), Path::new("/bin/sleep"));
        let (said, heard) = mpsc::channel();
        let said = std::sync::Mutex::new(said);
        let observer = move |event: &Event| {
            if let Event::Waiting { why } = event {
                said.lock().unwrap().send(why.clone()).unwrap();
            }
        };
        thread::scope(|scope| {
            let taking =
                scope.spawn(|| patiently(dir.path(), &AtomicBool::new(false), &observer, || attempt(dir.path())));
            let why = heard.recv_timeout(Duration::from_secs(20)).unwrap();
            assert!(why.contains("in use by process"), "{why}");
            drop(owner);
            taking.join().unwrap().unwrap();
        });
        assert!(heard.try_recv().is_err(), "it is told once");
    }

    #[test]
    fn a_process_that_is_none_of_ours_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let owner = Command::new("sleep").arg("1000").spawn().map(Owner).unwrap();
        assert!(!is_ending(dir.path(), Some(owner.0.id())));
        assert!(is_ending(dir.path(), Some(std::process::id())));
    }

    #[test]
    fn waiting_ends_when_it_is_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let _lock = DirLock::exclusive(dir.path()).unwrap();
        let refused = patiently(dir.path(), &AtomicBool::new(true), &strongroom_event::Silent, || attempt(dir.path()));
        assert!(matches!(refused, Err(ActionError::InUse { .. })));
    }
}
