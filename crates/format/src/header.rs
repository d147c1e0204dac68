//! What a file begins with: the version of the format and the file's id.

use strongroom_crypto::Random;

use crate::Corrupt;

/// A file's id: random, never all zero, part of what authenticates each of its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId([u8; 16]);

impl FileId {
    /// A new id.
    ///
    /// # Panics
    /// If the source of randomness gives only zeros.
    pub fn generate(random: &dyn Random) -> Self {
        let mut id = [0; 16];
        random.fill(&mut id);
        assert_ne!(id, [0; 16], "a source of randomness that gives only zeros is broken");
        Self(id)
    }

    pub(crate) const fn from_bytes(id: [u8; 16]) -> Self {
        Self(id)
    }

    /// The bytes, as they stand in the header.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The 18 bytes that a file with any content begins with: the version, big-endian, and the id.
pub struct FileHeader;

impl FileHeader {
    /// Length of the header.
    pub const LEN: usize = 18;
    /// The version of the format.
    pub const VERSION: u16 = 2;

    /// The header of a file with this id.
    pub fn encode(id: &FileId) -> [u8; Self::LEN] {
        let mut header = [0; Self::LEN];
        header[..2].copy_from_slice(&Self::VERSION.to_be_bytes());
        header[2..].copy_from_slice(&id.0);
        header
    }

    /// The id in a header.
    pub fn decode(header: &[u8; Self::LEN]) -> Result<FileId, Corrupt> {
        if *header == [0; Self::LEN] {
            return Err(Corrupt::ZeroHeader);
        }
        let (version, id) = header.split_at(2);
        let version = u16::from_be_bytes(version.try_into().expect("two bytes were split off"));
        let id: [u8; 16] = id.try_into().expect("16 bytes are left of 18");
        match (version, id) {
            (Self::VERSION, id) if id == [0; 16] => Err(Corrupt::ZeroFileId),
            (Self::VERSION, id) => Ok(FileId(id)),
            (other, _) => Err(Corrupt::HeaderVersion(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_gives_back_its_id() {
        let id = FileId([9; 16]);
        assert_eq!(FileHeader::decode(&FileHeader::encode(&id)), Ok(id));
    }

    #[test]
    fn headers_of_zeros_of_another_version_or_without_an_id_are_refused() {
        assert_eq!(FileHeader::decode(&[0; 18]), Err(Corrupt::ZeroHeader));
        let mut header = [0; 18];
        header[1] = 2;
        assert_eq!(FileHeader::decode(&header), Err(Corrupt::ZeroFileId));
        header[0] = 1;
        header[17] = 1;
        assert_eq!(FileHeader::decode(&header), Err(Corrupt::HeaderVersion(0x102)));
    }
}
