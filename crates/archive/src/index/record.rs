//! One entry as the index has it.

use serde::{Deserialize, Serialize};
use strongroom_tree::{Entry, RelPath};

use crate::{ArchiveId, hex};

/// One entry of the tree, and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its component: a place in [`crate::Metadata::components`].
    pub component: u32,
    /// The entry. The length of a file is that of its content in the archive.
    pub entry: Entry,
    /// SHA-256 of the content of a file, holes as zeros.
    pub sha256: Option<[u8; 32]>,
    /// Where its member is. Anything but a regular file need not have one.
    pub at: Option<Location>,
    /// It was written to while it was read.
    pub changed: bool,
    /// Not all of it could be read: zeros stand for the rest.
    pub damaged: bool,
    /// The path that it had in the base, if its content was found there under another name.
    pub renamed_from: Option<RelPath>,
}

/// Where a member of a tar stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// 0 for this archive, else one more than a place in the list of archives.
    pub archive: u32,
    /// Where in that archive's tar stream its first header begins.
    pub tar_offset: u64,
    /// From there to the first header of the next.
    pub tar_len: u64,
}

/// An archive that holds bytes which this one needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseRef {
    /// Its id.
    pub id: ArchiveId,
    /// What its file was called; a hint.
    pub file_name: String,
    /// SHA-256 of its index, by which a changed one shows.
    #[serde(with = "hex::serde")]
    pub index_sha256: [u8; 32],
}
