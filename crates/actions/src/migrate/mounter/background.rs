//! `strongroom mount` in a process of its own, which goes on when this one ends.

use std::{
    io::{self, Write},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use strongroom_migrate::{Trouble, boot::PATIENCE};
use strongroom_secret::Passphrase;

use super::child::ended;

/// Why it did not mount.
#[derive(Debug, thiserror::Error)]
pub(super) enum MountFailed {
    #[error("the program that mounts it cannot be run: {0}")]
    Start(#[from] io::Error),
    #[error("{said}")]
    Ended { status: ExitStatus, said: String },
}

impl MountFailed {
    /// By the exit codes of `strongroom mount`.
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            MountFailed::Ended { status, .. } => match status.code() {
                Some(3) => Trouble::WrongPassphrase,
                Some(7) => Trouble::Busy,
                Some(11) => Trouble::Damaged,
                _ => Trouble::Other,
            },
            MountFailed::Start(_) => Trouble::Other,
        }
    }
}

/// Runs `binary`, which returns when the mount answers. The passphrase goes through a pipe: arguments and environment could
/// be seen by others.
pub(super) fn mount(binary: &Path, arguments: &[String], passphrase: Option<&Passphrase>) -> Result<(), MountFailed> {
    let mut command = Command::new(binary);
    // Whoever started this program may wait for it to say that it is ready; the mount is not what they mean.
    command.args(arguments).env_remove("NOTIFY_SOCKET").current_dir("/");
    command.stdin(if passphrase.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let (Some(mut stdin), Some(passphrase)) = (child.stdin.take(), passphrase) {
        // A program that has ended before it read says why.
        let _ = stdin.write_all(passphrase.expose()).and_then(|()| stdin.write_all(b"\n"));
    }
    let (status, said) = ended(child, PATIENCE)?;
    match status.success() {
        true => Ok(()),
        false => Err(MountFailed::Ended { status, said }),
    }
}
