//! LZ4 frames (LZ4 Frame Format 1.6), by liblz4.

use std::io::{self, Read, Write};

use lz4::{BlockMode, BlockSize, ContentChecksum, Decoder, EncoderBuilder, liblz4::BlockChecksum};

use super::{BadFrame, WRONG_LENGTH};

pub struct Packer(EncoderBuilder);

impl Packer {
    pub fn new(level: u8) -> Self {
        let mut builder = EncoderBuilder::new();
        builder
            .level(level.into())
            // LZ4 looks back 64 KiB only: what blocks that know nothing of each other cost is not worth talking of, and
            // the library need not remember what came before.
            .block_size(BlockSize::Max1MB)
            .block_mode(BlockMode::Independent)
            .block_checksum(BlockChecksum::NoBlockChecksum)
            .checksum(ContentChecksum::ChecksumEnabled);
        Self(builder)
    }

    pub fn pack(&mut self, tar: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut encoder = self.0.content_size(tar.len() as u64).build(out)?;
        encoder.write_all(tar)?;
        encoder.finish().1
    }
}

pub fn unpack(packed: &[u8], tar_len: usize, out: &mut Vec<u8>) -> Result<(), BadFrame> {
    // The library would skip skippable frames.
    if !packed.starts_with(&MAGIC) {
        return Err("it is not an LZ4 frame");
    }
    let cannot = |_| "LZ4 cannot decompress it";
    let mut decoder = Decoder::new(packed).map_err(cannot)?;
    out.resize(tar_len, 0);
    decoder.read_exact(out).map_err(cannot)?;
    if decoder.read(&mut [0]).map_err(cannot)? != 0 {
        return Err(WRONG_LENGTH);
    }
    match decoder.finish() {
        ([], Ok(())) => Ok(()),
        (_, Ok(())) => Err("there is something after its end"),
        (_, Err(_)) => Err("its end is missing"),
    }
}

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4D, 0x18];
