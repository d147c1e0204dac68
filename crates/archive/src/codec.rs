//! Compression: pieces of a tar stream to frames that know nothing of each other, and back.

use std::{fmt, str::FromStr};

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

/// Makes frames. One for each thread, since it keeps its tables.
pub struct Compressor {}

impl Compressor {
    /// A compressor; refuses levels that do not exist.
    pub fn new(_compression: Compression) -> Result<Self, ArchiveError> {
        todo!()
    }

    /// Compresses one piece of tar into one frame, which replaces what is in `out`.
    pub fn frame(&mut self, _tar: &[u8], _out: &mut Vec<u8>) -> Result<(), ArchiveError> {
        todo!()
    }
}

/// Opens frames. One for each thread.
pub struct Decompressor {}

impl Decompressor {
    /// A decompressor.
    pub fn new(_algorithm: Algorithm) -> Result<Self, ArchiveError> {
        todo!()
    }

    /// Decompresses exactly one frame to exactly `tar_len` bytes, which replace what is in `out`; refuses everything else.
    /// However much the frame might hold, no more than `tar_len` bytes are made of it.
    pub fn frame(&mut self, _packed: &[u8], _tar_len: usize, _out: &mut Vec<u8>) -> Result<(), ArchiveError> {
        todo!()
    }
}
