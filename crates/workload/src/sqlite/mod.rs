//! SQLite and libSQL.
//!
//! A database that SQLite can read is copied by its online backup, all pages in one step, within the transaction in which
//! it was checked. (In smaller steps a backup begins again whenever somebody commits, and may never end.) One that only its
//! owner can read, or that is damaged, is copied byte by byte under SQLite's own locks. `docs/design/0008-databases.md`
//! has the reasons.
//!
//! While a capture runs, nobody else in this process may have the database's files open: closing any descriptor of a file
//! loses the locks that SQLite has on it.

mod inspect;
mod open;
mod snapshot;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use strongroom_event::{Event, Observer};

use crate::{
    Capture, Captured, Component, Report, Scratch, Verdict, WorkloadError,
    raw::{self, Look, open_regular},
};

/// How thoroughly a database is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// `PRAGMA integrity_check`.
    #[default]
    Full,
    /// `PRAGMA quick_check`, which does not compare indexes with their tables.
    Quick,
    /// Not at all.
    Off,
}

/// SQLite and libSQL databases, by SQLite's own online backup; encrypted ones (SQLCipher) byte by byte under its locks.
#[derive(Clone, Debug)]
pub struct Sqlite {
    /// How long to wait for somebody who holds a lock.
    pub patience: Duration,
    /// How thoroughly what was captured is checked.
    pub depth: Depth,
}

impl Default for Sqlite {
    fn default() -> Self {
        Self { patience: Duration::from_secs(30), depth: Depth::Full }
    }
}

/// What every database that is not encrypted begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What SQLite appends to a database's name for the files that it keeps beside it.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How often a capture begins again because a sidecar changed meanwhile.
const ATTEMPTS: u32 = 3;

/// Whether a file begins as an SQLite database does. An encrypted one does not.
pub fn is_database(file: &File) -> io::Result<bool> {
    let mut head = [0; 16];
    match file.read_exact_at(&mut head, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| head == *MAGIC),
    }
}

/// Whether a file's name is one that SQLite databases usually have (`.db`, `.sqlite`…), so that it is worth looking into.
pub fn name_suggests(name: &OsStr) -> bool {
    const ENDINGS: [&str; 13] = [
        "db", "db2", "db3", "sqlite", "sqlite2", "sqlite3", "sqlitedb", "sl3", "s3db", "sdb", "libsql", "brain", "gpkg",
    ];
    let Some(ending) = Path::new(name).extension() else { return false };
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// The database's name, if `name` is that of a file that SQLite keeps beside one: `x.db` for `x.db-wal`.
pub fn main_of_sidecar(name: &OsStr) -> Option<&OsStr> {
    let main = BESIDE.iter().find_map(|ending| name.as_bytes().strip_suffix(ending.as_bytes()))?;
    (!main.is_empty()).then(|| OsStr::from_bytes(main))
}

/// The path with something appended to its last part.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut whole = OsString::from(path);
    whole.push(ending);
    whole.into()
}

impl Capture for Sqlite {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn detect(&self, root: &Path, path: &Path) -> io::Result<bool> {
        is_database(&open_regular(&root.join(path))?)
    }

    fn capture(&self, what: &Component, scratch: &Scratch, observer: &dyn Observer) -> Result<Captured, WorkloadError> {
        let captured = self.together(what, scratch)?;
        for warning in &captured.warnings {
            observer.observe(&Event::Warning(format!("{}: {warning}", what.path.display())));
        }
        Ok(captured)
    }

    fn check(&self, path: &Path) -> Result<Report, WorkloadError> {
        inspect::at_rest(path, self.depth)
    }
}

impl Sqlite {
    /// The database with its sidecars, none of which changed meanwhile.
    fn together(&self, what: &Component, scratch: &Scratch) -> Result<Captured, WorkloadError> {
        for _ in 0..ATTEMPTS {
            let before = looks(what);
            let mut captured = self.alone(what, scratch)?;
            for sidecar in &what.sidecars {
                add_sidecar(&mut captured, what, sidecar, scratch)?;
            }
            if looks(what) == before {
                return Ok(captured);
            }
        }
        Err(WorkloadError::Restless { path: what.whole_path(), attempts: ATTEMPTS })
    }

    fn alone(&self, what: &Component, scratch: &Scratch) -> Result<Captured, WorkloadError> {
        let deadline = Instant::now() + self.patience;
        let found = open::Found::look_at(&what.whole_path())?;
        let Some(how) = found.way() else { return self.encrypted(what, &found, scratch, deadline) };
        let outcome = match how {
            open::Way::Connect(access) => snapshot::take(self, &found, access, scratch),
            open::Way::Copy(why) => Ok(snapshot::Outcome::NotThisWay(why)),
        };
        match outcome? {
            snapshot::Outcome::Taken(taken) => Ok(taken.into_captured(what, stands_for(&what.path))),
            snapshot::Outcome::Damaged(damage) => self.damaged(what, damage, scratch, deadline),
            snapshot::Outcome::NotThisWay(why) => self.unread(what, why, scratch, deadline),
        }
    }

    fn encrypted(
        &self,
        what: &Component,
        found: &open::Found,
        scratch: &Scratch,
        deadline: Instant,
    ) -> Result<Captured, WorkloadError> {
        let mut captured = self.bytes(what, scratch, deadline)?;
        captured.verdict = match found.len {
            // To SQLite an empty file is an empty database.
            0 => Verdict::Sound,
            _ => Verdict::Unchecked("it is encrypted, or no SQLite database".to_owned()),
        };
        Ok(captured)
    }

    fn damaged(
        &self,
        what: &Component,
        damage: Vec<String>,
        scratch: &Scratch,
        deadline: Instant,
    ) -> Result<Captured, WorkloadError> {
        let mut captured = self.bytes(what, scratch, deadline)?;
        let first = damage.first().map_or("", String::as_str);
        captured.warnings.insert(0, format!("the database is damaged, and was captured as it is: {first}"));
        captured.verdict = Verdict::Damaged(damage);
        Ok(captured)
    }

    fn unread(
        &self,
        what: &Component,
        why: String,
        scratch: &Scratch,
        deadline: Instant,
    ) -> Result<Captured, WorkloadError> {
        let mut captured = self.bytes(what, scratch, deadline)?;
        captured.warnings.insert(0, format!("the database was captured byte by byte: {why}"));
        captured.verdict = Verdict::Unchecked(why);
        Ok(captured)
    }

    /// Byte by byte, under SQLite's locks.
    fn bytes(&self, what: &Component, scratch: &Scratch, deadline: Instant) -> Result<Captured, WorkloadError> {
        let copy = raw::copy(what, scratch, self.patience, deadline)?;
        let facts = BTreeMap::from([("bytes".to_owned(), copy.parts[0].len.to_string())]);
        let stands_for = stands_for(&what.path);
        let verdict = Verdict::Unchecked(String::new());
        Ok(Captured { parts: copy.parts, stands_for, how: copy.how, verdict, facts, warnings: copy.warnings })
    }
}

fn stands_for(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    all.extend(BESIDE.iter().map(|ending| beside(path, ending)));
    all
}

fn looks(what: &Component) -> Vec<Option<Look>> {
    what.sidecars.iter().map(|sidecar| Look::at(&what.root.join(sidecar)).ok()).collect()
}

fn add_sidecar(
    captured: &mut Captured,
    what: &Component,
    sidecar: &Path,
    scratch: &Scratch,
) -> Result<(), WorkloadError> {
    match raw::copy_file(&what.root, sidecar, scratch) {
        Ok(part) => captured.parts.push(part),
        Err(error) if error.is_vanished() => {
            captured.warnings.push(format!("{}, which belongs to it, does not exist", sidecar.display()));
        }
        Err(error) => return Err(error),
    }
    captured.stands_for.push(sidecar.to_owned());
    Ok(())
}
