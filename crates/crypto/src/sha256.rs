//! SHA-256 (FIPS 180-4), by the processor's instructions for it where it has them.

use sha2::Digest;

/// A hash being computed.
#[derive(Clone, Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hash of bytes that are all there.
    pub fn of(bytes: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(bytes).into()
    }

    /// Takes more bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes taken in.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_the_answers_of_fips_180() {
        let hex = |hash: [u8; 32]| hash.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hex(Sha256::of(b"")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(Sha256::of(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn how_the_bytes_are_cut_makes_no_difference() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
        for cut in [0, 1, 63, 64, 65, 999, 1000] {
            let mut hash = Sha256::new();
            hash.update(&bytes[..cut]);
            hash.update(&bytes[cut..]);
            assert_eq!(hash.finish(), Sha256::of(&bytes));
        }
    }
}
