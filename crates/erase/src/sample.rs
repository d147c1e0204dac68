//! What is remembered of real files, to be looked for on the device afterwards: keyed digests, never the bytes.

use std::os::fd::BorrowedFd;

use rustix::fs::{self, Mode, OFlags};
use serde::{Deserialize, Serialize};
use strongroom_crypto::{OsRandom, Random, hmac_sha256};
use strongroom_durable::Beneath;

use crate::{EraseError, Kind, Target, hex::Hex, look::Look};

/// File systems give blocks to files at multiples of this.
pub(crate) const SECTOR: usize = 512;

/// So many bytes at the beginning of a block are remembered.
pub(crate) const PIECE: usize = 64;

/// Where pieces are taken from: multiples of this.
const BLOCK: u64 = 4096;

/// Less variety than this, and the piece would be found anywhere.
const LEAST_VARIETY: usize = 16;

/// Keyed digests of pieces of real files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    key: Hex<32>,
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Piece {
    /// Sixteen bits of a keyed hash of the first eight bytes: what nearly every sector of a device is ruled out by.
    hint: u16,
    mac: Hex<32>,
}

impl Samples {
    /// Remembers up to `count` pieces of the files among `targets` below `root`, spread over them. Pieces that would be found
    /// anywhere (zeros, a few bytes again and again) are passed over, and so are files that are not what is listed.
    pub fn take(root: BorrowedFd<'_>, targets: &[Target], count: usize) -> Result<Self, EraseError> {
        let root = fs::openat(root, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let root = Beneath::on_one_mount(root.map_err(EraseError::at("opening", b""))?);
        let mut key = [0; 32];
        OsRandom.fill(&mut key);
        let mut samples = Self { key: Hex(key), pieces: Vec::new() };
        let files: Vec<_> = targets.iter().filter(|target| target.kind == Kind::File).collect();
        let step = files.len().div_ceil(count.max(1)).max(1);
        for target in files.iter().step_by(step) {
            samples.remember(&root, target)?;
        }
        samples.pieces.sort_unstable();
        samples.pieces.dedup();
        Ok(samples)
    }

    /// How many pieces are remembered.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether nothing was worth remembering.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Made ready for looking at each sector of a device.
    pub(crate) fn sieve(&self) -> Sieve<'_> {
        let mut hints = vec![0u64; 1 << 10];
        for piece in &self.pieces {
            hints[usize::from(piece.hint >> 6)] |= 1 << (piece.hint & 63);
        }
        Sieve { samples: self, hints }
    }

    fn remember(&mut self, root: &Beneath, target: &Target) -> Result<(), EraseError> {
        // Never a device or a pipe that took the file's place.
        let Ok(seen) = root.open(&target.path, OFlags::PATH) else { return Ok(()) };
        let look = Look::of(&seen).map_err(EraseError::at("looking at", &target.path))?;
        if !look.is(target) || look.len < PIECE as u64 {
            return Ok(());
        }
        let Ok(file) = root.open(&target.path, OFlags::RDONLY | OFlags::NONBLOCK) else { return Ok(()) };
        let mut random = [0; 8];
        OsRandom.fill(&mut random);
        let block = u64::from_le_bytes(random) % (look.len / BLOCK).max(1);
        let mut piece = [0; PIECE];
        let read = rustix::io::pread(&file, &mut piece, block * BLOCK);
        if read.map_err(EraseError::at("reading", &target.path))? == PIECE && is_telling(&piece) {
            self.pieces.push(Piece { hint: self.hint(&piece), mac: self.mac(&piece) });
        }
        Ok(())
    }

    fn hint(&self, piece: &[u8]) -> u16 {
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        let mixed = (word(piece) ^ word(&self.key.0)).wrapping_mul(word(&self.key.0[8..]) | 1);
        (mixed >> 48) as u16
    }

    fn mac(&self, piece: &[u8]) -> Hex<32> {
        Hex(hmac_sha256(&self.key.0, piece))
    }
}

/// Tells quickly of nearly every sector that it was not remembered.
pub(crate) struct Sieve<'a> {
    samples: &'a Samples,
    hints: Vec<u64>,
}

impl Sieve<'_> {
    /// Whether `sector`, of which there are [`PIECE`] bytes at least, begins with a remembered piece.
    pub(crate) fn holds(&self, sector: &[u8]) -> bool {
        let piece = &sector[..PIECE];
        let hint = self.samples.hint(piece);
        if self.hints[usize::from(hint >> 6)] >> (hint & 63) & 1 == 0 || !is_telling(piece) {
            return false;
        }
        let wanted = Piece { hint, mac: self.samples.mac(piece) };
        self.samples.pieces.binary_search(&wanted).is_ok()
    }
}

fn is_telling(piece: &[u8]) -> bool {
    let mut seen = [false; 256];
    piece.iter().filter(|&&byte| !std::mem::replace(&mut seen[usize::from(byte)], true)).count() >= LEAST_VARIETY
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsFd, unix::fs::MetadataExt};

    use super::*;

    #[test]
    fn a_remembered_piece_is_known_again_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let content: Vec<u8> = (0..5000u32).flat_map(|word| word.wrapping_mul(2654435761).to_le_bytes()).collect();
        std::fs::write(&path, &content).unwrap();
        std::fs::write(dir.path().join("zeros"), vec![0; 5000]).unwrap();
        let target = |name: &str| {
            let meta = std::fs::metadata(dir.path().join(name)).unwrap();
            Target { path: name.into(), dev: meta.dev(), ino: meta.ino(), kind: Kind::File, links_inside: 1 }
        };
        let root = fs::open(dir.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let samples = Samples::take(root.as_fd(), &[target("file"), target("zeros")], 10).unwrap();
        assert_eq!(samples.len(), 1);
        let sieve = samples.sieve();
        assert_eq!((0..4).filter(|block| sieve.holds(&content[block * 4096..])).count(), 1);
        assert!(!sieve.holds(&[0; PIECE]));
        let stored: Samples = serde_json::from_str(&serde_json::to_string(&samples).unwrap()).unwrap();
        assert_eq!(stored, samples);
    }
}
