//! SHA-256 of the content of a file with holes.

use strongroom_crypto::Sha256;

/// The hash of a file whose data is given run by run, its holes hashed as zeros.
#[derive(Default)]
pub struct ContentHash {
    hash: Sha256,
    at: u64,
}

impl ContentHash {
    /// The next data, which begins at `offset`; before it is a hole if that is beyond the end of the last.
    pub fn data(&mut self, offset: u64, bytes: &[u8]) {
        self.zeros_until(offset);
        self.hash.update(bytes);
        self.at += bytes.len() as u64;
    }

    /// How much was hashed.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The hash of a file of `len` bytes.
    pub fn finish(mut self, len: u64) -> [u8; 32] {
        self.zeros_until(len);
        self.hash.finish()
    }

    /// Hashes a hole.
    pub fn zeros_until(&mut self, offset: u64) {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.at < offset {
            let piece = (offset - self.at).min(ZEROS.len() as u64);
            self.hash.update(&ZEROS[..piece as usize]);
            self.at += piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_hash_as_zeros() {
        let mut hash = ContentHash::default();
        hash.data(100_000, b"data");
        let mut whole = vec![0; 300_000];
        whole[100_000..100_004].copy_from_slice(b"data");
        assert_eq!(hash.finish(300_000), Sha256::of(&whole));
    }
}
