//! Which archives stay and which go.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{BackupError, Context, Retention, words};

/// An archive that is gone.
#[derive(Clone, Debug, Serialize)]
pub struct Deleted {
    /// Where it was.
    #[serde(serialize_with = "words::path")]
    pub path: PathBuf,
    /// Its id, in hex.
    pub id: String,
    /// How large it was.
    pub bytes: u64,
}

/// A cleaning of a place.
#[derive(Clone, Debug)]
pub struct CleanupRequest {
    /// The place.
    pub place: PathBuf,
    /// What is kept.
    pub policy: Retention,
    /// Archives of this name only; of each name by itself if not given.
    pub name: Option<String>,
    /// Tells, and deletes nothing.
    pub dry_run: bool,
}

/// What a cleaning came to.
#[derive(Debug, Serialize)]
pub struct Cleanup {
    /// Every archive with what was decided about it and why, the newest first.
    pub verdicts: Vec<Verdict>,
    /// Those that were deleted, in the order in which they were. None in a dry run.
    pub deleted: Vec<Deleted>,
    /// Bytes that are (or would be) freed.
    pub freed: u64,
}

/// What was decided about an archive.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Its file name.
    pub file_name: String,
    /// Its id, in hex.
    pub id: String,
    /// When it was made.
    pub created: String,
    /// Its size.
    pub bytes: u64,
    /// Whether it stays.
    pub keep: bool,
    /// Why, such as `newest of 2026-11-21` or `needed by NAME`.
    pub reasons: Vec<String>,
}

/// Deletes an archive, unless others need it, or it is locked, or the last good one of its name.
pub fn delete(archive: &Path, context: &Context<'_>) -> Result<Deleted, BackupError> {
    let _ = (archive, context);
    todo!()
}

/// Deletes what the policy does not keep. Never a base that is still needed, a locked archive, or the last good one of a
/// name; and those that need others before those, so that whatever is left is whole, wherever it is interrupted.
pub fn cleanup(request: &CleanupRequest, context: &Context<'_>) -> Result<Cleanup, BackupError> {
    let _ = (request, context);
    todo!()
}
