//! The cryptographic primitives, by their RFC names. Pure, but for [`OsRandom`].
//!
//! * [`Key`]: key bytes on locked pages, wiped when dropped, without `Debug` and without `Clone` by accident.
//! * [`scrypt()`] (RFC 7914) and [`hkdf_sha256`] (RFC 5869): keys from passphrases, keys from keys.
//! * [`Aead`]: the three [`Algorithm`]s that seal contents. AES-256-GCM with 128-bit nonces and XChaCha20-Poly1305
//!   come from aws-lc (`aws_lc.rs`, the only unsafe code here) or, without the feature `aws-lc` and as the oracle of
//!   the tests, from RustCrypto (`portable.rs`). AES-SIV (RFC 5297) is ours over the `aes` crate (`siv.rs`), since
//!   only by interleaving many messages does its CMAC come near the speed of the others.
//! * [`Eme`]: the wide-block mode of Halevi and Rogaway that encrypts names (`eme.rs`).
//! * [`Random`] and [`OsRandom`]: where nonces come from.
//! * [`measure`]: how fast all this is on this machine.

#![deny(unsafe_code)]

mod aead;
#[cfg(feature = "aws-lc")]
#[allow(unsafe_code)]
mod aws_lc;
mod eme;
mod error;
mod kdf;
mod key;
mod portable;
mod random;
mod siv;
mod speed;

pub use aead::{Aead, Algorithm, Backend, OpenLane, SealLane, TAG_LEN};
pub use eme::Eme;
pub use error::{CryptoError, NotAuthentic};
pub use kdf::{hkdf_sha256, scrypt};
pub use key::Key;
pub use random::{OsRandom, Random};
pub use speed::{Speed, measure, rate};
