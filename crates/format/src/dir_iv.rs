//! The IV of a directory: what makes equal names in different directories look different.

use strongroom_crypto::Random;

use crate::Corrupt;

/// The IV with which the names in one directory are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DirIv([u8; 16]);

impl DirIv {
    /// Length of the file that holds it.
    pub const LEN: usize = 16;

    /// What stands for an IV where directories have none: deterministic names.
    pub const ZERO: Self = Self([0; 16]);

    /// A new IV.
    ///
    /// # Panics
    /// If the source of randomness gives only zeros.
    pub fn generate(random: &dyn Random) -> Self {
        let mut iv = [0; Self::LEN];
        random.fill(&mut iv);
        assert_ne!(iv, [0; Self::LEN], "a source of randomness that gives only zeros is broken");
        Self(iv)
    }

    pub(crate) const fn from_bytes(iv: [u8; Self::LEN]) -> Self {
        Self(iv)
    }

    /// Reads the content of `gocryptfs.diriv`: exactly 16 bytes, not all zero.
    pub fn parse(content: &[u8]) -> Result<Self, Corrupt> {
        match <[u8; Self::LEN]>::try_from(content) {
            Err(_) => Err(Corrupt::DirIvLength(content.len())),
            Ok(iv) if iv == [0; Self::LEN] => Err(Corrupt::ZeroDirIv),
            Ok(iv) => Ok(Self(iv)),
        }
    }

    /// The content of `gocryptfs.diriv`.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sixteen_bytes_that_are_not_all_zero_are_an_iv() {
        assert_eq!(DirIv::parse(&[7; 16]).unwrap().as_bytes(), &[7; 16]);
        assert_eq!(DirIv::parse(&[7; 15]), Err(Corrupt::DirIvLength(15)));
        assert_eq!(DirIv::parse(&[7; 17]), Err(Corrupt::DirIvLength(17)));
        assert_eq!(DirIv::parse(&[]), Err(Corrupt::DirIvLength(0)));
        assert_eq!(DirIv::parse(&[0; 16]), Err(Corrupt::ZeroDirIv));
    }
}
