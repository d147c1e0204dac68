//! Zstandard frames (RFC 8878), by libzstd.

use std::io;

use zstd::{bulk, zstd_safe};

use super::{BadFrame, WRONG_LENGTH};

pub struct Packer(bulk::Compressor<'static>);

impl Packer {
    pub fn new(level: u8) -> io::Result<Self> {
        let mut compressor = bulk::Compressor::new(level.into())?;
        // Four bytes of XXH64. Where nothing is sealed, they are what tells a damaged frame.
        compressor.include_checksum(true)?;
        Ok(Self(compressor))
    }

    pub fn pack(&mut self, tar: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.reserve(zstd_safe::compress_bound(tar.len()));
        self.0.compress_to_buffer(tar, out).map(|_| ())
    }
}

pub struct Unpacker(bulk::Decompressor<'static>);

impl Unpacker {
    pub fn new() -> io::Result<Self> {
        bulk::Decompressor::new().map(Self)
    }

    pub fn unpack(&mut self, packed: &[u8], tar_len: usize, out: &mut Vec<u8>) -> Result<(), BadFrame> {
        // libzstd reads as many frames as there are, and skips skippable ones.
        if !packed.starts_with(&MAGIC) || zstd_safe::find_frame_compressed_size(packed) != Ok(packed.len()) {
            return Err("it is not one zstd frame");
        }
        out.resize(tar_len, 0);
        // Into a slice, not the Vec: what room that has would be filled.
        match self.0.decompress_to_buffer(packed, out.as_mut_slice()) {
            Ok(len) if len == tar_len => Ok(()),
            Ok(_) => Err(WRONG_LENGTH),
            Err(_) => Err("zstd cannot decompress it"),
        }
    }
}

const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
