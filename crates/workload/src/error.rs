//! Why something in use could not be captured, or a hook not be run.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use crate::Problem;

/// What was attempted on what, and why it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadError {
    /// A file could not be read, made or locked.
    #[error("{attempted} {}: {source}", path.display())]
    File {
        /// A gerund, as in "reading".
        attempted: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("{attempted} the database {}: {source}", path.display())]
    Sqlite {
        /// A gerund.
        attempted: &'static str,
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// Somebody kept the database locked for longer than one was willing to wait.
    #[error("the database {} was kept locked by another program for {}", path.display(), seconds(.waited))]
    Busy {
        /// The database.
        path: PathBuf,
        /// For how long.
        waited: Duration,
    },
    /// The files changed under the copying, again and again.
    #[error("{} kept changing while it was copied, {attempts} times", path.display())]
    Restless {
        /// The database, or its sidecar.
        path: PathBuf,
        /// How often it was tried.
        attempts: u32,
    },
    /// The copy is damaged, and what it was taken from is not.
    #[error("the copy of {} is damaged where the original is not: {damage}", path.display())]
    CopyDamaged {
        /// The original.
        path: PathBuf,
        /// The first that is wrong.
        damage: String,
    },
    /// There is nowhere for a copy to lie.
    #[error("there is nowhere to put a copy of {} bytes: {} cannot be written to, and that is too much for memory", need, dir.display())]
    NoRoom {
        /// The directory that was meant for it.
        dir: PathBuf,
        /// How much would have had to fit.
        need: u64,
    },
    /// The operator wants it to stop.
    #[error("stopped, as asked")]
    Stopped,
    /// A hook could not be run at all.
    #[error("running the hook `{hook}`: {source}")]
    Hook {
        /// Its command line.
        hook: String,
        /// Why not.
        source: io::Error,
    },
    /// A hook ran and failed.
    #[error("the hook `{hook}` failed: {status}{}", last_words(.output))]
    HookFailed {
        /// Its command line.
        hook: String,
        /// How it ended.
        status: ExitStatus,
        /// The last that it wrote.
        output: String,
    },
    /// A hook took too long, and was ended with all that it had started.
    #[error("the hook `{hook}` was ended after {}{}", seconds(.limit), last_words(.output))]
    HookTimedOut {
        /// Its command line.
        hook: String,
        /// How long it was allowed to take.
        limit: Duration,
        /// The last that it wrote.
        output: String,
    },
    /// A service could not be looked at, stopped or started.
    #[error("the service {service}: {problem}")]
    Service {
        /// Which, as it is written.
        service: String,
        /// What was wrong.
        problem: Problem,
    },
}

impl WorkloadError {
    /// For `map_err`.
    pub(crate) fn on<E: Into<io::Error>>(
        attempted: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> WorkloadError {
        let path = path.into();
        move |source| WorkloadError::File { attempted, path, source: source.into() }
    }

    /// Whether what was to be captured is gone.
    pub fn is_vanished(&self) -> bool {
        matches!(self, WorkloadError::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn seconds(time: &Duration) -> String {
    format!("{} s", time.as_secs_f32())
}

fn last_words(output: &str) -> String {
    output.lines().map(str::trim).rfind(|line| !line.is_empty()).map_or(String::new(), |line| format!(": {line}"))
}
