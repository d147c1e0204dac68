//! Which way into a database is open, and going it without leaving a trace.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::FileExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};
use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use super::{MAGIC, beside};
use crate::{WorkloadError, raw::open_regular};

/// A database as its files lie there.
pub(super) struct Found {
    /// Without symbolic links.
    pub path: PathBuf,
    pub len: u64,
    header: Option<[u8; 20]>,
}

/// How to get at the content.
pub(super) enum Way {
    /// Through SQLite.
    Connect(Entrance),
    /// Not through SQLite, and why not.
    Copy(String),
}

/// How SQLite opens a database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Entrance {
    /// For reading only, so that nothing can be changed by mistake.
    ReadOnly,
    /// For writing, too, with no intention to: in WAL mode the first one to come makes the -wal and -shm files, and only
    /// one who may write takes them away when he is the last to go.
    Tidy,
    /// As a file that cannot change: only where that is true.
    Immutable,
}

impl Found {
    pub(super) fn look_at(path: &Path) -> Result<Self, WorkloadError> {
        // SQLite is to follow no link, so those above the database, which are the operator's, are followed here.
        let path = whole(path).map_err(WorkloadError::on("finding", path))?;
        let file = open_regular(&path).map_err(WorkloadError::on("opening", &path))?;
        let len = file.metadata().map_err(WorkloadError::on("looking at", &path))?.len();
        let header = header(&file).map_err(WorkloadError::on("reading", &path))?;
        Ok(Self { path, len, header })
    }

    /// `None` if this does not look like a database.
    pub(super) fn way(&self) -> Option<Way> {
        let header = self.header?;
        let read_only = statvfs(&self.path).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
        // Bytes 18 and 19 say how to write and read it: 1 with a rollback journal, 2 with a write-ahead log.
        Some(match (header[19], read_only) {
            (2, true) if self.has("-wal") => Way::Copy("its file system is read-only, and it has a log".to_owned()),
            (_, true) if self.has("-journal") => Way::Copy("its file system is read-only".to_owned()),
            (_, true) => Way::Connect(Entrance::Immutable),
            (2, false) if self.exists("-shm") => Way::Connect(Entrance::ReadOnly),
            (2, false) if self.may_write() => Way::Connect(Entrance::Tidy),
            (2, false) => {
                Way::Copy("to open it through SQLite, one would have to be allowed to write to it".to_owned())
            }
            (_, false) => Way::Connect(Entrance::ReadOnly),
        })
    }

    pub(super) fn is_wal(&self) -> bool {
        self.header.is_some_and(|header| header[19] == 2)
    }

    fn exists(&self, ending: &str) -> bool {
        beside(&self.path, ending).symlink_metadata().is_ok()
    }

    /// Whether there is such a file with something in it.
    pub(super) fn has(&self, ending: &str) -> bool {
        beside(&self.path, ending).symlink_metadata().is_ok_and(|it| it.len() > 0)
    }

    fn may_write(&self) -> bool {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        access(&self.path, Access::WRITE_OK).is_ok() && access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
    }
}

/// With the links above the last part followed, and not that one.
fn whole(path: &Path) -> io::Result<PathBuf> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    Ok(fs::canonicalize(parent)?.join(name))
}

fn header(file: &File) -> io::Result<Option<[u8; 20]>> {
    let mut header = [0; 20];
    match file.read_exact_at(&mut header, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
        Ok(()) => Ok(header.starts_with(MAGIC).then_some(header)),
    }
}

/// Opens somebody else's database, which may be hostile.
pub(super) fn connect(path: &Path, access: Entrance, patience: Duration) -> rusqlite::Result<Connection> {
    let common = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_URI;
    let (how, option) = match access {
        Entrance::ReadOnly => (OpenFlags::SQLITE_OPEN_READ_ONLY, ""),
        Entrance::Tidy => (OpenFlags::SQLITE_OPEN_READ_WRITE, ""),
        Entrance::Immutable => (OpenFlags::SQLITE_OPEN_READ_ONLY, "?immutable=1"),
    };
    let connection = Connection::open_with_flags(uri(path, option), common | how)?;
    connection.busy_timeout(patience)?;
    careful(&connection)?;
    if access == Entrance::Tidy {
        connection.pragma_update(None, "query_only", true)?;
    }
    Ok(connection)
}

/// Nothing that the database itself says may make SQLite run functions, or trust sizes.
pub(super) fn careful(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.pragma_update(None, "cell_size_check", true)
}

/// A path as a URI: without it, a path that begins with `file:` would be taken for one.
fn uri(path: &Path, option: &str) -> PathBuf {
    let mut uri = b"file:".to_vec();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(byte),
            _ => uri.extend(format!("%{byte:02X}").bytes()),
        }
    }
    uri.extend(option.bytes());
    OsString::from_vec(uri).into()
}
