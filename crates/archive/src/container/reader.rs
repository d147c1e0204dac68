//! Reading a container anywhere, by several threads, with pread(2).

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use strongroom_crypto::{CHUNK, Sha256};
use strongroom_secret::{Passphrase, SecretError};

use super::Frame;
use crate::{
    Algorithm, ArchiveError, Decompressor, Facts, MAX_FRAME_TAR,
    codec::max_packed_len,
    footer::{Footer, MAX_WRAPPED_FOOTER},
    header::{FileKey, HEADER_LEN, Header, MAGIC, PAYLOAD_START},
    seal::{self, SealedFile},
    wrap,
};

/// A container that can be read anywhere, by several threads.
pub struct Container {
    bytes: Bytes,
    file_len: u64,
    footer: Footer,
}

enum Bytes {
    Plain { file: File, len: u64 },
    Sealed { header: Box<Header>, key: FileKey, file: SealedFile },
}

/// Buffers and tables for reading frames, one for each thread.
#[derive(Default)]
pub struct FrameScratch {
    buffers: Buffers,
    decompressor: Option<Decompressor>,
}

#[derive(Default)]
struct Buffers {
    sealed: Vec<u8>,
    plain: Vec<u8>,
}

/// What can be told without a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peek {
    /// A sealed archive, and what its header says. Nobody has authenticated that.
    Sealed(Facts),
    /// A plain archive.
    Plain(Algorithm),
}

/// Looks at an archive without a secret. Of a sealed one, a length that none can have is all the damage that shows.
pub fn peek(file: &File) -> Result<Peek, ArchiveError> {
    match Found::look(file)? {
        Found::Plain(footer) => Ok(Peek::Plain(footer.algorithm)),
        Found::Sealed(header) => {
            seal::plain_len(file_len(file)?, PAYLOAD_START)?;
            Ok(Peek::Sealed(header.facts().clone()))
        }
    }
}

/// What a file is, seen from its bytes.
pub(super) enum Found {
    Plain(Footer),
    Sealed(Box<Header>),
}

impl Found {
    pub fn look(file: &File) -> Result<Self, ArchiveError> {
        let file_len = file_len(file)?;
        let head = read_at(file, 0, file_len.min(PAYLOAD_START), "reading the header")?;
        if head.starts_with(&MAGIC) {
            return Header::parse(&head).map(|header| Self::Sealed(Box::new(header)));
        }
        let end_len = file_len.min(MAX_WRAPPED_FOOTER as u64);
        let end = read_at(file, file_len - end_len, end_len, "reading the footer")?;
        let plain = Footer::parse(&end, file_len).map(Self::Plain);
        // A sealed file may have lost the first copy of its header. But a plain one may hold a sealed file in that place.
        match plain {
            Err(ArchiveError::NotAnArchive { .. })
                if head.get(HEADER_LEN..).is_some_and(|second| second.starts_with(&MAGIC)) =>
            {
                Header::parse(&head).map(|header| Self::Sealed(Box::new(header)))
            }
            Err(ArchiveError::NotAnArchive { .. }) if begins_as_frames(&head) => Err(ArchiveError::NoFooter),
            plain => plain,
        }
    }
}

/// Whether these are the first bytes of what a container may begin with, which others also make.
fn begins_as_frames(head: &[u8]) -> bool {
    const COMPRESSED: [&[u8]; 3] = [&[0x28, 0xB5, 0x2F, 0xFD], &[0x1F, 0x8B, 8], &[0x04, 0x22, 0x4D, 0x18]];
    const TAR: (usize, &[u8]) = (257, b"ustar\x0000");
    COMPRESSED.iter().any(|magic| head.starts_with(magic))
        || head.get(TAR.0..).is_some_and(|header| header.starts_with(TAR.1))
}

impl Container {
    /// Opens a container; what it is is seen from its bytes. `unlock` is asked for the passphrase of a sealed one, and is
    /// shown facts that nobody has authenticated yet; when this returns they are.
    pub fn open(
        file: File,
        unlock: &mut dyn FnMut(&Facts) -> Result<Passphrase, SecretError>,
    ) -> Result<Self, ArchiveError> {
        let file_len = file_len(&file)?;
        match Found::look(&file)? {
            Found::Plain(footer) => Ok(Self { bytes: Bytes::Plain { file, len: file_len }, file_len, footer }),
            Found::Sealed(header) => Self::unlock(file, file_len, header, unlock),
        }
    }

    fn unlock(
        file: File,
        file_len: u64,
        header: Box<Header>,
        unlock: &mut dyn FnMut(&Facts) -> Result<Passphrase, SecretError>,
    ) -> Result<Self, ArchiveError> {
        // Nobody is asked for a passphrase that cannot help.
        seal::plain_len(file_len, PAYLOAD_START)?;
        let key = header.unlock(&unlock(header.facts())?)?;
        let file = SealedFile::new(file, file_len, PAYLOAD_START, header.stream(&key))?;
        let compression = header.facts().compression;
        let bytes = Bytes::Sealed { header, key, file };
        let footer = bytes.footer()?;
        if footer.algorithm != compression {
            return Err(ArchiveError::Footer { why: "it names another compression than the header" });
        }
        Ok(Self { bytes, file_len, footer })
    }

    /// What the header says; a plain container has none.
    pub fn facts(&self) -> Option<&Facts> {
        match &self.bytes {
            Bytes::Plain { .. } => None,
            Bytes::Sealed { header, .. } => Some(header.facts()),
        }
    }

    /// Whether it is sealed.
    pub fn is_sealed(&self) -> bool {
        matches!(self.bytes, Bytes::Sealed { .. })
    }

    /// How its frames are compressed.
    pub fn algorithm(&self) -> Algorithm {
        self.footer.algorithm
    }

    /// Length of the file.
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Length of all frames together: where in the container the index begins. No byte before that is outside a frame.
    pub fn frames_len(&self) -> u64 {
        self.footer.index_offset
    }

    /// Length of the tar stream, as the footer claims.
    pub fn tar_len(&self) -> u64 {
        self.footer.tar_len
    }

    /// The index as it is stored (compressed). Its SHA-256 is checked while it is read: the read after the last byte fails
    /// if it is wrong. What is read of a sealed container is authentic byte for byte, whether or not one reads to the end.
    pub fn index(&self) -> Result<Box<dyn Read + Send + '_>, ArchiveError> {
        Ok(Box::new(IndexReader::new(self)))
    }

    /// SHA-256 of the index as it is stored, by which later archives refer to this one.
    pub fn index_sha256(&self) -> [u8; 32] {
        self.footer.index_sha256
    }

    /// Length of the index as it is stored.
    pub fn index_len(&self) -> u64 {
        self.footer.index_len
    }

    /// Length of the index uncompressed, as the footer claims: at most a thousand times as long, and 1 MiB.
    pub fn index_plain_len(&self) -> u64 {
        self.footer.index_plain_len
    }

    /// Decrypts and decompresses one frame; its tar replaces what is in `out`. Frames that claim more than
    /// [`MAX_FRAME_TAR`] bytes are refused.
    pub fn frame(&self, frame: &Frame, scratch: &mut FrameScratch, out: &mut Vec<u8>) -> Result<(), ArchiveError> {
        self.check_frame(frame)?;
        let FrameScratch { buffers, decompressor } = scratch;
        let packed = self.bytes.read(frame.offset, frame.packed_len as usize, buffers, "reading a frame")?;
        let decompressor = match decompressor {
            Some(ready) if ready.algorithm() == self.algorithm() => ready,
            other => other.insert(Decompressor::new(self.algorithm())?),
        };
        decompressor.frame_at(frame.offset, packed, frame.tar_len as usize, out)
    }

    /// The frame table comes from an index that may be hostile: nothing is read, and no room made, before this.
    fn check_frame(&self, frame: &Frame) -> Result<(), ArchiveError> {
        let refused = |why| Err(ArchiveError::Frame { offset: frame.offset, why });
        if frame.tar_len > MAX_FRAME_TAR as u64 {
            return refused("it claims to hold more than a frame may");
        }
        if frame.packed_len > max_packed_len(frame.tar_len) {
            return refused("it is longer than a frame that holds so little may be");
        }
        if frame.offset.checked_add(frame.packed_len).is_none_or(|end| end > self.frames_len()) {
            return refused("it is not where frames are");
        }
        Ok(())
    }

    /// Authenticates every byte of a sealed file, both copies of its header included, and checks the index's SHA-256 (of a
    /// plain file, only that). `progress` is told how many bytes of the file were done since it was last called.
    pub fn verify_all(&self, workers: usize, progress: &(dyn Fn(u64) + Sync)) -> Result<(), ArchiveError> {
        if let Bytes::Sealed { header, key, file } = &self.bytes {
            verify_headers(file.file(), header, key)?;
            progress(PAYLOAD_START);
            verify_chunks(file, workers, progress)?;
        }
        let mut index = self.index()?;
        let read = io::copy(&mut index, &mut io::sink()).map_err(ArchiveError::io("reading the index"))?;
        if !self.is_sealed() {
            progress(read);
        }
        Ok(())
    }
}

impl Bytes {
    fn len(&self) -> u64 {
        match self {
            Self::Plain { len, .. } => *len,
            Self::Sealed { file, .. } => file.plain_len(),
        }
    }

    /// Container bytes, which must all exist.
    fn read<'b>(
        &self,
        offset: u64,
        len: usize,
        buffers: &'b mut Buffers,
        attempted: &'static str,
    ) -> Result<&'b [u8], ArchiveError> {
        let Buffers { sealed, plain } = buffers;
        match self {
            _ if len == 0 => Ok(&[]),
            Self::Plain { file, .. } => {
                seal::resize(plain, len);
                file.read_exact_at(plain, offset).map_err(ArchiveError::io(attempted))?;
                Ok(plain)
            }
            Self::Sealed { file, .. } => {
                let chunk = CHUNK as u64;
                let (first, end) = (offset / chunk, (offset + len as u64).div_ceil(chunk));
                file.open(first, end - first, sealed, plain)?;
                let start = (offset - first * chunk) as usize;
                Ok(&plain[start..start + len])
            }
        }
    }

    fn footer(&self) -> Result<Footer, ArchiveError> {
        let len = self.len().min(MAX_WRAPPED_FOOTER as u64);
        let mut buffers = Buffers::default();
        let end = self.read(self.len() - len, len as usize, &mut buffers, "reading the footer")?;
        Footer::parse(end, self.len()).map_err(|why| match why {
            ArchiveError::NotAnArchive { .. } => ArchiveError::Footer { why: "there is none" },
            other => other,
        })
    }
}

/// Unwraps the index block by block.
struct IndexReader<'a> {
    container: &'a Container,
    /// Where in the container the next block begins.
    at: u64,
    /// Index bytes not yet unwrapped.
    left: u64,
    block: Vec<u8>,
    /// How many bytes of the block were given out.
    given: usize,
    hash: Sha256,
    buffers: Buffers,
}

impl<'a> IndexReader<'a> {
    fn new(container: &'a Container) -> Self {
        let Footer { index_offset, index_len, .. } = container.footer;
        Self {
            container,
            at: index_offset,
            left: index_len,
            block: Vec::new(),
            given: 0,
            hash: Sha256::new(),
            buffers: Buffers::default(),
        }
    }

    fn next_block(&mut self) -> Result<(), ArchiveError> {
        let algorithm = self.container.algorithm();
        let (head_len, tail_len) = (wrap::head_len(algorithm), wrap::tail_len(algorithm));
        let stored_left = self.end() - self.at;
        let most = head_len as u64 + self.left.min(wrap::max_wrapped(algorithm) as u64) + tail_len as u64;
        let stored = self.container.bytes.read(
            self.at,
            stored_left.min(most) as usize,
            &mut self.buffers,
            "reading the index",
        )?;
        let wrapped = damaged("it is not wrapped as its compression demands");
        let (head, rest) = stored.split_at_checked(head_len).ok_or(wrapped)?;
        let len = match algorithm {
            Algorithm::None => rest.len(),
            _ => wrap::wrapped_len(algorithm, head).filter(|&len| len > 0).ok_or(damaged("a wrapping is broken"))?,
        };
        let (block, rest) = rest.split_at_checked(len).ok_or(damaged("it is longer than the footer says"))?;
        if !rest.starts_with(wrap::tail(algorithm)) {
            return Err(damaged("a wrapping is not closed"));
        }
        self.left = self.left.checked_sub(len as u64).ok_or(damaged("it is longer than the footer says"))?;
        self.at += (head_len + len + tail_len) as u64;
        self.hash.update(block);
        self.block.clear();
        self.block.extend_from_slice(block);
        self.given = 0;
        Ok(())
    }

    /// Where the index with its wrappings ends.
    fn end(&self) -> u64 {
        self.container.footer.index_offset + self.container.footer.index_stored_len
    }

    fn check_end(&self) -> Result<(), ArchiveError> {
        if self.hash.clone().finish() != self.container.footer.index_sha256 {
            return Err(damaged("its SHA-256 is another"));
        }
        match self.at == self.end() {
            true => Ok(()),
            false => Err(damaged("there is something after it")),
        }
    }
}

impl Read for IndexReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.given == self.block.len() {
            if self.left == 0 {
                return self.check_end().map(|()| 0).map_err(io::Error::from);
            }
            self.next_block()?;
        }
        let block = &self.block[self.given..];
        let len = block.len().min(out.len());
        out[..len].copy_from_slice(&block[..len]);
        self.given += len;
        Ok(len)
    }
}

/// Both copies must be whole and the same: a reader makes do with one, but then the next accident is the last.
fn verify_headers(file: &File, header: &Header, key: &FileKey) -> Result<(), ArchiveError> {
    let both = read_at(file, 0, PAYLOAD_START, "reading the header")?;
    for page in both.as_chunks().0 {
        let copy = Header::parse_copy(page).map_err(|why| match why {
            ArchiveError::Header { .. } => ArchiveError::Header { why: "one of its two copies is lost" },
            other => other,
        })?;
        copy.authenticate(key)?;
        if copy != *header {
            return Err(ArchiveError::Header {
                why: "its two copies differ: a change of passphrase was interrupted and must be done again",
            });
        }
    }
    Ok(())
}

/// How many chunks a thread opens at a time: 1 MiB stays in its cache.
const STRIDE: u64 = 16;

fn verify_chunks(file: &SealedFile, workers: usize, progress: &(dyn Fn(u64) + Sync)) -> Result<(), ArchiveError> {
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut buffers = Buffers::default();
        while !failed.load(Ordering::Relaxed) {
            let first = next.fetch_add(STRIDE, Ordering::Relaxed);
            let Some(left) = file.chunks().checked_sub(first).filter(|&left| left > 0) else { break };
            let opened = file.open(first, left.min(STRIDE), &mut buffers.sealed, &mut buffers.plain);
            opened.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            progress(buffers.sealed.len() as u64);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..workers.max(1)).map(|_| scope.spawn(work)).collect();
        let mine = work();
        others.into_iter().fold(mine, |so_far, other| so_far.and(other.join().expect("opening chunks does not panic")))
    })
}

fn file_len(file: &File) -> Result<u64, ArchiveError> {
    file.metadata().map(|metadata| metadata.len()).map_err(ArchiveError::io("looking at the archive"))
}

fn read_at(file: &File, offset: u64, len: u64, attempted: &'static str) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, offset).map_err(ArchiveError::io(attempted))?;
    Ok(bytes)
}

const fn damaged(why: &'static str) -> ArchiveError {
    ArchiveError::Index { why }
}
