//! What is to give the passphrase at boot, when the passphrase was changed and nobody told it.

use strongroom_migrate::{BootSecret, Plan};
use strongroom_secret::{NoPrompt, Passphrase, SecretRef, resolve};

use super::seal;
use crate::{ActionError, Conf};

/// Whether what the plan names does not open its vault, as somebody who has the configuration can tell.
pub(super) fn is_outdated(plan: &Plan) -> bool {
    let Ok(conf) = Conf::read(&plan.vault) else { return false };
    match recorded(&plan.boot_secret) {
        Some(Some(passphrase)) => matches!(conf.unlock(&passphrase), Err(ActionError::WrongPassphrase(_))),
        Some(None) => true,
        None => false,
    }
}

/// What it gives now, if anything. `None` if a person gives it.
fn recorded(secret: &BootSecret) -> Option<Option<Passphrase>> {
    let given = |source| resolve(&source, &NoPrompt, "passphrase").ok();
    match secret {
        BootSecret::Asked => None,
        BootSecret::File(path) => Some(given(SecretRef::File(path.clone()))),
        BootSecret::Command(command) => Some(given(SecretRef::Command(command.clone()))),
        BootSecret::Credential(path) => Some(seal::opened(path)),
    }
}

/// What to do about it.
pub(super) fn advice(plan: &Plan) -> String {
    let vault = plan.vault.display();
    let what = match &plan.boot_secret {
        BootSecret::Asked => return String::new(),
        BootSecret::File(path) => {
            format!("{0} does not open {vault} any more: write the new passphrase into {0}", path.display())
        }
        BootSecret::Command(command) => {
            format!("`{command}` does not open {vault} any more: have it print the new passphrase")
        }
        BootSecret::Credential(path) => format!(
            "{0} does not open {vault} any more: seal the new passphrase with systemd-creds encrypt --name={1} - {0}",
            path.display(),
            strongroom_migrate::boot::CREDENTIAL
        ),
    };
    format!(
        "{what}. Until then the vault is not mounted when the machine starts; it is now, with the passphrase that was given"
    )
}
