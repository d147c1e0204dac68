//! Why the machine did not do what a migration wanted, in the words that a migration knows.

use std::io;

use strongroom_backup::BackupError;
use strongroom_durable::PathError;
use strongroom_migrate::{HostError, Trouble};
use strongroom_mount::UmountError;

use crate::ActionError;

/// What was attempted, and why it failed.
pub(super) fn failed(attempted: impl Into<String>, error: impl Into<ActionError>) -> HostError {
    let error = error.into();
    HostError { attempted: attempted.into(), trouble: trouble(&error), source: Box::new(error) }
}

/// For `map_err`.
pub(super) fn on<E: Into<ActionError>>(attempted: impl Into<String>) -> impl FnOnce(E) -> HostError {
    move |error| failed(attempted, error)
}

fn trouble(error: &ActionError) -> Trouble {
    match error {
        ActionError::WrongPassphrase(_) => Trouble::WrongPassphrase,
        ActionError::InUse { .. } | ActionError::Umount(UmountError::Busy { .. }) => Trouble::Busy,
        ActionError::Conf { .. } | ActionError::NotReadBack(_) => Trouble::Damaged,
        ActionError::Path(PathError { source, .. }) | ActionError::CipherDir { source, .. } => of_io(source),
        ActionError::Backup(error) => of_backup(error),
        _ => Trouble::Other,
    }
}

fn of_backup(error: &BackupError) -> Trouble {
    match error {
        BackupError::Space { .. } => Trouble::NoRoom,
        BackupError::Busy(_) => Trouble::Busy,
        BackupError::Path(PathError { source, .. }) | BackupError::Io { source, .. } => of_io(source),
        BackupError::Archive { source, .. } => {
            let mut cause: Option<&dyn std::error::Error> = Some(source);
            while let Some(error) = cause {
                if let Some(error) = error.downcast_ref::<io::Error>() {
                    return of_io(error);
                }
                cause = error.source();
            }
            Trouble::Other
        }
        error if error.is_damage() => Trouble::Damaged,
        _ => Trouble::Other,
    }
}

fn of_io(error: &io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::NoRoom,
        io::ErrorKind::ResourceBusy => Trouble::Busy,
        _ => Trouble::Other,
    }
}
