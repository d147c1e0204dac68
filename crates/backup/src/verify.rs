//! Reads archives to see that they are whole.

use std::path::PathBuf;

use serde::Serialize;

use crate::{BackupError, Context, words};

/// What to verify, and how thoroughly.
#[derive(Clone, Debug)]
pub struct VerifyRequest {
    /// The archive.
    pub archive: PathBuf,
    /// The archives that it needs as well.
    pub chain: bool,
    /// Restores all of it to scratch and opens the databases.
    pub deep: bool,
    /// Where scratch is made; beside the archive if not given.
    pub scratch: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Verification {
    /// The archives that were read, the asked one first.
    pub archives: Vec<Checked>,
    /// Databases that were opened, by path.
    pub databases: Vec<String>,
    /// Whether it was restored to scratch.
    pub deep: bool,
    /// Whether everything is well.
    pub ok: bool,
}

/// What was found in one archive.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// The archive.
    #[serde(serialize_with = "words::path")]
    pub path: PathBuf,
    /// Entries whose content was hashed.
    pub files: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// What is wrong, in words; empty if nothing.
    pub problems: Vec<String>,
}

/// Reads an archive, and those it needs if asked, and marks in their states how that ended. Damage is not an error: it is
/// what was looked for. An error is what kept it from being looked for.
pub fn verify(request: &VerifyRequest, context: &Context<'_>) -> Result<Verification, BackupError> {
    let _ = (request, context);
    todo!()
}
