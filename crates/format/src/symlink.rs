//! Targets of symbolic links: sealed like a value, and written in base64, since a target must be text without NUL.

use strongroom_crypto::Random;

use crate::{ContentCipher, Corrupt};

impl ContentCipher {
    /// What the link on disk points to.
    pub fn seal_symlink(&self, target: &[u8], random: &dyn Random) -> Vec<u8> {
        self.encode_symlink(target, |target| self.seal_value(target, random))
    }

    pub(crate) fn encode_symlink(&self, target: &[u8], seal: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        match self.stores_symlinks_plain() {
            true => target.to_vec(),
            false => self.code().encode(&seal(target)),
        }
    }

    /// The target behind what the link on disk points to.
    pub fn open_symlink(&self, stored: &[u8]) -> Result<Vec<u8>, Corrupt> {
        match self.stores_symlinks_plain() {
            true => Ok(stored.to_vec()),
            false => self.open_value(&self.code().decode(stored).ok_or(Corrupt::NotBase64)?),
        }
    }
}
