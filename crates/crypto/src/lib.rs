//! The cryptographic primitives, by their RFC names. Pure, but for [`OsRandom`].
//!
//! * [`Key`]: key bytes on locked pages, wiped when dropped, without `Debug` and without `Clone` by accident.
//! * [`scrypt()`] (RFC 7914), [`pbkdf2_sha256`] (RFC 8018) and [`hkdf_sha256`] (RFC 5869): keys from passphrases, keys from
//!   keys.
//! * [`Sha256`] (FIPS 180-4) and [`hmac_sha256`] (RFC 2104); [`Blake3`] where there is much to hash.
//! * [`Aead`]: the three [`Algorithm`]s that seal contents. AES-256-GCM with 128-bit nonces and XChaCha20-Poly1305
//!   come from aws-lc (`aws_lc.rs`, the only unsafe code here) or, without the feature `aws-lc` and as the oracle of
//!   the tests, from RustCrypto (`portable.rs`). AES-SIV (RFC 5297) is ours over the `aes` crate (`siv.rs`), since
//!   only by interleaving many messages does its CMAC come near the speed of the others.
//! * [`Stream`]: a long message in chunks that cannot be moved, left out or cut off (`stream.rs`).
//! * [`Eme`]: the wide-block mode of Halevi and Rogaway that encrypts names (`eme.rs`).
//! * [`Random`] and [`OsRandom`]: where nonces come from.
//! * [`measure`]: how fast all this is on this machine.

#![deny(unsafe_code)]

mod aead;
#[cfg(feature = "aws-lc")]
#[allow(unsafe_code)]
mod aws_lc;
mod blake3;
mod eme;
mod error;
mod kdf;
mod key;
mod mac;
mod portable;
mod random;
mod sha256;
mod siv;
mod speed;
mod stream;

pub use aead::{Aead, Algorithm, Backend, OpenLane, SealLane, TAG_LEN};
pub use blake3::Blake3;
pub use eme::Eme;
pub use error::{CryptoError, NotAuthentic};
pub use kdf::{hkdf_sha256, hkdf_sha256_salted, pbkdf2_sha256, scrypt};
pub use key::Key;
pub use mac::{MAC_LEN, check_hmac_sha256, hmac_sha256};
pub use random::{OsRandom, Random};
pub use sha256::Sha256;
pub use speed::{Speed, measure, rate};
pub use stream::{CHUNK, SEALED_CHUNK, Stream, stream_chunks, stream_plain_len, stream_sealed_len};
