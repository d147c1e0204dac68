//! Why an archive could not be written or read.

use std::io;

use strongroom_crypto::CryptoError;
use strongroom_secret::SecretError;
use strongroom_tree::RelPath;

use crate::Algorithm;

/// What was attempted on which part of an archive, and why it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file, or whatever the archive is written to or read from, failed.
    #[error("{attempted}: {source}")]
    Io {
        /// A gerund, as in "reading the index".
        attempted: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is something else, or so much of an archive is missing that it cannot be told from something else.
    #[error("this is not an archive of strongroom: {why}")]
    NotAnArchive {
        /// What is missing.
        why: &'static str,
    },
    /// It begins as an archive does, and does not end as one.
    #[error("it has no footer: it was cut short or added to, or something else made it")]
    NoFooter,
    /// The archive was made by a later program.
    #[error("the {part} is of format version {found}, and this program reads {supported}")]
    UnknownVersion {
        /// Header, footer, ...
        part: &'static str,
        /// The version found.
        found: u16,
        /// The versions that can be read, in words.
        supported: &'static str,
    },
    /// No slot opens with the passphrase. (A damaged slot looks the same.)
    #[error("the passphrase does not open this archive")]
    WrongPassphrase,
    /// The passphrase could not be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A cost of passphrase stretching that is too low to be safe or too high to be borne.
    #[error("{parameter} of {value} is refused: {why}")]
    Cost {
        /// Which parameter.
        parameter: &'static str,
        /// Its value.
        value: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What is to be said in clear does not fit into the header.
    #[error("the header would need {needed} bytes and has {room}: shorten the label, or make a full backup")]
    HeaderFull {
        /// Bytes of JSON.
        needed: usize,
        /// Bytes there are.
        room: usize,
    },
    /// The header is damaged or forged.
    #[error("the header is damaged: {why}")]
    Header {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A chunk is damaged, forged or in the wrong place.
    #[error("chunk {number} at byte {at} does not authenticate: it was damaged or tampered with")]
    Chunk {
        /// Its number, from 0.
        number: u64,
        /// Where in the file it begins.
        at: u64,
    },
    /// A file that was cut short or added to.
    #[error("an archive cannot be {len} bytes long: it was cut short or added to")]
    Length {
        /// Length of the file.
        len: u64,
    },
    /// The footer is damaged or forged.
    #[error("the footer is damaged: {why}")]
    Footer {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The index is damaged or forged.
    #[error("the index is damaged: {why}")]
    Index {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A line of the index is no JSON, or not what a line must be.
    #[error("line {number} of the index is damaged: {source}")]
    IndexLine {
        /// Which, from 1.
        number: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// What the index says of an entry cannot be, or is an attack.
    #[error("the archive is damaged or hostile: {path}: {why}")]
    Entry {
        /// Which entry.
        path: RelPath,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The tar stream is damaged or forged.
    #[error("the tar stream is damaged at byte {offset}: {why}")]
    Tar {
        /// Where in the tar stream.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What is to be archived cannot be, because the caller broke the rules of [`crate::Item`].
    #[error("this cannot be archived: {path}: {why}")]
    Unfit {
        /// Which entry.
        path: RelPath,
        /// Which rule.
        why: &'static str,
    },
    /// A member of our own would be too long for any reader.
    #[error("{name} would be longer than 1 MiB")]
    TooLong {
        /// Which.
        name: &'static str,
    },
    /// The document is no JSON, or not what it must be.
    #[error("metadata.json is damaged: {source}")]
    Metadata {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A frame is damaged or forged.
    #[error("the frame at byte {offset} is damaged: {why}")]
    Frame {
        /// Where in the container it begins.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no such level.
    #[error("{algorithm} has no level {level}: levels are 1 to 9")]
    Level {
        /// The algorithm.
        algorithm: Algorithm,
        /// What was asked for.
        level: u8,
    },
    /// A compressor failed.
    #[error("compressing with {algorithm}: {source}")]
    Compress {
        /// The algorithm.
        algorithm: Algorithm,
        /// Why.
        source: io::Error,
    },
    /// An archive that is not sealed has no passphrase to change.
    #[error("this archive is not sealed: it has no passphrase")]
    NotSealed,
    /// A primitive refused its parameters.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl ArchiveError {
    /// For `map_err`.
    pub(crate) fn io(attempted: &'static str) -> impl FnOnce(io::Error) -> Self {
        // What our own readers say through `io::Read` is not wrapped a second time.
        move |source| match source.downcast::<Self>() {
            Ok(ours) => ours,
            Err(source) => Self::Io { attempted, source },
        }
    }

    /// Whether the archive is not what was once written: damaged, cut short or forged.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Header { .. }
                | Self::Chunk { .. }
                | Self::Length { .. }
                | Self::Footer { .. }
                | Self::Index { .. }
                | Self::IndexLine { .. }
                | Self::Entry { .. }
                | Self::Tar { .. }
                | Self::Metadata { .. }
                | Self::Frame { .. }
        )
    }
}

impl From<ArchiveError> for io::Error {
    /// For readers of archives that are `io::Read`.
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Io { source, .. } => source,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}
