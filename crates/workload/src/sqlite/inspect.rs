//! Whether a database is sound, and what is known of it.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use rusqlite::Connection;

use super::{
    BESIDE, Depth, beside,
    open::{Entrance, Found, connect},
};
use crate::{Report, Verdict, WorkloadError};

/// As many complaints are kept; a damaged database can have millions.
const COMPLAINTS: usize = 20;

/// As many tables are counted.
const TABLES: usize = 500;

/// What a check of a whole database says.
pub(super) fn verdict(connection: &Connection, depth: Depth) -> Verdict {
    let check = match depth {
        Depth::Full => "integrity_check",
        Depth::Quick => "quick_check",
        Depth::Off => return Verdict::Unchecked("no check was asked for".to_owned()),
    };
    match complaints(connection, &format!("PRAGMA {check}({COMPLAINTS})")) {
        Ok(said) if said == ["ok"] => Verdict::Sound,
        Ok(said) => Verdict::Damaged(said),
        Err(error) if is_damage(&error) => Verdict::Damaged(vec![error.to_string()]),
        // An index by a collation that only the application has, for instance.
        Err(error) => Verdict::Unchecked(format!("{check}: {error}")),
    }
}

fn complaints(connection: &Connection, pragma: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(pragma)?;
    let said = statement.query_map([], |row| row.get(0))?;
    said.collect()
}

/// Whether SQLite says that the file is wrong, and not that something is in the way.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// What is known of a database, for the metadata: what cannot be read is left out.
pub(super) fn facts(connection: &Connection) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let numbers = ["page_size", "page_count", "user_version", "application_id", "schema_version", "freelist_count"];
    for name in numbers {
        let number: Option<i64> = connection.pragma_query_value(None, name, |row| row.get(0)).ok();
        facts.extend(number.map(|number| (name.to_owned(), number.to_string())));
    }
    let encoding: Option<String> = connection.pragma_query_value(None, "encoding", |row| row.get(0)).ok();
    facts.extend(encoding.map(|encoding| ("encoding".to_owned(), encoding)));
    if let Ok(tables) = tables(connection) {
        facts.insert("tables".to_owned(), tables.len().to_string());
        for table in tables.iter().take(TABLES) {
            facts.extend(rows(connection, table).map(|rows| (format!("rows.{table}"), rows.to_string())));
        }
    }
    facts
}

/// All but virtual tables, for which the application's module may be needed.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name")?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}

fn rows(connection: &Connection, table: &str) -> Option<i64> {
    let quoted = table.replace('"', "\"\"");
    connection.query_row(&format!("SELECT count(*) FROM \"{quoted}\""), [], |row| row.get(0)).ok()
}

/// References that lead nowhere. That is not damage (SQLite does not keep them from being made), but worth knowing.
pub(super) fn dangling(connection: &Connection) -> Option<String> {
    const MANY: usize = 1000;
    let mut statement = connection.prepare("PRAGMA foreign_key_check").ok()?;
    let tables = statement.query_map([], |row| row.get::<_, String>(0)).ok()?;
    let tables: Vec<String> = tables.take(MANY).filter_map(Result::ok).collect();
    let first = tables.first()?;
    let count = if tables.len() == MANY { format!("{MANY} or more") } else { tables.len().to_string() };
    Some(format!("foreign keys that lead nowhere: {count}, the first in the table {first}"))
}

/// A database that nobody has open, such as a restored one. Neither is it changed, nor stays anything beside it.
pub(super) fn at_rest(path: &Path, depth: Depth) -> Result<Report, WorkloadError> {
    let found = Found::look_at(path)?;
    let unchecked = |why: &str| Report { verdict: Verdict::Unchecked(why.to_owned()), facts: BTreeMap::new() };
    if found.len == 0 {
        return Ok(Report { verdict: Verdict::Sound, facts: BTreeMap::new() });
    }
    if found.way().is_none() {
        return Ok(unchecked("it is encrypted, or no SQLite database"));
    }
    if !found.has("-wal") && !found.has("-journal") {
        return report(&found.path, Entrance::Immutable, depth);
    }
    // Reading it means to work its log in first, which writes to it. So that is done to a copy.
    let copy = Copied::beside(&found.path).map_err(WorkloadError::on("copying, to check it,", &found.path))?;
    report(&copy.database, Entrance::Tidy, depth)
}

fn report(path: &Path, entrance: Entrance, depth: Depth) -> Result<Report, WorkloadError> {
    let opened = connect(path, entrance, Duration::ZERO).and_then(|connection| {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    });
    match opened {
        Ok(connection) => Ok(Report { verdict: verdict(&connection, depth), facts: facts(&connection) }),
        Err(error) if is_damage(&error) => {
            Ok(Report { verdict: Verdict::Damaged(vec![error.to_string()]), facts: BTreeMap::new() })
        }
        Err(source) => Err(WorkloadError::Sqlite { attempted: "checking", path: path.to_owned(), source }),
    }
}

/// A copy of a database with the files beside it, in a directory that goes with it.
struct Copied {
    dir: PathBuf,
    database: PathBuf,
}

impl Copied {
    fn beside(path: &Path) -> io::Result<Self> {
        let dir = beside(path, &format!(".strongroom-check-{}", process::id()));
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        let copied = Self { database: dir.join("database"), dir };
        fs::copy(path, &copied.database)?;
        for ending in BESIDE.iter().filter(|ending| **ending != "-shm") {
            match fs::copy(beside(path, ending), beside(&copied.database, ending)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                copied => drop(copied?),
            }
        }
        Ok(copied)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
