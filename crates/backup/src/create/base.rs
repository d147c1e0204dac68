//! Which archive a new one is made against, and what is unchanged since.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use strongroom_archive::{Archive, ArchiveError, ArchiveKind, BaseRef, Location, Record};
use strongroom_tree::{Entry, Kind, RelPath, Timestamp};

use super::parts::OUTSIDE;
use crate::{
    BackupError, Catalog, Listed,
    chain::Opener,
    instant::{from_rfc3339, minus_seconds},
};

/// More archives than this do not fit into a header, and nobody wants to have them all at hand.
const MOST_PARENTS: usize = 64;
/// How coarse the times of a file system can be: FAT counts in steps of two seconds.
const TICK: i64 = 2;
/// Lost files that are remembered, to find them under other names.
const MOST_LOST: usize = 200_000;
/// Archives that are opened in search of a base.
const MOST_TRIED: usize = 5;

/// The archive that a new one is made against.
pub(crate) struct Base {
    path: PathBuf,
    archive: Archive,
    /// What changed at this time or later may have been read before.
    racy: Timestamp,
    /// Whether a component is that of configuration from elsewhere.
    outside: Vec<bool>,
}

/// Either a base, or why there is none.
pub(crate) type Found = Result<Arc<Base>, String>;

/// What a base has to have in common with what is to be made against it.
pub(crate) struct Wanted<'a> {
    pub name: &'a str,
    pub kind: ArchiveKind,
    pub sealed: bool,
    pub source: &'a str,
    pub host: &'a str,
}

impl Base {
    /// The newest good archive that will do.
    pub(crate) fn find(catalog: &Catalog, wanted: &Wanted<'_>, opener: &Opener<'_>) -> Result<Found, BackupError> {
        let is_candidate = |one: &&Listed| {
            one.name == wanted.name && (wanted.kind != ArchiveKind::Differential || one.kind == ArchiveKind::Full)
        };
        let mut candidates = catalog.archives.iter().rev().filter(is_candidate).peekable();
        if candidates.peek().is_none() {
            return Ok(Err(format!("there is no {}archive of {} here yet", full(wanted.kind), wanted.name)));
        }
        let mut why = None;
        for candidate in candidates.take(MOST_TRIED) {
            // An older one would do, and the chain be as long again: it is time for a full one.
            if candidate.needs.len() >= MOST_PARENTS {
                let needs = candidate.needs.len();
                return Ok(Err(format!("{} needs {needs} archives already", candidate.file_name)));
            }
            match Self::open(candidate, wanted, opener)? {
                Ok(base) => return Ok(Ok(Arc::new(base))),
                Err(reason) => why = why.or(Some(format!("{}: {reason}", candidate.file_name))),
            }
        }
        Ok(Err(why.expect("at least one was tried")))
    }

    /// Opens a candidate; a candidate that will not do is no error.
    fn open(one: &Listed, wanted: &Wanted<'_>, opener: &Opener<'_>) -> Result<Result<Self, String>, BackupError> {
        if let Some(lost) = one.missing_needs.first() {
            return Ok(Err(format!("an archive that it needs ({lost}) is not there")));
        }
        if let Some(damaged) = one.damaged_needs.first() {
            return Ok(Err(format!("an archive that it needs ({damaged}) was verified, and found damaged")));
        }
        if one.is_found_damaged() {
            return Ok(Err("it was verified, and found damaged".into()));
        }
        if one.sealed != wanted.sealed {
            return Ok(Err(if one.sealed { "it is sealed" } else { "it is not sealed" }.into()));
        }
        let archive = match opener.open_with_known(&one.path) {
            Ok(Some(archive)) => archive,
            Ok(None) if one.sealed => return Ok(Err("it has another passphrase".into())),
            Ok(None) => opener.open(&one.path)?,
            Err(error) => return Ok(Err(error.to_string())),
        };
        Ok(Self::fitting(one.path.clone(), archive, wanted))
    }

    fn fitting(path: PathBuf, archive: Archive, wanted: &Wanted<'_>) -> Result<Self, String> {
        let metadata = archive.metadata();
        if metadata.source != wanted.source {
            return Err(format!("it is of {}", metadata.source));
        }
        if metadata.host != wanted.host {
            return Err(format!("it was made on {}", metadata.host));
        }
        let started = from_rfc3339(&metadata.started).ok_or("it does not tell when it was made")?;
        let outside = metadata.components.iter().map(|component| component.kind == OUTSIDE).collect();
        Ok(Self { path, racy: minus_seconds(started, TICK), archive, outside })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The archive.
    pub(crate) fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The archives that a new one will refer to: this one, then those that it refers to itself.
    pub(crate) fn references(&self) -> Vec<BaseRef> {
        let itself = BaseRef {
            id: self.archive.metadata().id,
            file_name: self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            index_sha256: self.archive.container().index_sha256(),
        };
        std::iter::once(itself).chain(self.archive.archives().iter().cloned()).collect()
    }

    /// Where a new archive finds what this one has at `location`.
    pub(crate) fn reference(location: Location) -> u32 {
        location.archive + 1
    }

    /// Its entries below the source, in walk order, but for directories that only lead to a component.
    fn records(&self) -> Result<impl Iterator<Item = Result<Record, ArchiveError>> + Send + '_, ArchiveError> {
        let components = &self.archive.metadata().components;
        Ok(self.archive.records()?.filter(move |record| {
            let Ok(record) = record else { return true };
            let number = record.component as usize;
            let is_files = components.get(number).is_some_and(|component| component.kind == super::parts::FILES);
            !self.outside.get(number).copied().unwrap_or(true) && (is_files || !record.entry.is_dir())
        }))
    }

    /// Walks beside the source.
    pub(crate) fn beside(&self) -> Result<Beside<'_>, ArchiveError> {
        Ok(Beside { records: Box::new(self.records()?), next: None })
    }

    /// How a file compares with what the archive has of it.
    pub(crate) fn judge(&self, entry: &Entry, record: &Record) -> Judgement {
        let (now, then) = (entry, &record.entry);
        if record.at.is_none() || record.sha256.is_none() || record.changed || record.damaged || now.kind != then.kind {
            return Judgement::Different;
        }
        if now.meta.mtime != then.meta.mtime {
            return Judgement::Different;
        }
        let is_racy = now.meta.mtime >= self.racy || now.stamp.ctime >= self.racy;
        match now.stamp.ctime == then.stamp.ctime && now.stamp.ino == then.stamp.ino && !is_racy {
            true => Judgement::Same,
            false => Judgement::Doubtful,
        }
    }

    /// How a file under a new name compares with one that is lost. That of a renamed directory is as it was; one that was
    /// renamed itself has another ctime, and might have been written to as well by somebody who puts times back.
    pub(crate) fn judge_renamed(&self, entry: &Entry, lost: &LostFile) -> Judgement {
        let is_racy = entry.meta.mtime >= self.racy || entry.stamp.ctime >= self.racy;
        match entry.stamp.ino == lost.ino && entry.stamp.ctime == lost.ctime && !is_racy {
            true => Judgement::Same,
            false => Judgement::Doubtful,
        }
    }
}

/// How a file compares with what a base has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Nothing that tells has changed: it is not read.
    Same,
    /// Its content may be the same: its hash decides.
    Doubtful,
    /// Its content is new.
    Different,
}

/// The entries of a base, as a walk of the source comes by.
pub(crate) struct Beside<'a> {
    records: Box<dyn Iterator<Item = Result<Record, ArchiveError>> + Send + 'a>,
    next: Option<Record>,
}

impl Beside<'_> {
    /// The base's entry at `path`. Those that the walk has passed without meeting are given to `lost`.
    pub(crate) fn at(&mut self, path: &RelPath, mut lost: impl FnMut(Record)) -> Result<Option<Record>, ArchiveError> {
        loop {
            let Some(record) = self.take()? else { return Ok(None) };
            if record.entry.path == *path {
                return Ok(Some(record));
            }
            if record.entry.path > *path {
                self.next = Some(record);
                return Ok(None);
            }
            lost(record);
        }
    }

    /// Gives the rest to `lost`.
    pub(crate) fn finish(&mut self, mut lost: impl FnMut(Record)) -> Result<(), ArchiveError> {
        while let Some(record) = self.take()? {
            lost(record);
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Option<Record>, ArchiveError> {
        match self.next.take() {
            Some(record) => Ok(Some(record)),
            None => self.records.next().transpose(),
        }
    }
}

/// A file of the base whose path is gone.
#[derive(Clone, Debug)]
pub(crate) struct LostFile {
    pub path: RelPath,
    pub at: Location,
    pub sha256: [u8; 32],
    pub ino: u64,
    pub ctime: Timestamp,
}

/// Files of the base whose paths are gone, by size and time.
#[derive(Default)]
pub(crate) struct Lost {
    files: HashMap<(u64, Timestamp), Vec<LostFile>>,
    count: usize,
}

impl Lost {
    /// Remembers a file, if it is one that can be found again.
    pub(crate) fn note(&mut self, record: Record) {
        let (Some(at), Some(sha256), Kind::File { len }) = (record.at, record.sha256, &record.entry.kind) else {
            return;
        };
        if *len == 0 || record.changed || record.damaged || self.count == MOST_LOST {
            return;
        }
        self.count += 1;
        let key = (*len, record.entry.meta.mtime);
        let (ino, ctime) = (record.entry.stamp.ino, record.entry.stamp.ctime);
        self.files.entry(key).or_default().push(LostFile { path: record.entry.path, at, sha256, ino, ctime });
    }

    /// One of the size and time of `entry`, that of its inode first.
    pub(crate) fn like(&self, entry: &Entry) -> Option<&LostFile> {
        let alike = self.files.get(&(entry.len(), entry.meta.mtime))?;
        alike.iter().find(|lost| lost.ino == entry.stamp.ino).or(alike.first())
    }
}

fn full(kind: ArchiveKind) -> &'static str {
    if kind == ArchiveKind::Differential { "full " } else { "" }
}
