//! What archives are kept, protected and sealed with.

use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom_archive::{ArchiveError, Container, Seal};
use strongroom_backup::{self as backup, BackupError, Cleanup, CleanupRequest, Deleted, Kdf};
use strongroom_crypto::OsRandom;
use strongroom_secret::{Passphrase, SecretError};

use super::secrets::with_world;
use crate::{ActionError, Context, perform::perform};

/// Deletes an archive, unless it is needed, locked, or the last good one. Audited as `backup.delete`.
pub fn delete(context: &Context, archive: &Path) -> Result<Deleted, ActionError> {
    perform(context, "backup.delete", archive, |account| {
        let deleted = with_world(context, &nobody, |world| backup::delete(archive, world))?;
        account.note("id", deleted.id.clone());
        account.note("bytes", deleted.bytes);
        Ok(deleted)
    })
}

/// Deletes what a policy does not keep. Audited as `backup.cleanup`, unless it only tells.
pub fn cleanup(context: &Context, request: &CleanupRequest) -> Result<Cleanup, ActionError> {
    let clean = || with_world(context, &nobody, |world| backup::cleanup(request, world));
    if request.dry_run {
        return Ok(clean()?);
    }
    perform(context, "backup.cleanup", &request.place, |account| {
        let cleanup = clean()?;
        let names = cleanup.deleted.iter().filter_map(|deleted| deleted.path.file_name());
        account.note("deleted", names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>());
        account.note("freed", cleanup.freed);
        Ok(cleanup)
    })
}

/// For what needs no passphrase.
pub(super) fn nobody(_: backup::Wanted<'_>) -> Result<Passphrase, SecretError> {
    Err(SecretError::NobodyToAsk { what: "passphrase".into(), why: "none should be needed".into() })
}

/// Protects an archive from deletion. Says whether that is new. Audited as `backup.lock`.
pub fn lock(context: &Context, archive: &Path) -> Result<bool, ActionError> {
    perform(context, "backup.lock", archive, |_| Ok(backup::lock(archive)?))
}

/// Takes the protection away. Says whether there was one. Audited as `backup.unlock`.
pub fn unlock(context: &Context, archive: &Path) -> Result<bool, ActionError> {
    perform(context, "backup.unlock", archive, |_| Ok(backup::unlock(archive)?))
}

/// An archive that opens with another passphrase now.
#[derive(Clone, Debug, Serialize)]
pub struct PassphraseReplaced {
    /// The archive.
    #[serde(serialize_with = "crate::words::path")]
    pub archive: PathBuf,
}

/// Seals an archive with another passphrase; only its header is written anew. Audited as `backup.passwd`.
pub fn replace_passphrase(
    context: &Context,
    archive: &Path,
    kdf: Kdf,
    old: impl FnOnce() -> Result<Passphrase, SecretError>,
    new: impl FnOnce() -> Result<Passphrase, SecretError>,
) -> Result<PassphraseReplaced, ActionError> {
    perform(context, "backup.passwd", archive, |_| {
        let failed =
            |source| BackupError::Archive { attempted: "changing the passphrase of", path: archive.into(), source };
        let old = old()?;
        prove(archive, &old).map_err(failed)?;
        let new = new()?;
        let seal = Seal { passphrase: &new, kdf };
        Container::rekey(archive, &old, &seal, &OsRandom).map_err(failed)?;
        Ok(PassphraseReplaced { archive: archive.to_owned() })
    })
}

/// Opens the archive, so that a new passphrase is asked for only when the old one has proved right.
fn prove(archive: &Path, old: &Passphrase) -> Result<(), ArchiveError> {
    let attempted = "opening";
    let file = std::fs::File::open(archive).map_err(|source| ArchiveError::Io { attempted, source })?;
    let container = Container::open(file, &mut |_| Ok(super::secrets::copy(old)))?;
    if container.is_sealed() { Ok(()) } else { Err(ArchiveError::NotSealed) }
}
