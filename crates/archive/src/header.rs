//! The header of a sealed file: what the archive says in clear, and its key wrapped in the passphrase. Pure.
//!
//! It stands in the file twice. Nothing is left of an archive whose header is lost, and a change of passphrase writes one
//! copy after the other, so that there is a whole one at every moment.

use serde::{Deserialize, Serialize};
use strongroom_crypto::{
    CHUNK, Key, MAC_LEN, Random, Sha256, Stream, check_hmac_sha256, hkdf_sha256, hkdf_sha256_salted, hmac_sha256,
};
use strongroom_secret::Passphrase;

use crate::{ArchiveError, Facts, Seal, hex, slot::Slot};

/// Length of one copy.
pub const HEADER_LEN: usize = 4096;
/// Where the chunks begin.
pub const PAYLOAD_START: u64 = 2 * HEADER_LEN as u64;
/// What every sealed file begins with, whatever its version.
pub const MAGIC: [u8; 16] = *b"strongroom.seal\n";

const VERSION: u16 = 1;
const SUITE: &str = "AES-256-GCM-STREAM";
/// Each costs one stretching of the passphrase when it is tried.
const MAX_SLOTS: usize = 4;

const JSON_START: usize = 24;
const JSON_ROOM: usize = CHECKSUM_START - JSON_START;
const CHECKSUM_START: usize = MAC_START - 32;
const MAC_START: usize = HEADER_LEN - MAC_LEN;

/// A header, read or about to be written.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    fields: Fields,
    /// What the MAC is over, and the MAC.
    page: Box<[u8; HEADER_LEN]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fields {
    #[serde(flatten)]
    facts: Facts,
    suite: String,
    chunk_size: usize,
    #[serde(with = "hex::serde")]
    salt: [u8; 32],
    slots: Vec<Slot>,
}

/// The key of an archive, from which its others follow.
pub struct FileKey(Key<32>);

impl Header {
    /// A new header with a new key. Takes the time and memory of the passphrase's stretching.
    pub fn create(facts: &Facts, seal: &Seal<'_>, random: &dyn Random) -> Result<(Self, FileKey), ArchiveError> {
        let key = FileKey(Key::filled_by(|slot| random.fill(slot)));
        let mut salt = [0; 32];
        random.fill(&mut salt);
        let fields =
            Fields { facts: facts.clone(), suite: SUITE.to_owned(), chunk_size: CHUNK, salt, slots: Vec::new() };
        Ok((Self::resealed(fields, &key, seal, random)?, key))
    }

    /// The same header with its key wrapped in another passphrase, and in no other any more.
    pub fn rekeyed(&self, key: &FileKey, seal: &Seal<'_>, random: &dyn Random) -> Result<Self, ArchiveError> {
        Self::resealed(self.fields.clone(), key, seal, random)
    }

    fn resealed(mut fields: Fields, key: &FileKey, seal: &Seal<'_>, random: &dyn Random) -> Result<Self, ArchiveError> {
        fields.slots = vec![Slot::create(seal, &key.0, fields.facts.id, random)?];
        let page = encode(&fields, key)?;
        Ok(Self { fields, page })
    }

    /// Reads the two copies at the beginning of a file, which must not be shorter: the first if it is whole, else the
    /// second. Nothing is authenticated yet.
    pub fn parse(both: &[u8]) -> Result<Self, ArchiveError> {
        let (first, rest) = both.split_first_chunk().ok_or(CUT_SHORT)?;
        let (second, _) = rest.split_first_chunk().ok_or(CUT_SHORT)?;
        Self::parse_copy(first).or_else(|why| Self::parse_copy(second).map_err(|_| why))
    }

    /// Reads one copy.
    pub fn parse_copy(page: &[u8; HEADER_LEN]) -> Result<Self, ArchiveError> {
        if !page.starts_with(&MAGIC) {
            return Err(damaged("it does not begin as one"));
        }
        let version = u16::from_be_bytes([page[16], page[17]]);
        if version != VERSION {
            return Err(ArchiveError::UnknownVersion { part: "header", found: version, supported: "version 1" });
        }
        if page[CHECKSUM_START..MAC_START] != Sha256::of(&page[..CHECKSUM_START]) {
            return Err(damaged("its checksum is another"));
        }
        let json_len = usize::from(u16::from_be_bytes([page[18], page[19]]));
        let (json, padding) =
            page[JSON_START..CHECKSUM_START].split_at_checked(json_len).ok_or(damaged("it is longer than itself"))?;
        if page[20..JSON_START].iter().chain(padding).any(|&byte| byte != 0) {
            return Err(damaged("there is something where nothing belongs"));
        }
        let fields: Fields =
            serde_json::from_slice(json).map_err(|_| damaged("it is not the JSON that it should be"))?;
        fields.check()?;
        Ok(Self { fields, page: Box::new(*page) })
    }

    /// One copy, as it is written.
    pub fn page(&self) -> &[u8; HEADER_LEN] {
        &self.page
    }

    /// What it says in clear.
    pub fn facts(&self) -> &Facts {
        &self.fields.facts
    }

    /// The key, if any slot opens with the passphrase; with it, everything in the header is authentic.
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<FileKey, ArchiveError> {
        for slot in &self.fields.slots {
            if let Some(key) = slot.open(passphrase, self.facts().id)? {
                let key = FileKey(key);
                self.authenticate(&key)?;
                return Ok(key);
            }
        }
        Err(ArchiveError::WrongPassphrase)
    }

    /// Checks the MAC. GCM does not commit to its key: it is the MAC that says that there is no second one.
    pub fn authenticate(&self, key: &FileKey) -> Result<(), ArchiveError> {
        let mac = self.page.last_chunk().expect("a page is longer than a MAC");
        check_hmac_sha256(header_key(key).expose(), &self.page[..MAC_START], mac)
            .map_err(|_| damaged("it does not authenticate: it was tampered with"))
    }

    /// What the chunks are sealed with.
    pub fn stream(&self, key: &FileKey) -> Stream {
        let payload_key =
            Key::filled_by(|slot| hkdf_sha256_salted(key.0.expose(), &self.fields.salt, b"payload", slot));
        Stream::new(&payload_key, &self.facts().id.0)
    }
}

/// For `fuzz.rs`: nobody finds a checksum by trying.
impl Header {
    /// A page with these bytes in the place of the JSON, as far as they fit, and a MAC that is none.
    pub(crate) fn page_around(json: &[u8]) -> [u8; HEADER_LEN] {
        let json = &json[..json.len().min(JSON_ROOM)];
        *page(json, |_| [0; MAC_LEN]).expect("it was made to fit")
    }

    /// A page with what was read.
    pub(crate) fn written_again(&self) -> Result<[u8; HEADER_LEN], ArchiveError> {
        page(&json(&self.fields), |_| [0; MAC_LEN]).map(|page| *page)
    }
}

impl Fields {
    fn check(&self) -> Result<(), ArchiveError> {
        if self.suite != SUITE || self.chunk_size != CHUNK {
            return Err(damaged("it names a cipher or a size of chunks that version 1 does not have"));
        }
        if self.slots.is_empty() || self.slots.len() > MAX_SLOTS {
            return Err(damaged("it has no slot, or more than four"));
        }
        self.slots.iter().try_for_each(Slot::check)
    }
}

fn encode(fields: &Fields, key: &FileKey) -> Result<Box<[u8; HEADER_LEN]>, ArchiveError> {
    page(&json(fields), |authenticated| hmac_sha256(header_key(key).expose(), authenticated))
}

fn json(fields: &Fields) -> Vec<u8> {
    serde_json::to_vec(fields).expect("strings and numbers can be written as JSON")
}

fn page(json: &[u8], mac: impl FnOnce(&[u8]) -> [u8; MAC_LEN]) -> Result<Box<[u8; HEADER_LEN]>, ArchiveError> {
    if json.len() > JSON_ROOM {
        return Err(ArchiveError::HeaderFull { needed: json.len(), room: JSON_ROOM });
    }
    let json_len = u16::try_from(json.len()).expect("less than a page");
    let mut page = Box::new([0; HEADER_LEN]);
    page[..16].copy_from_slice(&MAGIC);
    page[16..18].copy_from_slice(&VERSION.to_be_bytes());
    page[18..20].copy_from_slice(&json_len.to_be_bytes());
    page[JSON_START..JSON_START + json.len()].copy_from_slice(json);
    let checksum = Sha256::of(&page[..CHECKSUM_START]);
    page[CHECKSUM_START..MAC_START].copy_from_slice(&checksum);
    let mac = mac(&page[..MAC_START]);
    page[MAC_START..].copy_from_slice(&mac);
    Ok(page)
}

fn header_key(key: &FileKey) -> Key<32> {
    Key::filled_by(|slot| hkdf_sha256(key.0.expose(), b"header", slot))
}

const CUT_SHORT: ArchiveError = damaged("the file ends within it");

const fn damaged(why: &'static str) -> ArchiveError {
    ArchiveError::Header { why }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use strongroom_crypto::OsRandom;

    use super::*;
    use crate::{Algorithm, ArchiveId, ArchiveKind, Kdf};

    const KDF: Kdf = Kdf::Scrypt { log_n: 10 };

    fn facts() -> Facts {
        Facts {
            id: ArchiveId([5; 16]),
            created: "2026-11-21T07:00:00+01:00".into(),
            name: "data".into(),
            kind: ArchiveKind::Incremental,
            parents: vec![ArchiveId([6; 16])],
            label: Some("before the move".into()),
            compression: Algorithm::Zstd,
        }
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.into())
    }

    fn create(facts: &Facts) -> Result<(Header, FileKey), ArchiveError> {
        Header::create(facts, &Seal { passphrase: &passphrase("right"), kdf: KDF }, &OsRandom)
    }

    fn both(header: &Header) -> Vec<u8> {
        [*header.page(), *header.page()].concat()
    }

    #[test]
    fn a_header_comes_back_from_its_bytes_and_opens() {
        let (header, key) = create(&facts()).unwrap();
        let read = Header::parse(&both(&header)).unwrap();
        assert_eq!(read, header);
        assert_eq!(read.facts(), &facts());
        assert!(read.unlock(&passphrase("right")).unwrap().0.expose() == key.0.expose());
    }

    #[test]
    fn a_wrong_passphrase_is_called_that() {
        let (header, _) = create(&facts()).unwrap();
        assert!(matches!(header.unlock(&passphrase("wrong")), Err(ArchiveError::WrongPassphrase)));
    }

    #[test]
    fn an_unknown_version_is_refused_with_the_known_ones() {
        let (header, _) = create(&facts()).unwrap();
        let mut bytes = both(&header);
        bytes[17] = 2;
        bytes[HEADER_LEN + 17] = 2;
        let refused = Header::parse(&bytes).unwrap_err().to_string();
        assert_eq!(refused, "the header is of format version 2, and this program reads version 1");
    }

    #[test]
    fn either_copy_is_enough() {
        let (header, _) = create(&facts()).unwrap();
        for lost in [0, HEADER_LEN] {
            let mut bytes = both(&header);
            bytes[lost..lost + HEADER_LEN].fill(0);
            assert_eq!(Header::parse(&bytes).unwrap(), header);
        }
    }

    #[test]
    fn a_header_whose_copies_are_both_lost_or_cut_off_is_refused() {
        let (header, _) = create(&facts()).unwrap();
        let mut bytes = both(&header);
        bytes[100] ^= 1;
        bytes[HEADER_LEN + 100] ^= 1;
        assert!(matches!(Header::parse(&bytes), Err(ArchiveError::Header { .. })));
        for len in [0, 1, HEADER_LEN, 2 * HEADER_LEN - 1] {
            assert!(matches!(Header::parse(&both(&header)[..len]), Err(ArchiveError::Header { .. })));
        }
    }

    #[test]
    fn what_is_changed_by_someone_who_mends_the_checksum_does_not_authenticate() {
        let (header, _) = create(&facts()).unwrap();
        let mut page = *header.page();
        let at = page.windows(6).position(|text| text == b"before").unwrap();
        page[at..at + 6].copy_from_slice(b"behind");
        let forged = Header::parse_copy(&mended(page)).unwrap();
        assert_eq!(forged.facts().label.as_deref(), Some("behind the move"));
        assert!(matches!(forged.unlock(&passphrase("right")), Err(ArchiveError::Header { .. })));
    }

    #[test]
    fn a_header_says_which_costs_it_will_not_bear() {
        let (header, _) = create(&facts()).unwrap();
        let mut page = *header.page();
        let at = page.windows(10).position(|text| text == b"\"log_n\":10").unwrap();
        page[at + 8..at + 10].copy_from_slice(b"40");
        assert!(matches!(Header::parse_copy(&mended(page)), Err(ArchiveError::Cost { .. })));
    }

    #[test]
    fn another_passphrase_opens_a_rekeyed_header_and_the_old_one_does_not() {
        let (header, key) = create(&facts()).unwrap();
        let seal = Seal { passphrase: &passphrase("new"), kdf: KDF };
        let rekeyed = Header::parse(&both(&header.rekeyed(&key, &seal, &OsRandom).unwrap())).unwrap();
        assert_eq!(rekeyed.facts(), header.facts());
        assert!(rekeyed.unlock(&passphrase("new")).unwrap().0.expose() == key.0.expose());
        assert!(matches!(rekeyed.unlock(&passphrase("right")), Err(ArchiveError::WrongPassphrase)));
    }

    #[test]
    fn there_is_room_for_sixty_four_parents_and_a_label() {
        let many = |count| Facts { parents: vec![ArchiveId([6; 16]); count], label: Some("x".repeat(500)), ..facts() };
        create(&many(64)).unwrap();
        assert!(matches!(create(&many(200)), Err(ArchiveError::HeaderFull { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_copy_with_any_flipped_bit_is_refused(at in 0..HEADER_LEN, bit in 0u8..8) {
            let (header, key) = create(&facts()).unwrap();
            let mut page = *header.page();
            page[at] ^= 1 << bit;
            let refused = Header::parse_copy(&page).and_then(|flipped| flipped.authenticate(&key));
            prop_assert!(refused.is_err());
        }
    }

    fn mended(mut page: [u8; HEADER_LEN]) -> [u8; HEADER_LEN] {
        let checksum = Sha256::of(&page[..CHECKSUM_START]);
        page[CHECKSUM_START..MAC_START].copy_from_slice(&checksum);
        page
    }
}
