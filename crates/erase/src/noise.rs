//! A stream of random bytes to overwrite with.

use strongroom_crypto::{Aead, Algorithm, OsRandom, Random};

/// As many bytes are made and written at a time.
pub(crate) const CHUNK: usize = 1 << 20;

/// What direct input and output asks of addresses.
const ALIGNMENT: usize = 4096;

/// The key stream of AES-256-GCM under a key that nobody keeps: as fast as the machine encrypts, and not to be told from
/// chance.
pub(crate) struct Noise {
    cipher: Aead,
    nonce: u128,
    zeros: Vec<u8>,
    room: Vec<u8>,
    begin: usize,
}

impl Noise {
    pub(crate) fn new() -> Self {
        let mut key = [0; 32];
        OsRandom.fill(&mut key);
        let cipher = Aead::new(Algorithm::Aes256Gcm, &key).expect("AES-256 takes keys of 32 bytes");
        let room = vec![0; CHUNK + strongroom_crypto::TAG_LEN + ALIGNMENT];
        let begin = room.as_ptr().align_offset(ALIGNMENT);
        Self { cipher, nonce: 0, zeros: vec![0; CHUNK], room, begin }
    }

    /// The next `len` bytes of the stream, at an address that direct output takes. At most [`CHUNK`].
    pub(crate) fn next(&mut self, len: usize) -> &[u8] {
        self.nonce += 1;
        let out = &mut self.room[self.begin..][..len + strongroom_crypto::TAG_LEN];
        self.cipher.seal(&self.nonce.to_le_bytes(), b"", &self.zeros[..len], out);
        &out[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_chunks_are_alike_and_all_are_aligned() {
        let mut noise = Noise::new();
        let first = noise.next(CHUNK).to_vec();
        assert!(first.iter().filter(|&&byte| byte == 0).count() < CHUNK / 128);
        let second = noise.next(CHUNK);
        assert_eq!(second.as_ptr() as usize % ALIGNMENT, 0);
        assert!(first != second);
        assert_eq!(noise.next(3).len(), 3);
    }
}
