//! Doing what is audited: the only place that writes to the audit log.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use jiff::{Timestamp, Zoned};
use serde_json::Value;
use strongroom_archive::ArchiveError;
use strongroom_backup::BackupError;
use strongroom_event::{Event, Observer, PathText};
use strongroom_secret::SecretError;

use crate::{
    ActionError,
    audit::{AuditLog, Details, Draft, Outcome},
};

/// What a verb is done with: who watches, what time it is, and what is written down.
#[derive(Clone)]
pub struct Context {
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// What time it is, in the zone whose calendar counts.
    pub clock: fn() -> Zoned,
    /// Whether it is written down.
    pub recording: Recording,
    /// Where; `None` if there is no place for it.
    pub audit: Option<AuditLog>,
    /// Set when it is to stop: what was begun is undone then.
    pub stop: Arc<AtomicBool>,
    /// How many threads work.
    pub workers: usize,
}

/// Whether what is done is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// No.
    Off,
    /// Yes; and what cannot be is done all the same, with a warning.
    Wanted,
    /// Yes; and what cannot be is not done.
    Required,
}

impl Context {
    /// For what is not audited, and for tests.
    pub fn unaudited(observer: Arc<dyn Observer>, clock: fn() -> Zoned) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self { observer, clock, recording: Recording::Off, audit: None, stop: Arc::default(), workers }
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)().timestamp()
    }

    /// Tells whoever watches.
    pub(crate) fn warn(&self, what: impl Into<String>) {
        self.observer.observe(&Event::Warning(what.into()));
    }
}

/// What is told to the log at the end.
#[derive(Default)]
pub(crate) struct Account {
    details: Details,
    is_incomplete: bool,
}

impl Account {
    /// Names a fact. Never a secret.
    pub fn note(&mut self, name: &str, fact: impl Into<Value>) {
        self.details.insert(name.to_owned(), fact.into());
    }

    /// Names a path.
    pub fn note_path(&mut self, name: &str, path: &Path) {
        self.note(name, text(path));
    }

    /// Tells that something was left out.
    pub fn left_something_out(&mut self) {
        self.is_incomplete = true;
    }
}

/// Does `act` on `target`: writes down that it begins, does it, and writes down how it ended.
///
/// The first record is on the disk before anything is done. If it cannot be written, nothing is done where the log is
/// required, and there is a warning where it is not.
pub(crate) fn perform<T>(
    context: &Context,
    operation: &str,
    target: &Path,
    act: impl FnOnce(&mut Account) -> Result<T, ActionError>,
) -> Result<T, ActionError> {
    let target = text(target);
    let begun = begin(context, operation, &target)?;
    let mut account = Account::default();
    let result = act(&mut account);
    let (outcome, message) = match &result {
        Ok(_) if account.is_incomplete => (Outcome::Incomplete, None),
        Ok(_) => (Outcome::Ok, None),
        Err(error) => (Outcome::Failed, Some(message(error))),
    };
    if let (Some(log), Some(begun)) = (&context.audit, begun) {
        let draft =
            Draft { operation, target: &target, outcome, begun: Some(begun), message, details: account.details };
        if let Err(error) = log.append(draft, context.now()) {
            context.warn(format!("the end of this operation is not in the audit log: {error}"));
        }
    }
    result
}

fn begin(context: &Context, operation: &str, target: &str) -> Result<Option<u64>, ActionError> {
    let missing = |why: ActionError| match context.recording {
        Recording::Required => Err(why),
        _ => {
            context.warn(format!("this operation is not in the audit log: {why}"));
            Ok(None)
        }
    };
    match &context.audit {
        _ if context.recording == Recording::Off => Ok(None),
        None => missing(ActionError::NoAuditPlace),
        Some(log) => {
            let (outcome, details) = (Outcome::Begun, Details::new());
            let draft = Draft { operation, target, outcome, begun: None, message: None, details };
            log.append(draft, context.now()).map(Some).or_else(|source| missing(ActionError::Unaudited(source)))
        }
    }
}

fn text(path: &Path) -> String {
    PathText(path.as_os_str().as_encoded_bytes()).to_string()
}

/// What is told of a failure. The command that was to print a secret may hold one, so it is not repeated.
pub(crate) fn message(error: &ActionError) -> String {
    match error {
        ActionError::Backup(BackupError::Secret(error)) => secret_message(error),
        ActionError::Backup(BackupError::Archive { source: ArchiveError::Secret(error), .. }) => secret_message(error),
        ActionError::Secret(error) => secret_message(error),
        error => error.to_string(),
    }
}

fn secret_message(error: &SecretError) -> String {
    match error {
        SecretError::Command { what, source, .. } => {
            format!("running the command for the {what}: {source}")
        }
        SecretError::CommandFailed { what, status, .. } => {
            format!("the command that was to print the {what} failed: {status}")
        }
        SecretError::Empty { what, .. } => format!("the {what} is empty"),
        SecretError::TooLong { what, .. } => format!("the {what} is too long"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Mutex};

    use strongroom_event::Silent;

    use super::*;
    use crate::audit::{Actor, AuditFilter, AuditRecord, list};

    fn log(dir: &Path) -> AuditLog {
        AuditLog::new(dir.join("audit"), Actor { uid: 1, name: None, login: None })
    }

    fn context(log: &AuditLog) -> Context {
        let clock = || Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
        let recording = Recording::Wanted;
        Context { recording, audit: Some(log.clone()), ..Context::unaudited(Arc::new(Silent), clock) }
    }

    fn records(log: &AuditLog) -> Vec<AuditRecord> {
        list(log, &AuditFilter::default()).unwrap()
    }

    #[test]
    fn what_is_done_is_written_down_before_and_after() {
        let scratch = tempfile::tempdir().unwrap();
        let log = log(scratch.path());
        let done = perform(&context(&log), "test", Path::new("/x"), |account| {
            assert_eq!(records(&log).len(), 1, "the beginning is there before anything is done");
            account.note("files", 3);
            Ok(5)
        });
        assert_eq!(done.unwrap(), 5);
        let records = records(&log);
        assert_eq!((records[0].outcome, records[1].outcome), (Outcome::Begun, Outcome::Ok));
        assert_eq!((records[1].begun, &records[1].details["files"]), (Some(1), &Value::from(3)));
    }

    #[test]
    fn a_failure_is_written_down_with_its_reason() {
        let scratch = tempfile::tempdir().unwrap();
        let log = log(scratch.path());
        let failed = perform(&context(&log), "test", Path::new("/x"), |_| -> Result<(), _> {
            Err(ActionError::NotAVault("/x".into()))
        });
        assert!(failed.is_err());
        assert!(records(&log)[1].message.as_ref().unwrap().contains("/x is not a vault"));
    }

    #[test]
    fn the_command_that_prints_a_secret_is_not_repeated() {
        let scratch = tempfile::tempdir().unwrap();
        let log = log(scratch.path());
        let command = "echo hunter2".to_owned();
        let source = fs::read("/nonexistent").unwrap_err();
        let error = SecretError::Command { what: "passphrase".into(), command, source };
        let _ = perform(&context(&log), "test", Path::new("/x"), |_| -> Result<(), _> { Err(error.into()) });
        let message = records(&log)[1].message.clone().unwrap();
        assert!(message.contains("passphrase") && !message.contains("hunter2"), "{message}");
    }

    #[test]
    fn what_cannot_be_written_down_is_done_with_a_warning_or_not_at_all() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("audit"), "in the way").unwrap();
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let told = warnings.clone();
        let observer = Arc::new(move |event: &Event| told.lock().unwrap().push(event.clone()));
        let lax = Context { observer, ..context(&log(scratch.path())) };
        assert_eq!(perform(&lax, "test", Path::new("/x"), |_| Ok(1)).unwrap(), 1);
        assert_eq!(warnings.lock().unwrap().len(), 1);
        let strict = Context { recording: Recording::Required, ..lax };
        let do_it = |context: &Context| {
            perform(context, "test", Path::new("/x"), |_| -> Result<(), _> { panic!("it is not done") })
        };
        assert!(matches!(do_it(&strict), Err(ActionError::Unaudited(_))));
        assert!(matches!(do_it(&Context { audit: None, ..strict }), Err(ActionError::NoAuditPlace)));
    }
}
