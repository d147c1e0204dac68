//! Sealing the passphrase for this machine, by systemd-creds(1).

use std::{
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
};

use strongroom_migrate::boot::CREDENTIAL;
use strongroom_secret::Passphrase;

use crate::ActionError;

const PLACES: [&str; 3] = ["/usr/bin/systemd-creds", "/bin/systemd-creds", "/run/current-system/sw/bin/systemd-creds"];

/// Whether this machine seals credentials for us: for what belongs to the system, root may.
pub(super) fn is_possible() -> bool {
    rustix::process::geteuid().is_root() && program().is_some()
}

fn program() -> Option<&'static Path> {
    PLACES.iter().map(Path::new).find(|place| place.exists())
}

/// Why it could not be sealed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    #[error(transparent)]
    Passphrase(#[from] Box<ActionError>),
    #[error("systemd-creds is not installed")]
    NotInstalled,
    #[error("systemd-creds cannot be run: {0}")]
    Start(#[from] io::Error),
    #[error("systemd-creds: {0}")]
    Refused(String),
}

impl From<ActionError> for SealError {
    fn from(error: ActionError) -> Self {
        Self::Passphrase(Box::new(error))
    }
}

/// The passphrase, readable by this machine's systemd and nobody else. It goes there and comes back through pipes.
pub(super) fn credential(passphrase: &Passphrase) -> Result<Vec<u8>, SealError> {
    let mut command = Command::new(program().ok_or(SealError::NotInstalled)?);
    command.args(["encrypt", &format!("--name={CREDENTIAL}"), "-", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it has ended before it read, it says why.
        let _ = stdin.write_all(passphrase.expose());
    }
    let output = child.wait_with_output()?;
    match output.status.success() && !output.stdout.is_empty() {
        true => Ok(output.stdout),
        false => Err(SealError::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// The passphrase that was sealed there, if this machine can open it.
pub(super) fn opened(path: &Path) -> Option<Passphrase> {
    let mut command = Command::new(program()?);
    command.args(["decrypt", &format!("--name={CREDENTIAL}")]).arg(path).arg("-");
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| Passphrase::new(output.stdout))
}
