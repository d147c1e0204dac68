//! The bodies of the fuzz targets: each takes any bytes, and must neither panic, nor make more room than the bytes give
//! reason for, nor accept what was not written. The targets in `fuzz/` call them, and so do the property tests.

use std::{
    fs::File,
    io::{Read, Write},
};

use rustix::fs::{MemfdFlags, memfd_create};
use strongroom_secret::SecretError;

use crate::{
    Algorithm, ArchiveError, Container, Decompressor, Frame, FrameScratch, Metadata,
    footer::Footer,
    header::Header,
    index::{IndexReader, Part},
    pax::{self, BLOCK, Is, Map},
    peek,
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

/// Any bytes are read as an index; and any lines as those after a head, compressed as they must be.
pub fn archive_index(data: &[u8]) {
    read_index(data, 1 << 20);
    let Some((&blocks, lines)) = data.split_first() else { return };
    let head = HEAD.replace("TAIL", &(u64::from(blocks) * BLOCK as u64).to_string());
    let plain = [head.as_bytes(), b"\n", lines].concat();
    let stored = zstd::encode_all(&plain[..], 1).expect("memory takes it");
    read_index(&stored, plain.len() as u64);
}

/// An index says the same of its entries whenever it is read, and ends.
fn read_index(stored: &[u8], plain_len: u64) {
    let Ok(mut reader) = IndexReader::open(stored, plain_len, 1 << 20) else { return };
    let mut end = 0;
    while let Ok(Some(part)) = reader.part() {
        let at = match part {
            Part::Void(tar_offset, tar_len) => (tar_offset, tar_len),
            Part::Record(record) => match record.at {
                Some(at) if at.archive == 0 => (at.tar_offset, at.tar_len),
                _ => continue,
            },
            _ => continue,
        };
        assert_eq!(at.0, end, "members follow each other without a gap");
        end += at.1;
    }
}

/// A head with one component, no frames, two archives before it.
const HEAD: &str = concat!(
    r#"{"head":{"format":1,"metadata":{"format_version":1,"tool":"","tool_version":"","host":"","platform":"","#,
    r#""created":"","started":"","finished":"","id":"07070707070707070707070707070707","name":"x","kind":"full","#,
    r#""source":"/","source_kind":"directory","compression":"zstd","compression_level":3,"components":[{"name":"files","#,
    r#""kind":"files","path":"/","prefix":"files","entries":0,"bytes":0,"#,
    r#""sha256":"0000000000000000000000000000000000000000000000000000000000000000"}],"counts":{"directories":0,"files":0,"#,
    r#""links":0,"symlinks":0,"other":0,"bytes":0,"stored_bytes":0,"new_files":0,"unchanged":0,"gone":0,"renamed":0},"#,
    r#""content_sha256":"0000000000000000000000000000000000000000000000000000000000000000","complete":true,"issues":0},"#,
    r#""frames":0,"tail":TAIL}}"#
);

/// A document that is read is written and read again as the same.
pub fn archive_metadata(data: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<Metadata>(data) {
        let written = serde_json::to_vec_pretty(&read).expect("it came from JSON");
        assert_eq!(serde_json::from_slice::<Metadata>(&written).expect("what was written can be read"), read);
    }
}

/// Any bytes are read as the headers of a member, as they are and with checksums that fit; what they claim is within them.
pub fn archive_tar(data: &[u8]) {
    read_member(data);
    let mut mended = data.to_vec();
    for block in mended.as_chunks_mut().0 {
        // Data has no magic where headers have it, but by accident.
        if block[257..].starts_with(b"ustar") {
            pax::seal_header(block);
        }
    }
    read_member(&mended);
}

fn read_member(tar: &[u8]) {
    let Ok(Some(header)) = pax::decode(tar) else { return };
    assert!(header.header_len <= tar.len() && header.header_len.is_multiple_of(BLOCK));
    let Is::Sparse { len } = header.what else { return };
    if let Ok((map, taken)) = Map::decode(&tar[header.header_len..], len) {
        assert!(map.data_len() <= len && taken.is_multiple_of(BLOCK));
        assert_eq!(Map::decode(&map.encode(), len), Ok((map.clone(), map.encode().len())));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_one_and_lines_after_it_are_read() {
        let head = HEAD.replace("TAIL", "0");
        let plain = format!("{head}\n{{\"end\":{{\"entries\":0,\"gone\":0,\"issues\":0}}}}\n");
        let stored = zstd::encode_all(plain.as_bytes(), 1).unwrap();
        let mut reader = IndexReader::open(&stored[..], plain.len() as u64, 0).unwrap();
        assert!(reader.part().unwrap().is_none());
    }
}
