//! Bytes that a decompressor passes over: how the index and the footer lie between the frames' end and the file's.
//!
//! | algorithm | wrapping |
//! |---|---|
//! | zstd, LZ4 | a skippable frame: magic 0x184D2A57 and length, both little-endian, then the bytes |
//! | gzip | a member of nothing, with an extra field (RFC 1952) that has one subfield `SR` with the bytes |
//! | none | none: `tar` stops at the two blocks of zeros before |

use crate::Algorithm;

/// What all skippable frames here begin with: one of the sixteen magics that RFC 8878 and LZ4 give free.
const SKIPPABLE: u32 = 0x184D_2A57;

/// The member of nothing up to the length of its extra field: deflate, FEXTRA, no time, no hint, unknown system.
const MEMBER: [u8; 10] = [0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 255];
/// Deflate's empty last block, CRC-32 of nothing, length of nothing.
const MEMBER_END: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const SUBFIELD: [u8; 2] = *b"SR";

/// The most bytes in one wrapping.
pub const fn max_wrapped(algorithm: Algorithm) -> usize {
    match algorithm {
        // The length of an extra field has 16 bits and counts the four bytes before the subfield's.
        Algorithm::Gzip => 65_535 - 4,
        Algorithm::Zstd | Algorithm::Lz4 | Algorithm::None => 1 << 20,
    }
}

/// Length of what stands before the bytes.
pub const fn head_len(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Zstd | Algorithm::Lz4 => 8,
        Algorithm::Gzip => MEMBER.len() + 6,
        Algorithm::None => 0,
    }
}

/// Length of what stands after them.
pub const fn tail_len(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Gzip => MEMBER_END.len(),
        Algorithm::Zstd | Algorithm::Lz4 | Algorithm::None => 0,
    }
}

/// Appends bytes, at most [`max_wrapped`] of them, in their wrapping.
pub fn wrap(algorithm: Algorithm, bytes: &[u8], out: &mut Vec<u8>) {
    assert!(bytes.len() <= max_wrapped(algorithm), "more than one wrapping holds");
    out.extend_from_slice(&head(algorithm, bytes.len()));
    out.extend_from_slice(bytes);
    out.extend_from_slice(tail(algorithm));
}

/// How many bytes are wrapped behind this head of [`head_len`] bytes; `None` if it is not one of ours.
pub fn wrapped_len(algorithm: Algorithm, found: &[u8]) -> Option<usize> {
    let len = match algorithm {
        Algorithm::Zstd | Algorithm::Lz4 => {
            usize::try_from(u32::from_le_bytes(found.get(4..8)?.try_into().ok()?)).ok()?
        }
        Algorithm::Gzip => u16::from_le_bytes(found.get(14..16)?.try_into().ok()?).into(),
        Algorithm::None => return None,
    };
    (len <= max_wrapped(algorithm) && head(algorithm, len) == found).then_some(len)
}

/// What stands after the bytes.
pub fn tail(algorithm: Algorithm) -> &'static [u8] {
    match algorithm {
        Algorithm::Gzip => &MEMBER_END,
        Algorithm::Zstd | Algorithm::Lz4 | Algorithm::None => &[],
    }
}

fn head(algorithm: Algorithm, len: usize) -> Vec<u8> {
    let short = |len: usize| u16::try_from(len).expect("at most max_wrapped").to_le_bytes();
    match algorithm {
        Algorithm::Zstd | Algorithm::Lz4 => {
            let len = u32::try_from(len).expect("at most max_wrapped");
            [SKIPPABLE.to_le_bytes(), len.to_le_bytes()].concat()
        }
        Algorithm::Gzip => [&MEMBER[..], &short(len + 4), &SUBFIELD, &short(len)].concat(),
        Algorithm::None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wrapped_is_as_long_as_its_head_says() {
        for algorithm in [Algorithm::Zstd, Algorithm::Gzip, Algorithm::Lz4] {
            for len in [0, 1, 1000, max_wrapped(algorithm)] {
                let mut out = b"before".to_vec();
                wrap(algorithm, &vec![7; len], &mut out);
                let wrapped = &out[6..];
                assert_eq!(wrapped.len(), head_len(algorithm) + len + tail_len(algorithm));
                assert_eq!(wrapped_len(algorithm, &wrapped[..head_len(algorithm)]), Some(len));
            }
        }
    }

    #[test]
    fn a_head_with_any_flipped_bit_is_another_length_or_none() {
        for algorithm in [Algorithm::Zstd, Algorithm::Gzip, Algorithm::Lz4] {
            let head = head(algorithm, 1000);
            for bit in 0..head.len() * 8 {
                let mut flipped = head.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(wrapped_len(algorithm, &flipped), Some(1000));
            }
        }
    }

    #[test]
    fn a_head_that_is_cut_short_is_none() {
        for algorithm in Algorithm::ALL {
            assert_eq!(wrapped_len(algorithm, &[]), None);
            assert_eq!(wrapped_len(algorithm, &MEMBER[..7]), None);
        }
    }
}
