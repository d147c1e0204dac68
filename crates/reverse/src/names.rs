//! Names and paths of the plaintext from and to those of the view.

use std::os::fd::OwnedFd;

use rustix::fs::{Dir, OFlags};
use strongroom_format::{Classified, DirIv, NameError};

use crate::error::{Result, ViewError};
use crate::node::{DirState, Node};
use crate::view::{View, dir_iv, join};

/// How a directory is opened to be listed.
const LISTING: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

impl View {
    /// What a plaintext path, relative to the root, is called in the view. Nothing of it need exist, and what is excluded
    /// has its name all the same.
    pub fn encrypt_path(&self, path: &[u8]) -> Result<Vec<u8>> {
        let mut cipher = Vec::new();
        for name in path.split(|&byte| byte == b'/').filter(|_| !path.is_empty()) {
            let iv = dir_iv(&self.ciphers, &cipher);
            let stored = self.ciphers.names.encrypt(&iv, name).map_err(|error| match error {
                NameError::TooLong => ViewError::NameTooLong,
                _ => ViewError::BadName,
            })?;
            cipher = join(&cipher, stored.disk());
        }
        Ok(cipher)
    }

    /// The plaintext path behind a path of the view. The directories above a hashed name must exist.
    pub fn decrypt_path(&self, path: &[u8]) -> Result<Vec<u8>> {
        let (mut cipher, mut plain) = (Vec::new(), Vec::new());
        for name in path.split(|&byte| byte == b'/').filter(|_| !path.is_empty()) {
            let iv = dir_iv(&self.ciphers, &cipher);
            let found = match self.ciphers.names.classify(name, false) {
                Classified::LongContent => self.plain_of_hash(&self.beneath.open(&plain, LISTING)?, &iv, name)?,
                Classified::LongNameFile => return Err(ViewError::InvalidArgument),
                _ => self.ciphers.names.decrypt(&iv, name).map_err(|_| ViewError::NotFound)?,
            };
            plain = join(&plain, &found);
            cipher = join(&cipher, name);
        }
        Ok(plain)
    }

    /// The plaintext name behind a name that the view shows.
    pub(crate) fn plain_name(&self, node: &Node, dir: &DirState, cipher: &[u8]) -> Result<Vec<u8>> {
        // `gocryptfs.conf` and `gocryptfs.diriv` decrypt to nothing; with plaintext names they stand for themselves.
        if self.ciphers.names.classify(cipher, false) != Classified::LongContent {
            let is_plain = self.ciphers.names.is_plaintext();
            return self.ciphers.names.decrypt(&dir.iv, cipher).map_err(|error| match error {
                // As the file system that holds the plaintext would say.
                NameError::TooLong if is_plain => ViewError::NameTooLong,
                _ => ViewError::NotFound,
            });
        }
        if let Some(known) = dir.long_names.lock().get(cipher) {
            return Ok(known.to_vec());
        }
        let plain = self.plain_of_hash(&self.open_dir_to_list(node)?, &dir.iv, cipher)?;
        dir.long_names.lock().insert(cipher.into(), plain.as_slice().into());
        Ok(plain)
    }

    /// Tries all names in a directory.
    fn plain_of_hash(&self, dir: &OwnedFd, iv: &DirIv, cipher: &[u8]) -> Result<Vec<u8>> {
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let Ok(stored) = self.ciphers.names.encrypt(iv, name) else { continue };
            if stored.is_long() && stored.disk() == cipher {
                return Ok(name.to_vec());
            }
        }
        Err(ViewError::NotFound)
    }

    pub(crate) fn open_dir_to_list(&self, node: &Node) -> Result<OwnedFd> {
        Ok(self.beneath.open(&node.plain_path(), LISTING)?)
    }
}
