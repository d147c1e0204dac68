//! Why a secret could not be had.

use std::{io, path::PathBuf, process::ExitStatus};

use crate::Passphrase;

/// Why a secret could not be had. `what` names the secret in the words of whoever asked for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read.
    #[error("reading the {what} from {}: {source}", path.display())]
    File {
        /// Which secret.
        what: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard input cannot be read.
    #[error("reading the {what} from standard input: {source}")]
    Stdin {
        /// Which secret.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The command cannot be run, or its output not be read.
    #[error("running `{command}` for the {what}: {source}")]
    Command {
        /// Which secret.
        what: String,
        /// The shell command.
        command: String,
        /// Why not.
        source: io::Error,
    },
    /// The command ran and failed.
    #[error("`{command}`, which was to print the {what}, failed: {status}")]
    CommandFailed {
        /// Which secret.
        what: String,
        /// The shell command.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The service manager handed over no credentials.
    #[error("the {what} was to come from the credential {name:?}, but CREDENTIALS_DIRECTORY is not set")]
    NoCredentials {
        /// Which secret.
        what: String,
        /// The credential.
        name: String,
    },
    /// A credential's name is a file name, not a path.
    #[error("the {what} was to come from the credential {name:?}, which is not a plain file name")]
    CredentialName {
        /// Which secret.
        what: String,
        /// The credential.
        name: String,
    },
    /// The source gave nothing before the first newline.
    #[error("the {what} from {origin} is empty")]
    Empty {
        /// Which secret.
        what: String,
        /// Where it came from.
        origin: String,
    },
    /// The source gave more than a passphrase may have.
    #[error("the {what} from {origin} is longer than {max} bytes", max = Passphrase::MAX_LEN)]
    TooLong {
        /// Which secret.
        what: String,
        /// Where it came from.
        origin: String,
    },
    /// There is nobody to ask.
    #[error("the {what} is needed, and there is nobody to ask: {why}")]
    NobodyToAsk {
        /// Which secret.
        what: String,
        /// Why not.
        why: String,
    },
    /// The prompt failed: the terminal went away, or the person gave up.
    #[error("asking for the {what}: {source}")]
    Prompt {
        /// Which secret.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The two entries of a new passphrase differ.
    #[error("the {what} was entered twice, differently")]
    Mismatch {
        /// Which secret.
        what: String,
    },
    /// A source of the caller's own failed, in its words.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}
