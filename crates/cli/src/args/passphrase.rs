//! Where passphrases come from: options that name a place, never the passphrase itself.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use strongroom_secret::SecretRef;

/// The credential that is used without being named, if the service manager handed it over.
const USUAL_CREDENTIAL: &str = "strongroom.passphrase";

/// Where the passphrase comes from. Without any of these: from the systemd credential strongroom.passphrase if there is
/// one, else from whoever sits at the terminal.
#[derive(Args, Default)]
#[group(multiple = false)]
pub struct PassphraseArgs {
    /// Read the passphrase from the first line of FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Passphrase")]
    pub passphrase_file: Option<PathBuf>,
    /// Take the first line that COMMAND prints; it is run by /bin/sh
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString, help_heading = "Passphrase")]
    pub passphrase_command: Option<String>,
    /// Read the passphrase from the next line of standard input
    #[arg(long, help_heading = "Passphrase")]
    pub passphrase_stdin: bool,
    /// Read the passphrase from a systemd credential (default: strongroom.passphrase, if there is one)
    #[arg(long, value_name = "NAME", help_heading = "Passphrase")]
    pub passphrase_credential: Option<String>,
}

impl PassphraseArgs {
    /// What was asked for, if anything was.
    pub fn explicit(&self) -> Option<SecretRef> {
        source(&self.passphrase_file, &self.passphrase_command, self.passphrase_stdin, &self.passphrase_credential)
    }

    /// Where the passphrase comes from.
    pub fn source(&self) -> SecretRef {
        self.explicit().unwrap_or_else(usual_source)
    }
}

/// Where the passphrase of the vault comes from whose data is backed up. Needed if it is not mounted, and for its keys to
/// travel under the passphrase of the backup.
#[derive(Args, Default)]
#[group(multiple = false)]
pub struct VaultPassphraseArgs {
    /// Read the passphrase of the vault from the first line of FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = VAULT)]
    vault_passphrase_file: Option<PathBuf>,
    /// Take the first line that COMMAND prints; it is run by /bin/sh
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString, help_heading = VAULT)]
    vault_passphrase_command: Option<String>,
    /// Read the passphrase of the vault from the next line of standard input, after that of the backup if that comes from
    /// there too
    #[arg(long, help_heading = VAULT)]
    vault_passphrase_stdin: bool,
    /// Read the passphrase of the vault from a systemd credential
    #[arg(long, value_name = "NAME", help_heading = VAULT)]
    vault_passphrase_credential: Option<String>,
}

const VAULT: &str = "Passphrase of the vault";

impl VaultPassphraseArgs {
    /// What was asked for, if anything was.
    pub fn explicit(&self) -> Option<SecretRef> {
        source(
            &self.vault_passphrase_file,
            &self.vault_passphrase_command,
            self.vault_passphrase_stdin,
            &self.vault_passphrase_credential,
        )
    }
}

/// What opens the vault now.
#[derive(Args)]
#[group(multiple = false)]
pub struct OldSecretArgs {
    /// Read the old passphrase from the first line of FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Old passphrase")]
    passphrase_file: Option<PathBuf>,
    /// Take the first line that COMMAND prints; it is run by /bin/sh
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString, help_heading = "Old passphrase")]
    passphrase_command: Option<String>,
    /// Read the old passphrase from the next line of standard input
    #[arg(long, help_heading = "Old passphrase")]
    passphrase_stdin: bool,
    /// Read the old passphrase from a systemd credential
    #[arg(long, value_name = "NAME", help_heading = "Old passphrase")]
    passphrase_credential: Option<String>,
    /// Use the recovery key instead: from the next line of standard input, or asked for at the terminal
    #[arg(long, help_heading = "Old passphrase")]
    recovery_key: bool,
    /// Use the recovery key instead: from the first line of FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Old passphrase")]
    recovery_key_file: Option<PathBuf>,
}

/// What opens the vault now, and where it comes from.
pub enum OldSource {
    Passphrase(SecretRef),
    RecoveryKey(SecretRef),
}

impl OldSecretArgs {
    /// Where it comes from. `stdin_is_terminal` decides for a recovery key without a file.
    pub fn source(&self, stdin_is_terminal: bool) -> OldSource {
        if let Some(file) = &self.recovery_key_file {
            return OldSource::RecoveryKey(SecretRef::File(file.clone()));
        }
        if self.recovery_key {
            return OldSource::RecoveryKey(if stdin_is_terminal { SecretRef::Prompt } else { SecretRef::Stdin });
        }
        let named =
            source(&self.passphrase_file, &self.passphrase_command, self.passphrase_stdin, &self.passphrase_credential);
        OldSource::Passphrase(named.unwrap_or_else(usual_source))
    }
}

/// Where the new passphrase comes from. Without any of these it is asked for, twice.
#[derive(Args)]
#[group(multiple = false)]
pub struct NewPassphraseArgs {
    /// Read the new passphrase from the first line of FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "New passphrase")]
    new_passphrase_file: Option<PathBuf>,
    /// Take the first line that COMMAND prints; it is run by /bin/sh
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString, help_heading = "New passphrase")]
    new_passphrase_command: Option<String>,
    /// Read the new passphrase from the next line of standard input, after the old one if that comes from there too
    #[arg(long, help_heading = "New passphrase")]
    new_passphrase_stdin: bool,
    /// Read the new passphrase from a systemd credential
    #[arg(long, value_name = "NAME", help_heading = "New passphrase")]
    new_passphrase_credential: Option<String>,
}

impl NewPassphraseArgs {
    /// Where the new passphrase comes from.
    pub fn source(&self) -> SecretRef {
        source(
            &self.new_passphrase_file,
            &self.new_passphrase_command,
            self.new_passphrase_stdin,
            &self.new_passphrase_credential,
        )
        .unwrap_or(SecretRef::Prompt)
    }
}

/// The one of them that was given.
pub fn source(
    file: &Option<PathBuf>,
    command: &Option<String>,
    stdin: bool,
    credential: &Option<String>,
) -> Option<SecretRef> {
    match (file, command, credential) {
        (Some(file), ..) => Some(SecretRef::File(file.clone())),
        (_, Some(command), _) => Some(SecretRef::Command(command.clone())),
        (.., Some(name)) => Some(SecretRef::Credential(name.clone())),
        _ => stdin.then_some(SecretRef::Stdin),
    }
}

/// The systemd credential if there is one, else whoever sits at the terminal.
pub fn usual_source() -> SecretRef {
    let handed_over = std::env::var_os("CREDENTIALS_DIRECTORY")
        .is_some_and(|directory| Path::new(&directory).join(USUAL_CREDENTIAL).exists());
    match handed_over {
        true => SecretRef::Credential(USUAL_CREDENTIAL.into()),
        false => SecretRef::Prompt,
    }
}
