//! What paths are called on the other side: plaintext to ciphertext and back.
//!
//! Walks the ciphertext afresh each time, remembers nothing and heals nothing. Symbolic links are not followed.

use strongroom_format::{Classified, DirIv, NameCipher};

use crate::backing::Backing;
use crate::directory::DIR_IV_NAME;
use crate::error::{Result, VaultError};
use crate::vault::Vault;

impl<B: Backing> Vault<B> {
    /// What the file at `plain`, a path from the root without `.` and `..`, is called in the cipher directory. The
    /// directories on the way must exist, as their names depend on what is in them; the last component need not.
    pub fn encrypted_path(&self, plain: &[u8]) -> Result<Vec<u8>> {
        self.translated(plain, |iv, name, _| Ok(self.ciphers.names.encrypt(iv, name)?.into_disk()), Walk::Translated)
    }

    /// What the file at `disk`, a path from the cipher directory, is called in the vault. The directories on the way must
    /// exist, and the `.name` files of hashed names.
    pub fn decrypted_path(&self, disk: &[u8]) -> Result<Vec<u8>> {
        let decrypted = |iv: &DirIv, name: &[u8], dir: &B::Dir| {
            let names = &self.ciphers.names;
            let encoded = match names.classify(name, false) {
                Classified::LongContent => {
                    self.backing.read_small(dir, &names.name_file_of(name), NameCipher::MAX_NAME_FILE)?
                }
                _ => name.to_vec(),
            };
            Ok(names.decrypt(iv, &encoded)?)
        };
        self.translated(disk, decrypted, Walk::Given)
    }

    /// Translates component by component, going down the ciphertext.
    fn translated(
        &self,
        path: &[u8],
        translate: impl Fn(&DirIv, &[u8], &B::Dir) -> Result<Vec<u8>>,
        walk: Walk,
    ) -> Result<Vec<u8>> {
        if self.ciphers.names.is_plaintext() {
            return Ok(path.to_vec());
        }
        let mut dir = self.backing.root()?;
        let mut translated: Vec<u8> = Vec::new();
        let mut components = path.split(|&byte| byte == b'/').peekable();
        while let Some(component) = components.next() {
            let name = translate(&self.iv_of(&dir)?, component, &dir)?;
            if !translated.is_empty() {
                translated.push(b'/');
            }
            translated.extend_from_slice(&name);
            if components.peek().is_some() {
                let on_disk = if walk == Walk::Given { component } else { &name };
                dir = self.backing.open_dir(&dir, on_disk)?;
            }
        }
        Ok(translated)
    }

    fn iv_of(&self, dir: &B::Dir) -> Result<DirIv> {
        if !self.ciphers.names.uses_dir_iv() {
            return Ok(DirIv::ZERO);
        }
        let _not_being_made = self.making_dirs.read();
        let content = self.backing.read_small(dir, DIR_IV_NAME, 16)?;
        DirIv::parse(&content).map_err(|error| VaultError::Corrupt { path: Vec::new(), what: error.to_string() })
    }
}

/// Which form of a component stands in the cipher directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    Given,
    Translated,
}
