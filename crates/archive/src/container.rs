//! The container: frames in order, the index, the footer; sealed or plain.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use strongroom_crypto::Random;
use strongroom_secret::{Passphrase, SecretError};

use crate::{Algorithm, ArchiveError, Compression, Facts, Seal};

/// Where a frame is: `packed_len` bytes of the container hold `tar_len` bytes of the tar stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where in the container it begins.
    pub offset: u64,
    /// How long it is there.
    pub packed_len: u64,
    /// Where in the tar stream it begins.
    pub tar_offset: u64,
    /// How long it is there.
    pub tar_len: u64,
}

/// Writes a container from its beginning to its end, sealed if asked.
pub struct ContainerWriter<W: Write> {
    out: W,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// SHA-256 of the index as it is stored (compressed).
    pub index_sha256: [u8; 32],
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub file_sha256: [u8; 32],
}

impl<W: Write> ContainerWriter<W> {
    /// Begins. Sealing takes the time and memory of the passphrase's stretching.
    pub fn create(
        _out: W,
        _facts: &Facts,
        _compression: Compression,
        _seal: Option<&Seal<'_>>,
        _random: &dyn Random,
    ) -> Result<Self, ArchiveError> {
        todo!()
    }

    /// Appends a frame that a [`crate::Compressor`] made of `tar_len` bytes of tar.
    pub fn push(&mut self, _packed: &[u8], _tar_len: u64) -> Result<(), ArchiveError> {
        todo!()
    }

    /// The frames so far.
    pub fn frames(&self) -> &[Frame] {
        todo!()
    }

    /// Length of the tar stream so far.
    pub fn tar_len(&self) -> u64 {
        todo!()
    }

    /// Appends the index, already compressed, and the footer. What was written is flushed, not synced.
    pub fn finish(self, _index: &mut dyn Read, _index_plain_len: u64) -> Result<(W, Finished), ArchiveError> {
        todo!()
    }
}

/// Buffers and tables for reading frames, one for each thread.
#[derive(Default)]
pub struct FrameScratch {}

/// A container that can be read anywhere, by several threads.
pub struct Container {
    file: File,
}

impl Container {
    /// Opens a container; what it is is seen from its bytes. `unlock` is asked for the passphrase of a sealed one, and is
    /// shown facts that nobody has authenticated yet; when this returns they are.
    pub fn open(
        _file: File,
        _unlock: &mut dyn FnMut(&Facts) -> Result<Passphrase, SecretError>,
    ) -> Result<Self, ArchiveError> {
        todo!()
    }

    /// What the header says; a plain container has none.
    pub fn facts(&self) -> Option<&Facts> {
        todo!()
    }

    /// Whether it is sealed.
    pub fn is_sealed(&self) -> bool {
        todo!()
    }

    /// How its frames are compressed.
    pub fn algorithm(&self) -> Algorithm {
        todo!()
    }

    /// Length of the file.
    pub fn file_len(&self) -> u64 {
        todo!()
    }

    /// Length of all frames together: where in the container the index begins. No byte before that is outside a frame.
    pub fn frames_len(&self) -> u64 {
        todo!()
    }

    /// Length of the tar stream.
    pub fn tar_len(&self) -> u64 {
        todo!()
    }

    /// The index as it is stored (compressed). Its SHA-256 is checked while it is read: the read after the last byte fails
    /// if it is wrong. What is read of a sealed container is authentic byte for byte, whether or not one reads to the end.
    pub fn index(&self) -> Result<Box<dyn Read + Send + '_>, ArchiveError> {
        todo!()
    }

    /// SHA-256 of the index as it is stored, by which later archives refer to this one.
    pub fn index_sha256(&self) -> [u8; 32] {
        todo!()
    }

    /// Length of the index uncompressed, as the footer claims.
    pub fn index_plain_len(&self) -> u64 {
        todo!()
    }

    /// Decrypts and decompresses one frame; its tar replaces what is in `out`. Frames that claim more than
    /// [`crate::MAX_FRAME_TAR`] bytes are refused.
    pub fn frame(&self, _frame: &Frame, _scratch: &mut FrameScratch, _out: &mut Vec<u8>) -> Result<(), ArchiveError> {
        todo!()
    }

    /// Authenticates every byte of a sealed file, both copies of its header included, and checks the index's SHA-256 (of a
    /// plain file, only that). `progress` is told how many bytes of the file were done since it was last called.
    pub fn verify_all(&self, _workers: usize, _progress: &(dyn Fn(u64) + Sync)) -> Result<(), ArchiveError> {
        todo!()
    }

    /// Changes the passphrase of the archive at `path`. Rewrites its header only, in place; whenever that is interrupted,
    /// the old passphrase opens it, or the new one does.
    pub fn rekey(_path: &Path, _old: &Passphrase, _new: &Seal<'_>, _random: &dyn Random) -> Result<(), ArchiveError> {
        todo!()
    }
}

/// What can be told without a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peek {
    /// A sealed archive, and what its header says. Nobody has authenticated that.
    Sealed(Facts),
    /// A plain archive.
    Plain(Algorithm),
}

/// Looks at an archive without a secret.
pub fn peek(_file: &File) -> Result<Peek, ArchiveError> {
    todo!()
}
