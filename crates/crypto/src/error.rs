//! What can go wrong in the primitives.

/// The bytes were not made with this key, nonce and associated data, or were changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data do not authenticate")]
pub struct NotAuthentic;

/// Arguments that a primitive cannot work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The key has the wrong length.
    #[error("{algorithm} takes a key of {needed} bytes, not of {given}")]
    KeyLength {
        /// Which cipher.
        algorithm: crate::Algorithm,
        /// What it takes.
        needed: usize,
        /// What it got.
        given: usize,
    },
    /// Scrypt is not defined for these parameters.
    #[error("scrypt is not defined for log2(N)={log_n}, r={r}, p={p}")]
    ScryptParameters {
        /// Binary logarithm of the cost.
        log_n: u8,
        /// Block size.
        r: u32,
        /// Parallelism.
        p: u32,
    },
}
