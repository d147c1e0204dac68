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
    /// Changes the passphrase of the archive at `path`. Rewrites its header only, in place, one copy after the other.
    /// Whenever that is interrupted, the old passphrase opens it, or the new one does.
    ///
    /// The key of the archive stays the same: whoever has an old copy of the header and the old passphrase still opens it.
    pub fn rekey(path: &Path, old: &Passphrase, new: &Seal<'_>, random: &dyn Random) -> Result<(), ArchiveError> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(ArchiveError::io("opening the archive for writing"))?;
        let Found::Sealed(header) = Found::look(&file)? else { return Err(ArchiveError::NotSealed) };
        let key = header.unlock(old)?;
        let rekeyed = header.rekeyed(&key, new, random)?;
        let first_is_lost = Header::parse_copy(&first_copy(&file)?).is_err();
        steps(&header, &rekeyed, first_is_lost).into_iter().try_for_each(|(offset, page)| write(&file, offset, page))
    }
}

const FIRST: u64 = 0;
const SECOND: u64 = HEADER_LEN as u64;

/// What is written where, one after the other. A torn write loses the copy that is being written, so the other must be
/// whole: if the first is lost, the second is the one that was read, and is not touched before there is a first again.
fn steps<'a>(current: &'a Header, rekeyed: &'a Header, first_is_lost: bool) -> Vec<(u64, &'a [u8; HEADER_LEN])> {
    let mend = first_is_lost.then_some((FIRST, current.page()));
    mend.into_iter().chain([(SECOND, rekeyed.page()), (FIRST, rekeyed.page())]).collect()
}

fn first_copy(file: &File) -> Result<[u8; HEADER_LEN], ArchiveError> {
    let mut page = [0; HEADER_LEN];
    file.read_exact_at(&mut page, FIRST).map_err(ArchiveError::io("reading the header"))?;
    Ok(page)
}

fn write(file: &File, offset: u64, page: &[u8; HEADER_LEN]) -> Result<(), ArchiveError> {
    file.write_all_at(page, offset).map_err(ArchiveError::io("writing the header"))?;
    file.sync_all().map_err(ArchiveError::io("syncing the header"))
}

#[cfg(test)]
mod tests {
    use strongroom_crypto::OsRandom;

    use super::*;
    use crate::{Algorithm, ArchiveId, ArchiveKind, Facts, Kdf};

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.into())
    }

    fn headers() -> (Header, Header) {
        let facts = Facts {
            id: ArchiveId([5; 16]),
            created: String::new(),
            name: "data".into(),
            kind: ArchiveKind::Full,
            parents: vec![],
            label: None,
            compression: Algorithm::Zstd,
        };
        let kdf = Kdf::Scrypt { log_n: 10 };
        let (header, key) = Header::create(&facts, &Seal { passphrase: &passphrase("old"), kdf }, &OsRandom).unwrap();
        let rekeyed = header.rekeyed(&key, &Seal { passphrase: &passphrase("new"), kdf }, &OsRandom).unwrap();
        (header, rekeyed)
    }

    fn opens(disk: &[u8]) -> bool {
        let header = Header::parse(disk).unwrap();
        ["old", "new"].iter().any(|text| header.unlock(&passphrase(text)).is_ok())
    }

    /// A disk that loses power while sector `sector` of a write is being written: those before are new, those after are
    /// old, and it is neither.
    fn torn(disk: &[u8], offset: u64, page: &[u8; HEADER_LEN], sector: usize) -> Vec<u8> {
        let mut torn = disk.to_vec();
        let start = offset as usize;
        torn[start..start + sector * 512].copy_from_slice(&page[..sector * 512]);
        torn[start + sector * 512..start + (sector + 1) * 512].fill(0xE5);
        torn
    }

    #[test]
    fn there_is_a_whole_header_whenever_the_power_goes() {
        let (old, new) = headers();
        for first_is_lost in [false, true] {
            let mut disk = [*old.page(), *old.page()].concat();
            if first_is_lost {
                disk[..HEADER_LEN].fill(0);
            }
            for (offset, page) in steps(&old, &new, first_is_lost) {
                for sector in 0..HEADER_LEN / 512 {
                    assert!(opens(&torn(&disk, offset, page, sector)), "lost {first_is_lost}, {offset}, {sector}");
                }
                disk[offset as usize..offset as usize + HEADER_LEN].copy_from_slice(page);
                assert!(opens(&disk));
            }
            assert_eq!(disk, [*new.page(), *new.page()].concat());
        }
    }
}
