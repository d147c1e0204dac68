//! The files of the log, and writing to them.
//!
//! A record is on the disk when [`AuditLog::append`] returns. Writers keep each other out with a lock on the directory.
//! What a crash tore is taken off before the next record, which is preceded by one that says so and holds what was there.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};
use rustix::fs::{FlockOperation, Mode, OFlags};
use strongroom_durable::{PathError, sync_dir};
use strongroom_event::PathText;

use super::record::{Actor, AuditRecord, Details, NOTHING_BEFORE, Outcome, hash};

/// How much of a torn record is kept in the record that tells of it.
const TORN_KEPT: usize = 2000;

/// A log in a directory, and who writes to it.
#[derive(Clone, Debug)]
pub struct AuditLog {
    dir: PathBuf,
    actor: Actor,
    host: String,
    pid: u32,
}

/// What a record says, but for its number, its time and its hash.
pub(crate) struct Draft<'a> {
    pub operation: &'a str,
    pub target: &'a str,
    pub outcome: Outcome,
    pub begun: Option<u64>,
    pub message: Option<String>,
    pub details: Details,
}

impl AuditLog {
    /// The log in `dir`, which need not be there yet. `actor` is who does what will be written to it.
    pub fn new(dir: PathBuf, actor: Actor) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { dir, actor, host, pid: std::process::id() }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The files, in order of their days. None if there is no log yet.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, PathError> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(PathError::on("listing the audit log", &self.dir))?,
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        let mut files: Vec<_> =
            names.filter(|name| name.to_str().is_some_and(is_log)).map(|name| self.dir.join(name)).collect();
        files.sort();
        Ok(files)
    }

    /// Adds a record and gives its number. It is on the disk when this returns.
    pub(crate) fn append(&self, draft: Draft<'_>, now: Timestamp) -> Result<u64, PathError> {
        let _lock = self.lock()?;
        let mut tail = self.tail()?;
        if let Some(torn) = tail.torn.take() {
            torn.take_off()?;
            let mended = Draft {
                operation: "audit.repair",
                target: &torn.path.to_string_lossy(),
                outcome: Outcome::Ok,
                begun: None,
                message: Some("a record was torn by a crash, and was taken off".into()),
                details: torn.details(),
            };
            tail = self.write(mended, &tail, now)?;
        }
        Ok(self.write(draft, &tail, now)?.seq)
    }

    fn write(&self, draft: Draft<'_>, tail: &Tail, now: Timestamp) -> Result<Tail, PathError> {
        let record = AuditRecord {
            seq: tail.seq + 1,
            // What is kept is what is written, in milliseconds.
            time: Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now),
            operation: draft.operation.to_owned(),
            target: draft.target.to_owned(),
            outcome: draft.outcome,
            begun: draft.begun,
            message: draft.message,
            user: self.actor.clone(),
            host: self.host.clone(),
            pid: self.pid,
            details: draft.details,
            prev: tail.hash.clone(),
        };
        let line = record.line();
        // If the clock was set back over midnight, the order of the files stays that of the records.
        let path = self.dir.join(name_of(now)).max(tail.file.clone().unwrap_or_default());
        append_line(&path, &line).map_err(PathError::on("writing the audit log", &path))?;
        if tail.file.as_ref() != Some(&path) {
            sync_dir(&self.dir)?;
        }
        Ok(Tail { seq: record.seq, hash: hash(line.as_bytes()), file: Some(path), torn: None })
    }

    /// Waits for those who are just writing.
    fn lock(&self) -> Result<OwnedFd, PathError> {
        if !self.dir.exists() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
            made.map_err(PathError::on("creating the directory", &self.dir))?;
        }
        let on = |attempted| PathError::on(attempted, &self.dir);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&self.dir, flags, Mode::empty()).map_err(on("opening the directory"))?;
        rustix::fs::flock(&dir, FlockOperation::LockExclusive).map_err(on("locking"))?;
        Ok(dir)
    }

    /// Where the log ends.
    fn tail(&self) -> Result<Tail, PathError> {
        let files = self.files()?;
        let mut tail = Tail { seq: 0, hash: NOTHING_BEFORE.into(), file: files.last().cloned(), torn: None };
        for path in files.into_iter().rev() {
            let read = last_lines(&path).map_err(PathError::on("reading the audit log", &path))?;
            if !read.torn.is_empty() {
                tail.torn = Some(Torn { path: path.clone(), at: read.whole_len, bytes: read.torn });
            }
            if let Some(line) = read.last {
                tail.seq = number_of(&line, &path).map_err(PathError::on("reading the audit log", &path))?;
                tail.hash = hash(&line);
                break;
            }
        }
        Ok(tail)
    }
}

/// Where a log ends.
struct Tail {
    seq: u64,
    hash: String,
    file: Option<PathBuf>,
    torn: Option<Torn>,
}

/// The beginning of a record that a crash kept from being finished.
struct Torn {
    path: PathBuf,
    at: u64,
    bytes: Vec<u8>,
}

impl Torn {
    fn take_off(&self) -> Result<(), PathError> {
        let on = PathError::on("taking a torn record off the audit log", &self.path);
        let cut = || {
            let file = OpenOptions::new().write(true).open(&self.path)?;
            file.set_len(self.at)?;
            file.sync_all()
        };
        cut().map_err(on)
    }

    fn details(&self) -> Details {
        let kept = &self.bytes[..self.bytes.len().min(TORN_KEPT)];
        let mut details = Details::new();
        details.insert("bytes".into(), self.bytes.len().into());
        details.insert("sha256".into(), hash(&self.bytes).into());
        details.insert("torn".into(), PathText(kept).to_string().into());
        details
    }
}

/// `audit-YYYY-MM-DD.jsonl`, the day in UTC.
fn name_of(time: Timestamp) -> String {
    format!("audit-{}.jsonl", time.to_zoned(TimeZone::UTC).date())
}

fn is_log(name: &str) -> bool {
    let day = name.strip_prefix("audit-").and_then(|rest| rest.strip_suffix(".jsonl"));
    day.is_some_and(|day| day.len() == 10 && day.parse::<jiff::civil::Date>().is_ok())
}

fn append_line(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()
}

/// The end of a file: its last whole line, and what comes after it.
struct LastLines {
    last: Option<Vec<u8>>,
    whole_len: u64,
    torn: Vec<u8>,
}

fn last_lines(path: &Path) -> io::Result<LastLines> {
    let mut file = File::open(path)?;
    let len = file.seek(SeekFrom::End(0))?;
    let mut window = 1 << 16;
    loop {
        let begin = len.saturating_sub(window);
        file.seek(SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        (&mut file).take(len - begin).read_to_end(&mut bytes)?;
        let end = bytes.iter().rposition(|&byte| byte == b'\n');
        let before = end.and_then(|end| bytes[..end].iter().rposition(|&byte| byte == b'\n'));
        if begin > 0 && before.is_none() {
            window *= 4;
            continue;
        }
        let torn = bytes[end.map_or(0, |end| end + 1)..].to_vec();
        let last = end.map(|end| bytes[before.map_or(0, |before| before + 1)..end].to_vec());
        return Ok(LastLines { last, whole_len: len - torn.len() as u64, torn });
    }
}

/// The number of the last line of a file. If it is no record as it was written, by the lines before it: the chain goes on
/// after it, and whoever verifies it finds that one line only.
fn number_of(line: &[u8], path: &Path) -> io::Result<u64> {
    if let Some(record) = AuditRecord::parse(line) {
        return Ok(record.seq);
    }
    let text = fs::read(path)?;
    let lines = text.strip_suffix(b"\n").unwrap_or(&text).rsplit(|&byte| byte == b'\n');
    let known = lines.enumerate().find_map(|(back, line)| Some(AuditRecord::parse(line)?.seq + back as u64));
    Ok(known.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{
        super::chain::{Chain, Place, Verified},
        *,
    };

    fn log(dir: &Path) -> AuditLog {
        AuditLog::new(dir.join("audit"), Actor { uid: 7, name: None, login: None })
    }

    fn draft(target: &str) -> Draft<'_> {
        let (operation, outcome) = ("test", Outcome::Ok);
        Draft { operation, target, outcome, begun: None, message: None, details: Details::new() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn verified(log: &AuditLog) -> Verified {
        let mut chain = Chain::new(None);
        for file in log.files().unwrap() {
            for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
                chain.take(Place { file: file.display().to_string(), line: number as u64 + 1 }, line.as_bytes());
            }
        }
        chain.finish()
    }

    #[test]
    fn each_day_has_a_file_that_only_its_owner_reads() {
        let scratch = tempfile::tempdir().unwrap();
        let log = log(scratch.path());
        assert_eq!(log.append(draft("a"), at("2026-01-01T23:59:59.999Z")).unwrap(), 1);
        assert_eq!(log.append(draft("b"), at("2026-01-02T00:00:00Z")).unwrap(), 2);
        let files = log.files().unwrap();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["audit-2026-01-01.jsonl", "audit-2026-01-02.jsonl"]);
        assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(log.dir().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(verified(&log).is_sound());
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_the_order() {
        let scratch = tempfile::tempdir().unwrap();
        let log = log(scratch.path());
        for day in ["2026-01-05T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-06T00:00:00Z"] {
            log.append(draft("a"), at(day)).unwrap();
        }
        assert_eq!(log.files().unwrap().len(), 2);
        let found = verified(&log);
        assert!(found.is_sound(), "{found:?}");
        assert_eq!(found.clock_set_back, 1);
    }

    #[test]
    fn a_torn_record_is_taken_off_wherever_it_was_torn_and_the_next_says_so() {
        let day = at("2026-01-01T00:00:00Z");
        let scratch = tempfile::tempdir().unwrap();
        let whole = log(scratch.path());
        whole.append(draft("a"), day).unwrap();
        whole.append(draft("b"), day).unwrap();
        let text = fs::read(&whole.files().unwrap()[0]).unwrap();
        for cut in 0..text.len() {
            let scratch = tempfile::tempdir().unwrap();
            let log = log(scratch.path());
            fs::create_dir(log.dir()).unwrap();
            let file = log.dir().join("audit-2026-01-01.jsonl");
            fs::write(&file, &text[..cut]).unwrap();
            log.append(draft("c"), day).unwrap();
            let found = verified(&log);
            assert!(found.is_sound(), "cut at {cut}: {found:?}");
            let is_told = fs::read_to_string(&file).unwrap().contains("audit.repair");
            let is_torn = cut > 0 && text[cut - 1] != b'\n';
            assert_eq!(is_told, is_torn, "cut at {cut}");
        }
    }

    #[test]
    fn a_torn_first_record_of_a_day_leaves_the_chain_from_the_day_before() {
        let scratch = tempfile::tempdir().unwrap();
        let log = log(scratch.path());
        log.append(draft("a"), at("2026-01-01T00:00:00Z")).unwrap();
        fs::write(log.dir().join("audit-2026-01-02.jsonl"), "{\"se").unwrap();
        assert_eq!(log.append(draft("b"), at("2026-01-02T00:00:00Z")).unwrap(), 3);
        assert!(verified(&log).is_sound());
    }

    #[test]
    fn the_chain_goes_on_after_a_last_record_that_was_altered() {
        let scratch = tempfile::tempdir().unwrap();
        let log = log(scratch.path());
        let day = at("2026-01-01T00:00:00Z");
        for target in ["a", "b", "c"] {
            log.append(draft(target), day).unwrap();
        }
        let file = &log.files().unwrap()[0];
        let text = fs::read_to_string(file).unwrap();
        fs::write(file, format!("{}garbage\n", &text[..text[..text.len() - 1].rfind('\n').unwrap() + 1])).unwrap();
        assert_eq!(log.append(draft("b"), day).unwrap(), 4);
        assert_eq!(verified(&log).faults.len(), 1);
    }

    #[test]
    fn many_writers_make_one_chain() {
        let scratch = tempfile::tempdir().unwrap();
        let log = log(scratch.path());
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..20 {
                        log.append(draft("a"), at("2026-01-01T00:00:00Z")).unwrap();
                    }
                });
            }
        });
        let found = verified(&log);
        assert!(found.is_sound(), "{found:?}");
        assert_eq!(found.records, 80);
    }

    #[test]
    fn a_long_record_is_found_again() {
        let scratch = tempfile::tempdir().unwrap();
        let log = log(scratch.path());
        let day = at("2026-01-01T00:00:00Z");
        log.append(draft(&"x".repeat(300_000)), day).unwrap();
        assert_eq!(log.append(draft("b"), day).unwrap(), 2);
        assert!(verified(&log).is_sound());
    }
}
