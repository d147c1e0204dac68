//! Makes in a directory what is to be restored, from all archives that it takes.

use std::path::Path;

use strongroom_archive::{ArchiveError, Record};
use strongroom_event::{Event, Observer};
use strongroom_tree::{Content, Entry, Kind, LocalSink, Planting, RelPath, Sink, TreeError};

use super::{
    plan::Work,
    select::{Planned, Selection},
};
use crate::{BackupError, Context, chain::Chain};

/// All that is to be staged.
pub(crate) struct Staged<'a> {
    pub chain: &'a Chain,
    pub selection: &'a Selection,
    pub work: &'a Work,
    pub planting: Planting,
}

impl Staged<'_> {
    /// The entries to be made, in the order of a walk, as they are to be made.
    pub(crate) fn entries(
        &self,
    ) -> Result<impl Iterator<Item = Result<Planned, BackupError>> + Send + '_, BackupError> {
        let mut alone: Option<RelPath> = None;
        Ok(self.selection.entries(self.chain)?.filter_map(move |planned| {
            let mut planned = match planned {
                Ok(planned) => planned,
                failed => return Some(failed),
            };
            let path = &planned.record.entry.path;
            let is_below = |alone: &Option<RelPath>| alone.as_ref().is_some_and(|alone| path.is_within(alone));
            if !is_below(&alone) && self.work.alone.contains(path) {
                alone = Some(path.clone());
            }
            let is_alone = is_below(&alone);
            if self.work.there.contains(path) {
                scaffold(&mut planned.record.entry);
            }
            (!is_alone || is_staged_although_alone(&planned.record.entry)).then_some(Ok(planned))
        }))
    }

    /// Makes them below `root`, and brings them to the disk. Says what could not be kept.
    pub(crate) fn make(&self, root: &Path, context: &Context<'_>) -> Result<Vec<String>, BackupError> {
        context.observer.observe(&Event::Phase { name: "restoring", total: Some(self.work.bytes) });
        context.observer.observe(&Event::FilesAhead(self.work.entries));
        let sink = LocalSink::open(root, self.planting, context.observer).map_err(BackupError::tree(root))?;
        let put = Put { sink: &sink, observer: context.observer, is_stopped: context.is_stopped };
        self.each(root, &put, |entry| !matches!(entry.kind, Kind::File { .. } | Kind::Link { .. }))?;
        for &number in &self.work.needed {
            self.extract(number, root, &put, context.workers)?;
        }
        // What they link to is there only now.
        self.each(root, &put, |entry| matches!(entry.kind, Kind::Link { .. }))?;
        context.observer.observe(&Event::Phase { name: "writing to disk", total: None });
        sink.seal().map_err(BackupError::tree(root))?;
        let (notes, more) = sink.notes();
        let mut notes: Vec<_> = notes.iter().map(ToString::to_string).collect();
        notes.extend((more > 0).then(|| format!("and {more} more of the kind")));
        Ok(notes)
    }

    fn each(&self, root: &Path, put: &Put<'_>, is_meant: impl Fn(&Entry) -> bool) -> Result<(), BackupError> {
        for planned in self.entries()? {
            let entry = planned?.record.entry;
            if is_meant(&entry) {
                put.put(&entry, None).map_err(|failure| failure.named(root, root))?;
            }
        }
        Ok(())
    }

    fn extract(&self, number: u32, root: &Path, put: &Put<'_>, workers: usize) -> Result<(), BackupError> {
        let is_here = |record: &Record| {
            matches!(record.entry.kind, Kind::File { .. }) && record.at.is_some_and(|at| at.archive == number)
        };
        let mut records = self.entries()?.filter_map(|planned| match planned {
            Ok(planned) if is_here(&planned.record) => {
                Some(Ok(planned.origin.map_or(planned.record, |origin| *origin)))
            }
            Ok(_) => None,
            Err(error) => Some(Err(Failure::Other(Box::new(error)))),
        });
        let archive = self.chain.archive(number);
        let extracted = archive.extract(&mut records, workers, &|record, content| {
            put.put(self.selection.made_of(&record.entry.path).unwrap_or(&record.entry), content)
        });
        extracted.map_err(|failure| failure.named(self.chain.path_of(number), root))
    }
}

/// What stays is staged only where something else may be another name of it, or lead to one.
pub(crate) fn is_staged_although_alone(entry: &Entry) -> bool {
    entry.is_dir() || entry.stamp.links > 1
}

/// Above what is made or replaced, and not to be seen.
fn scaffold(entry: &mut Entry) {
    entry.meta.mode = 0o700;
    entry.meta.xattrs.clear();
}

/// Makes one entry, from any thread.
struct Put<'a> {
    sink: &'a LocalSink<'a>,
    observer: &'a dyn Observer,
    is_stopped: &'a (dyn Fn() -> bool + Sync),
}

impl Put<'_> {
    fn put(&self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<(), Failure> {
        if (self.is_stopped)() {
            return Err(Failure::Other(Box::new(BackupError::Stopped)));
        }
        self.sink.put(entry, content).map_err(Failure::Tree)?;
        self.observer.observe(&Event::Progress(entry.len()));
        self.observer.observe(&Event::FileDone { path: entry.path.as_bytes().to_vec() });
        Ok(())
    }
}

/// What can go wrong between an archive and a directory.
enum Failure {
    Archive(ArchiveError),
    Tree(TreeError),
    Other(Box<BackupError>),
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

impl Failure {
    fn named(self, archive: &Path, root: &Path) -> BackupError {
        match self {
            Self::Archive(error) => BackupError::archive("restoring from", archive)(error),
            Self::Tree(error) => match error.source.downcast::<ArchiveError>() {
                // It failed in the reading, which nobody is helped by calling a failure to write.
                Ok(source) => BackupError::Content { path: archive.to_owned(), entry: error.path, source },
                Err(source) => BackupError::tree(root)(TreeError { source, ..error }),
            },
            Self::Other(error) => *error,
        }
    }
}
