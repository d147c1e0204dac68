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

/// The passphrase, once it is known.
pub(super) struct Keyring {
    secrets: Secrets,
    known: Mutex<Option<Kept>>,
}

impl Keyring {
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, known: Mutex::new(None) }
    }

    /// How the recovery key is handed over.
    pub fn handover(&self) -> &Handover {
        &self.secrets.recovery_key
    }

    /// The passphrase that the new vault at `vault` is to have, and that archives are sealed with.
    pub fn new_one(&self, vault: &Path) -> Result<Passphrase, SecretError> {
        let mut known = self.known();
        if known.is_none() {
            *known = Some(Kept::new(&(self.secrets.passphrase)(Wanted::New(vault))?));
        }
        Ok(known.as_ref().expect("it was filled just above").copy())
    }

    /// The passphrase that sealed `archive`: that of the vault, unless `is_wrong`.
    pub fn of_archive(&self, archive: &Path, is_wrong: bool) -> Result<Passphrase, SecretError> {
        match self.known().as_ref().filter(|_| !is_wrong) {
            Some(kept) => Ok(kept.copy()),
            None if is_wrong => (self.secrets.passphrase)(Wanted::Archive(archive)),
            None => (self.secrets.passphrase)(Wanted::Open(archive)),
        }
    }

    /// Unwraps the master key of a vault. Several threads that need it ask once.
    pub fn unlock(&self, conf: &Conf) -> Result<MasterKey, ActionError> {
        let mut known = self.known();
        let mut wanted = Wanted::Open(conf.dir());
        if let Some(kept) = known.take() {
            match conf.unlock(&kept.copy()) {
                Ok(master) => {
                    *known = Some(kept);
                    return Ok(master);
                }
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
                Ok(master) => {
                    *known = Some(Kept::new(&passphrase));
                    return Ok(master);
                }
            }
        }
        Err(ActionError::WrongPassphrase(conf.dir().to_owned()))
    }

    /// The passphrase of a vault itself, known to open it.
    pub fn passphrase(&self, conf: &Conf) -> Result<Passphrase, ActionError> {
        self.unlock(conf)?;
        let known = self.known();
        known.as_ref().map(Kept::copy).ok_or_else(|| ActionError::WrongPassphrase(conf.dir().to_owned()))
    }

    /// The same, for somebody who tries it himself: what opened the vault last, without trying it again.
    pub fn last(&self, conf: &Conf) -> Result<Passphrase, ActionError> {
        let kept = self.known().as_ref().map(Kept::copy);
        kept.map_or_else(|| self.passphrase(conf), Ok)
    }

    fn known(&self) -> MutexGuard<'_, Option<Kept>> {
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
