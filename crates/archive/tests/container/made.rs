//! Containers made for the tests.

use std::{
    fs::File,
    io::{Read, Write},
};

use strongroom_archive::{
    Algorithm, ArchiveError, ArchiveId, ArchiveKind, Compression, Compressor, Container, ContainerWriter, Facts,
    Finished, Frame, FrameScratch, Kdf, Seal,
};
use strongroom_crypto::{OsRandom, Random, Sha256};
use strongroom_secret::Passphrase;

/// As cheap as it may be.
pub const KDF: Kdf = Kdf::Scrypt { log_n: 10 };

pub fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.into())
}

pub fn facts(compression: Algorithm) -> Facts {
    Facts {
        id: ArchiveId::generate(&OsRandom),
        created: "2026-11-21T07:00:00+01:00".into(),
        name: "data".into(),
        kind: ArchiveKind::Full,
        parents: vec![],
        label: None,
        compression,
    }
}

/// Bytes that no compressor makes shorter.
pub fn noise(len: usize) -> Vec<u8> {
    let mut noise = vec![0; len];
    OsRandom.fill(&mut noise);
    noise
}

/// A container, and what went into it.
pub struct Made {
    pub bytes: Vec<u8>,
    pub facts: Facts,
    pub frames: Vec<Frame>,
    pub tar: Vec<Vec<u8>>,
    pub index: Vec<u8>,
    pub finished: Finished,
}

pub fn make(algorithm: Algorithm, seal: Option<&str>, tar: Vec<Vec<u8>>, index: Vec<u8>) -> Made {
    let (facts, compression) = (facts(algorithm), Compression::of(algorithm));
    let passphrase = seal.map(passphrase);
    let seal = passphrase.as_ref().map(|passphrase| Seal { passphrase, kdf: KDF });
    let mut writer = ContainerWriter::create(Vec::new(), &facts, compression, seal.as_ref(), &OsRandom).unwrap();
    let (mut compressor, mut packed) = (Compressor::new(compression).unwrap(), Vec::new());
    for piece in &tar {
        compressor.frame(piece, &mut packed).unwrap();
        writer.push(&packed, piece.len() as u64).unwrap();
    }
    let frames = writer.frames().to_vec();
    let (bytes, finished) = writer.finish(&mut &index[..], 12_345).unwrap();
    assert_eq!((finished.bytes, finished.file_sha256), (bytes.len() as u64, Sha256::of(&bytes)));
    Made { bytes, facts, frames, tar, index, finished }
}

/// Three frames of noise and an index, sealed with "right": five chunks or so.
pub fn sealed() -> Made {
    make(Algorithm::Zstd, Some("right"), vec![noise(100_000), noise(512), noise(150_000)], noise(5000))
}

pub fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

pub fn open(bytes: &[u8], pass: &str) -> Result<Container, ArchiveError> {
    Container::open(file(bytes), &mut |_| Ok(passphrase(pass)))
}

pub fn read_index(container: &Container) -> Result<Vec<u8>, std::io::Error> {
    let mut index = Vec::new();
    container.index().unwrap().read_to_end(&mut index).map(|_| index)
}

pub fn read_frames(container: &Container, frames: &[Frame]) -> Result<Vec<Vec<u8>>, ArchiveError> {
    let (mut scratch, mut out) = (FrameScratch::default(), Vec::new());
    frames.iter().map(|frame| container.frame(frame, &mut scratch, &mut out).map(|()| out.clone())).collect()
}

/// Everything that a reader does who trusts nothing.
pub fn check(bytes: &[u8], frames: &[Frame]) -> Result<Vec<Vec<u8>>, ArchiveError> {
    let container = open(bytes, "right")?;
    container.verify_all(2, &|_| ())?;
    read_frames(&container, frames)
}
