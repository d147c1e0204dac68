//! The file key wrapped in a passphrase.

use serde::{Deserialize, Serialize};
use strongroom_crypto::{Aead, Algorithm::Aes256Gcm, Key, Random, TAG_LEN, pbkdf2_sha256, scrypt};
use strongroom_secret::Passphrase;

use crate::{ArchiveError, ArchiveId, hex};

/// How a passphrase is stretched into a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kdf {
    /// scrypt (RFC 7914) with N = 2^log_n, r = 8, p = 1.
    Scrypt {
        /// Binary logarithm of the cost: 10 to 22. It takes 2^log_n KiB of memory.
        log_n: u8,
    },
    /// PBKDF2-HMAC-SHA-256 (RFC 8018).
    Pbkdf2 {
        /// 600,000 to 100,000,000.
        iterations: u32,
    },
}

impl Kdf {
    /// Whether the cost is one that can be asked for; to find out before anything is begun.
    pub fn check(self) -> Result<(), ArchiveError> {
        Stretch::from(self).check()
    }
}

impl Default for Kdf {
    fn default() -> Self {
        Self::Scrypt { log_n: 16 }
    }
}

/// What an archive is to be sealed with.
pub struct Seal<'a> {
    /// The passphrase.
    pub passphrase: &'a Passphrase,
    /// How it is stretched.
    pub kdf: Kdf,
}

const KEY_LEN: usize = 32;
const MAX_SCRYPT_MEMORY: u64 = 4 << 30;
const MAX_SCRYPT_WORK: u64 = 64 << 30;
const MIN_ITERATIONS: u32 = 600_000;
const MAX_ITERATIONS: u32 = 100_000_000;
/// The key of a slot seals one thing once: it follows from a salt of its own.
const NONCE: [u8; 12] = [0; 12];

/// The file key under a key that follows from a passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    #[serde(flatten)]
    stretch: Stretch,
    #[serde(with = "hex::serde")]
    salt: [u8; 32],
    #[serde(with = "hex::serde")]
    wrapped: [u8; KEY_LEN + TAG_LEN],
}

/// A key derivation with every parameter that a file may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Stretch {
    #[serde(rename = "scrypt")]
    Scrypt { log_n: u8, r: u32, p: u32 },
    #[serde(rename = "pbkdf2-sha256")]
    Pbkdf2 { iterations: u32 },
}

impl Slot {
    /// Wraps the file key of archive `id`. Takes the time and memory of the stretching.
    pub fn create(
        seal: &Seal<'_>,
        file_key: &Key<KEY_LEN>,
        id: ArchiveId,
        random: &dyn Random,
    ) -> Result<Self, ArchiveError> {
        let stretch = Stretch::from(seal.kdf);
        stretch.check()?;
        let mut salt = [0; 32];
        random.fill(&mut salt);
        let mut wrapped = [0; KEY_LEN + TAG_LEN];
        stretch.wrapping(seal.passphrase, &salt)?.seal(&NONCE, &id.0, file_key.expose(), &mut wrapped);
        Ok(Self { stretch, salt, wrapped })
    }

    /// The file key, if this is the passphrase. Takes the time and memory of the stretching, which [`Slot::check`] bounds.
    pub fn open(&self, passphrase: &Passphrase, id: ArchiveId) -> Result<Option<Key<KEY_LEN>>, ArchiveError> {
        self.check()?;
        let wrapping = self.stretch.wrapping(passphrase, &self.salt)?;
        let mut opened = Ok(());
        let key = Key::filled_by(|slot| opened = wrapping.open(&NONCE, &id.0, &self.wrapped, slot));
        Ok(opened.ok().map(|()| key))
    }

    /// At least what keeps a passphrase safe, at most what a machine can do: the file may come from a stranger.
    pub fn check(&self) -> Result<(), ArchiveError> {
        self.stretch.check()
    }
}

impl Stretch {
    fn wrapping(self, passphrase: &Passphrase, salt: &[u8]) -> Result<Aead, ArchiveError> {
        let mut stretched = Ok(());
        let key: Key<KEY_LEN> = Key::filled_by(|slot| match self {
            Self::Scrypt { log_n, r, p } => stretched = scrypt(passphrase.expose(), salt, log_n, r, p, slot),
            Self::Pbkdf2 { iterations } => pbkdf2_sha256(passphrase.expose(), salt, iterations, slot),
        });
        stretched?;
        Ok(Aead::new(Aes256Gcm, key.expose())?)
    }

    fn check(self) -> Result<(), ArchiveError> {
        match self {
            Self::Scrypt { log_n, r, p } => check_scrypt(log_n, r, p),
            Self::Pbkdf2 { iterations: ..MIN_ITERATIONS } => Err(self.refused("less than 600,000 is too weak")),
            Self::Pbkdf2 { iterations } if iterations > MAX_ITERATIONS => {
                Err(self.refused("more than 100,000,000 would take minutes"))
            }
            Self::Pbkdf2 { .. } => Ok(()),
        }
    }

    fn refused(self, why: &'static str) -> ArchiveError {
        match self {
            Self::Scrypt { log_n, .. } => cost("scrypt's log2(N)", log_n.into(), why),
            Self::Pbkdf2 { iterations } => cost("PBKDF2's iteration count", iterations.into(), why),
        }
    }
}

fn check_scrypt(log_n: u8, r: u32, p: u32) -> Result<(), ArchiveError> {
    if log_n < 10 {
        return Err(cost("scrypt's log2(N)", log_n.into(), "less than 10 is too weak"));
    }
    if r < 8 {
        return Err(cost("scrypt's r", r.into(), "less than 8 is too weak"));
    }
    if p < 1 {
        return Err(cost("scrypt's p", p.into(), "less than 1 is too weak"));
    }
    let memory = 1u64.checked_shl(log_n.into()).unwrap_or(u64::MAX).saturating_mul(u64::from(r) * 128);
    if memory > MAX_SCRYPT_MEMORY {
        return Err(cost("scrypt's log2(N)", log_n.into(), "it would take more than 4 GiB of memory"));
    }
    if p > 1 << 10 || memory.saturating_mul(p.into()) > MAX_SCRYPT_WORK {
        return Err(cost("scrypt's p", p.into(), "it would take minutes"));
    }
    Ok(())
}

fn cost(parameter: &'static str, value: u64, why: &'static str) -> ArchiveError {
    ArchiveError::Cost { parameter, value, why }
}

impl From<Kdf> for Stretch {
    fn from(kdf: Kdf) -> Self {
        match kdf {
            Kdf::Scrypt { log_n } => Self::Scrypt { log_n, r: 8, p: 1 },
            Kdf::Pbkdf2 { iterations } => Self::Pbkdf2 { iterations },
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom_crypto::OsRandom;

    use super::*;

    const ID: ArchiveId = ArchiveId([7; 16]);

    fn create(passphrase: &str, kdf: Kdf) -> Result<Slot, ArchiveError> {
        let passphrase = Passphrase::new(passphrase.into());
        Slot::create(&Seal { passphrase: &passphrase, kdf }, &Key::new(&[3; 32]), ID, &OsRandom)
    }

    fn open(slot: &Slot, passphrase: &str, id: ArchiveId) -> Option<[u8; 32]> {
        slot.open(&Passphrase::new(passphrase.into()), id).unwrap().map(|key| *key.expose())
    }

    #[test]
    fn the_passphrase_opens_its_slot_and_no_other_does() {
        for kdf in [Kdf::Scrypt { log_n: 10 }, Kdf::Pbkdf2 { iterations: 600_000 }] {
            let slot = create("right", kdf).unwrap();
            assert_eq!(open(&slot, "right", ID), Some([3; 32]));
            assert_eq!(open(&slot, "wrong", ID), None);
        }
    }

    #[test]
    fn a_slot_moved_to_another_archive_does_not_open() {
        let slot = create("right", Kdf::Scrypt { log_n: 10 }).unwrap();
        assert_eq!(open(&slot, "right", ArchiveId([8; 16])), None);
    }

    #[test]
    fn two_slots_of_one_passphrase_have_nothing_in_common() {
        let [one, two] = [(); 2].map(|()| create("same", Kdf::Scrypt { log_n: 10 }).unwrap());
        assert!(one.salt != two.salt && one.wrapped != two.wrapped);
    }

    #[test]
    fn a_slot_comes_back_from_its_json() {
        let slot = create("right", Kdf::Scrypt { log_n: 10 }).unwrap();
        let json = serde_json::to_string(&slot).unwrap();
        assert!(json.starts_with(r#"{"kind":"scrypt","log_n":10,"r":8,"p":1,"salt":""#), "{json}");
        assert_eq!(serde_json::from_str::<Slot>(&json).unwrap(), slot);
    }

    #[test]
    fn costs_out_of_bounds_are_refused_before_anything_is_computed() {
        for kdf in [
            Kdf::Scrypt { log_n: 9 },
            Kdf::Scrypt { log_n: 23 },
            Kdf::Scrypt { log_n: 200 },
            Kdf::Pbkdf2 { iterations: 0 },
            Kdf::Pbkdf2 { iterations: 599_999 },
            Kdf::Pbkdf2 { iterations: 100_000_001 },
        ] {
            assert!(matches!(kdf.check(), Err(ArchiveError::Cost { .. })), "{kdf:?}");
            assert!(matches!(create("x", kdf), Err(ArchiveError::Cost { .. })), "{kdf:?}");
        }
    }

    #[test]
    fn costs_that_only_a_hostile_file_has_are_refused() {
        let bounded = |log_n, r, p| check_scrypt(log_n, r, p).is_ok();
        assert!(bounded(22, 8, 1) && bounded(16, 8, 1024) && bounded(21, 16, 1));
        for (log_n, r, p) in [
            (22, 16, 1),
            (10, 7, 1),
            (10, 0, 1),
            (10, 8, 0),
            (10, 8, 1025),
            (22, 8, 17),
            (10, u32::MAX, 1),
            (63, u32::MAX, u32::MAX),
            (64, 8, 1),
            (255, 8, 1),
        ] {
            assert!(!bounded(log_n, r, p), "{log_n} {r} {p}");
        }
    }
}
