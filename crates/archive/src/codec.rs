//! Compression: pieces of a tar stream to frames that know nothing of each other, and back.

mod gzip;
mod lz4;
mod zstd;

use std::{fmt, io, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ArchiveError;

/// The most tar that one frame may hold.
pub const MAX_FRAME_TAR: usize = 16 << 20;

/// How the frames of an archive are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Zstandard frames (RFC 8878).
    Zstd,
    /// gzip members (RFC 1952).
    Gzip,
    /// LZ4 frames.
    Lz4,
    /// Tar as it is.
    None,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Zstd, Self::Gzip, Self::Lz4, Self::None];

    /// The end of the name of a file that is not sealed, with its dot.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".tar.zst",
            Self::Gzip => ".tar.gz",
            Self::Lz4 => ".tar.lz4",
            Self::None => ".tar",
        }
    }

    /// The level that is taken when none is asked for.
    pub const fn default_level(self) -> u8 {
        match self {
            Self::Zstd => 3,
            Self::Gzip => 6,
            Self::Lz4 | Self::None => 1,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// There is no such algorithm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a compression: there are zstd, gzip, lz4 and none")]
pub struct UnknownAlgorithm(String);

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(word: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|it| it.word() == word).ok_or_else(|| UnknownAlgorithm(word.to_owned()))
    }
}

/// An algorithm and how hard it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// 1 to 9; means nothing to [`Algorithm::None`].
    pub level: u8,
}

impl Compression {
    /// At the level that is taken when none is asked for.
    pub const fn of(algorithm: Algorithm) -> Self {
        Self { algorithm, level: algorithm.default_level() }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::of(Algorithm::Zstd)
    }
}

/// The most bytes that a frame of `tar_len` bytes of tar may take. Every algorithm here stays below.
pub(crate) const fn max_packed_len(tar_len: u64) -> u64 {
    tar_len + tar_len / 64 + (64 << 10)
}

/// Makes frames. One for each thread, since it keeps its tables.
pub struct Compressor {
    algorithm: Algorithm,
    packer: Packer,
}

enum Packer {
    Zstd(zstd::Packer),
    Gzip(gzip::Packer),
    Lz4(lz4::Packer),
    None,
}

impl Compressor {
    /// A compressor; refuses levels that do not exist.
    pub fn new(compression: Compression) -> Result<Self, ArchiveError> {
        let Compression { algorithm, level } = compression;
        if !(1..=9).contains(&level) {
            return Err(ArchiveError::Level { algorithm, level });
        }
        let packer = match algorithm {
            Algorithm::Zstd => Packer::Zstd(zstd::Packer::new(level).map_err(failed(algorithm))?),
            Algorithm::Gzip => Packer::Gzip(gzip::Packer::new(level)),
            Algorithm::Lz4 => Packer::Lz4(lz4::Packer::new(level)),
            Algorithm::None => Packer::None,
        };
        Ok(Self { algorithm, packer })
    }

    /// Compresses one piece of tar into one frame, which replaces what is in `out`.
    ///
    /// # Panics
    /// If the piece is longer than [`MAX_FRAME_TAR`].
    pub fn frame(&mut self, tar: &[u8], out: &mut Vec<u8>) -> Result<(), ArchiveError> {
        assert!(tar.len() <= MAX_FRAME_TAR, "a frame that nobody may read shall not be written");
        out.clear();
        match &mut self.packer {
            Packer::Zstd(packer) => packer.pack(tar, out),
            Packer::Gzip(packer) => packer.pack(tar, out),
            Packer::Lz4(packer) => packer.pack(tar, out),
            Packer::None => {
                out.extend_from_slice(tar);
                Ok(())
            }
        }
        .map_err(failed(self.algorithm))
    }
}

fn failed(algorithm: Algorithm) -> impl FnOnce(io::Error) -> ArchiveError {
    move |source| ArchiveError::Compress { algorithm, source }
}

/// Opens frames. One for each thread.
pub struct Decompressor {
    algorithm: Algorithm,
    unpacker: Unpacker,
}

enum Unpacker {
    Zstd(zstd::Unpacker),
    Gzip(gzip::Unpacker),
    Lz4,
    None,
}

/// Why a frame does not decompress; where it stands knows whoever read it.
pub(crate) type BadFrame = &'static str;

impl Decompressor {
    /// A decompressor.
    pub fn new(algorithm: Algorithm) -> Result<Self, ArchiveError> {
        let unpacker = match algorithm {
            Algorithm::Zstd => Unpacker::Zstd(zstd::Unpacker::new().map_err(failed(algorithm))?),
            Algorithm::Gzip => Unpacker::Gzip(gzip::Unpacker::new()),
            Algorithm::Lz4 => Unpacker::Lz4,
            Algorithm::None => Unpacker::None,
        };
        Ok(Self { algorithm, unpacker })
    }

    /// Which algorithm it opens.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Decompresses exactly one frame to exactly `tar_len` bytes, which replace what is in `out`; refuses everything else.
    /// However much the frame might hold, no more than `tar_len` bytes are made of it, and no more than [`MAX_FRAME_TAR`].
    pub fn frame(&mut self, packed: &[u8], tar_len: usize, out: &mut Vec<u8>) -> Result<(), ArchiveError> {
        self.frame_at(0, packed, tar_len, out)
    }

    /// The same for a frame that begins at `offset` of a container, for the message.
    pub(crate) fn frame_at(
        &mut self,
        offset: u64,
        packed: &[u8],
        tar_len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        let unpacked = match tar_len {
            0..=MAX_FRAME_TAR => self.unpack(packed, tar_len, out),
            _ => Err("it claims to hold more than a frame may"),
        };
        unpacked.map_err(|why| {
            out.clear();
            ArchiveError::Frame { offset, why }
        })
    }

    fn unpack(&mut self, packed: &[u8], tar_len: usize, out: &mut Vec<u8>) -> Result<(), BadFrame> {
        match &mut self.unpacker {
            Unpacker::Zstd(unpacker) => unpacker.unpack(packed, tar_len, out),
            Unpacker::Gzip(unpacker) => unpacker.unpack(packed, tar_len, out),
            Unpacker::Lz4 => lz4::unpack(packed, tar_len, out),
            Unpacker::None if packed.len() == tar_len => {
                out.clear();
                out.extend_from_slice(packed);
                Ok(())
            }
            Unpacker::None => Err(WRONG_LENGTH),
        }
    }
}

pub(crate) const WRONG_LENGTH: BadFrame = "it does not hold as much as the index says";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all() -> impl Iterator<Item = Compression> {
        Algorithm::ALL.into_iter().flat_map(|algorithm| (1..=9).map(move |level| Compression { algorithm, level }))
    }

    fn pack(compression: Compression, tar: &[u8]) -> Vec<u8> {
        let mut packed = vec![1; 10];
        Compressor::new(compression).unwrap().frame(tar, &mut packed).unwrap();
        packed
    }

    fn unpack(algorithm: Algorithm, packed: &[u8], tar_len: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut out = vec![1; 10];
        Decompressor::new(algorithm)?.frame(packed, tar_len, &mut out).map(|()| out)
    }

    /// Text that compresses, then bytes that do not.
    fn tar(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(|i| if i % 8192 < 4096 { b"the words repeat; "[i % 18] } else { noise() }).collect()
    }

    #[test]
    fn every_level_gives_back_what_it_took() {
        let tar = tar(300_000);
        for compression in all() {
            assert!(unpack(compression.algorithm, &pack(compression, &tar), tar.len()).unwrap() == tar);
        }
    }

    #[test]
    fn the_largest_frame_and_the_empty_one_come_back() {
        for algorithm in Algorithm::ALL {
            for tar in [tar(MAX_FRAME_TAR), vec![], vec![0; 512]] {
                let packed = pack(Compression { algorithm, level: 1 }, &tar);
                assert!(packed.len() as u64 <= max_packed_len(tar.len() as u64));
                assert!(unpack(algorithm, &packed, tar.len()).unwrap() == tar);
            }
        }
    }

    #[test]
    fn levels_outside_of_1_to_9_are_refused() {
        for algorithm in Algorithm::ALL {
            for level in [0, 10, 22] {
                let refused = Compressor::new(Compression { algorithm, level });
                assert!(matches!(refused, Err(ArchiveError::Level { .. })));
            }
        }
    }

    #[test]
    fn a_higher_level_makes_smaller_frames() {
        let mut state = 7u32;
        let mut word = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!("{} ", (state >> 20) * 77_777)
        };
        let tar: Vec<u8> = (0..60_000).flat_map(|_| word().into_bytes()).collect();
        for algorithm in [Algorithm::Zstd, Algorithm::Gzip, Algorithm::Lz4] {
            let len = |level| pack(Compression { algorithm, level }, &tar).len();
            assert!(len(9) < len(1), "{algorithm}");
        }
    }

    #[test]
    fn a_compressor_and_a_decompressor_may_be_used_again_also_after_a_failure() {
        for algorithm in Algorithm::ALL {
            let mut compressor = Compressor::new(Compression::of(algorithm)).unwrap();
            let mut decompressor = Decompressor::new(algorithm).unwrap();
            let (mut packed, mut out) = (vec![], vec![]);
            for len in [100_000, 5, 0, 70_000] {
                compressor.frame(&tar(len), &mut packed).unwrap();
                assert!(decompressor.frame(&packed, len + 1, &mut out).is_err());
                decompressor.frame(&packed, len, &mut out).unwrap();
                assert!(out == tar(len));
            }
        }
    }

    #[test]
    fn a_frame_that_holds_more_or_less_than_said_is_refused() {
        let tar = tar(100_000);
        for algorithm in Algorithm::ALL {
            let packed = pack(Compression::of(algorithm), &tar);
            for len in [0, 1, tar.len() - 1, tar.len() + 1, MAX_FRAME_TAR, MAX_FRAME_TAR + 1, usize::MAX] {
                assert!(
                    matches!(unpack(algorithm, &packed, len), Err(ArchiveError::Frame { .. })),
                    "{algorithm} {len}"
                );
            }
        }
    }

    #[test]
    fn two_frames_are_not_one_frame() {
        for algorithm in [Algorithm::Zstd, Algorithm::Gzip, Algorithm::Lz4] {
            let packed = pack(Compression::of(algorithm), &tar(5000));
            assert!(unpack(algorithm, &[&packed[..], &packed].concat(), 10_000).is_err(), "{algorithm}");
            assert!(unpack(algorithm, &[&packed[..], &packed].concat(), 5_000).is_err(), "{algorithm}");
            assert!(unpack(algorithm, &[&packed[..], b"x"].concat(), 5_000).is_err(), "{algorithm}");
        }
    }

    #[test]
    fn a_bomb_is_not_set_off() {
        for algorithm in [Algorithm::Zstd, Algorithm::Gzip, Algorithm::Lz4] {
            let packed = pack(Compression { algorithm, level: 9 }, &vec![0; MAX_FRAME_TAR]);
            let mut out = Vec::with_capacity(4096);
            assert!(Decompressor::new(algorithm).unwrap().frame(&packed, 1000, &mut out).is_err());
            assert!(out.capacity() <= 4096, "{algorithm} made {} bytes of room", out.capacity());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let tar = tar(20_000);
            for algorithm in [Algorithm::Zstd, Algorithm::Gzip, Algorithm::Lz4] {
                let mut packed = pack(Compression::of(algorithm), &tar);
                let at = at.index(packed.len());
                packed[at] ^= 1 << bit;
                // Bits that mean nothing may be flipped; the tar is what counts.
                prop_assert!(unpack(algorithm, &packed, tar.len()).is_ok_and(|out| out == tar)
                    || unpack(algorithm, &packed, tar.len()).is_err());
            }
        }

        #[test]
        fn arbitrary_bytes_are_survived(
            packed in prop::collection::vec(any::<u8>(), 0..300), len in 0usize..5000, magic in any::<bool>(),
        ) {
            for algorithm in Algorithm::ALL {
                let mut packed = packed.clone();
                if magic {
                    let begin = pack(Compression::of(algorithm), b"x");
                    let keep = begin.len().min(packed.len()).min(10);
                    packed[..keep].copy_from_slice(&begin[..keep]);
                }
                let _ = unpack(algorithm, &packed, len);
            }
        }
    }
}
