//! What opens a vault, asked for when all that can be checked without it has been.

use strongroom_format::{Fido2, MasterKey, SuperblockError};
use strongroom_secret::{Passphrase, SecretError};

use crate::{ActionError, Conf, RecoveryKey, UmaskGuard};

/// What opens a vault, when it is asked.
pub struct Unlock<'a>(Box<Source<'a>>);

type Source<'a> = dyn FnOnce(&Conf) -> Result<MasterKey, ActionError> + 'a;

impl<'a> Unlock<'a> {
    /// The passphrase. A vault that a token opens is refused before it is asked for.
    pub fn by_passphrase(ask: impl FnOnce() -> Result<Passphrase, SecretError> + 'a) -> Self {
        Self(Box::new(move |conf| match conf.superblock().fido2() {
            Some(_) => Err(conf.refused(SuperblockError::Fido2)),
            None => conf.unlock(&ask()?),
        }))
    }

    /// Whatever the vault is opened by: a FIDO2 token, which `token` asks for its secret, or a passphrase.
    pub fn by_token_or_passphrase(
        token: impl FnOnce(&Fido2) -> Result<Passphrase, SecretError> + 'a,
        ask: impl FnOnce() -> Result<Passphrase, SecretError> + 'a,
    ) -> Self {
        Self(Box::new(move |conf| match conf.superblock().fido2() {
            Some(fido2) => conf.unlock_with_token(&token(fido2)?),
            None => conf.unlock(&ask()?),
        }))
    }

    /// The master key itself, which needs no configuration. Nothing proves that it is the vault's.
    pub fn by_master_key(ask: impl FnOnce() -> Result<RecoveryKey, ActionError> + 'a) -> Self {
        Self(Box::new(move |_| Ok(ask()?.into_master())))
    }

    /// What is asked, and whoever is run for it, has the umask of whoever started this process.
    pub fn under(self, umask: &'a UmaskGuard) -> Self {
        Self(Box::new(move |conf| umask.around(|| self.0(conf))))
    }

    /// The master key of the vault.
    pub fn master_key(self, conf: &Conf) -> Result<MasterKey, ActionError> {
        self.0(conf)
    }
}
