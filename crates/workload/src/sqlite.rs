//! SQLite and libSQL.

use std::{ffi::OsStr, fs::File, io, path::Path, time::Duration};

use strongroom_event::Observer;

use crate::{Capture, Captured, Component, Report, Scratch, WorkloadError};

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

/// Whether a file begins as an SQLite database does. An encrypted one does not.
pub fn is_database(_file: &File) -> io::Result<bool> {
    todo!()
}

/// Whether a file's name is one that SQLite databases usually have (`.db`, `.sqlite`…), so that it is worth looking into.
pub fn name_suggests(_name: &OsStr) -> bool {
    todo!()
}

/// The database's name, if `name` is that of a file that SQLite keeps beside one: `x.db` for `x.db-wal`.
pub fn main_of_sidecar(_name: &OsStr) -> Option<&OsStr> {
    todo!()
}

impl Capture for Sqlite {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn detect(&self, _root: &Path, _path: &Path) -> io::Result<bool> {
        todo!()
    }

    fn capture(&self, _what: &Component, _scratch: &Scratch, _: &dyn Observer) -> Result<Captured, WorkloadError> {
        todo!()
    }

    fn check(&self, _path: &Path) -> Result<Report, WorkloadError> {
        todo!()
    }
}
