//! File content: plaintext is read, sealed, and cut to what was asked for.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, Stat, fstat};
use rustix::io::{Errno, pread};
use strongroom_format::{FileHeader, FileVectors, Geometry, ViewBlock};

use crate::attr::{Kind, NodeId};
use crate::error::{Result, ViewError};
use crate::node::{FileState, Node, What};
use crate::view::View;

/// A plaintext file that is open, and what it is sealed with.
pub(crate) struct OpenFile {
    pub plain: OwnedFd,
    vectors: FileVectors,
}

/// A sealed block of AES-SIV: nonce, tag, ciphertext.
const CIPHER_BLOCK: usize = Geometry::PLAIN_BLOCK + 32;

thread_local! {
    /// Where a thread's plaintext is read to.
    static PLAIN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl View {
    /// Opens a file. Its plaintext stays open until it was closed as often.
    pub fn open(&self, node: NodeId) -> Result<()> {
        let node = self.node(node)?;
        match &node.what {
            What::File(state) => {
                let file = self.opened(&node, state)?;
                let mut opened = state.open.lock();
                opened.count += 1;
                opened.file.get_or_insert(file);
                Ok(())
            }
            What::Conf | What::DirIv | What::LongName(_) => Ok(()),
            What::Dir(_) => Err(ViewError::IsADirectory),
            What::Symlink | What::Special => Err(ViewError::InvalidArgument),
        }
    }

    /// Closes a file once.
    pub fn close(&self, node: NodeId) {
        let Some(node) = self.nodes.get(node) else { return };
        if let What::File(state) = &node.what {
            let mut opened = state.open.lock();
            opened.count = opened.count.saturating_sub(1);
            if opened.count == 0 {
                opened.file = None;
            }
        }
    }

    /// Fills `out` from `offset`; less only at the end of the file.
    pub fn read(&self, node: NodeId, offset: u64, out: &mut [u8]) -> Result<usize> {
        let node = self.node(node)?;
        match &node.what {
            What::File(state) => self.read_sealed(&*self.opened(&node, state)?, offset, out),
            What::Conf => self.read_conf(offset, out),
            What::DirIv => {
                let parent = node.place().map(|place| place.parent.clone());
                let iv = parent.as_ref().and_then(|parent| parent.dir()).map(|dir| dir.iv);
                Ok(copy_from(iv.ok_or(ViewError::Stale)?.as_bytes(), offset, out))
            }
            What::LongName(content) => Ok(copy_from(content, offset, out)),
            What::Dir(_) => Err(ViewError::IsADirectory),
            What::Symlink | What::Special => Err(ViewError::InvalidArgument),
        }
    }

    /// The next data at or after the offset. There are no holes: where the plaintext has some, ciphertext is to be read, and
    /// who left it out would lose the header, or blocks that then could not be told from lost ones.
    pub fn seek_data(&self, node: NodeId, offset: u64) -> Result<u64> {
        match self.attr(node)?.size {
            size if offset < size => Ok(offset),
            _ => Err(ViewError::NoMoreData),
        }
    }

    /// The next hole at or after the offset, which is the end.
    pub fn seek_hole(&self, node: NodeId, offset: u64) -> Result<u64> {
        match self.attr(node)?.size {
            size if offset < size => Ok(size),
            _ => Err(ViewError::NoMoreData),
        }
    }

    /// The file if it is open already, or opened for the moment.
    fn opened(&self, node: &Node, state: &FileState) -> Result<Arc<OpenFile>> {
        if let Some(file) = state.open.lock().file.clone() {
            return Ok(file);
        }
        // Not waiting for the other end, should it have become a pipe.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let plain = self.beneath.open(&node.plain_path(), flags)?;
        let stat = fstat(&plain)?;
        if !node.is_at(&stat) || Kind::of_stat(&stat) != Kind::File {
            return Err(ViewError::Stale);
        }
        let vectors = *state.vectors.get_or_init(|| self.vectors_of(node, &stat));
        Ok(Arc::new(OpenFile { plain, vectors }))
    }

    fn vectors_of(&self, node: &Node, stat: &Stat) -> FileVectors {
        let mut linked = self.linked.lock();
        if let Some(vectors) = linked.get(&(stat.st_dev, stat.st_ino)) {
            return *vectors;
        }
        let vectors = FileVectors::of(&node.cipher_path());
        if stat.st_nlink > 1 {
            linked.insert((stat.st_dev, stat.st_ino), vectors);
        }
        vectors
    }

    fn read_conf(&self, offset: u64, out: &mut [u8]) -> Result<usize> {
        let path = self.options.conf.as_ref().ok_or(ViewError::NotFound)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let conf = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(read_fully(&conf, offset, out)?)
    }

    fn read_sealed(&self, file: &OpenFile, offset: u64, out: &mut [u8]) -> Result<usize> {
        let header = file.vectors.header();
        let of_header = copy_from(&header, offset, out);
        let body = &mut out[of_header..];
        if body.is_empty() {
            // Where there is no data there is no header either.
            return Ok(if fstat(&file.plain)?.st_size > 0 { of_header } else { 0 });
        }
        let from = offset.max(FileHeader::LEN as u64) - FileHeader::LEN as u64;
        let of_body = PLAIN.with_borrow_mut(|buffer| self.read_blocks(file, from, body, buffer))?;
        Ok(if of_body == 0 { 0 } else { of_header + of_body })
    }

    /// Fills `out` with sealed blocks, `from` counting from behind the header.
    fn read_blocks(&self, file: &OpenFile, from: u64, out: &mut [u8], buffer: &mut Vec<u8>) -> Result<usize> {
        let first = from / CIPHER_BLOCK as u64;
        let skip = (from % CIPHER_BLOCK as u64) as usize;
        let wanted = (skip + out.len()).div_ceil(CIPHER_BLOCK) * Geometry::PLAIN_BLOCK;
        if buffer.len() < wanted {
            buffer.resize(wanted, 0);
        }
        let begin = first.checked_mul(Geometry::PLAIN_BLOCK as u64).filter(|&begin| begin < i64::MAX as u64);
        let Some(begin) = begin else { return Ok(0) };
        let len = read_fully(&file.plain, begin, &mut buffer[..wanted])?;
        Ok(self.seal(&file.vectors, first, &buffer[..len], skip, out))
    }

    /// Seals blocks into `out`, but for the first `skip` bytes. A block that fits is sealed where it belongs; those at the
    /// edges are sealed aside, along with the others, and cut.
    fn seal(&self, vectors: &FileVectors, first: u64, plain: &[u8], skip: usize, out: &mut [u8]) -> usize {
        let mut edges = [[0; CIPHER_BLOCK]; 2];
        let mut free_edges = edges.iter_mut();
        let mut blocks = Vec::with_capacity(plain.len().div_ceil(Geometry::PLAIN_BLOCK));
        // Of each edge: where in `out` it goes, from where in the block.
        let mut cuts: Vec<(usize, usize, usize)> = Vec::with_capacity(2);
        let mut rest = &mut *out;
        let (mut skip, mut done) = (skip, 0);
        for (number, plain) in (first..).zip(plain.chunks(Geometry::PLAIN_BLOCK)) {
            let sealed = plain.len() + CIPHER_BLOCK - Geometry::PLAIN_BLOCK;
            if skip >= sealed {
                skip -= sealed;
                continue;
            }
            let len = (sealed - skip).min(rest.len());
            let (place, after) = std::mem::take(&mut rest).split_at_mut(len);
            rest = after;
            let out = match len == sealed {
                true => place,
                false => {
                    cuts.push((done, skip, len));
                    let edge = free_edges.next().expect("a range has two ends");
                    &mut edge[..sealed]
                }
            };
            blocks.push(ViewBlock { number, plain, out });
            done += len;
            skip = 0;
        }
        self.ciphers.content.seal_view_blocks(vectors, blocks);
        for ((at, from, len), edge) in cuts.into_iter().zip(&edges) {
            out[at..at + len].copy_from_slice(&edge[from..from + len]);
        }
        done
    }
}

/// As much of `from`, beginning at `offset`, as there is and as goes into `out`.
fn copy_from(from: &[u8], offset: u64, out: &mut [u8]) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|offset| from.get(offset..)).unwrap_or_default();
    let len = rest.len().min(out.len());
    out[..len].copy_from_slice(&rest[..len]);
    len
}

/// Reads until `out` is full or the file ends.
fn read_fully(file: &OwnedFd, offset: u64, out: &mut [u8]) -> std::result::Result<usize, Errno> {
    let mut done = 0;
    while done < out.len() {
        match pread(file, &mut out[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(len) => done += len,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(done)
}
