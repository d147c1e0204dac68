//! The vectors of an encrypted view of a plaintext tree (gocryptfs's reverse mode), and what is sealed with them.
//!
//! Nothing is stored, so nothing can be random: all that is elsewhere fresh follows from the *ciphertext* path of what it
//! belongs to, and the same tree always looks the same. That is safe under AES-SIV alone, which tells no more than whether
//! two messages are equal when a nonce repeats.

use strongroom_crypto::{Algorithm, SealLane, Sha256};

use crate::{ContentCipher, DirIv, FileHeader, FileId, content::block_aad};

/// Blocks that go to the cipher together.
const BATCH: usize = 64;

/// What a vector is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The names in a directory.
    DirIv,
    /// The id of a file.
    FileId,
    /// The nonce of a file's first block.
    BlockZero,
    /// The target of a symbolic link.
    Symlink,
    /// The value of an extended attribute.
    Xattr,
}

impl Purpose {
    fn word(self) -> &'static [u8] {
        match self {
            Self::DirIv => b"DIRIV",
            Self::FileId => b"FILEID",
            Self::BlockZero => b"BLOCK0IV",
            Self::Symlink => b"SYMLINKIV",
            Self::Xattr => b"XATTRIV",
        }
    }

    /// The vector of what lies at `path` in the view: hashed names as they are shown, joined by `/`; empty for the root.
    pub fn vector(self, path: &[u8]) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(path);
        hash.update(&[0]);
        hash.update(self.word());
        *hash.finish().first_chunk().expect("a hash has 32 bytes")
    }
}

impl DirIv {
    /// The IV of the directory at `path` in a view, where directories have one each.
    pub fn in_view(path: &[u8]) -> Self {
        Self::from_bytes(Purpose::DirIv.vector(path))
    }
}

/// The vectors of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileVectors {
    id: FileId,
    block_zero: [u8; 16],
}

impl FileVectors {
    /// Those of the file at `path` in the view.
    pub fn of(path: &[u8]) -> Self {
        let id = FileId::from_bytes(Purpose::FileId.vector(path));
        Self { id, block_zero: Purpose::BlockZero.vector(path) }
    }

    /// What the file begins with, if there is anything in it.
    pub fn header(&self) -> [u8; FileHeader::LEN] {
        FileHeader::encode(&self.id)
    }

    /// The nonce of a block: the lower half of the first one's counts on, and wraps.
    fn nonce(&self, block: u64) -> [u8; 16] {
        let mut nonce = self.block_zero;
        let low = u64::from_be_bytes(*nonce.last_chunk().expect("half of 16"));
        nonce[8..].copy_from_slice(&low.wrapping_add(block).to_be_bytes());
        nonce
    }
}

/// A block to be sealed.
pub struct ViewBlock<'a> {
    /// Its number in the file.
    pub number: u64,
    /// 1 to 4096 bytes.
    pub plain: &'a [u8],
    /// Where it goes: as long as the plaintext and the overhead.
    pub out: &'a mut [u8],
}

impl ContentCipher {
    /// Seals blocks of a file in a view, many at a time. Blocks of zeros are sealed like any other: there are no holes.
    pub fn seal_view_blocks<'a>(&self, vectors: &FileVectors, blocks: impl IntoIterator<Item = ViewBlock<'a>>) {
        debug_assert_eq!(self.algorithm(), Algorithm::AesSiv, "nonces that follow from a path are safe with no other");
        let mut blocks = blocks.into_iter();
        loop {
            let batch: Vec<_> = blocks.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return;
            }
            let aads: Vec<_> = batch.iter().map(|block| block_aad(block.number, &vectors.id)).collect();
            let mut lanes: Vec<_> = (batch.into_iter().zip(&aads))
                .map(|(block, aad)| {
                    let (nonce, out) = block.out.split_at_mut(self.nonce_len());
                    nonce.copy_from_slice(&vectors.nonce(block.number));
                    SealLane { nonce, aad, plain: block.plain, out }
                })
                .collect();
            self.seal_lanes(&mut lanes);
        }
    }

    /// What the symbolic link at `path` in a view points to.
    pub fn seal_view_symlink(&self, path: &[u8], target: &[u8]) -> Vec<u8> {
        // gocryptfs appends the last name once more, and its views are to be met byte for byte.
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let nonce = Purpose::Symlink.vector(&[path, b"/", name].concat());
        self.encode_symlink(target, |target| self.seal_value_under(&nonce, target))
    }

    /// The value of an attribute of what lies at `path` in a view; `disk_name` is what the attribute is called there.
    pub fn seal_view_xattr(&self, path: &[u8], disk_name: &[u8], value: &[u8]) -> Vec<u8> {
        self.seal_value_under(&Purpose::Xattr.vector(&[path, b"\0", disk_name].concat()), value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn vectors_are_those_of_gocryptfs() {
        // What gocryptfs derives.
        for (path, purpose, vector) in [
            ("", Purpose::DirIv, "a8f7bac432ddc1cb3dc74e684d6ae48b"),
            ("", Purpose::FileId, "7283b0279d44536047fd43e6426bc736"),
            ("", Purpose::BlockZero, "8d1d4b776185e50b681dac7cc57aa07b"),
            ("DIR", Purpose::DirIv, "de950e17e52ddbba745d90c148f6c3a6"),
            ("DIR", Purpose::FileId, "71d8d734688c73ecf015ca4a8e9ec17a"),
            ("DIR", Purpose::BlockZero, "8217741b9366f59199c719e9825c79e9"),
            ("DIR/FILE", Purpose::DirIv, "73629baf1179a001e7d56a935c894b5e"),
            ("DIR/FILE", Purpose::FileId, "531b610aae57f293f8f7599dedb4a3f6"),
            ("DIR/FILE", Purpose::BlockZero, "14ffb14c885be728793e7609a6373c3a"),
            ("DIR/LINK/LINK", Purpose::Symlink, "f15cfded6902de7b193533a8fad023e8"),
        ] {
            assert_eq!(hex(&purpose.vector(path.as_bytes())), vector, "{path:?} {purpose:?}");
        }
    }

    #[test]
    fn the_lower_half_of_a_nonce_counts_and_wraps() {
        let at = |block_zero, block| hex(&FileVectors { id: FileId::from_bytes([1; 16]), block_zero }.nonce(block));
        assert_eq!(at([0xff; 16], 40), "ffffffffffffffff0000000000000027");
        assert_eq!(at([0; 16], 3), "00000000000000000000000000000003");
    }
}
