//! The one verb of encrypting, decrypting, backing up and restoring: what flows out of a [`Source`] flows into a [`Sink`].

use strongroom_event::Observer;

use crate::{Filter, RelPath, Sink, Source, TreeError};

/// What a transfer did.
#[derive(Debug, Default)]
pub struct Transferred {
    /// Entries made.
    pub entries: u64,
    /// Bytes of content written, holes not counted.
    pub bytes: u64,
    /// Files that were written to while they were read: what was made of them is no state that they ever had.
    pub changed: Vec<RelPath>,
    /// What could not be read, or was gone before it was. It was not made.
    pub failed: Vec<TreeError>,
}

/// Makes in `sink` all that passes `filter` of `source`, several files at once, and seals it.
///
/// What cannot be read is left out and told; what cannot be made ends the transfer.
pub fn transfer(
    _source: &dyn Source,
    _filter: &Filter,
    _sink: &dyn Sink,
    _workers: usize,
    _observer: &dyn Observer,
) -> Result<Transferred, TreeError> {
    todo!()
}
