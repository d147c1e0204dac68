//! gzip members (RFC 1952): the wrapping here, DEFLATE by zlib-rs.

use std::io;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::{BadFrame, WRONG_LENGTH};

/// Deflate, no flags, no time, no hint, unknown system.
const HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255];
/// CRC-32 and length, both little-endian.
const TRAILER_LEN: usize = 8;

pub struct Packer(Compress);

impl Packer {
    pub fn new(level: u8) -> Self {
        Self(Compress::new(Compression::new(level.into()), false))
    }

    pub fn pack(&mut self, tar: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(&HEADER);
        self.0.reset();
        loop {
            out.reserve((tar.len() / 2).max(1 << 16));
            let taken = self.0.total_in() as usize;
            if self.0.compress_vec(&tar[taken..], out, FlushCompress::Finish)? == Status::StreamEnd {
                break;
            }
        }
        out.extend_from_slice(&trailer(tar));
        Ok(())
    }
}

pub struct Unpacker(Decompress);

impl Unpacker {
    pub fn new() -> Self {
        Self(Decompress::new(false))
    }

    pub fn unpack(&mut self, packed: &[u8], tar_len: usize, out: &mut Vec<u8>) -> Result<(), BadFrame> {
        let deflated = packed.strip_prefix(&HEADER).ok_or("it is not a gzip member as archives have them")?;
        let (deflated, trailer_found) =
            deflated.split_last_chunk::<TRAILER_LEN>().ok_or("it is too short for a gzip member")?;
        self.0.reset(false);
        out.resize(tar_len, 0);
        let status = self.0.decompress(deflated, out, FlushDecompress::Finish);
        if status.map_err(|_| "zlib cannot decompress it")? != Status::StreamEnd || self.0.total_out() != tar_len as u64
        {
            return Err(WRONG_LENGTH);
        }
        if self.0.total_in() != deflated.len() as u64 {
            return Err("there is something after its end");
        }
        if *trailer_found != trailer(out) {
            return Err("its CRC-32 is another");
        }
        Ok(())
    }
}

fn trailer(tar: &[u8]) -> [u8; TRAILER_LEN] {
    let mut crc = Crc::new();
    crc.update(tar);
    let mut trailer = [0; TRAILER_LEN];
    trailer[..4].copy_from_slice(&crc.sum().to_le_bytes());
    trailer[4..].copy_from_slice(&crc.amount().to_le_bytes());
    trailer
}
