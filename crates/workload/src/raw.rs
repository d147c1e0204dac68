//! Copying byte by byte, while SQLite's own locks keep writers away: for a database that only its owner can read.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::OFlags;

use crate::{
    Component, How, Part, Scratch, WorkloadError,
    lock::{Range, is_held, lock_until},
};

/// What a connection holds while it reads, as SQLite's file format has it. Nobody writes to the database meanwhile.
const SHARED: Range = Range { start: 0x4000_0002, len: 510, shared: true };
/// What a connection holds while it prepares to write.
const RESERVED: Range = Range { start: 0x4000_0001, len: 1, shared: false };
/// What connections hold, in the -shm file, while they append to the write-ahead log and while they work it in.
const WRITE_AND_CHECKPOINT: Range = Range { start: 120, len: 2, shared: false };

/// How often a copy begins again because a file changed in spite of all locks.
const ATTEMPTS: u32 = 5;

/// What is the same as long as nobody writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    inode: (u64, u64),
    len: u64,
    times: [(i64, i64); 2],
}

impl Look {
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        path.symlink_metadata().map(|it| Self::of(&it))
    }

    fn of(it: &impl MetadataExt) -> Self {
        let times = [(it.mtime(), it.mtime_nsec()), (it.ctime(), it.ctime_nsec())];
        Self { inode: (it.dev(), it.ino()), len: it.size(), times }
    }
}

/// Opens a regular file for reading: no link is followed, and no pipe waited for.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    open(path, false)
}

fn open(path: &Path, write: bool) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let file = OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// The files of a database.
pub(crate) struct Copy {
    pub parts: Vec<Part>,
    pub how: How,
    pub warnings: Vec<String>,
}

/// Copies a database with the log or journal that it needs.
pub(crate) fn copy(
    what: &Component,
    scratch: &Scratch,
    patience: Duration,
    deadline: Instant,
) -> Result<Copy, WorkloadError> {
    for _ in 0..ATTEMPTS {
        let held = Held::take(what, patience, deadline)?;
        if let Some(parts) = held.copy(what, scratch)? {
            return Ok(Copy { parts, how: held.how, warnings: held.warnings });
        }
    }
    Err(WorkloadError::Restless { path: what.whole_path(), attempts: ATTEMPTS })
}

/// Copies one file that nobody should be writing to, as often as it takes to get it unchanged.
pub(crate) fn copy_file(root: &Path, path: &Path, scratch: &Scratch) -> Result<Part, WorkloadError> {
    let whole = root.join(path);
    for _ in 0..ATTEMPTS {
        let file = open_regular(&whole).map_err(WorkloadError::on("opening", &whole))?;
        if let Some(part) = copy_open(&file, &whole, path, scratch)? {
            return Ok(part);
        }
    }
    Err(WorkloadError::Restless { path: whole, attempts: ATTEMPTS })
}

/// `None` if the file changed meanwhile.
fn copy_open(file: &File, whole: &Path, path: &Path, scratch: &Scratch) -> Result<Option<Part>, WorkloadError> {
    let reading = || WorkloadError::on::<io::Error>("reading", whole);
    let before = Look::of(&file.metadata().map_err(reading())?);
    let mut content = scratch.file(before.len)?;
    let mut reader = file;
    reader.rewind().map_err(reading())?;
    let len = io::copy(&mut reader, &mut content).map_err(WorkloadError::on("copying", whole))?;
    content.rewind().map_err(WorkloadError::on("rewinding the copy of", whole))?;
    let after = Look::of(&file.metadata().map_err(reading())?);
    let unchanged = before == after && len == after.len && Look::at(whole).is_ok_and(|now| now == after);
    Ok(unchanged.then(|| Part { path: path.to_owned(), content, len }))
}

/// The database's files, open and locked.
struct Held {
    main: File,
    log: Option<(File, PathBuf)>,
    /// The -shm file, for its lock.
    index: Option<File>,
    how: How,
    warnings: Vec<String>,
}

impl Held {
    fn take(what: &Component, patience: Duration, deadline: Instant) -> Result<Self, WorkloadError> {
        let whole = what.whole_path();
        let main = open_regular(&whole).map_err(WorkloadError::on("opening", &whole))?;
        let mut held = Self { main, log: None, index: None, how: How::UnderLocks, warnings: Vec::new() };
        let busy = || WorkloadError::Busy { path: whole.clone(), waited: patience };
        // Whoever reads holds this, too, so it waits for a writer with a journal only. With a write-ahead log it keeps the
        // last to leave from working the log in and taking it away.
        match lock_until(&held.main, SHARED, deadline) {
            Ok(locked) => locked.then_some(()).ok_or_else(busy)?,
            Err(error) => held.without_locks(&error),
        }
        match open(&beside(&whole, "-shm"), true) {
            Ok(index) => {
                match lock_until(&index, WRITE_AND_CHECKPOINT, deadline) {
                    Ok(locked) => locked.then_some(()).ok_or_else(busy)?,
                    Err(error) => held.without_locks(&error),
                }
                held.index = Some(index);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => held.without_locks(&error),
        }
        held.find_log(what)?;
        Ok(held)
    }

    fn without_locks(&mut self, error: &io::Error) {
        self.how = How::Unchanged;
        self.warnings.push(format!("writers could not be kept away by a lock: {error}"));
    }

    /// A write-ahead log belongs to the database. A journal does only if whoever wrote it died: with it, what he had begun
    /// is undone. That of a living writer would undo what is not done yet.
    fn find_log(&mut self, what: &Component) -> Result<(), WorkloadError> {
        let journal = filled(&beside(&what.whole_path(), "-journal"))?;
        let is_dead = journal.is_some() && !is_held(&self.main, RESERVED).unwrap_or(false);
        let (log, ending) = match journal.filter(|_| is_dead) {
            Some(journal) => (Some(journal), "-journal"),
            None => (filled(&beside(&what.whole_path(), "-wal"))?, "-wal"),
        };
        self.log = log.map(|log| (log, beside(&what.path, ending)));
        Ok(())
    }

    /// `None` if something changed meanwhile.
    fn copy(&self, what: &Component, scratch: &Scratch) -> Result<Option<Vec<Part>>, WorkloadError> {
        let whole = what.whole_path();
        let before = self.look(&whole);
        let Some(main) = copy_open(&self.main, &whole, &what.path, scratch)? else { return Ok(None) };
        let mut parts = vec![main];
        if let Some((log, path)) = &self.log {
            let Some(log) = copy_open(log, &what.root.join(path), path, scratch)? else { return Ok(None) };
            parts.push(log);
        }
        Ok((self.look(&whole) == before && self.is_index_in_place(&whole)).then_some(parts))
    }

    /// The database, and its log if it has one; which it may get while it is copied.
    fn look(&self, whole: &Path) -> [Option<Look>; 2] {
        let log = Look::at(&beside(whole, "-wal")).ok().filter(|log| log.len > 0);
        [Look::at(whole).ok(), log]
    }

    /// A lock on an index that was taken away and made anew keeps nobody from anything.
    fn is_index_in_place(&self, whole: &Path) -> bool {
        let Some(index) = &self.index else { return true };
        let ours = index.metadata().ok().map(|it| Look::of(&it).inode);
        ours.is_some() && ours == Look::at(&beside(whole, "-shm")).ok().map(|it| it.inode)
    }
}

/// A file with something in it.
fn filled(path: &Path) -> Result<Option<File>, WorkloadError> {
    match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => {
            let file = opened.map_err(WorkloadError::on("opening", path))?;
            let len = file.metadata().map_err(WorkloadError::on("looking at", path))?.len();
            Ok((len > 0).then_some(file))
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut whole = path.as_os_str().to_owned();
    whole.push(ending);
    whole.into()
}
