//! The passphrase of the vault: asked for once, kept on pages that are neither swapped nor dumped, and asked for again only
//! of somebody who can do better the next time.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use strongroom_format::MasterKey;
use strongroom_secret::{Locked, Passphrase, SecretError};

use crate::{ActionError, Conf, RecoveryKey};

/// Which passphrase is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The one that a new vault is to have.
    New(&'a Path),
    /// The one of this vault.
    Open(&'a Path),
    /// The same, as what was given is not it.
    Again(&'a Path),
    /// The one of an archive that the vault's does not open.
    Archive(&'a Path),
}

/// Gives the passphrase that is wanted.
pub type Ask = dyn Fn(Wanted<'_>) -> Result<Passphrase, SecretError> + Send + Sync;

/// How the secrets of a migration come and go.
pub struct Secrets {
    /// Gives the passphrase that is wanted.
    pub passphrase: Box<Ask>,
    /// How often it is asked for if what was given is wrong: of a person several times, of a file once.
    pub attempts: u32,
    /// How the recovery key of a new vault is handed over.
    pub recovery_key: Handover,
}

/// Shows the recovery key to a person, and gives what they type to prove that they have it.
pub type Show = dyn Fn(&RecoveryKey) -> Result<Passphrase, SecretError> + Send + Sync;

/// How the recovery key of a new vault is handed over.
pub enum Handover {
    /// It is shown, and has to be typed back: all of it, or its last group.
    Shown(Box<Show>),
    /// There is nobody to be shown it. Then the plan says what file it is written to, or that it was accepted that nobody
    /// has it.
    Nobody,
}

/// The passphrase, once it is known, and the key that it unwrapped last: scrypt takes its time, and in the window services
/// wait for it.
pub(super) struct Keyring {
    secrets: Secrets,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    passphrase: Option<Kept>,
    unlocked: Option<Unlocked>,
}

/// A configuration as it was read, and the master key in it, which the passphrase that is known has unwrapped.
struct Unlocked {
    conf: Vec<u8>,
    master: MasterKey,
}

impl Keyring {
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, known: Mutex::default() }
    }

    /// How the recovery key is handed over.
    pub fn handover(&self) -> &Handover {
        &self.secrets.recovery_key
    }

    /// The passphrase that the new vault at `vault` is to have, and that archives are sealed with.
    pub fn new_one(&self, vault: &Path) -> Result<Passphrase, SecretError> {
        let known = &mut self.known().passphrase;
        if known.is_none() {
            *known = Some(Kept::new(&(self.secrets.passphrase)(Wanted::New(vault))?));
        }
        Ok(known.as_ref().expect("it was filled just above").copy())
    }

    /// The passphrase that sealed `archive`: that of the vault, unless `is_wrong`.
    pub fn of_archive(&self, archive: &Path, is_wrong: bool) -> Result<Passphrase, SecretError> {
        match self.known().passphrase.as_ref().filter(|_| !is_wrong) {
            Some(kept) => Ok(kept.copy()),
            None if is_wrong => (self.secrets.passphrase)(Wanted::Archive(archive)),
            None => (self.secrets.passphrase)(Wanted::Open(archive)),
        }
    }

    /// Unwraps the master key of a vault. Several threads that need it ask once; and for the very configuration that it
    /// was unwrapped from last, the key is known.
    pub fn unlock(&self, conf: &Conf) -> Result<MasterKey, ActionError> {
        let mut known = self.known();
        let json = conf.superblock().to_json();
        if let Some(unlocked) = known.unlocked.as_ref().filter(|unlocked| unlocked.conf == json) {
            return Ok(unlocked.master.duplicate());
        }
        let (passphrase, master) = self.try_to_unlock(conf, known.passphrase.take())?;
        *known =
            Known { passphrase: Some(passphrase), unlocked: Some(Unlocked { conf: json, master: master.duplicate() }) };
        Ok(master)
    }

    /// Tries what was `known`, and then what is given.
    fn try_to_unlock(&self, conf: &Conf, known: Option<Kept>) -> Result<(Kept, MasterKey), ActionError> {
        let mut wanted = Wanted::Open(conf.dir());
        if let Some(kept) = known {
            match conf.unlock(&kept.copy()) {
                Ok(master) => return Ok((kept, master)),
                // It was changed meanwhile, or is that of another vault.
                Err(ActionError::WrongPassphrase(_)) => wanted = Wanted::Again(conf.dir()),
                Err(error) => return Err(error),
            }
        }
        for left in (0..self.secrets.attempts.max(1)).rev() {
            let passphrase = (self.secrets.passphrase)(wanted)?;
            match conf.unlock(&passphrase) {
                Err(ActionError::WrongPassphrase(_)) if left > 0 => wanted = Wanted::Again(conf.dir()),
                Err(error) => return Err(error),
                Ok(master) => return Ok((Kept::new(&passphrase), master)),
            }
        }
        Err(ActionError::WrongPassphrase(conf.dir().to_owned()))
    }

    /// The passphrase of a vault itself, known to open it.
    pub fn passphrase(&self, conf: &Conf) -> Result<Passphrase, ActionError> {
        self.unlock(conf)?;
        let known = self.known();
        known.passphrase.as_ref().map(Kept::copy).ok_or_else(|| ActionError::WrongPassphrase(conf.dir().to_owned()))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A passphrase that is kept for long.
struct Kept {
    bytes: Locked<[u8; Passphrase::MAX_LEN]>,
    len: usize,
}

impl Kept {
    fn new(passphrase: &Passphrase) -> Self {
        let mut bytes = Locked::zeroed();
        let given = passphrase.expose();
        let len = given.len().min(Passphrase::MAX_LEN);
        let slot: &mut [u8; Passphrase::MAX_LEN] = &mut bytes;
        slot[..len].copy_from_slice(&given[..len]);
        Self { bytes, len }
    }

    fn copy(&self) -> Passphrase {
        Passphrase::new(self.bytes[..self.len].to_vec())
    }
}
