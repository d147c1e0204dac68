//! Writing a container from its beginning to its end. Nothing is written twice, so it may go into a pipe.

use std::io::{self, Read, Write};

use strongroom_crypto::{Random, Sha256};

use super::Frame;
use crate::{
    Algorithm, ArchiveError, Compression, Facts, Seal, footer::Footer, header::Header, seal::SealingWriter, wrap,
};

/// Writes a container from its beginning to its end, sealed if asked.
pub struct ContainerWriter<W: Write> {
    sink: Sink<W>,
    algorithm: Algorithm,
    frames: Vec<Frame>,
    /// Where in the container the next byte goes.
    offset: u64,
    tar_len: u64,
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
    ///
    /// # Panics
    /// If the facts name another compression.
    pub fn create(
        out: W,
        facts: &Facts,
        compression: Compression,
        seal: Option<&Seal<'_>>,
        random: &dyn Random,
    ) -> Result<Self, ArchiveError> {
        let algorithm = compression.algorithm;
        assert_eq!(facts.compression, algorithm, "the header says what the frames are");
        let mut out = Hashing { out, hash: Sha256::new(), len: 0 };
        let sink = match seal {
            None => Sink::Plain(out),
            Some(seal) => {
                let (header, key) = Header::create(facts, seal, random)?;
                for _copy in 0..2 {
                    out.write_all(header.page()).map_err(ArchiveError::io("writing the header"))?;
                }
                Sink::Sealed(SealingWriter::new(out, header.stream(&key)))
            }
        };
        Ok(Self { sink, algorithm, frames: Vec::new(), offset: 0, tar_len: 0 })
    }

    /// Appends a frame that a [`crate::Compressor`] made of `tar_len` bytes of tar.
    pub fn push(&mut self, packed: &[u8], tar_len: u64) -> Result<(), ArchiveError> {
        let packed_len = packed.len() as u64;
        self.frames.push(Frame { offset: self.offset, packed_len, tar_offset: self.tar_len, tar_len });
        self.tar_len += tar_len;
        self.write(packed, "writing a frame")
    }

    /// The frames so far.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Length of the tar stream so far.
    pub fn tar_len(&self) -> u64 {
        self.tar_len
    }

    /// Appends the index, already compressed, and the footer. What was written is flushed, not synced.
    pub fn finish(mut self, index: &mut dyn Read, index_plain_len: u64) -> Result<(W, Finished), ArchiveError> {
        let index_offset = self.offset;
        let (index_len, index_sha256) = self.write_index(index)?;
        let footer = Footer {
            algorithm: self.algorithm,
            index_offset,
            index_stored_len: self.offset - index_offset,
            index_len,
            index_plain_len,
            tar_len: self.tar_len,
            index_sha256,
        };
        self.write(&footer.encode(), "writing the footer")?;
        let mut file = self.sink.finish().map_err(ArchiveError::io("finishing the archive"))?;
        file.flush().map_err(ArchiveError::io("finishing the archive"))?;
        Ok((file.out, Finished { index_sha256, bytes: file.len, file_sha256: file.hash.finish() }))
    }

    fn write_index(&mut self, index: &mut dyn Read) -> Result<(u64, [u8; 32]), ArchiveError> {
        let (mut len, mut hash) = (0, Sha256::new());
        let (mut block, mut wrapped) = (vec![0; wrap::max_wrapped(self.algorithm)], Vec::new());
        loop {
            let filled = fill(index, &mut block).map_err(ArchiveError::io("reading back the index to be written"))?;
            if filled == 0 {
                break;
            }
            hash.update(&block[..filled]);
            len += filled as u64;
            wrapped.clear();
            wrap::wrap(self.algorithm, &block[..filled], &mut wrapped);
            self.write(&wrapped, "writing the index")?;
        }
        Ok((len, hash.finish()))
    }

    fn write(&mut self, bytes: &[u8], attempted: &'static str) -> Result<(), ArchiveError> {
        self.sink.write_all(bytes).map_err(ArchiveError::io(attempted))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

/// Reads until the buffer is full or there is no more.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(filled)
}

enum Sink<W: Write> {
    Plain(Hashing<W>),
    Sealed(SealingWriter<Hashing<W>>),
}

impl<W: Write> Sink<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.write_all(bytes),
            Self::Sealed(out) => out.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<Hashing<W>> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Sealed(out) => out.finish(),
        }
    }
}

/// Counts and hashes what goes into the file.
struct Hashing<W> {
    out: W,
    hash: Sha256,
    len: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
