//! A first walk, which reads no content: how much there is, which databases, what is gone since the base.

use strongroom_archive::ArchiveError;
use strongroom_tree::{Filter, Kind, RelPath, Source};

use super::{
    base::{Base, Judgement, Lost},
    capture::Captures,
};
use crate::{BackupError, Context};

/// What the first walk found.
#[derive(Default)]
pub(crate) struct Survey {
    /// Entries there are.
    pub entries: u64,
    /// Bytes of content in them.
    pub bytes: u64,
    /// Those of them that will be read.
    pub unread: u64,
    /// Databases.
    pub databases: Vec<RelPath>,
    /// What the base has under paths that are gone.
    pub lost: Lost,
}

/// Walks `source`. What cannot be walked is told by the second walk.
pub(crate) fn survey(
    source: &dyn Source,
    filter: &Filter,
    base: Option<&Base>,
    captures: Option<&Captures>,
    context: &Context<'_>,
) -> Result<Survey, BackupError> {
    let mut found = Survey::default();
    let mut beside =
        base.map(|base| base.beside().map_err(comparing(base)).map(|beside| (base, beside))).transpose()?;
    for entry in source.entries(filter).flatten() {
        if (context.is_stopped)() {
            return Err(BackupError::Stopped);
        }
        let before = match &mut beside {
            None => None,
            Some((base, beside)) => {
                let record = beside.at(&entry.path, |record| found.lost.note(record)).map_err(comparing(base))?;
                record.map(|record| (*base, record))
            }
        };
        found.entries += 1;
        found.bytes += entry.len();
        if let (Some(captures), Kind::File { .. }) = (captures, &entry.kind) {
            found.note_database(captures, &entry.path);
        }
        if before.is_none_or(|(base, record)| base.judge(&entry, &record) != Judgement::Same) {
            found.unread += entry.len();
        }
    }
    if let Some((base, beside)) = &mut beside {
        beside.finish(|record| found.lost.note(record)).map_err(comparing(base))?;
    }
    Ok(found)
}

impl Survey {
    fn note_database(&mut self, captures: &Captures, path: &RelPath) {
        let found = if captures.is_database(path) { Some(path.clone()) } else { captures.database_of(path) };
        // Companions follow soon after what they belong to.
        self.databases.extend(found.filter(|found| !self.databases.iter().rev().take(64).any(|known| known == found)));
    }
}

fn comparing(base: &Base) -> impl FnOnce(ArchiveError) -> BackupError + use<> {
    BackupError::archive("comparing with", base.path())
}
