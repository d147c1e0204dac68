//! Why a migration does not go on.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use strongroom_durable::{ExchangeError, JournalError, LockError, PathError, SwapError};
use strongroom_tree::{ManifestError, TreeError};
use strongroom_workload::WorkloadError;

use crate::{FenceError, HostError, MigrationId, Refusal, State, Trouble};

/// What was attempted on what, and why it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The machine refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A service did not stop or start.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// A file could not be read or made.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A system call failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Two names were not exchanged.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The path of the data was not fenced, or not given back.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// Renames did not come about.
    #[error(transparent)]
    Swap(#[from] SwapError),
    /// The manifest of the copy cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A file of the migration is not what it was.
    #[error("{} is not readable as what it should be: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Another process is at it.
    #[error("{} is in use{}", path.display(), by(*.pid))]
    Busy {
        /// What.
        path: PathBuf,
        /// By whom.
        pid: Option<u32>,
    },
    /// There is a migration of this directory, or of one above it or in it, that is not finished.
    #[error("the migration {id} of {} is not finished: it is {state:?}", data.display())]
    AlreadyOpen {
        /// Which.
        id: MigrationId,
        /// Of what.
        data: PathBuf,
        /// How far it is.
        state: State,
    },
    /// There is no such migration.
    #[error("there is no migration at {}", path.display())]
    NoMigration {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// The plan on the disk is not the one that the migration was begun with.
    #[error("{} was changed since the migration began: nothing is done by it", path.display())]
    PlanChanged {
        /// The plan.
        path: PathBuf,
    },
    /// The journal says what this migration did not write, or has lost what it wrote.
    #[error("{}, record {record}: {why}; nothing was changed", path.display())]
    Forged {
        /// The journal.
        path: PathBuf,
        /// Which record.
        record: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It cannot be migrated.
    #[error("{}{}", .refusals.first().map_or_else(String::new, ToString::to_string), more(.refusals.len()))]
    Refused {
        /// Why, each with what to do about it.
        refusals: Vec<Refusal>,
    },
    /// What must be true before a step is not; the step was not made.
    #[error("{invariant} does not hold before {before:?}: {why}; nothing was changed")]
    Broken {
        /// Which invariant, I1 to I10 (docs/MIGRATION.md).
        invariant: &'static str,
        /// What was about to be reached.
        before: State,
        /// What is the matter.
        why: String,
    },
    /// Somebody uses the data who is not among the services.
    #[error("{} still used by {}", path.display(), .who.join(", "))]
    Held {
        /// What.
        path: PathBuf,
        /// Processes, by number and command, and what each holds; and files that somebody can write whom nothing names.
        who: Vec<String>,
    },
    /// There is no room: a pause. What was copied is kept.
    #[error("there is no room left for {what}: {why}")]
    NoRoom {
        /// For what.
        what: &'static str,
        /// In whose words.
        why: String,
    },
    /// Two trees that should be equal are not.
    #[error("{what}: {count} differences, the first is {first}")]
    Different {
        /// Of what with what.
        what: &'static str,
        /// How many.
        count: usize,
        /// The first.
        first: String,
    },
    /// What was written does not decrypt.
    #[error("the vault does not decrypt to what was written: {}", .wrong.first().map_or("", String::as_str))]
    Damaged {
        /// What is wrong.
        wrong: Vec<String>,
    },
    /// Files could not be copied.
    #[error("{count} entries could not be copied, the first is {first}")]
    Uncopied {
        /// How many.
        count: usize,
        /// The first, and why.
        first: String,
    },
    /// Something of what was changed in the vault cannot be carried back; nothing was changed.
    #[error(
        "{} cannot be carried back, the first is {}; nothing of the original was changed",
        entries(.unreadable.count + .unholdable.count),
        .unreadable.first.first().or(.unholdable.first.first()).map_or("", String::as_str)
    )]
    Obstructed {
        /// The vault does not give it, and why.
        unreadable: crate::Paths,
        /// The file system of the original does not take it, and why.
        unholdable: crate::Paths,
    },
    /// The window would be longer than is allowed.
    #[error("the services would be down for about {}, and may be for {}: the data change as fast as they are copied", seconds(*.predicted), seconds(*.allowed))]
    TooLong {
        /// Expected.
        predicted: Duration,
        /// Allowed.
        allowed: Duration,
    },
    /// The services are not healthy.
    #[error("the services are not healthy: {why}")]
    Unhealthy {
        /// What was seen.
        why: String,
    },
    /// The operator wanted it to stop, or the postpone file did; it can be resumed.
    #[error("stopped on request, at {state:?}")]
    Stopped {
        /// How far it is.
        state: State,
    },
    /// A failure while services were down, and the way back from it: they run on the plaintext again, the copy is kept.
    #[error("{cause}; the services run on the plaintext again, and what was copied is kept")]
    BackedOut {
        /// What failed.
        cause: Box<MigrateError>,
    },
    /// The services were not well on the vault; the changes made there were carried back, and they run on the plaintext.
    #[error("{cause}; every change was carried back, and the services run on the plaintext again")]
    RolledBack {
        /// What failed.
        cause: Box<MigrateError>,
    },
    /// The originals are to be kept a while longer.
    #[error("the originals are to be kept until {until}; going back is possible until then")]
    TooSoon {
        /// Until when.
        until: jiff::Timestamp,
    },
    /// Erasing would not reach the old blocks, and nobody has accepted that.
    #[error("erasing does not reach the old blocks here: {}", .verdict.reasons.join("; "))]
    OutOfReach {
        /// Why, and what would reach them.
        verdict: Box<strongroom_erase::Verdict>,
    },
    /// Erasing failed; what is erased stays erased, and it can be gone on with.
    #[error(transparent)]
    Erase(#[from] strongroom_erase::EraseError),
    /// Nothing was carried back: services go on with the vault, and the original is as it was at the cut-over.
    #[error("{cause}; nothing of the original was changed, and the services go on with the vault")]
    NotCarried {
        /// What failed.
        cause: Box<MigrateError>,
    },
    /// A failure, and another one on the way back. Only a person can decide.
    #[error("{cause}; and undoing it failed as well: {undo}")]
    NotUndone {
        /// What failed first.
        cause: Box<MigrateError>,
        /// What failed then.
        undo: Box<MigrateError>,
    },
    /// The machine is not as any step could have left it. Nothing is done until a person has decided.
    #[error("{why}; {next}")]
    NeedsOperator {
        /// What is the matter.
        why: String,
        /// What to do about it, with the command.
        next: String,
    },
    /// It cannot be done from the state it is in.
    #[error("a migration that is {state:?} cannot be {verb}")]
    NotNow {
        /// How far it is.
        state: State,
        /// What was asked for, as a participle.
        verb: &'static str,
    },
}

impl MigrateError {
    /// Whether it is for want of room: a pause, to be resumed when there is room.
    pub fn is_full(&self) -> bool {
        match self {
            MigrateError::NoRoom { .. } => true,
            MigrateError::Host(error) => error.trouble == Trouble::NoRoom,
            MigrateError::Tree(error) => error.is_full(),
            MigrateError::Manifest(error) => error.is_full(),
            MigrateError::Path(error) | MigrateError::Journal(JournalError::Path(error)) => is_full(&error.source),
            MigrateError::BackedOut { cause }
            | MigrateError::NotCarried { cause }
            | MigrateError::RolledBack { cause } => cause.is_full(),
            _ => false,
        }
    }

    /// Whether what was looked for is not there.
    pub(crate) fn is_vanished(&self) -> bool {
        matches!(self, MigrateError::Path(error) if error.source.kind() == std::io::ErrorKind::NotFound)
    }

    /// Whether it is not known whether what was to be recorded is.
    pub(crate) fn is_in_doubt(&self) -> bool {
        matches!(self, MigrateError::Journal(JournalError::InDoubt(_)))
    }

    /// Whether the passphrase was wrong.
    pub fn is_wrong_passphrase(&self) -> bool {
        matches!(self, MigrateError::Host(error) if error.trouble == Trouble::WrongPassphrase)
    }

    pub(crate) fn of_journal(source: JournalError, path: &Path) -> Self {
        match source {
            JournalError::Damaged { path, record } => {
                MigrateError::Forged { path, record: record as u64, why: "it is damaged" }
            }
            JournalError::NotAJournal { path } => MigrateError::Forged { path, record: 0, why: "it is no journal" },
            JournalError::Busy { .. } => {
                let pid = path.parent().and_then(|dir| strongroom_durable::DirLock::holder(dir).ok().flatten());
                MigrateError::Busy { path: path.to_owned(), pid }
            }
            other => MigrateError::Journal(other),
        }
    }
}

impl From<LockError> for MigrateError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy { path, owner } => MigrateError::Busy { path, pid: owner },
            LockError::Path(error) => MigrateError::Path(error),
            LockError::Unsupported { path } => MigrateError::NeedsOperator {
                why: format!("the file system of {} has no locks", path.display()),
                next: "put the state directory, and the data, on a local file system".into(),
            },
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

fn more(count: usize) -> String {
    if count > 1 { format!("; and {} other reasons", count - 1) } else { String::new() }
}

fn by(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}

fn entries(count: u64) -> String {
    if count == 1 { "1 entry".into() } else { format!("{count} entries") }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
