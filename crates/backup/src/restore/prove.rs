//! Reads what was staged, and compares it with what the archive says: nothing is put in place that was not read back.

use std::{collections::HashSet, io, path::Path, sync::mpsc};

use parking_lot::Mutex;
use strongroom_archive::Record;
use strongroom_event::Event;
use strongroom_tree::{Entry, Filter, Kind, LocalTree, Owners, Planting, RelPath, Source, Timestamp, TreeError};
use strongroom_workload::{Capture, Sqlite, Verdict};

use super::stage::Staged;
use crate::{BackupError, Context, content};

/// How much coarser the times of a file system may be than those of an archive.
const COARSEST: i64 = 2;

impl Staged<'_> {
    /// Compares everything below `root` with what was to be made. Gives what the running user may not look at: modes are
    /// those of the archive by now.
    pub(crate) fn prove(
        &self,
        root: &Path,
        has_losses: bool,
        context: &Context<'_>,
    ) -> Result<Vec<String>, BackupError> {
        context.observer.observe(&Event::Phase { name: "proving", total: Some(self.work.bytes) });
        context.observer.observe(&Event::FilesAhead(self.work.entries));
        let tree = LocalTree::open(root).map_err(BackupError::tree(root))?;
        let expected = Expected { planting: self.planting, has_losses, there: &self.work.there };
        let wrong = Mutex::new(None);
        let unread = Mutex::new(Vec::new());
        let closed = std::thread::scope(|scope| {
            // The receivers go with the threads, so that none is left waiting when one has failed.
            let (files, queue) = mpsc::sync_channel::<Record>(context.workers * 16);
            let queue = std::sync::Arc::new(Mutex::new(queue));
            for _ in 0..context.workers.max(1) {
                let (queue, tree, wrong, unread) = (queue.clone(), &tree, &wrong, &unread);
                let (observer, is_stopped) = (context.observer, context.is_stopped);
                scope.spawn(move || {
                    loop {
                        let next = queue.lock().recv();
                        let Ok(record) = next else { return };
                        if is_stopped() || wrong.lock().is_some() {
                            continue;
                        }
                        match prove_content(tree, &record) {
                            Ok(true) => observer.observe(&Event::Progress(record.entry.len())),
                            Ok(false) => unread.lock().push(record.entry.path.clone()),
                            Err(why) => *wrong.lock() = Some(damaged(root, &record.entry.path, &why)),
                        }
                        observer.observe(&Event::FileDone { path: record.entry.path.as_bytes().to_vec() });
                    }
                });
            }
            drop(queue);
            self.compare(&tree, root, &expected, |record| {
                // Nobody receives any more if all have panicked, which the end of the scope tells.
                let _ = files.send(record);
            })
        })?;
        if (context.is_stopped)() {
            return Err(BackupError::Stopped);
        }
        wrong.into_inner().map_or(Ok(()), Err)?;
        let mut unproven = closed;
        unproven.extend(unread.into_inner());
        Ok(unproven.iter().map(|path| format!("{path} may not be read by you, and was not read back")).collect())
    }

    /// Everything but content, which is left to `hash`. Gives the directories that could not be looked into.
    fn compare(
        &self,
        tree: &LocalTree,
        root: &Path,
        expected: &Expected<'_>,
        mut hash: impl FnMut(Record),
    ) -> Result<Vec<RelPath>, BackupError> {
        let everything = Filter::everything();
        let mut found = tree.entries(&everything);
        let mut unseen = Vec::new();
        let mut next = || loop {
            match found.next() {
                None => return Ok((None, std::mem::take(&mut unseen))),
                Some(Ok(entry)) => return Ok((Some(entry), std::mem::take(&mut unseen))),
                // Of directories that their owner may not enter, and is about to get.
                Some(Err(error)) if is_denied(&error) => unseen.push(error.path),
                Some(Err(error)) => return Err(BackupError::tree(root)(error)),
            }
        };
        let (mut there, mut closed) = next()?;
        for planned in self.entries()? {
            let record = planned?.record;
            if expected.is_left_out(&record.entry) {
                continue;
            }
            let path = &record.entry.path;
            if closed.iter().any(|dir| path.is_within(dir)) {
                continue;
            }
            let Some(entry) = there.filter(|there| there.path == *path) else {
                return Err(damaged(root, path, "it was not made, or something else was"));
            };
            expected.compare(&record.entry, &entry).map_err(|why| damaged(root, path, why))?;
            if matches!(record.entry.kind, Kind::File { .. }) {
                hash(record);
            }
            let (after, unseen) = next()?;
            there = after;
            closed.extend(unseen);
        }
        match there {
            None => Ok(closed),
            Some(more) => Err(damaged(root, &more.path, "nobody made it")),
        }
    }
}

fn is_denied(error: &TreeError) -> bool {
    error.source.kind() == io::ErrorKind::PermissionDenied
}

/// Opens the databases among what was staged. Nobody else can have them open.
pub(crate) fn open_databases(
    root: &Path,
    databases: &[RelPath],
    context: &Context<'_>,
) -> Result<(Vec<String>, Vec<String>), BackupError> {
    context.observer.observe(&Event::Phase { name: "opening databases", total: None });
    let sqlite = Sqlite::default();
    let (mut sound, mut warnings) = (Vec::new(), Vec::new());
    for path in databases {
        let whole = root.join(path.as_path());
        if !sqlite.detect(root, path.as_path()).map_err(BackupError::on("reading", &whole))? {
            // A sidecar, or encrypted by somebody else's key.
            continue;
        }
        let failed = |why: String| BackupError::Database { path: whole.clone(), why };
        match sqlite.check(&whole).map_err(|error| failed(error.to_string()))?.verdict {
            Verdict::Sound => sound.push(path.to_string()),
            Verdict::Unchecked(why) => warnings.push(format!("the database {path} was not checked: {why}")),
            Verdict::Damaged(damage) => return Err(failed(damage.join("; "))),
        }
    }
    Ok((sound, warnings))
}

/// Whether it could be read, and is what it should be.
fn prove_content(tree: &LocalTree, record: &Record) -> Result<bool, String> {
    let mut content = match tree.open(&record.entry.path) {
        Err(error) if is_denied(&error) && record.entry.meta.mode & 0o400 == 0 => return Ok(false),
        opened => opened.map_err(|error| error.to_string())?,
    };
    let hash = content::hash(&mut *content, record.entry.len()).map_err(|error| error.to_string())?;
    if Some(hash) == record.sha256 { Ok(true) } else { Err("its content is not what is in the archive".into()) }
}

fn damaged(root: &Path, path: &RelPath, what: &str) -> BackupError {
    BackupError::Damaged { path: root.join(path.as_path()), what: format!("after it was restored, {what}") }
}

/// What is expected of what was made.
struct Expected<'a> {
    planting: Planting,
    /// Whether something could not be kept, and was told.
    has_losses: bool,
    there: &'a HashSet<RelPath>,
}

impl Expected<'_> {
    /// Whether nothing is made of an entry.
    fn is_left_out(&self, entry: &Entry) -> bool {
        match entry.kind {
            Kind::Socket => true,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => !self.planting.devices,
            // Another name of what was not made.
            _ => false,
        }
    }

    fn compare(&self, wanted: &Entry, found: &Entry) -> Result<(), &'static str> {
        // Of the names of one file, the walk meets in one order what was made in another.
        let same_kind = match (&wanted.kind, &found.kind) {
            (Kind::Link { .. }, _) | (_, Kind::Link { .. }) => !found.is_dir(),
            (wanted, found) => wanted == found,
        };
        if !same_kind {
            return Err("it is of another kind or length");
        }
        if self.there.contains(&wanted.path) || matches!(wanted.kind, Kind::Link { .. }) {
            return Ok(());
        }
        self.compare_meta(wanted, found)
    }

    fn compare_meta(&self, wanted: &Entry, found: &Entry) -> Result<(), &'static str> {
        let (want, have) = (&wanted.meta, &found.meta);
        let is_symlink = matches!(wanted.kind, Kind::Symlink { .. });
        let without_set_id = want.mode & !0o6000;
        let may_lose = !wanted.is_dir() && (!self.planting.set_id || self.planting.owners == Owners::Mine);
        if !is_symlink && have.mode != want.mode && !(may_lose && have.mode == without_set_id) {
            return Err("its permissions are others");
        }
        if self.planting.owners == Owners::ByNumber && (have.uid, have.gid) != (want.uid, want.gid) {
            return Err("its owner is another");
        }
        if !is_near(want.mtime, have.mtime) {
            return Err("its time is another");
        }
        let is_there = |name: &[u8], value: &[u8]| have.xattrs.iter().any(|x| x.name == name && x.value == value);
        if !self.has_losses && !want.xattrs.iter().all(|xattr| is_there(&xattr.name, &xattr.value)) {
            return Err("its extended attributes are others");
        }
        Ok(())
    }
}

/// A file system may keep times to the microsecond, the second, or two.
fn is_near(wanted: Timestamp, found: Timestamp) -> bool {
    found <= wanted && wanted.seconds.abs_diff(found.seconds) <= COARSEST as u64
}
