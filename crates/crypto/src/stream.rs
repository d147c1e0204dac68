//! STREAM (Hoang, Reyhanitabar, Rogaway and Vizár 2015) with AES-256-GCM: a long message in chunks, each sealed under a
//! nonce that says which it is and whether it is the last. Pure; whoever reads and writes is elsewhere.
//!
//! A chunk that is changed, moved, repeated, left out, or taken from another stream does not open, and neither does the
//! last of a stream that was cut short, since it was not sealed as the last. What remains to the caller: the first
//! chunk is number 0, they are opened by the number at which they stand, nothing follows the last one, and only a
//! stream that is empty altogether has a last chunk that is empty. [`stream_plain_len`] decides the lengths.
//!
//! **The key must be used for one stream only**: the nonces are counted, not drawn.

use crate::{Aead, Algorithm, Key, NotAuthentic, TAG_LEN};

/// Plaintext bytes in every chunk but the last.
pub const CHUNK: usize = 64 << 10;

/// Bytes of a sealed chunk.
pub const SEALED_CHUNK: usize = CHUNK + TAG_LEN;

/// A key made ready for one stream. Shared by threads without locks.
pub struct Stream {
    aead: Aead,
    aad: Vec<u8>,
}

impl Stream {
    /// A stream under a key that no other stream has; `aad` is authenticated with every chunk.
    pub fn new(key: &Key<32>, aad: &[u8]) -> Self {
        let aead = Aead::new(Algorithm::Aes256Gcm, key.expose()).expect("a key of 32 bytes");
        Self { aead, aad: aad.to_vec() }
    }

    /// Seals chunk `number` into `out`, which is a tag longer.
    ///
    /// # Panics
    /// If `plain` has not the length of such a chunk, or `out` does not fit it.
    pub fn seal(&self, number: u64, is_last: bool, plain: &[u8], out: &mut [u8]) {
        assert!(may_hold(number, is_last, plain.len()), "every chunk but the last is full, and the last is not empty");
        self.aead.seal(&nonce(number, is_last), &self.aad, plain, out);
    }

    /// Opens chunk `number` into `out`, which is a tag shorter; zeroes `out` if it does not authenticate.
    ///
    /// # Panics
    /// If `out` does not fit `sealed`.
    pub fn open(&self, number: u64, is_last: bool, sealed: &[u8], out: &mut [u8]) -> Result<(), NotAuthentic> {
        if !may_hold(number, is_last, out.len()) {
            out.fill(0);
            return Err(NotAuthentic);
        }
        self.aead.open(&nonce(number, is_last), &self.aad, sealed, out)
    }
}

/// Length of the sealed form of a stream of `plain_len` bytes.
pub fn stream_sealed_len(plain_len: u64) -> u64 {
    plain_len + stream_chunks(plain_len) * TAG_LEN as u64
}

/// How many chunks a stream of `plain_len` bytes has: an empty one has one.
pub fn stream_chunks(plain_len: u64) -> u64 {
    plain_len.div_ceil(CHUNK as u64).max(1)
}

/// Length of the stream whose sealed form is `sealed_len` long; `None` if that is the length of none.
pub fn stream_plain_len(sealed_len: u64) -> Option<u64> {
    let chunks = sealed_len.div_ceil(SEALED_CHUNK as u64);
    let plain_len = sealed_len.checked_sub(chunks * TAG_LEN as u64)?;
    (sealed_len > 0 && stream_sealed_len(plain_len) == sealed_len).then_some(plain_len)
}

/// 11 bytes of counter, one that says whether this is the last.
fn nonce(number: u64, is_last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = is_last.into();
    nonce
}

fn may_hold(number: u64, is_last: bool, plain_len: usize) -> bool {
    match (is_last, plain_len) {
        (_, CHUNK) => true,
        (true, 0) => number == 0,
        (true, len) => len < CHUNK,
        (false, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_nonce_is_a_counter_of_eleven_bytes_and_a_flag() {
        assert_eq!(nonce(0, false), [0; 12]);
        assert_eq!(nonce(1, true), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(nonce(0x0102_0304_0506_0708, false), [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
    }

    #[test]
    fn a_chunk_is_plain_aes_256_gcm() {
        let mut sealed = vec![0; 5 + TAG_LEN];
        stream(7).seal(0, true, b"hello", &mut sealed);
        let mut expected = vec![0; 5 + TAG_LEN];
        let gcm = Aead::new(Algorithm::Aes256Gcm, &[7; 32]).unwrap();
        gcm.seal(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], b"archive", b"hello", &mut expected);
        assert_eq!(sealed, expected);
    }

    #[test]
    fn lengths_go_there_and_back() {
        let chunk = CHUNK as u64;
        for plain in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 7 * chunk + 3, 1 << 50] {
            assert_eq!(stream_plain_len(stream_sealed_len(plain)), Some(plain));
        }
    }

    #[test]
    fn there_is_no_stream_whose_last_chunk_is_empty_or_less() {
        let sealed = SEALED_CHUNK as u64;
        for extra in 0..=16 {
            assert_eq!(stream_plain_len(sealed + extra), (extra == 0).then_some(CHUNK as u64));
        }
        for len in 0..16 {
            assert_eq!(stream_plain_len(len), None);
        }
        assert_eq!(stream_plain_len(u64::MAX).map(stream_sealed_len).unwrap_or(u64::MAX), u64::MAX);
    }

    #[test]
    #[should_panic(expected = "the last is not empty")]
    fn an_empty_last_chunk_after_others_is_a_mistake_of_the_caller() {
        stream(1).seal(1, true, b"", &mut [0; TAG_LEN]);
    }

    #[test]
    fn an_empty_last_chunk_after_others_is_refused_although_it_authenticates() {
        let mut forged = [0; TAG_LEN];
        Aead::new(Algorithm::Aes256Gcm, &[1; 32]).unwrap().seal(&nonce(3, true), b"archive", b"", &mut forged);
        assert_eq!(stream(1).open(3, true, &forged, &mut []), Err(NotAuthentic));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_was_sealed_opens_chunk_by_chunk_in_any_order(len in 0usize..5 * CHUNK, rotate in 0usize..6) {
            let plain = message(len);
            let chunks = seal(&stream(3), &plain);
            prop_assert_eq!(chunks.concat().len() as u64, stream_sealed_len(len as u64));
            let mut numbers: Vec<usize> = (0..chunks.len()).collect();
            numbers.rotate_left(rotate % chunks.len());
            for n in numbers {
                let opened = open(&stream(3), n, n + 1 == chunks.len(), &chunks[n]);
                prop_assert_eq!(opened.as_deref(), Ok(&plain[n * CHUNK..len.min((n + 1) * CHUNK)]));
            }
        }

        #[test]
        fn a_chunk_opens_nowhere_but_in_its_place(
            len in 0usize..4 * CHUNK, n in any::<prop::sample::Index>(), number in 0usize..6, is_last in any::<bool>(),
        ) {
            let chunks = seal(&stream(3), &message(len));
            let n = n.index(chunks.len());
            let is_its_place = number == n && is_last == (n + 1 == chunks.len());
            prop_assert_eq!(open(&stream(3), number, is_last, &chunks[n]).is_ok(), is_its_place);
        }

        #[test]
        fn any_flipped_bit_is_refused(len in 0usize..2 * CHUNK, at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut chunks = seal(&stream(3), &message(len));
            let last = chunks.len() - 1;
            let at = at.index(chunks[last].len());
            chunks[last][at] ^= 1 << bit;
            prop_assert_eq!(open(&stream(3), last, true, &chunks[last]), Err(NotAuthentic));
        }

        #[test]
        fn a_chunk_of_another_stream_is_refused(len in 0usize..CHUNK) {
            let chunks = seal(&stream(3), &message(len));
            prop_assert_eq!(open(&stream(4), 0, true, &chunks[0]), Err(NotAuthentic));
            let other_aad = Stream::new(&Key::new(&[3; 32]), b"another archive");
            prop_assert_eq!(open(&other_aad, 0, true, &chunks[0]), Err(NotAuthentic));
        }

        #[test]
        fn a_shortened_chunk_is_refused(len in 1usize..2 * CHUNK, cut in 1usize..TAG_LEN * 2) {
            let chunks = seal(&stream(3), &message(len));
            let n = chunks.len() - 1;
            let keep = chunks[n].len().saturating_sub(cut).max(TAG_LEN);
            prop_assume!(keep < chunks[n].len());
            prop_assert_eq!(open(&stream(3), n, true, &chunks[n][..keep]), Err(NotAuthentic));
        }
    }

    fn stream(key: u8) -> Stream {
        Stream::new(&Key::new(&[key; 32]), b"archive")
    }

    fn message(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i / 3) as u8).collect()
    }

    fn seal(stream: &Stream, plain: &[u8]) -> Vec<Vec<u8>> {
        let count = stream_chunks(plain.len() as u64) as usize;
        let chunk = |n: usize| {
            let part = &plain[n * CHUNK..plain.len().min((n + 1) * CHUNK)];
            let mut sealed = vec![0; part.len() + TAG_LEN];
            stream.seal(n as u64, n + 1 == count, part, &mut sealed);
            sealed
        };
        (0..count).map(chunk).collect()
    }

    fn open(stream: &Stream, number: usize, is_last: bool, sealed: &[u8]) -> Result<Vec<u8>, NotAuthentic> {
        let mut out = vec![1; sealed.len() - TAG_LEN];
        stream.open(number as u64, is_last, sealed, &mut out).map(|()| out)
    }
}
