//! Reading a log: what was done, how often, and whether the record of it is whole.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use jiff::Timestamp;
use serde::Serialize;
use strongroom_durable::PathError;

use super::{
    chain::{Chain, Place, Verified},
    log::AuditLog,
    record::{AuditRecord, Outcome},
};
use crate::ActionError;

/// Which records are wanted: those that fit all that is named.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// An operation (`backup.create`), or the first word of several (`backup`).
    pub operation: Option<String>,
    /// None from before.
    pub since: Option<Timestamp>,
    /// None from then on.
    pub until: Option<Timestamp>,
    /// A user's name or number.
    pub user: Option<String>,
    /// How they stand.
    pub outcome: Option<Outcome>,
    /// Only so many, the latest.
    pub limit: Option<usize>,
}

impl AuditFilter {
    fn passes(&self, record: &AuditRecord) -> bool {
        let is_operation = |wanted: &String| {
            let rest = record.operation.strip_prefix(wanted.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let is_user =
            |wanted: &String| record.user.name.as_ref() == Some(wanted) || record.user.uid.to_string() == *wanted;
        self.operation.as_ref().is_none_or(is_operation)
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
            && self.user.as_ref().is_none_or(is_user)
            && self.outcome.is_none_or(|outcome| record.outcome == outcome)
    }
}

/// How often operations of one kind were done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Did all that they should.
    pub ok: u64,
    /// Left something out.
    pub incomplete: u64,
    /// Failed.
    pub failed: u64,
    /// Began and did not end: were killed, or go on now.
    pub unfinished: u64,
}

/// How often what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records that were counted.
    pub records: u64,
    /// The time of the first of them.
    pub first: Option<Timestamp>,
    /// The time of the last of them.
    pub last: Option<Timestamp>,
    /// By operation.
    pub operations: BTreeMap<String, Counts>,
    /// How many operations each user began.
    pub users: BTreeMap<String, u64>,
}

/// The records that are wanted, in the order in which they were written. Lines that are no records are left out; that
/// they are there is for [`verify`] to say.
pub fn list(log: &AuditLog, filter: &AuditFilter) -> Result<Vec<AuditRecord>, ActionError> {
    let limit = filter.limit.unwrap_or(usize::MAX);
    let mut wanted = VecDeque::new();
    each_record(log, |record| {
        if filter.passes(&record) {
            wanted.push_back(record);
        }
        if wanted.len() > limit {
            wanted.pop_front();
        }
    })?;
    Ok(wanted.into())
}

/// Counts the records that are wanted.
pub fn summary(log: &AuditLog, filter: &AuditFilter) -> Result<Summary, ActionError> {
    let mut summary = Summary::default();
    // An operation is counted as unfinished from its beginning to its end.
    let mut open = BTreeSet::new();
    each_record(log, |record| {
        if !filter.passes(&record) {
            return;
        }
        summary.records += 1;
        summary.first = summary.first.or(Some(record.time));
        summary.last = Some(record.time);
        let began_before = record.begun.is_some_and(|begun| open.remove(&begun));
        let counts = summary.operations.entry(record.operation.clone()).or_default();
        counts.unfinished -= u64::from(began_before);
        match record.outcome {
            Outcome::Ok => counts.ok += 1,
            Outcome::Incomplete => counts.incomplete += 1,
            Outcome::Failed => counts.failed += 1,
            Outcome::Begun => {
                counts.unfinished += 1;
                open.insert(record.seq);
                let user = record.user.name.unwrap_or_else(|| record.user.uid.to_string());
                *summary.users.entry(user).or_default() += 1;
            }
        }
    })?;
    Ok(summary)
}

/// Whether the log is as it was written. `noted` is the hash of a head that was noted elsewhere.
pub fn verify(log: &AuditLog, noted: Option<String>) -> Result<Verified, ActionError> {
    let mut chain = Chain::new(noted);
    each_line(log, |place, line| chain.take(place, line))?;
    Ok(chain.finish())
}

fn each_record(log: &AuditLog, mut each: impl FnMut(AuditRecord)) -> Result<(), ActionError> {
    each_line(log, |_, line| {
        if let Some(record) = AuditRecord::parse(line) {
            each(record);
        }
    })
}

fn each_line(log: &AuditLog, mut each: impl FnMut(Place, &[u8])) -> Result<(), ActionError> {
    let files = log.files()?;
    if files.is_empty() {
        return Err(ActionError::NoAuditLog(log.dir().to_owned()));
    }
    for path in files {
        each_line_of(&path, &mut each).map_err(PathError::on("reading the audit log", &path))?;
    }
    Ok(())
}

fn each_line_of(path: &Path, each: &mut impl FnMut(Place, &[u8])) -> std::io::Result<()> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let mut reader = BufReader::new(File::open(path)?);
    let (mut line, mut number) = (Vec::new(), 0);
    while reader.read_until(b'\n', &mut line)? > 0 {
        number += 1;
        each(Place { file: file.clone().into_owned(), line: number }, line.strip_suffix(b"\n").unwrap_or(&line));
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            log::Draft,
            record::{Actor, Details},
        },
        *,
    };

    fn write(log: &AuditLog, operation: &str, outcome: Outcome, begun: Option<u64>, time: &str) -> u64 {
        let draft = Draft { operation, target: "/x", outcome, begun, message: None, details: Details::new() };
        log.append(draft, time.parse().unwrap()).unwrap()
    }

    fn sample(dir: &Path) -> AuditLog {
        let log = AuditLog::new(dir.join("audit"), Actor { uid: 7, name: Some("anna".into()), login: None });
        let begun = write(&log, "backup.create", Outcome::Begun, None, "2026-01-01T00:00:00Z");
        write(&log, "backup.create", Outcome::Ok, Some(begun), "2026-01-01T00:01:00Z");
        let begun = write(&log, "backup.delete", Outcome::Begun, None, "2026-01-02T00:00:00Z");
        write(&log, "backup.delete", Outcome::Failed, Some(begun), "2026-01-02T00:01:00Z");
        write(&log, "passwd", Outcome::Begun, None, "2026-01-03T00:00:00Z");
        log
    }

    fn numbers(log: &AuditLog, filter: AuditFilter) -> Vec<u64> {
        list(log, &filter).unwrap().iter().map(|record| record.seq).collect()
    }

    #[test]
    fn records_are_found_by_all_that_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let log = sample(scratch.path());
        let all = AuditFilter::default();
        let time = |text: &str| Some(text.parse().unwrap());
        assert_eq!(numbers(&log, all.clone()), [1, 2, 3, 4, 5]);
        assert_eq!(numbers(&log, AuditFilter { operation: Some("backup".into()), ..all.clone() }), [1, 2, 3, 4]);
        assert_eq!(numbers(&log, AuditFilter { operation: Some("back".into()), ..all.clone() }), [0; 0]);
        assert_eq!(numbers(&log, AuditFilter { since: time("2026-01-02T00:00:00Z"), ..all.clone() }), [3, 4, 5]);
        assert_eq!(numbers(&log, AuditFilter { until: time("2026-01-02T00:00:00Z"), ..all.clone() }), [1, 2]);
        assert_eq!(numbers(&log, AuditFilter { outcome: Some(Outcome::Failed), ..all.clone() }), [4]);
        assert_eq!(numbers(&log, AuditFilter { user: Some("7".into()), limit: Some(2), ..all.clone() }), [4, 5]);
        assert_eq!(numbers(&log, AuditFilter { user: Some("berta".into()), ..all }), [0; 0]);
    }

    #[test]
    fn a_summary_counts_each_operation_once() {
        let scratch = tempfile::tempdir().unwrap();
        let summary = summary(&sample(scratch.path()), &AuditFilter::default()).unwrap();
        let of = |operation: &str| summary.operations[operation];
        assert_eq!(of("backup.create"), Counts { ok: 1, ..Counts::default() });
        assert_eq!(of("backup.delete"), Counts { failed: 1, ..Counts::default() });
        assert_eq!(of("passwd"), Counts { unfinished: 1, ..Counts::default() });
        assert_eq!(summary.users["anna"], 3);
    }

    #[test]
    fn a_log_that_is_not_there_is_said_to_be_missing() {
        let scratch = tempfile::tempdir().unwrap();
        let log = AuditLog::new(scratch.path().join("none"), Actor { uid: 0, name: None, login: None });
        assert!(matches!(verify(&log, None), Err(ActionError::NoAuditLog(_))));
    }
}
