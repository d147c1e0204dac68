//! What is in an archive, without reading all of it.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde::Serialize;
use strongroom_archive::{Issue, Metadata};

use crate::{BackupError, Context, Marks, Missing, words};

/// All that is known of an archive without reading its content.
#[derive(Debug, Serialize)]
pub struct Info {
    /// Where it is.
    #[serde(serialize_with = "words::path")]
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Whether it is sealed.
    pub sealed: bool,
    /// What it says of itself.
    pub metadata: Metadata,
    /// The archives it needs, by file name.
    pub needs: Vec<String>,
    /// Those of them that are not where it is.
    pub missing: Vec<Missing>,
    /// What could not be backed up as it was.
    pub issues: Vec<Issue>,
    /// What is remembered about it.
    pub marks: Marks,
}

/// An entry of an archive, for a listing.
#[derive(Clone, Debug, Serialize)]
pub struct ListedEntry {
    /// Its path below the source, odd bytes escaped.
    pub path: String,
    /// The component it belongs to.
    pub component: String,
    /// `file`, `directory`, `link`, `symlink`, `fifo`, `char-device`, `block-device`.
    pub kind: &'static str,
    /// Permission bits.
    pub mode: u32,
    /// Owner, by name if one is known.
    pub owner: String,
    /// Group, likewise.
    pub group: String,
    /// Bytes of content.
    pub bytes: u64,
    /// Last change of the content (RFC 3339, UTC).
    pub modified: String,
    /// Where a link or symbolic link leads.
    pub target: Option<String>,
    /// SHA-256 of the content, in hex.
    pub sha256: Option<String>,
    /// The file name of the archive that holds the content, if it is not this one.
    pub in_archive: Option<String>,
    /// What it was called in the base.
    pub renamed_from: Option<String>,
    /// Whether it would not hold still while it was read.
    pub changed: bool,
}

/// Reads what an archive says of itself.
pub fn info(archive: &Path, context: &Context<'_>) -> Result<Info, BackupError> {
    let _ = (archive, context);
    todo!()
}

/// Gives every entry of the tree that an archive stands for, in the order of a walk.
pub fn contents(
    archive: &Path,
    context: &Context<'_>,
    each: &mut dyn FnMut(ListedEntry) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let _ = (archive, context, each);
    todo!()
}

/// Writes the plain tar stream of an archive.
pub fn export(archive: &Path, context: &Context<'_>, out: &mut dyn Write) -> Result<u64, BackupError> {
    let _ = (archive, context, out);
    todo!()
}

/// The vault's keys that travel in an archive: a `gocryptfs.conf`. `None` if there are none in it.
pub fn keys_only(archive: &Path, context: &Context<'_>) -> Result<Option<Vec<u8>>, BackupError> {
    let _ = (archive, context);
    todo!()
}
