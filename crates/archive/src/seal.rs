//! Sealed bytes in a file: chunks written in order, chunks read anywhere. What a chunk is stands in `strongroom_crypto`.

use std::{fs::File, io, io::Write, os::unix::fs::FileExt};

use strongroom_crypto::{CHUNK, SEALED_CHUNK, Stream, TAG_LEN, stream_chunks, stream_plain_len};

use crate::ArchiveError;

/// Seals what is written to it.
pub struct SealingWriter<W> {
    out: W,
    stream: Stream,
    /// How many chunks were sealed.
    sealed: u64,
    /// What may turn out to be the last chunk: it is not sealed before it is known whether more comes.
    pending: Vec<u8>,
    /// Sealed chunks on their way out.
    outgoing: Vec<u8>,
}

/// How many chunks leave with one write.
const BATCH: usize = 16;

impl<W: Write> SealingWriter<W> {
    /// `stream` must never have sealed anything.
    pub fn new(out: W, stream: Stream) -> Self {
        Self { out, stream, sealed: 0, pending: Vec::with_capacity(CHUNK), outgoing: Vec::new() }
    }

    /// Seals the last chunk. Whoever forgets leaves a file that nobody will take for whole.
    pub fn finish(mut self) -> io::Result<W> {
        let pending = std::mem::take(&mut self.pending);
        self.seal(&pending, true)?;
        self.send()?;
        Ok(self.out)
    }

    fn seal(&mut self, plain: &[u8], is_last: bool) -> io::Result<()> {
        let start = self.outgoing.len();
        self.outgoing.resize(start + plain.len() + TAG_LEN, 0);
        self.stream.seal(self.sealed, is_last, plain, &mut self.outgoing[start..]);
        self.sealed += 1;
        if self.outgoing.len() >= BATCH * SEALED_CHUNK {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        self.out.write_all(&self.outgoing)?;
        self.outgoing.clear();
        Ok(())
    }

    fn seal_pending(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.seal(&pending, false)?;
        self.pending = pending;
        self.pending.clear();
        Ok(())
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (head, mut rest) = bytes.split_at(bytes.len().min(CHUNK - self.pending.len()));
        self.pending.extend_from_slice(head);
        if rest.is_empty() {
            return Ok(bytes.len());
        }
        self.seal_pending()?;
        // Most of a frame is sealed where it lies, without a copy.
        while rest.len() > CHUNK {
            let (chunk, after) = rest.split_at(CHUNK);
            self.seal(chunk, false)?;
            rest = after;
        }
        self.pending.extend_from_slice(rest);
        Ok(bytes.len())
    }

    /// Does not seal what is pending: that would make a chunk too short.
    fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        self.out.flush()
    }
}

/// Opens sealed bytes anywhere, for several threads.
pub struct SealedFile {
    file: File,
    stream: Stream,
    start: u64,
    plain_len: u64,
}

impl SealedFile {
    /// Takes chunks over that begin at `start` and end with the file. Only the length is looked at; that the last chunk
    /// is the last shows when it is opened.
    pub fn new(file: File, file_len: u64, start: u64, stream: Stream) -> Result<Self, ArchiveError> {
        let plain_len = plain_len(file_len, start)?;
        Ok(Self { file, stream, start, plain_len })
    }

    /// The file with all that is before the chunks.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Length of what is sealed.
    pub fn plain_len(&self) -> u64 {
        self.plain_len
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> u64 {
        stream_chunks(self.plain_len)
    }

    /// Opens `count` chunks from `first` on, all of which exist, into `plain`.
    pub fn open(&self, first: u64, count: u64, sealed: &mut Vec<u8>, plain: &mut Vec<u8>) -> Result<(), ArchiveError> {
        let (whole, last) = (CHUNK as u64, self.chunks() - 1);
        let plain_len = ((first + count) * whole).min(self.plain_len) - first * whole;
        resize(plain, plain_len as usize);
        resize(sealed, plain_len as usize + count as usize * TAG_LEN);
        let at = |number| self.start + number * SEALED_CHUNK as u64;
        self.file.read_exact_at(sealed, at(first)).map_err(ArchiveError::io("reading sealed chunks"))?;
        for (number, sealed) in (first..).zip(sealed.chunks(SEALED_CHUNK)) {
            let start = (number - first) as usize * CHUNK;
            let out = &mut plain[start..start + sealed.len() - TAG_LEN];
            let opened = self.stream.open(number, number == last, sealed, out);
            opened.map_err(|_| ArchiveError::Chunk { number, at: at(number) })?;
        }
        Ok(())
    }
}

/// Length of what is sealed in a file of this length.
pub fn plain_len(file_len: u64, start: u64) -> Result<u64, ArchiveError> {
    file_len.checked_sub(start).and_then(stream_plain_len).ok_or(ArchiveError::Length { len: file_len })
}

/// Without writing zeros over what is there already.
pub fn resize(buffer: &mut Vec<u8>, len: usize) {
    buffer.resize(len, 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use strongroom_crypto::{Key, stream_sealed_len};

    use super::*;

    fn stream() -> Stream {
        Stream::new(&Key::new(&[1; 32]), b"id")
    }

    fn message(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i / 5) as u8).collect()
    }

    fn seal(plain: &[u8], pieces: &[usize]) -> Vec<u8> {
        let mut writer = SealingWriter::new(Vec::new(), stream());
        let mut rest = plain;
        for &piece in pieces {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            writer.write_all(now).unwrap();
            rest = later;
        }
        writer.write_all(rest).unwrap();
        writer.finish().unwrap()
    }

    fn sealed_file(sealed: &[u8]) -> SealedFile {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"header").unwrap();
        file.write_all(sealed).unwrap();
        SealedFile::new(file, 6 + sealed.len() as u64, 6, stream()).unwrap()
    }

    fn open_all(file: &SealedFile) -> Result<Vec<u8>, ArchiveError> {
        let mut plain = Vec::new();
        file.open(0, file.chunks(), &mut Vec::new(), &mut plain).map(|()| plain)
    }

    #[test]
    fn whole_chunks_do_not_leave_an_empty_one_behind() {
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let sealed = seal(&message(len), &[]);
            assert_eq!(sealed.len() as u64, stream_sealed_len(len as u64));
            assert!(open_all(&sealed_file(&sealed)).unwrap() == message(len));
        }
    }

    #[test]
    fn a_file_cut_at_a_chunk_is_refused_at_its_end() {
        let sealed = seal(&message(3 * CHUNK), &[]);
        let cut = sealed_file(&sealed[..2 * SEALED_CHUNK]);
        assert_eq!(cut.chunks(), 2);
        assert!(matches!(open_all(&cut), Err(ArchiveError::Chunk { number: 1, .. })));
    }

    #[test]
    fn lengths_that_no_stream_has_are_refused() {
        for len in [0, 5, 6, 6 + 15, 6 + SEALED_CHUNK as u64 + 1, 6 + SEALED_CHUNK as u64 + 16] {
            assert!(matches!(plain_len(len, 6), Err(ArchiveError::Length { .. })), "{len}");
        }
        assert_eq!(plain_len(6 + 16, 6).unwrap(), 0);
    }

    #[test]
    fn a_file_that_shrank_since_is_an_error_of_reading() {
        let file = sealed_file(&seal(&message(1000), &[]));
        file.file.set_len(500).unwrap();
        assert!(matches!(open_all(&file), Err(ArchiveError::Io { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn how_it_is_written_in_pieces_makes_no_difference(
            len in 0usize..5 * CHUNK, pieces in prop::collection::vec(0usize..2 * CHUNK, 0..6),
        ) {
            prop_assert!(seal(&message(len), &pieces) == seal(&message(len), &[]));
        }

        #[test]
        fn any_chunks_may_be_opened_alone(len in 0usize..5 * CHUNK, first in 0u64..5, count in 1u64..5) {
            let file = sealed_file(&seal(&message(len), &[]));
            let first = first.min(file.chunks() - 1);
            let count = count.min(file.chunks() - first);
            let (mut sealed, mut plain) = (vec![1; 7], vec![2; 9]);
            file.open(first, count, &mut sealed, &mut plain).unwrap();
            let end = len.min((first + count) as usize * CHUNK);
            prop_assert!(plain == message(len)[first as usize * CHUNK..end]);
        }
    }
}
