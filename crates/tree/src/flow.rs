//! Where trees flow from, and where to.

use std::{io, ops::Range};

use crate::{Entry, Filter, RelPath, Stamp, Timestamp, TreeError};

/// Somewhere a tree can be read from: a directory, a vault, an archive. Read by several threads at once.
pub trait Source: Send + Sync {
    /// Everything that passes `filter`, the root first, parents before what is in them, siblings by the bytes of their
    /// names: in the order of [`RelPath`], and so the same order each time.
    ///
    /// An error is about one entry (or one directory and what is in it); the walk goes on after it.
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a>;

    /// Opens the regular file at `path` for reading. Never follows a symbolic link, nor waits for a named pipe.
    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError>;

    /// Whether inode numbers and change times mean something from one run to the next, so that they can tell a changed
    /// file from an unchanged one. True of a directory and of a vault.
    fn is_stamped(&self) -> bool {
        true
    }
}

/// The content of an open file.
pub trait Content: Send {
    /// Reads at `offset` until `out` is full or the file ends; gives how many bytes.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize>;

    /// The first run of data at or after `from`; `None` if there is only a hole from there on. What lies between runs
    /// reads as zeros. A source that cannot tell says that all is data.
    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>>;

    /// What the file is like at this moment: to be asked before and after reading.
    fn look(&mut self) -> io::Result<Look>;
}

/// What an open file is like at a moment. Two equal looks around a reading say that nothing was written meanwhile (as
/// far as the file system's clock can tell).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Bytes.
    pub len: u64,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// The rest.
    pub stamp: Stamp,
}

/// Somewhere a tree can be written to: a directory, a vault. Written by several threads at once.
pub trait Sink: Send + Sync {
    /// Makes `entry`, whose parent is there already, with `content` if it is a regular file. The order in which
    /// different entries come is free otherwise, but for a link, which comes after what it links to.
    fn put(&self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<(), TreeError>;

    /// Gives directories their modes and times, which everything put into them has changed, and makes all of it survive
    /// a power cut.
    fn seal(&self) -> Result<(), TreeError>;
}

/// A tree that follows another: what is in it can be taken away and dressed anew.
///
/// What is put replaces what is there: a file, a link or a node takes the name alone, and other names of what had it keep
/// that; a directory becomes one where there was none, and keeps what is in it where there was. A put that is killed may
/// leave nothing, the old or the new, but no half. Directories are for nobody else until they are dressed.
pub trait Replica: Source + Sink {
    /// Takes away what is at `path`, with all that is in it; of the root, all that is in it. Nothing there is well too.
    fn remove(&self, path: &RelPath) -> Result<(), TreeError>;

    /// Gives what is at `entry.path`, which is of that kind, the metadata of `entry`, and takes other extended attributes
    /// away. What a link is a name of is dressed with it.
    fn dress(&self, entry: &Entry) -> Result<(), TreeError>;

    /// Makes all that was done so far survive a power cut. If it fails, what was done since the last time is in doubt.
    fn sync(&self) -> Result<(), TreeError>;
}
