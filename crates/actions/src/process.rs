//! What a process does to itself while it handles secrets.

use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, setrlimit, umask},
};

/// Turns core dumps off, for a process that holds secrets for a moment. One that serves a mount hardens itself further.
pub fn no_core_dumps() {
    // An unprivileged process may always lower its limits.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
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

    /// Does something under it, such as running a command that may write files of its own.
    pub fn around<T>(&self, act: impl FnOnce() -> T) -> T {
        let current = umask(self.0);
        let done = act();
        umask(current);
        done
    }
}
