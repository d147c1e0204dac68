//! What a process does to itself while it handles secrets.

use std::{
    io,
    os::fd::{BorrowedFd, RawFd},
    sync::{Arc, atomic::AtomicBool},
};

use rustix::{
    fs::Mode,
    io::FdFlags,
    process::{Resource, Rlimit, setrlimit, umask},
};

/// Turns core dumps off, for a process that holds secrets for a moment. One that serves a mount hardens itself further.
pub fn no_core_dumps() {
    // An unprivileged process may always lower its limits.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Sets `stop` when the process is asked to end (SIGINT, SIGTERM, SIGHUP), so that what was begun can be undone. The second
/// time, it ends at once.
pub fn stop_on_signals(stop: &Arc<AtomicBool>) -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].into_iter().filter(|&signal| !is_ignored(signal)) {
        // In this order: the second signal finds the flag set by the first.
        signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone())?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok(())
}

/// Whether whoever started this process has it ignore the signal, as nohup(1) does.
fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: an all-zero sigaction is a valid value of the plain C struct.
    let mut current: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is set; what is in force is written to a value that lives until the call returns.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &mut current) };
    asked == 0 && current.sa_sigaction == libc::SIG_IGN
}

/// Remembers the umask of whoever started the process, before [`harden`](crate::harden) takes it away.
pub struct UmaskGuard(Mode);

impl UmaskGuard {
    /// Remembers it.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let before = umask(Mode::RWXG | Mode::RWXO);
        umask(before);
        Self(before)
    }

    /// The permissions it takes away.
    pub fn bits(&self) -> u32 {
        self.0.bits()
    }

    /// Does something under it, such as running a command that may write files of its own.
    pub fn around<T>(&self, act: impl FnOnce() -> T) -> T {
        let current = umask(self.0);
        let done = act();
        umask(current);
        done
    }
}

/// Descriptors that whoever started this process left open in it. They may be of use to it (`--passphrase-file <(...)`),
/// but a process that goes on in the background must not keep them: somebody may wait for their other end to be closed.
pub struct Inherited(Vec<RawFd>);

impl Inherited {
    /// Finds them, which are those that would be passed on again. To be called before anything else is opened so.
    pub fn find() -> Self {
        let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let descriptors = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(descriptors.filter(|&descriptor| descriptor > 2 && is_passed_on(descriptor)).collect())
    }

    /// Closes them, but for those that somebody in this process took over meanwhile, who will not pass them on.
    pub fn close(self) {
        for descriptor in self.0.into_iter().filter(|&descriptor| is_passed_on(descriptor)) {
            // SAFETY: the descriptor was open before this program began, so no part of it owns it.
            unsafe { libc::close(descriptor) };
        }
    }
}

fn is_passed_on(descriptor: RawFd) -> bool {
    // SAFETY: the descriptor was listed just now; if it is closed by now, the call says so and nothing is touched.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    rustix::io::fcntl_getfd(borrowed).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC))
}
