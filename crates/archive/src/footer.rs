//! The footer: where the index is, and its SHA-256. The last bytes of every container, of fixed length. Pure.

use strongroom_crypto::Sha256;

use crate::{Algorithm, ArchiveError, wrap};

/// Length without its wrapping.
pub const FOOTER_LEN: usize = 128;
/// Length of the longest wrapped footer, from whose bytes any other can be found.
pub const MAX_WRAPPED_FOOTER: usize = wrapped_footer_len(Algorithm::Gzip);

const MAGIC: [u8; 16] = *b"strongroom.foot\n";
const VERSION: u16 = 1;
const CHECKSUM_START: usize = FOOTER_LEN - 32;
/// How many times as long the index may become, if it becomes longer than [`MAX_RATIO_FROM`]. A real one becomes some ten
/// times as long; one that unpacks to terabytes would keep its reader busy for hours.
const MAX_RATIO: u64 = 1000;
const MAX_RATIO_FROM: u64 = 1 << 20;

/// What a container says at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// How the frames are compressed.
    pub algorithm: Algorithm,
    /// Where the index begins, which is where the frames end.
    pub index_offset: u64,
    /// How many bytes it takes with its wrappings, up to the footer's.
    pub index_stored_len: u64,
    /// How many bytes are wrapped.
    pub index_len: u64,
    /// How many they are uncompressed.
    pub index_plain_len: u64,
    /// Length of the tar stream.
    pub tar_len: u64,
    /// SHA-256 of what is wrapped.
    pub index_sha256: [u8; 32],
}

/// Length of a wrapped footer.
pub const fn wrapped_footer_len(algorithm: Algorithm) -> usize {
    wrap::head_len(algorithm) + FOOTER_LEN + wrap::tail_len(algorithm)
}

impl Footer {
    /// The footer in its wrapping.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = [0; FOOTER_LEN];
        bytes[..16].copy_from_slice(&MAGIC);
        bytes[16..18].copy_from_slice(&VERSION.to_be_bytes());
        bytes[18] = code(self.algorithm);
        let numbers = [self.index_offset, self.index_stored_len, self.index_len, self.index_plain_len, self.tar_len];
        for (place, number) in bytes[24..64].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes[64..96].copy_from_slice(&self.index_sha256);
        let checksum = Sha256::of(&bytes[..CHECKSUM_START]);
        bytes[CHECKSUM_START..].copy_from_slice(&checksum);
        let mut wrapped = Vec::with_capacity(MAX_WRAPPED_FOOTER);
        wrap::wrap(self.algorithm, &bytes, &mut wrapped);
        wrapped
    }

    /// Finds the footer in the last bytes of a container of length `container_len` ([`MAX_WRAPPED_FOOTER`] of them, or all).
    pub fn parse(end: &[u8], container_len: u64) -> Result<Self, ArchiveError> {
        let (bytes, behind) = find(end).ok_or(ArchiveError::NotAnArchive {
            why: "it has no footer (was it cut short, or made by something else?)",
        })?;
        let version = u16::from_be_bytes([bytes[16], bytes[17]]);
        if version != VERSION {
            return Err(ArchiveError::UnknownVersion { part: "footer", found: version, supported: "version 1" });
        }
        if bytes[CHECKSUM_START..] != Sha256::of(&bytes[..CHECKSUM_START]) {
            return Err(damaged("its checksum is another"));
        }
        let number = |n: usize| u64::from_be_bytes(bytes[24 + 8 * n..32 + 8 * n].try_into().expect("eight bytes"));
        let footer = Self {
            algorithm: algorithm(bytes[18]).ok_or(damaged("it names a compression that there is not"))?,
            index_offset: number(0),
            index_stored_len: number(1),
            index_len: number(2),
            index_plain_len: number(3),
            tar_len: number(4),
            index_sha256: bytes[64..96].try_into().expect("32 bytes"),
        };
        if behind != wrap::tail_len(footer.algorithm) || !end.ends_with(&footer.encode()) {
            return Err(damaged("it is not wrapped as its compression demands"));
        }
        footer.check(container_len)?;
        Ok(footer)
    }

    /// Whether frames, index and footer fill the container, and nothing is longer than what it is in.
    fn check(&self, container_len: u64) -> Result<(), ArchiveError> {
        let end = self.index_offset.checked_add(self.index_stored_len);
        let end = end.and_then(|end| end.checked_add(wrapped_footer_len(self.algorithm) as u64));
        if end != Some(container_len) || self.index_len > self.index_stored_len {
            return Err(damaged("the lengths it gives do not make up the archive"));
        }
        if self.index_plain_len > self.index_len.saturating_mul(MAX_RATIO).saturating_add(MAX_RATIO_FROM) {
            return Err(ArchiveError::Index { why: "it claims to become longer than an index can" });
        }
        if self.algorithm == Algorithm::None && self.tar_len != self.index_offset {
            return Err(damaged("the length it gives for the tar stream is another"));
        }
        Ok(())
    }
}

/// The footer without its wrapping, and how many bytes are behind it.
fn find(end: &[u8]) -> Option<(&[u8; FOOTER_LEN], usize)> {
    [0, wrap::tail_len(Algorithm::Gzip)].into_iter().find_map(|behind| {
        let bytes: &[u8; FOOTER_LEN] = end.get(..end.len().checked_sub(behind)?)?.last_chunk()?;
        bytes.starts_with(&MAGIC).then_some((bytes, behind))
    })
}

const fn code(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Zstd => 1,
        Algorithm::Gzip => 2,
        Algorithm::Lz4 => 3,
        Algorithm::None => 4,
    }
}

fn algorithm(found: u8) -> Option<Algorithm> {
    Algorithm::ALL.into_iter().find(|&algorithm| code(algorithm) == found)
}

const fn damaged(why: &'static str) -> ArchiveError {
    ArchiveError::Footer { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer(algorithm: Algorithm) -> (Footer, u64) {
        let footer = Footer {
            algorithm,
            index_offset: 10_000,
            index_stored_len: 500,
            index_len: 400,
            index_plain_len: 9000,
            tar_len: 10_000,
            index_sha256: [9; 32],
        };
        (footer, 10_500 + wrapped_footer_len(algorithm) as u64)
    }

    #[test]
    fn a_footer_is_found_from_the_end() {
        for algorithm in Algorithm::ALL {
            let (footer, len) = footer(algorithm);
            let wrapped = footer.encode();
            assert_eq!(wrapped.len(), wrapped_footer_len(algorithm));
            assert_eq!(Footer::parse(&wrapped, len).unwrap(), footer);
            let more = [vec![3; 100], wrapped].concat();
            assert_eq!(Footer::parse(&more, len).unwrap(), footer);
        }
    }

    #[test]
    fn a_footer_with_any_flipped_bit_is_refused() {
        for algorithm in Algorithm::ALL {
            let (footer, len) = footer(algorithm);
            let wrapped = footer.encode();
            for bit in 0..wrapped.len() * 8 {
                let mut flipped = wrapped.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(Footer::parse(&flipped, len).is_err(), "{algorithm}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_footer_that_is_cut_short_is_refused() {
        for algorithm in Algorithm::ALL {
            let (footer, len) = footer(algorithm);
            let wrapped = footer.encode();
            for cut in 0..wrapped.len() {
                assert!(Footer::parse(&wrapped[..cut], len).is_err());
                assert!(Footer::parse(&wrapped[wrapped.len() - cut..], len).is_err());
            }
        }
    }

    #[test]
    fn lengths_that_do_not_make_up_the_container_are_refused() {
        let (good, len) = footer(Algorithm::None);
        for bad in [
            Footer { index_offset: 10_001, tar_len: 10_001, ..good },
            Footer { index_offset: u64::MAX, tar_len: u64::MAX, ..good },
            Footer { index_stored_len: u64::MAX, ..good },
            Footer { index_len: 501, ..good },
            Footer { tar_len: 9999, ..good },
            Footer { index_plain_len: 400 * MAX_RATIO + MAX_RATIO_FROM + 1, ..good },
        ] {
            assert!(Footer::parse(&bad.encode(), len).is_err_and(|why| why.is_damage()), "{bad:?}");
        }
        assert!(matches!(Footer::parse(&good.encode(), len + 1), Err(ArchiveError::Footer { .. })));
    }

    #[test]
    fn an_unknown_version_is_refused_with_the_known_ones() {
        let (footer, len) = footer(Algorithm::None);
        let mut bytes = footer.encode();
        bytes[17] = 9;
        let refused = Footer::parse(&bytes, len).unwrap_err().to_string();
        assert_eq!(refused, "the footer is of format version 9, and this program reads version 1");
    }
}
