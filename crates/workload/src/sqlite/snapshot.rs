//! A copy by SQLite's online backup: the pages of one transaction, into a file that has no name.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{
    Connection, ErrorCode, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{
    Depth, Sqlite,
    inspect::{dangling, facts, is_damage, verdict},
    open::{Entrance, Found, careful, connect},
};
use crate::{Captured, Component, How, Part, Scratch, Verdict, WorkloadError};

/// What came of it.
pub(super) enum Outcome {
    /// A copy.
    Taken(Taken),
    /// The database is damaged, in these ways.
    Damaged(Vec<String>),
    /// SQLite cannot open it as things are, for this reason; nothing is wrong with it.
    NotThisWay(String),
}

/// A copy, and what is known of it.
pub(super) struct Taken {
    content: File,
    len: u64,
    verdict: Verdict,
    facts: BTreeMap<String, String>,
    warnings: Vec<String>,
}

impl Taken {
    fn of(
        path: &Path,
        mut content: File,
        verdict: Verdict,
        facts: BTreeMap<String, String>,
        warnings: Vec<String>,
    ) -> Result<Self, WorkloadError> {
        let len = content.seek(SeekFrom::End(0)).map_err(WorkloadError::on("measuring the copy of", path))?;
        content.rewind().map_err(WorkloadError::on("rewinding the copy of", path))?;
        Ok(Self { content, len, verdict, facts, warnings })
    }

    pub(super) fn into_captured(self, what: &Component, stands_for: Vec<PathBuf>) -> Captured {
        let main = Part { path: what.path.clone(), content: self.content, len: self.len };
        let Self { verdict, facts, warnings, .. } = self;
        Captured { parts: vec![main], stands_for, how: How::Snapshot, verdict, facts, warnings }
    }
}

/// A database with a rollback journal that is larger is not checked itself, only its copy: as long as it is being read, nobody
/// can commit. (With a write-ahead log, nobody is kept from anything.)
const CHECKED_ITSELF: u64 = 64 << 20;

pub(super) fn take(
    sqlite: &Sqlite,
    found: &Found,
    entrance: Entrance,
    scratch: &Scratch,
) -> Result<Outcome, WorkloadError> {
    let source = Original { path: &found.path, patience: sqlite.patience };
    let connection = match source.begin(entrance) {
        Ok(connection) => connection,
        Err(error) if is_damage(&error) => return Ok(Outcome::Damaged(vec![error.to_string()])),
        Err(error) if is_closed_to_us(&error) => return Ok(Outcome::NotThisWay(error.to_string())),
        Err(error) => return Err(source.failed("opening", error)),
    };
    let (copy, content) = match source.copy(&connection, scratch) {
        Ok(copied) => copied,
        Err(WorkloadError::Sqlite { source, .. }) if is_damage(&source) => {
            return Ok(Outcome::Damaged(vec![source.to_string()]));
        }
        Err(error) => return Err(error),
    };
    let (before, mut taken) = source.examined(found, sqlite.depth, connection, copy, content)?;
    match (before, taken.verdict) {
        (Verdict::Sound, Verdict::Damaged(damage)) => Err(WorkloadError::CopyDamaged {
            path: found.path.clone(),
            damage: damage.into_iter().next().unwrap_or_default(),
        }),
        (Verdict::Damaged(damage), _) | (_, Verdict::Damaged(damage)) => Ok(Outcome::Damaged(damage)),
        (_, verdict) => {
            taken.verdict = verdict;
            Ok(Outcome::Taken(taken))
        }
    }
}

/// Says in a copy's header which kind of journal it has, 1 for one to roll back, 2 for a write-ahead log; gives what it
/// said before. A copy is read as one with the first kind: for the second, SQLite would make files beside a name that is
/// not there.
fn mark(content: &File, versions: [u8; 2]) -> io::Result<[u8; 2]> {
    let mut before = [0; 2];
    content.read_exact_at(&mut before, 18)?;
    content.write_all_at(&versions, 18)?;
    Ok(before)
}

/// Whether SQLite may not read it, or may not do what it would have to do first: make a -shm file, roll a journal back.
fn is_closed_to_us(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied))
}

/// The database that is copied.
struct Original<'a> {
    path: &'a Path,
    patience: Duration,
}

impl Original<'_> {
    fn failed(&self, attempted: &'static str, source: rusqlite::Error) -> WorkloadError {
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                WorkloadError::Busy { path: self.path.to_owned(), waited: self.patience }
            }
            _ => WorkloadError::Sqlite { attempted, path: self.path.to_owned(), source },
        }
    }

    /// Opens it and begins the transaction in which all reading is done.
    fn begin(&self, entrance: Entrance) -> rusqlite::Result<Connection> {
        let connection = connect(self.path, entrance, self.patience)?;
        connection.execute_batch("BEGIN")?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    }

    /// Copies all pages; gives a connection to the copy, and its file.
    fn copy(&self, connection: &Connection, scratch: &Scratch) -> Result<(Connection, File), WorkloadError> {
        let Some(named) = scratch.named()? else { return self.copy_in_memory(connection, scratch) };
        let failed = |source| self.failed("copying", source);
        let mut copy = fresh(named.path()).map_err(failed)?;
        // SQLite opens by name only; so whoever is to read the copy must have it open before it loses its name, and must
        // not read before there is something to be read.
        let reader = connect(named.path(), Entrance::ReadOnly, Duration::ZERO).map_err(failed)?;
        let content = named.unlink().map_err(WorkloadError::on("taking the name off the copy of", self.path))?;
        self.all_pages(connection, &mut copy)?;
        drop(copy);
        Ok((reader, content))
    }

    /// All pages in one step, in which nobody can come between.
    fn all_pages(&self, connection: &Connection, copy: &mut Connection) -> Result<(), WorkloadError> {
        let failed = |source| self.failed("copying", source);
        let deadline = Instant::now() + self.patience;
        let backup = Backup::new(connection, copy).map_err(failed)?;
        loop {
            match backup.step(-1).map_err(failed)? {
                StepResult::Done => return Ok(()),
                _ if Instant::now() >= deadline => {
                    return Err(WorkloadError::Busy { path: self.path.to_owned(), waited: self.patience });
                }
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Where no file can be made for SQLite to write to: as one piece of memory.
    fn copy_in_memory(&self, connection: &Connection, scratch: &Scratch) -> Result<(Connection, File), WorkloadError> {
        let failed = |source| self.failed("copying", source);
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let need = pragma("page_count").and_then(|count| Ok(count * pragma("page_size")?)).map_err(failed)?;
        let mut content = scratch.memory(need.unsigned_abs())?;
        let pages = connection.serialize(rusqlite::MAIN_DB).map_err(failed)?;
        content.write_all(&pages).map_err(WorkloadError::on("keeping in memory the copy of", self.path))?;
        let mut reader = Connection::open_in_memory().map_err(failed)?;
        let mut readable = pages.to_vec();
        readable[18..20].fill(1);
        reader.deserialize_read_exact(rusqlite::MAIN_DB, &*readable, readable.len(), true).map_err(failed)?;
        careful(&reader).map_err(failed)?;
        Ok((reader, content))
    }

    /// Checks both, at the same time: the original in the transaction that was copied, and the copy. Gives what was said
    /// of the original, and the copy with what was said of that.
    fn examined(
        &self,
        found: &Found,
        depth: Depth,
        connection: Connection,
        copy: Connection,
        content: File,
    ) -> Result<(Verdict, Taken), WorkloadError> {
        let marking = || WorkloadError::on("marking the copy of", self.path);
        let keeps_nobody_waiting = found.is_wal() || found.len <= CHECKED_ITSELF;
        if !keeps_nobody_waiting {
            connection.execute_batch("COMMIT").map_err(|source| self.failed("leaving", source))?;
        }
        let check_original = move || {
            let unchecked = || Verdict::Unchecked("it would have kept writers waiting".to_owned());
            let before = if keeps_nobody_waiting { verdict(&connection, depth) } else { unchecked() };
            (connection, before)
        };
        let versions = mark(&content, [1, 1]).map_err(marking())?;
        let ((connection, mut before), (verdict_of_copy, mut facts, warnings)) = thread::scope(|scope| {
            let original = scope.spawn(check_original);
            let copy = examine(&copy, depth);
            (original.join().expect("a check does not panic"), copy)
        });
        drop(copy);
        mark(&content, versions).map_err(marking())?;
        if matches!((&before, &verdict_of_copy), (Verdict::Unchecked(_), Verdict::Damaged(_))) {
            before = verdict(&connection, depth);
        }
        facts.insert("journal".to_owned(), if found.is_wal() { "wal" } else { "rollback" }.to_owned());
        facts.insert("integrity_before".to_owned(), words(&before));
        Ok((before, Taken::of(self.path, content, verdict_of_copy, facts, warnings)?))
    }
}

/// What the copy is like.
fn examine(copy: &Connection, depth: Depth) -> (Verdict, BTreeMap<String, String>, Vec<String>) {
    let verdict = verdict(copy, depth);
    let mut facts = facts(copy);
    facts.insert("integrity".to_owned(), words(&verdict));
    let mut warnings = Vec::new();
    if depth != Depth::Off {
        if let Verdict::Unchecked(why) = &verdict {
            warnings.push(format!("the database could not be checked: {why}"));
        }
        warnings.extend(dangling(copy));
    }
    (verdict, facts, warnings)
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Sound => "ok".to_owned(),
        Verdict::Damaged(damage) => damage.first().cloned().unwrap_or_default(),
        Verdict::Unchecked(why) => format!("unchecked: {why}"),
    }
}

/// Opens an empty file to become a copy. It can be spoilt by a crash, and then nobody has it; so it needs no journal, which
/// would have a name.
fn fresh(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    for pragma in ["journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "temp_store=MEMORY"] {
        connection.query_row(&format!("PRAGMA {pragma}"), [], |_| Ok(())).or_else(no_rows)?;
    }
    Ok(connection)
}

fn no_rows(error: rusqlite::Error) -> rusqlite::Result<()> {
    if error == rusqlite::Error::QueryReturnedNoRows { Ok(()) } else { Err(error) }
}
