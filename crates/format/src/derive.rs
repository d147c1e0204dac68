//! Every key derivation of the format.
//!
//! | key                     | with HKDF, info                             | without (before v1.3) |
//! |-------------------------|---------------------------------------------|-----------------------|
//! | contents, AES-256-GCM   | `AES-GCM file content encryption`           | the master key        |
//! | contents, AES-SIV       | `AES-SIV file content encryption`           | SHA-512 of it         |
//! | contents, XChaCha20     | `XChaCha20-Poly1305 file content encryption`| does not exist        |
//! | names                   | `EME filename encryption`                   | the master key        |
//! | wrapping of the master  | `AES-GCM file content encryption`, from     | scrypt(passphrase)    |
//! |                         | scrypt(passphrase) in place of the master   |                       |
//!
//! And one that no byte of a vault is sealed with, always with HKDF: what authenticates the journal of a migration, info
//! `strongroom migration journal`, salt the name of the migration.

use sha2::{Digest, Sha512};
use strongroom_crypto::{Aead, Algorithm, CryptoError, Eme, Key, hkdf_sha256, hkdf_sha256_salted};
use zeroize::Zeroize;

use crate::{Feature, Features, MasterKey};

const GCM_CONTENT: &[u8] = b"AES-GCM file content encryption";
const SIV_CONTENT: &[u8] = b"AES-SIV file content encryption";
const XCHACHA_CONTENT: &[u8] = b"XChaCha20-Poly1305 file content encryption";
const JOURNAL: &[u8] = b"strongroom migration journal";
const EME_NAMES: &[u8] = b"EME filename encryption";

/// What seals contents, symlink targets and attribute values.
pub fn content(master: &MasterKey, algorithm: Algorithm, features: Features) -> Result<Aead, CryptoError> {
    match algorithm {
        Algorithm::Aes256Gcm => Aead::new(algorithm, sub_key(master.expose(), GCM_CONTENT, features).expose()),
        Algorithm::XChaCha20Poly1305 => {
            Aead::new(algorithm, sub_key(master.expose(), XCHACHA_CONTENT, features).expose())
        }
        Algorithm::AesSiv => Aead::new(algorithm, siv_key(master, features).expose()),
    }
}

/// What encrypts names.
pub fn names(master: &MasterKey, features: Features) -> Eme {
    Eme::new(&sub_key(master.expose(), EME_NAMES, features))
}

/// What wraps the master key: AES-256-GCM whatever the volume's cipher, `stretched` being scrypt's output.
pub fn wrapping(stretched: &Key<32>, features: Features) -> Result<Aead, CryptoError> {
    Aead::new(Algorithm::Aes256Gcm, sub_key(stretched.expose(), GCM_CONTENT, features).expose())
}

/// What authenticates the journal of the migration `id`: nobody has it who cannot open the vault.
pub fn journal(master: &MasterKey, id: &[u8]) -> Key<32> {
    Key::filled_by(|slot| hkdf_sha256_salted(master.expose(), id, JOURNAL, slot))
}

fn sub_key(from: &[u8; 32], info: &[u8], features: Features) -> Key<32> {
    match features.contains(Feature::Hkdf) {
        true => Key::filled_by(|slot| hkdf_sha256(from, info, slot)),
        false => Key::new(from),
    }
}

fn siv_key(master: &MasterKey, features: Features) -> Key<64> {
    Key::filled_by(|slot| match features.contains(Feature::Hkdf) {
        true => hkdf_sha256(master.expose(), SIV_CONTENT, slot),
        false => {
            let mut hash = Sha512::digest(master.expose());
            slot.copy_from_slice(&hash);
            hash.as_mut_slice().zeroize();
        }
    })
}
