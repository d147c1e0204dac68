//! A directory of this machine as a [`Replica`].

use std::path::Path;

use strongroom_event::Observer;

use crate::{Content, Entry, Filter, LocalSink, LocalTree, Planting, RelPath, Replica, Sink, Source, TreeError};

/// A directory of this machine that follows another tree.
pub struct LocalReplica<'o> {
    tree: LocalTree,
    sink: LocalSink<'o>,
}

#[allow(clippy::unimplemented, unused_variables)]
impl<'o> LocalReplica<'o> {
    /// The directory at `root`, which exists.
    pub fn open(root: &Path, planting: Planting, observer: &'o dyn Observer) -> Result<Self, TreeError> {
        Ok(Self { tree: LocalTree::open(root)?, sink: LocalSink::open(root, planting, observer)? })
    }
}

impl Source for LocalReplica<'_> {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        self.tree.entries(filter)
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        self.tree.open(path)
    }
}

impl Sink for LocalReplica<'_> {
    fn put(&self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<(), TreeError> {
        self.sink.put(entry, content)
    }

    fn seal(&self) -> Result<(), TreeError> {
        self.sink.seal()
    }
}

#[allow(clippy::unimplemented, unused_variables)]
impl Replica for LocalReplica<'_> {
    fn remove(&self, path: &RelPath) -> Result<(), TreeError> {
        unimplemented!()
    }

    fn dress(&self, entry: &Entry) -> Result<(), TreeError> {
        unimplemented!()
    }

    fn sync(&self) -> Result<(), TreeError> {
        unimplemented!()
    }
}
