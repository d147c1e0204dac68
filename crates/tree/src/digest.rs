//! What a manifest remembers of the content of a file: a keyed digest.
//!
//! ```text
//! digest = HMAC-SHA-256(key, BLAKE3(BLAKE3(piece 0) | BLAKE3(piece 1) | … | length))
//! ```
//! Pieces are of 1 MiB, the last one shorter; the length is 64 bits, little-endian. The digest of a piece of zeros is known
//! beforehand, so that a hole of a tebibyte costs no more than its reading, if that.

use std::{io, sync::OnceLock};

use strongroom_crypto::{Blake3, Key, hmac_sha256};

use crate::Content;

const PIECE: usize = 1 << 20;

/// The digest of content that comes from its beginning to its end.
pub(crate) struct Digester {
    pieces: Blake3,
    piece: Blake3,
    filled: usize,
    len: u64,
}

impl Default for Digester {
    fn default() -> Self {
        Self { pieces: Blake3::new(), piece: Blake3::new(), filled: 0, len: 0 }
    }
}

impl Digester {
    /// How much came so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// These bytes come next.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.filled));
            if now.len() == PIECE && is_zero(now) {
                self.pieces.update(digest_of_zeros());
            } else {
                self.piece.update(now);
                self.filled += now.len();
                self.end_full_piece();
            }
            self.len += now.len() as u64;
            bytes = later;
        }
    }

    /// So many zeros come next.
    pub fn zeros(&mut self, mut count: u64) {
        const ZEROS: [u8; 4096] = [0; 4096];
        while count > 0 {
            if self.filled == 0 && count >= PIECE as u64 {
                self.pieces.update(digest_of_zeros());
                (self.len, count) = (self.len + PIECE as u64, count - PIECE as u64);
                continue;
            }
            let now = count.min(ZEROS.len().min(PIECE - self.filled) as u64);
            self.update(&ZEROS[..now as usize]);
            count -= now;
        }
    }

    /// Nothing comes any more.
    pub fn finish(mut self, key: &Key<32>) -> [u8; 32] {
        if self.filled > 0 {
            self.pieces.update(&self.piece.finish());
        }
        self.pieces.update(&self.len.to_le_bytes());
        hmac_sha256(key.expose(), &self.pieces.finish())
    }

    fn end_full_piece(&mut self) {
        if self.filled == PIECE {
            let piece = std::mem::replace(&mut self.piece, Blake3::new());
            self.pieces.update(&piece.finish());
            self.filled = 0;
        }
    }
}

/// The digest of content that is read plainly, from its beginning to its end, holes as well: what SEEK_HOLE says is not
/// believed. `read` is told how many bytes were read.
pub(crate) fn digest(content: &mut dyn Content, key: &Key<32>, read: &mut dyn FnMut(u64)) -> io::Result<[u8; 32]> {
    let (mut digester, mut buffer) = (Digester::default(), Vec::new());
    buffer.resize(usize::try_from(content.look()?.len + 1).map_or(PIECE, |len| len.clamp(4096, PIECE)), 0);
    loop {
        let len = content.read_at(digester.len(), &mut buffer)?;
        digester.update(&buffer[..len]);
        read(len as u64);
        if len < buffer.len() {
            return Ok(digester.finish(key));
        }
    }
}

/// Whether there is nothing but zeros.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // What is not zero mostly shows itself at once; the rest in strides that the compiler vectorises.
    bytes.iter().take(16).all(|byte| *byte == 0)
        && bytes.chunks(256).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

fn digest_of_zeros() -> &'static [u8; 32] {
    static DIGEST: OnceLock<[u8; 32]> = OnceLock::new();
    DIGEST.get_or_init(|| Blake3::of(&vec![0; PIECE]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_in(chunks: &[&[u8]]) -> [u8; 32] {
        let mut digester = Digester::default();
        chunks.iter().for_each(|chunk| digester.update(chunk));
        digester.finish(&Key::new(&[7; 32]))
    }

    #[test]
    fn it_does_not_matter_in_what_portions_content_comes() {
        let content: Vec<u8> = (0..3 * PIECE + 5).map(|n| (n / 3) as u8).collect();
        let whole = digest_in(&[&content]);
        for at in [1, 4096, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE] {
            assert_eq!(digest_in(&[&content[..at], &content[at..]]), whole, "cut at {at}");
        }
    }

    #[test]
    fn zeros_are_zeros_whether_they_were_read_or_told() {
        let mut content = vec![0; 4 * PIECE + 17];
        content[..3].copy_from_slice(b"abc");
        content[3 * PIECE + 9] = 1;
        let mut told = Digester::default();
        told.update(b"abc");
        told.zeros(3 * PIECE as u64 + 6);
        told.update(&[1]);
        told.zeros(PIECE as u64 + 7);
        assert_eq!(told.len(), content.len() as u64);
        assert_eq!(told.finish(&Key::new(&[7; 32])), digest_in(&[&content]));
    }

    #[test]
    fn the_digest_is_what_the_head_of_this_file_says() {
        let pieces = [Blake3::of(b"abc").as_slice(), &3_u64.to_le_bytes()].concat();
        assert_eq!(digest_in(&[b"abc"]), hmac_sha256(&[7; 32], &Blake3::of(&pieces)));
        assert_ne!(digest_in(&[&vec![0; PIECE]]), digest_in(&[&vec![0; PIECE + 1]]), "the length counts");
    }
}
