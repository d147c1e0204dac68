//! Changing the passphrase of an archive in place.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use strongroom_crypto::Random;
use strongroom_secret::Passphrase;

use super::reader::{Container, Found};
use crate::{
    ArchiveError, Seal,
    header::{HEADER_LEN, Header},
};

impl Container {
    /// Changes the passphrase of the archive at `path`. Rewrites its header only, in place: first the second copy, then the
    /// first, each synced. Whenever that is interrupted, the old passphrase opens it, or the new one does.
    ///
    /// The key of the archive stays the same: whoever has an old copy of the header and the old passphrase still opens it.
    pub fn rekey(path: &Path, old: &Passphrase, new: &Seal<'_>, random: &dyn Random) -> Result<(), ArchiveError> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(ArchiveError::io("opening the archive for writing"))?;
        let Found::Sealed(header) = Found::look(&file)? else { return Err(ArchiveError::NotSealed) };
        let key = header.unlock(old)?;
        let rekeyed = header.rekeyed(&key, new, random)?;
        // A torn write loses the copy that is being written, never both. If the first is lost already, the second is the
        // one that was read, and is not touched before the first is whole again.
        let first_is_lost = Header::parse_copy(&first_copy(&file)?).is_err();
        if first_is_lost {
            write(&file, 0, header.page())?;
        }
        write(&file, HEADER_LEN as u64, rekeyed.page())?;
        write(&file, 0, rekeyed.page())
    }
}

fn first_copy(file: &File) -> Result<[u8; HEADER_LEN], ArchiveError> {
    let mut page = [0; HEADER_LEN];
    file.read_exact_at(&mut page, 0).map_err(ArchiveError::io("reading the header"))?;
    Ok(page)
}

fn write(file: &File, offset: u64, page: &[u8; HEADER_LEN]) -> Result<(), ArchiveError> {
    file.write_all_at(page, offset).map_err(ArchiveError::io("writing the header"))?;
    file.sync_all().map_err(ArchiveError::io("syncing the header"))
}
