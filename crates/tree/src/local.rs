//! A directory of this machine as a [`Source`].

use std::path::Path;

use crate::{Content, Entry, Filter, RelPath, Source, TreeError};

/// A directory of this machine, read by descriptors: no symbolic link below it is followed, wherever it is moved to
/// meanwhile.
pub struct LocalTree {
    crossing: Crossing,
}

/// Whether what is mounted below the root belongs to the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crossing {
    /// No: a mount point is given as an empty directory, and told by [`LocalTree::mount_points`].
    #[default]
    Stay,
    /// Yes.
    Cross,
}

impl LocalTree {
    /// The directory at `path`, which alone may be a symbolic link; not what is mounted below it.
    pub fn open(path: &Path) -> Result<Self, TreeError> {
        Self::open_with(path, Crossing::Stay)
    }

    /// The directory at `path`, which alone may be a symbolic link.
    pub fn open_with(_path: &Path, crossing: Crossing) -> Result<Self, TreeError> {
        Ok(Self { crossing })
    }

    /// The mount points that walks have met so far and not entered.
    pub fn mount_points(&self) -> Vec<RelPath> {
        let _ = self.crossing;
        todo!()
    }
}

impl Source for LocalTree {
    fn entries<'a>(&'a self, _filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        todo!()
    }

    fn open<'a>(&'a self, _path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        todo!()
    }
}
