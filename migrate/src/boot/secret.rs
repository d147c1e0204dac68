//! Where the passphrase comes from at boot: what a mount is told of it, and which places will not do.

use std::{io, os::unix::fs::MetadataExt, path::Path};

use super::{BootError, text};
use crate::{BootKind, BootSecret, Plan};

/// What the credential is called for which `strongroom mount` looks without being told.
pub const CREDENTIAL: &str = "strongroom.passphrase";

/// Whether what mounts at boot can have the passphrase from there at all.
pub(super) fn fits(plan: &Plan) -> Result<(), BootError> {
    let is_systemd = matches!(plan.boot, BootKind::Systemd | BootKind::SystemdUser);
    let (kind, secret) = (kind_name(plan.boot), source_name(&plan.boot_secret));
    match plan.boot_secret {
        BootSecret::Credential(_) if !is_systemd => Err(BootError::Source { kind, secret }),
        BootSecret::Asked if plan.boot != BootKind::Manual => Err(BootError::Source { kind, secret }),
        _ => Ok(()),
    }
}

/// The arguments of `strongroom mount`.
pub(super) fn arguments(plan: &Plan) -> Result<Vec<String>, BootError> {
    let is_systemd = matches!(plan.boot, BootKind::Systemd | BootKind::SystemdUser);
    Ok(match &plan.boot_secret {
        BootSecret::Credential(_) => vec!["--passphrase-credential".into(), CREDENTIAL.into()],
        // systemd reads the file and hands it over, so that it is read before the sandbox of any unit.
        BootSecret::File(_) if is_systemd => vec!["--passphrase-credential".into(), CREDENTIAL.into()],
        BootSecret::File(path) => vec!["--passphrase-file".into(), text(path)?.into()],
        BootSecret::Command(command) => vec!["--passphrase-command".into(), text(Path::new(command))?.into()],
        BootSecret::Asked => vec![],
    })
}

/// Refuses a file with the passphrase that anybody but its owner could read, or that belongs to neither root nor `user`. A
/// credential is sealed, and may be read by anybody.
pub fn check_secret(secret: &BootSecret, user: u32) -> Result<(), BootError> {
    let BootSecret::File(path) = secret else { return Ok(()) };
    let unusable = |why: String| BootError::NoSecret { path: path.clone(), why };
    let found = std::fs::metadata(path).map_err(|error: io::Error| unusable(error.to_string()))?;
    if !found.is_file() {
        return Err(unusable("it is not a file".into()));
    }
    let (mode, owner) = (found.mode() & 0o777, found.uid());
    if mode & 0o077 != 0 || (owner != 0 && owner != user) {
        return Err(BootError::LooseSecret { path: path.clone(), mode, owner });
    }
    Ok(())
}

fn kind_name(kind: BootKind) -> &'static str {
    match kind {
        BootKind::Systemd => "a unit of systemd",
        BootKind::SystemdUser => "a unit of the user's systemd",
        BootKind::Fstab => "a line of fstab",
        BootKind::Runit => "a service of runit",
        BootKind::Manual => "a command",
    }
}

fn source_name(secret: &BootSecret) -> &'static str {
    match secret {
        BootSecret::Credential(_) => "a credential of systemd",
        BootSecret::Command(_) => "a command",
        BootSecret::File(_) => "a file",
        BootSecret::Asked => "whoever sits at the terminal",
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_passphrase_file_that_others_can_read_is_refused_with_advice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "x").unwrap();
        let own = fs::metadata(&path).unwrap().uid();
        for (mode, is_fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let checked = check_secret(&BootSecret::File(path.clone()), own);
            assert_eq!(checked.is_ok(), is_fine, "{mode:o}");
            if let Err(error) = checked {
                assert!(error.hint().unwrap().contains("chmod 600"), "{error}");
            }
        }
    }

    #[test]
    fn a_passphrase_file_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("missing")] {
            assert!(matches!(check_secret(&BootSecret::File(path), 0), Err(BootError::NoSecret { .. })));
        }
    }
}
