//! Where the passphrases of a verb come from, each asked for once.

use std::cell::RefCell;

use strongroom_backup::Wanted;
use strongroom_crypto::OsRandom;
use strongroom_secret::{Passphrase, SecretError};

use crate::Context;

/// Gives the passphrase that is wanted.
pub type ArchiveSecret<'a> = dyn Fn(Wanted<'_>) -> Result<Passphrase, SecretError> + 'a;

/// Where the passphrases of a verb come from.
pub struct Secrets<'a> {
    /// That of an archive.
    pub archive: &'a ArchiveSecret<'a>,
    /// That of the vault whose data is backed up, if anything says where it comes from.
    pub vault: Option<&'a dyn Fn() -> Result<Passphrase, SecretError>>,
    /// Asks for it where nothing else says it and it cannot be done without.
    pub vault_prompt: &'a dyn Fn() -> Result<Passphrase, SecretError>,
}

/// The passphrase of a new archive, asked for when it is needed first and remembered: a second question would take the
/// next line of standard input, or bother a person twice.
pub(super) struct Remembered<'a> {
    ask: &'a ArchiveSecret<'a>,
    new: RefCell<Option<Passphrase>>,
}

impl<'a> Remembered<'a> {
    pub fn new(ask: &'a ArchiveSecret<'a>) -> Self {
        Self { ask, new: RefCell::default() }
    }

    /// The passphrase that is wanted.
    pub fn give(&self, wanted: Wanted<'_>) -> Result<Passphrase, SecretError> {
        match wanted {
            Wanted::New => self.new_one(),
            wanted => (self.ask)(wanted),
        }
    }

    /// The passphrase of a new archive.
    pub fn new_one(&self) -> Result<Passphrase, SecretError> {
        let mut new = self.new.borrow_mut();
        if new.is_none() {
            *new = Some((self.ask)(Wanted::New)?);
        }
        Ok(copy(new.as_ref().expect("it was filled just above")))
    }

    /// From now on the passphrase of a new archive is `passphrase`.
    pub fn set_new(&self, passphrase: &Passphrase) {
        *self.new.borrow_mut() = Some(copy(passphrase));
    }
}

/// Another copy, wiped like the first.
pub(super) fn copy(passphrase: &Passphrase) -> Passphrase {
    Passphrase::new(passphrase.expose().to_vec())
}

/// Calls `act` with what the backup crate wants to know of the world.
pub(crate) fn with_world<T>(
    context: &Context,
    secret: &ArchiveSecret<'_>,
    act: impl FnOnce(&strongroom_backup::Context<'_>) -> T,
) -> T {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_stopped = || context.stop.load(std::sync::atomic::Ordering::Relaxed);
    act(&strongroom_backup::Context {
        observer: &*context.observer,
        random: &OsRandom,
        now: &context.clock,
        secret,
        is_stopped: &is_stopped,
        host: &host,
        version: env!("CARGO_PKG_VERSION"),
        workers: context.workers,
    })
}
