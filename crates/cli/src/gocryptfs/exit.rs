//! gocryptfs's exit codes, which scripts know, and why one is taken.

use std::{fmt, io, path::Path};

use strongroom_actions::{ActionError, SuperblockError};
use strongroom_secret::SecretError;

use super::go;

/// How this process ends, in gocryptfs's numbers. Those are missing that have no cause here: 18 is for programs without
/// OpenSSL, 25 for profilers, and the runtime of Rust sees to it that there is a standard output (30).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    pub const OK: Exit = Exit(0);
    pub const USAGE: Exit = Exit(1);
    /// Where a Go program panics.
    pub const PANIC: Exit = Exit(2);
    pub const CIPHER_DIR: Exit = Exit(6);
    pub const INIT: Exit = Exit(7);
    pub const LOAD_CONF: Exit = Exit(8);
    pub const READ_PASSWORD: Exit = Exit(9);
    pub const MOUNT_POINT: Exit = Exit(10);
    pub const OTHER: Exit = Exit(11);
    pub const PASSWORD_INCORRECT: Exit = Exit(12);
    pub const SCRYPT_PARAMS: Exit = Exit(13);
    pub const MASTER_KEY: Exit = Exit(14);
    pub const SIG_INT: Exit = Exit(15);
    pub const FORK_CHILD: Exit = Exit(17);
    pub const FUSE_NEW_SERVER: Exit = Exit(19);
    pub const CTL_SOCK: Exit = Exit(20);
    pub const WRITE_CONF: Exit = Exit(24);
    pub const FSCK_ERRORS: Exit = Exit(26);
    pub const DEPRECATED_FS: Exit = Exit(27);
    pub const EXCLUDE_ERROR: Exit = Exit(29);
    pub const FIDO2_ERROR: Exit = Exit(31);

    /// As another process ended that did the work.
    pub fn of_child(code: u8) -> Exit {
        Exit(code)
    }

    /// The number.
    pub fn code(self) -> u8 {
        self.0
    }
}

/// Why nothing came of it: the exit code, and what is to be said, if it was not said already.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// A warning that goes before it, and with `-wpanic` takes its place.
    pub warning: Option<&'static str>,
    /// What is to be said.
    pub message: Option<String>,
}

impl Failure {
    /// A failure that is told.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, warning: None, message: Some(message.to_string()) }
    }

    /// A failure that was told already.
    pub fn told(exit: Exit) -> Self {
        Self { exit, warning: None, message: None }
    }

    /// As what a secret's source may return, to come out at the other end of an action as it is.
    pub fn into_secret_error(self) -> SecretError {
        SecretError::Other(Box::new(self))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or("it failed"))
    }
}

impl std::error::Error for Failure {}

impl From<ActionError> for Failure {
    fn from(error: ActionError) -> Self {
        if let Some((exit, warning, why)) = conf_trouble(&error) {
            return Failure { warning, ..Failure::new(exit, format!("Cannot open config file: {why}")) };
        }
        match error {
            ActionError::Secret(SecretError::Other(source)) => match source.downcast::<Failure>() {
                Ok(failure) => *failure,
                Err(source) => Failure::new(Exit::READ_PASSWORD, source),
            },
            ActionError::Secret(error) => Failure::new(Exit::READ_PASSWORD, error),
            ActionError::WrongPassphrase(_) => Failure {
                warning: Some("failed to unlock master key: cipher: message authentication failed"),
                ..Failure::new(Exit::PASSWORD_INCORRECT, "Password incorrect.")
            },
            ActionError::Conf { source: SuperblockError::Fido2, .. } => {
                let message = "Masterkey encrypted using FIDO2 token; need to use the --fido2 option.";
                Failure::new(Exit::USAGE, message)
            }
            ActionError::MalformedRecoveryKey(source) => Failure::new(Exit::MASTER_KEY, source),
            ActionError::CipherDir { .. } => Failure::new(Exit::CIPHER_DIR, format!("Invalid cipherdir: {error}")),
            ActionError::NotEmpty { path, .. } => {
                let path = path.display();
                Failure::new(Exit::CIPHER_DIR, format!("Invalid cipherdir: directory {path} not empty"))
            }
            ActionError::AlreadyAVault(_) => Failure::new(Exit::INIT, error),
            ActionError::Settings { source, .. } => Failure::new(Exit::WRITE_CONF, unfit(&source)),
            ActionError::ConfNotWritten { source, .. } => {
                let why = go::reason(&source.source);
                Failure::new(Exit::WRITE_CONF, format!("{} {}: {why}", source.attempted, source.path.display()))
            }
            ActionError::ConfNotKept { path, kept, source } => {
                let (path, kept, why) = (path.display(), kept.display(), go::reason(&source));
                Failure::new(Exit::INIT, format!("Could not create backup file: link {path} {kept}: {why}"))
            }
            error => Failure::new(Exit::OTHER, error),
        }
    }
}

/// What is wrong with the configuration, if that is what is wrong: the code, a warning, and the reason.
pub fn conf_trouble(error: &ActionError) -> Option<(Exit, Option<&'static str>, String)> {
    let opening = |path: &Path, why: String| format!("open {}: {why}", path.display());
    match error {
        ActionError::NotAVault(dir) => {
            let path = dir.join("gocryptfs.conf");
            Some((Exit::OTHER, None, opening(&path, go::reason(&io::Error::from_raw_os_error(libc::ENOENT)))))
        }
        ActionError::ConfUnreadable { path, source } => Some((Exit::OTHER, None, opening(path, go::reason(source)))),
        ActionError::Conf { source, .. } => Some(match source {
            SuperblockError::Json(_) | SuperblockError::Field { .. } => {
                (Exit::OTHER, Some("Failed to unmarshal config file"), source.to_string())
            }
            SuperblockError::Fido2 => return None,
            SuperblockError::Version(version) => {
                (Exit::DEPRECATED_FS, None, format!("Unsupported on-disk format {version}"))
            }
            SuperblockError::UnknownFeature(flag) => {
                (Exit::DEPRECATED_FS, None, format!("Unknown feature flag {}", go::quote(flag.as_bytes())))
            }
            source => (Exit::DEPRECATED_FS, None, unfit(source)),
        }),
        _ => None,
    }
}

/// Why no volume can be made so.
pub fn unfit(error: &SuperblockError) -> String {
    match error {
        SuperblockError::Scrypt { field: "N", value: ..1024, .. } => {
            "Fatal: scryptn below 10 is too low to make sense".to_owned()
        }
        error => error.to_string(),
    }
}
