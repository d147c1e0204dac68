//! A directory of this machine as a [`Sink`].

use std::path::Path;

use strongroom_event::Observer;

use crate::{Content, Entry, Note, Planting, Sink, TreeError};

/// A directory of this machine that entries are made in. Nothing that exists is written to or replaced, and nothing is
/// made outside, whatever symbolic links there are.
pub struct LocalSink<'o> {
    planting: Planting,
    observer: &'o dyn Observer,
}

impl<'o> LocalSink<'o> {
    /// The directory at `root`, which exists. What cannot be kept is told to `observer` as a warning, and noted.
    pub fn open(_root: &Path, planting: Planting, observer: &'o dyn Observer) -> Result<Self, TreeError> {
        Ok(Self { planting, observer })
    }

    /// What could not be kept so far: the first of it, and how many more there were.
    pub fn notes(&self) -> (Vec<Note>, u64) {
        let _ = (self.planting, self.observer);
        todo!()
    }
}

impl Sink for LocalSink<'_> {
    fn put(&self, _entry: &Entry, _content: Option<&mut dyn Content>) -> Result<(), TreeError> {
        todo!()
    }

    fn seal(&self) -> Result<(), TreeError> {
        todo!()
    }
}
