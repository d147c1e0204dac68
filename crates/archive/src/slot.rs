//! The file key wrapped in a passphrase.

use strongroom_secret::Passphrase;

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
