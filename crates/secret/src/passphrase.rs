//! What a person typed.

use zeroize::Zeroizing;

/// A passphrase: bytes as given, without normalisation. Wiped when dropped.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// The longest passphrase any source may give.
    pub const MAX_LEN: usize = 2048;

    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the primitive that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether two entries are the same.
    pub fn matches(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
