//! Many files out of an archive.

use strongroom_tree::{Content, Kind};

use super::{
    Archive,
    content::Stored,
    frames::Frames,
    sweep::{Stop, Visitor, sweep},
};
use crate::{ArchiveError, Location, Record};

/// What a caller does with each record and its content.
pub type Each<'e, E> = dyn Fn(&Record, Option<&mut dyn Content>) -> Result<(), E> + Sync + 'e;

/// See [`Archive::extract`].
pub fn extract<E: From<ArchiveError> + Send>(
    archive: &Archive,
    records: &mut (dyn Iterator<Item = Result<Record, E>> + Send),
    workers: usize,
    each: &Each<'_, E>,
) -> Result<(), E> {
    let mut stops = records.map(|record| record.map(|record| Stop::Record(Box::new(record))));
    sweep(archive, workers, &mut stops, &Extraction { archive, each })
}

struct Extraction<'e, E> {
    archive: &'e Archive,
    each: &'e Each<'e, E>,
}

impl<E: From<ArchiveError> + Send> Visitor<E> for Extraction<'_, E> {
    fn wants(&self, stop: &Stop) -> Option<Location> {
        match stop {
            Stop::Record(record) if matches!(record.entry.kind, Kind::File { .. }) => record.at,
            _ => None,
        }
    }

    fn visit(&self, stop: &Stop, frames: Option<Box<dyn Frames + '_>>) -> Result<(), E> {
        let Stop::Record(record) = stop else { return Ok(()) };
        let Some(frames) = frames else { return (self.each)(record, None) };
        let mut content = Stored::open(self.archive, record, frames)?;
        if self.archive.is_in_one_frame(record) {
            // All of it is in memory: nobody needs to see what has the wrong hash.
            content.check_all()?;
        }
        (self.each)(record, Some(&mut content))?;
        Ok(content.finish()?)
    }
}
