//! What has become of a tree since a manifest of it was frozen.

use strongroom_event::Observer;

use crate::{Entry, Filter, Manifest, Source, TreeError};

/// How closely files are looked at whose kind, length and metadata are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Not: times tell. On the device of the manifest that includes the change time, which nobody can set.
    Stamps,
    /// Those of up to so many bytes are read.
    Contents {
        /// So many.
        up_to: u64,
    },
    /// All are read.
    All,
}

/// One thing that is not as it was. The entry is as it is now, but for [`Change::Gone`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there. If it is a [`Kind::Link`](crate::Kind::Link), it is another name of a file.
    New(Entry),
    /// It was something else (a directory, a symbolic link to elsewhere, a name of another file) and is to be made anew.
    Kind(Entry),
    /// It is a name of the file at `to` of its [`Kind::Link`](crate::Kind::Link), and that was another file, or was made
    /// anew: the name has to be made again.
    Links(Entry),
    /// Its content changed, and perhaps its metadata.
    Content(Entry),
    /// Its metadata changed.
    Dressed(Entry),
    /// It is not there any more. As the manifest knows it.
    Gone(Entry),
}

impl Change {
    /// The entry that it is about.
    pub fn entry(&self) -> &Entry {
        match self {
            Self::New(entry) | Self::Kind(entry) | Self::Links(entry) => entry,
            Self::Content(entry) | Self::Dressed(entry) | Self::Gone(entry) => entry,
        }
    }
}

/// In what a tree differs from its manifest.
#[derive(Debug, Default)]
pub struct Delta {
    /// By path: parents first.
    pub changes: Vec<Change>,
    /// What could not be read, so that nothing is known of it (nor, of a directory, of what is in it).
    pub failed: Vec<TreeError>,
    /// Files that were read.
    pub read: u64,
}

/// What changed in `now` since `manifest`. Link changes and everything else are told so that carrying them out in order,
/// the gone ones last to first, makes the tree of the manifest that of `now`.
#[allow(clippy::unimplemented, unused_variables)]
pub fn delta(
    now: &dyn Source,
    filter: &Filter,
    manifest: &Manifest,
    depth: Depth,
    workers: usize,
    observer: &dyn Observer,
) -> Delta {
    unimplemented!()
}
