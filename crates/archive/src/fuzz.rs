//! The bodies of the fuzz targets: each takes any bytes, and must neither panic, nor make more room than the bytes give
//! reason for, nor accept what was not written. The targets in `fuzz/` call them, and so do the property tests.

use std::{
    fs::File,
    io::{Read, Write},
};

use rustix::fs::{MemfdFlags, memfd_create};
use strongroom_secret::SecretError;

use crate::{
    Algorithm, ArchiveError, Container, Decompressor, Frame, FrameScratch, footer::Footer, header::Header, peek,
};

/// A header is read from any bytes, and from any JSON for which someone has made a header; what is read is written the
/// same again.
pub fn archive_header(data: &[u8]) {
    let _ = Header::parse(data);
    if let Ok(header) = Header::parse_copy(&Header::page_around(data)) {
        let again = header.written_again().expect("what was read fits");
        let again = Header::parse_copy(&again).expect("what was written can be read");
        assert_eq!(again.facts(), header.facts());
        assert_eq!(again.written_again().expect("what was read fits"), *again.page());
    }
}

/// Any bytes are opened as a file; and, with a footer that fits, as a container of each algorithm: whatever it says of
/// itself, index and frames end where they must.
pub fn archive_container(data: &[u8]) {
    let _ = peek(&file(&[data]));
    open(&[data]);
    let Some((&choice, data)) = data.split_first() else { return };
    let algorithm = Algorithm::ALL[usize::from(choice % 4)];
    let frames_len = data.len() * usize::from(choice / 4) / 64;
    let index = &data[frames_len..];
    let footer = |index_len| Footer {
        algorithm,
        index_offset: frames_len as u64,
        index_stored_len: index.len() as u64,
        index_len,
        index_plain_len: 1 << 20,
        tar_len: if algorithm == Algorithm::None { frames_len as u64 } else { u64::MAX },
        index_sha256: [7; 32],
    };
    for index_len in [index.len(), index.len().saturating_sub(8), index.len().saturating_sub(26), 0] {
        open(&[data, &footer(index_len as u64).encode()]);
    }
}

/// Any bytes are decompressed as a frame of each algorithm, and make no more than was asked for.
pub fn archive_frame(data: &[u8]) {
    let Some((&[high, low], packed)) = data.split_first_chunk() else { return };
    let tar_len = usize::from(u16::from_be_bytes([high, low]));
    for algorithm in Algorithm::ALL {
        let mut out = Vec::new();
        let mut decompressor = Decompressor::new(algorithm).expect("there is memory for one");
        match decompressor.frame(packed, tar_len, &mut out) {
            Ok(()) => assert_eq!(out.len(), tar_len),
            Err(_) => assert!(out.is_empty()),
        }
        assert!(out.capacity() <= tar_len.max(8));
    }
}

fn open(parts: &[&[u8]]) {
    let asked = &mut |_: &_| Err(SecretError::Mismatch { what: "nothing".to_owned() });
    let container = match Container::open(file(parts), asked) {
        Ok(container) => container,
        Err(why) => return assert!(!matches!(why, ArchiveError::Io { .. }), "a file in memory can be read: {why}"),
    };
    let mut index = Vec::new();
    let end = container.index().expect("there is one").read_to_end(&mut index);
    assert!(index.len() as u64 <= container.file_len() - container.frames_len());
    assert_eq!(end.is_ok(), container.verify_all(1, &|_| ()).is_ok());
    let whole = Frame { offset: 0, packed_len: container.frames_len(), tar_offset: 0, tar_len: 5000 };
    let (mut scratch, mut out) = (FrameScratch::default(), Vec::new());
    for frame in [whole, Frame { offset: 1, ..whole }, Frame { tar_len: container.tar_len(), ..whole }] {
        if container.frame(&frame, &mut scratch, &mut out).is_ok() {
            assert_eq!(out.len() as u64, frame.tar_len);
        }
    }
}

fn file(parts: &[&[u8]]) -> File {
    let mut file = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("a file in memory"));
    parts.iter().try_for_each(|part| file.write_all(part)).expect("memory takes it");
    file
}
