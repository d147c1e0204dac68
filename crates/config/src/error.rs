//! What is wrong with a strongroom.toml, and where.

use std::{fmt, ops::Range, path::PathBuf};

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl Place {
    pub(crate) fn of(path: PathBuf, text: &str, span: Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { path, line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// What is wrong with a strongroom.toml.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is not TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        message: String,
    },
    /// There is no such setting.
    #[error("{place}: there is no setting `{key}`{}", hint(.meant))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The whole key, such as `backup.kfd`.
        key: String,
        /// The one that was probably meant.
        meant: Option<String>,
    },
    /// A setting has a value that it cannot have.
    #[error("{place}: `{key}` is {expected}, not {found}")]
    WrongValue {
        /// Where.
        place: Place,
        /// The whole key.
        key: String,
        /// What it can be.
        expected: String,
        /// What it is instead.
        found: String,
    },
    /// A passphrase stands in the file itself. It is not repeated here.
    #[error(
        "{place}: `{key}` does not belong in a file that others may read: name a place to read it from with \
         `passphrase_file`, `passphrase_command` or `passphrase_credential`"
    )]
    PassphraseInFile {
        /// Where.
        place: Place,
        /// The whole key.
        key: String,
    },
    /// Two settings contradict each other.
    #[error("{place}: `{key}` and `{other}` cannot both be set")]
    Conflict {
        /// Where the second one stands.
        place: Place,
        /// The second one.
        key: String,
        /// The first one.
        other: String,
    },
    /// A table with a name lacks what it cannot do without.
    #[error("{place}: a `[[{table}]]` needs `{key}`")]
    Missing {
        /// Where the table begins.
        place: Place,
        /// What such a table is called, such as `backup.component`.
        table: String,
        /// What it lacks.
        key: &'static str,
    },
    /// Two tables of one kind in one file have the same name.
    #[error("{place}: there is a {kind} called {name:?} already")]
    SameName {
        /// Where the second one stands.
        place: Place,
        /// What they are: `component`, `service`, `health`.
        kind: &'static str,
        /// Their name.
        name: String,
    },
}

impl ConfigError {
    /// Where it is wrong.
    pub fn place(&self) -> &Place {
        match self {
            ConfigError::Syntax { place, .. }
            | ConfigError::UnknownKey { place, .. }
            | ConfigError::WrongValue { place, .. }
            | ConfigError::PassphraseInFile { place, .. }
            | ConfigError::Conflict { place, .. }
            | ConfigError::Missing { place, .. }
            | ConfigError::SameName { place, .. } => place,
        }
    }
}

fn hint(meant: &Option<String>) -> String {
    meant.as_ref().map_or(String::new(), |meant| format!("; did you mean `{meant}`?"))
}
