//! Sizes and offsets of plaintext and ciphertext. Pure arithmetic, total over `u64`: what does not fit saturates.

use strongroom_crypto::{Algorithm, TAG_LEN};

use crate::FileHeader;

/// Where the blocks of a file lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    overhead: u64,
}

impl Geometry {
    /// Plaintext bytes in a full block.
    pub const PLAIN_BLOCK: usize = 4096;

    /// For contents sealed with this algorithm.
    pub const fn new(algorithm: Algorithm) -> Self {
        Self { overhead: (algorithm.nonce_len() + TAG_LEN) as u64 }
    }

    /// Bytes before the first block.
    pub const fn header_len(self) -> u64 {
        FileHeader::LEN as u64
    }

    /// Plaintext bytes in a full block.
    pub const fn plain_block(self) -> u64 {
        Self::PLAIN_BLOCK as u64
    }

    /// Stored bytes of a full block.
    pub const fn cipher_block(self) -> u64 {
        self.plain_block() + self.overhead
    }

    /// Bytes that a block of any length grows by.
    pub const fn overhead(self) -> u64 {
        self.overhead
    }

    /// The plaintext size of a file of `cipher` stored bytes. Up to 18 bytes are an empty file, and a last block too
    /// short for its own overhead counts as one byte, so that reading it is an error and not a silent end.
    pub const fn plain_size(self, cipher: u64) -> u64 {
        let blocks = cipher.saturating_sub(self.header_len());
        let whole = blocks / self.cipher_block() * self.plain_block();
        match blocks % self.cipher_block() {
            0 => whole,
            stub if stub <= self.overhead => whole + 1,
            last => whole + last - self.overhead,
        }
    }

    /// The stored size of a file of `plain` bytes.
    pub const fn cipher_size(self, plain: u64) -> u64 {
        match plain {
            0 => 0,
            _ => self.header_len().saturating_add(self.blocks_size(plain)),
        }
    }

    /// The stored size of the blocks alone that hold `plain` bytes.
    pub const fn blocks_size(self, plain: u64) -> u64 {
        plain.saturating_add(plain.div_ceil(self.plain_block()).saturating_mul(self.overhead))
    }

    /// Where block `n` begins in the stored file.
    pub const fn block_offset(self, n: u64) -> u64 {
        self.header_len().saturating_add(n.saturating_mul(self.cipher_block()))
    }

    /// The largest plaintext size whose stored size a file offset (63 bits) can express.
    pub const fn max_plain_size(self) -> u64 {
        self.plain_size(i64::MAX as u64) - 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_plain_size_comes_back_from_the_cipher_size(plain in 0u64..1 << 62) {
            for algorithm in Algorithm::ALL {
                let geometry = Geometry::new(algorithm);
                prop_assert_eq!(geometry.plain_size(geometry.cipher_size(plain)), plain);
            }
        }

        #[test]
        fn a_larger_stored_file_is_never_a_smaller_plain_one(cipher in any::<u64>()) {
            for algorithm in Algorithm::ALL {
                let geometry = Geometry::new(algorithm);
                prop_assert!(geometry.plain_size(cipher) <= geometry.plain_size(cipher.saturating_add(1)));
            }
        }

        #[test]
        fn nothing_overflows(any in any::<u64>()) {
            for algorithm in Algorithm::ALL {
                let geometry = Geometry::new(algorithm);
                prop_assert!(geometry.cipher_size(any) >= any);
                prop_assert!(geometry.block_offset(any) >= any);
            }
        }
    }

    #[test]
    fn the_largest_plain_size_fits_a_file_offset() {
        for algorithm in Algorithm::ALL {
            let geometry = Geometry::new(algorithm);
            let max = geometry.max_plain_size();
            assert!(geometry.cipher_size(max) <= i64::MAX as u64);
            assert!(geometry.cipher_size(max + 8192) > i64::MAX as u64);
        }
    }
}
