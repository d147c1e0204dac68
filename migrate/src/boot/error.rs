//! Why the data could not be made to come back at boot.

use std::{error::Error, path::PathBuf};

use strongroom_durable::PathError;

/// What was attempted, and why it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// A path cannot stand in a unit, a table or a script.
    #[error("{} cannot be written into what mounts it at boot: {why}", path.display())]
    Unwritable {
        /// The path.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// This is no name of a unit.
    #[error("{0:?} is no name of a unit")]
    UnitName(String),
    /// What mounts at boot cannot have the passphrase from there.
    #[error("{kind} cannot have the passphrase from {secret}")]
    Source {
        /// What mounts.
        kind: &'static str,
        /// Where the passphrase was to come from.
        secret: &'static str,
    },
    /// Others can read the file with the passphrase.
    #[error("the passphrase file {} can be read by others (mode {mode:03o}, owner {owner})", path.display())]
    LooseSecret {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Whose it is.
        owner: u32,
    },
    /// The file with the passphrase is not there, or none.
    #[error("the passphrase file {} cannot be used: {why}", path.display())]
    NoSecret {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Somebody else's files stand where ours are to be.
    #[error("not ours, and so neither replaced nor removed: {}", list(.0))]
    Foreign(Vec<PathBuf>),
    /// There is a line for the mount point already.
    #[error("{} has a line for {} already", table.display(), mountpoint.display())]
    Taken {
        /// The table.
        table: PathBuf,
        /// The mount point.
        mountpoint: PathBuf,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The list of what was written cannot be read.
    #[error("the list {} of what was written for boot is damaged: {source}", path.display())]
    Record {
        /// The list.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// systemd refused, or cannot be reached.
    #[error("{attempted}: {source}")]
    Manager {
        /// A gerund, and on what.
        attempted: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl BootError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            BootError::Unwritable { .. } => Some("Choose --boot manual, and mount it by a script of your own.".into()),
            BootError::Source { .. } => Some(
                "At boot nobody may be there to be asked: seal the passphrase with systemd-creds, name a command that \
                 prints it, or a file that only its owner can read. Or choose --boot manual and mount it by hand."
                    .into(),
            ),
            BootError::LooseSecret { path, .. } => Some(format!(
                "Run: chown root {0} && chmod 600 {0}; and take it that the passphrase was read.",
                path.display()
            )),
            BootError::Foreign(_) | BootError::Taken { .. } => {
                Some("Look at what it is for, and move it out of the way.".into())
            }
            _ => None,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
