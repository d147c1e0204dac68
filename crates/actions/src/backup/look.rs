//! What reads archives and changes nothing in them. What lets plaintext or keys out is audited.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use strongroom_archive::{Peek, peek};
use strongroom_backup::{
    self as backup, BackupError, Catalog, Change, Comparison, Info, ListedEntry, Verification, VerifyRequest,
};

use super::secrets::{Remembered, Secrets, with_world};
use crate::{ActionError, Context, perform::perform};

/// What a place holds.
pub fn catalog(place: &Path) -> Result<Catalog, ActionError> {
    Ok(Catalog::read(place)?)
}

/// The path of the archive that `word` means.
pub fn resolve(place: Option<&Path>, word: &Path) -> Result<PathBuf, ActionError> {
    Ok(Catalog::resolve(place, word)?)
}

/// Whether an archive needs a passphrase; false if it is none.
pub fn is_sealed(archive: &Path) -> bool {
    let peeked = std::fs::File::open(archive).ok().and_then(|file| peek(&file).ok());
    matches!(peeked, Some(Peek::Sealed(_)))
}

/// What an archive says of itself.
pub fn info(context: &Context, archive: &Path, secrets: &Secrets<'_>) -> Result<Info, ActionError> {
    Ok(with_world(context, secrets.archive, |world| backup::info(archive, world))?)
}

/// Every entry of an archive.
pub fn contents(
    context: &Context,
    archive: &Path,
    secrets: &Secrets<'_>,
    each: &mut dyn FnMut(ListedEntry) -> Result<(), BackupError>,
) -> Result<(), ActionError> {
    Ok(with_world(context, secrets.archive, |world| backup::contents(archive, world, each))?)
}

/// Reads an archive to see that it is whole.
pub fn verify(context: &Context, request: &VerifyRequest, secrets: &Secrets<'_>) -> Result<Verification, ActionError> {
    Ok(with_world(context, secrets.archive, |world| backup::verify(request, world))?)
}

/// What changed between an archive and another, or a directory.
pub fn diff(
    context: &Context,
    old: &Path,
    new: &Path,
    secrets: &Secrets<'_>,
    each: &mut dyn FnMut(Change) -> Result<(), BackupError>,
) -> Result<Comparison, ActionError> {
    let remembered = Remembered::new(secrets.archive);
    Ok(with_world(context, &|wanted| remembered.give(wanted), |world| backup::diff(old, new, world, each))?)
}

/// Writes the plain tar stream of an archive. Audited as `backup.export`.
pub fn export(
    context: &Context,
    archive: &Path,
    secrets: &Secrets<'_>,
    out: &mut dyn Write,
) -> Result<u64, ActionError> {
    perform(context, "backup.export", archive, |account| {
        let bytes = with_world(context, secrets.archive, |world| backup::export(archive, world, out))?;
        account.note("bytes", bytes);
        Ok(bytes)
    })
}

/// The vault's keys that travel in an archive: a `gocryptfs.conf`. Audited as `backup.keys`.
pub fn keys(context: &Context, archive: &Path, secrets: &Secrets<'_>) -> Result<Vec<u8>, ActionError> {
    perform(context, "backup.keys", archive, |_| {
        let keys = with_world(context, secrets.archive, |world| backup::keys_only(archive, world))?;
        keys.ok_or_else(|| ActionError::NoKeys(archive.to_owned()))
    })
}
