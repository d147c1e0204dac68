//! Names of entries, and what they are called on disk.

use crate::{CONF_NAME, DIR_IV_NAME, DirIv, NameError, eme_name::EmeNames, long_name};

/// Encrypts and decrypts the names of entries, or leaves them as they are.
pub struct NameCipher {
    /// `None` where names are stored in plaintext.
    encryption: Option<EmeNames>,
    uses_dir_iv: bool,
    /// From which encoded length on names are hashed; `None` if none are.
    long_name_max: Option<u8>,
}

/// What an entry is called on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredName {
    disk: Vec<u8>,
    long: Option<Vec<u8>>,
}

impl StoredName {
    /// An entry that is called on disk what no name is encoded as.
    pub fn verbatim(disk: Vec<u8>) -> Self {
        Self { disk, long: None }
    }

    /// What stands in the directory.
    pub fn disk(&self) -> &[u8] {
        &self.disk
    }

    /// The file that must stand beside a hashed entry: its name and its content.
    pub fn name_file(&self) -> Option<(Vec<u8>, &[u8])> {
        self.long.as_deref().map(|encoded| (long_name::name_file(&self.disk), encoded))
    }

    /// Whether the name is hashed.
    pub fn is_long(&self) -> bool {
        self.long.is_some()
    }

    /// What stands in the directory, given away.
    pub fn into_disk(self) -> Vec<u8> {
        self.disk
    }
}

/// What a name found in a directory of the volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classified {
    /// An entry, its name standing for itself.
    Ordinary,
    /// An entry whose name is in the file beside it ([`NameCipher::name_file_of`]).
    LongContent,
    /// A file that holds the name of another entry. Not shown.
    LongNameFile,
    /// A file of the format itself. Not shown.
    Reserved,
}

impl NameCipher {
    /// The longest content of a name file: the encoded form of a name of 255 bytes.
    pub const MAX_NAME_FILE: usize = 344;

    pub(crate) fn encrypting(names: EmeNames, uses_dir_iv: bool, long_name_max: u8) -> Self {
        Self { encryption: Some(names), uses_dir_iv, long_name_max: Some(long_name_max) }
    }

    pub(crate) fn plaintext() -> Self {
        Self { encryption: None, uses_dir_iv: false, long_name_max: None }
    }

    /// From now on no name is hashed, however long; and an entry that is, has no name.
    pub fn hash_none(&mut self) {
        self.long_name_max = None;
    }

    /// Whether every directory has a file with its IV.
    pub fn uses_dir_iv(&self) -> bool {
        self.uses_dir_iv
    }

    /// Whether names are stored as they are.
    pub fn is_plaintext(&self) -> bool {
        self.encryption.is_none()
    }

    /// What an entry called `name` is called on disk, in the directory with this IV.
    pub fn encrypt(&self, iv: &DirIv, name: &[u8]) -> Result<StoredName, NameError> {
        check(name)?;
        let Some(encryption) = &self.encryption else {
            return Ok(StoredName { disk: name.to_vec(), long: None });
        };
        let encoded = encryption.encrypt(iv.as_bytes(), name)?;
        if self.long_name_max.is_none_or(|max| encoded.len() <= usize::from(max)) {
            return Ok(StoredName { disk: encoded, long: None });
        }
        Ok(StoredName { disk: long_name::content_name(encryption.code(), &encoded), long: Some(encoded) })
    }

    /// The name behind the encoded form, which is what stands in the directory or, for a hashed name, in its name file.
    pub fn decrypt(&self, iv: &DirIv, encoded: &[u8]) -> Result<Vec<u8>, NameError> {
        let name = match &self.encryption {
            Some(encryption) => encryption.decrypt(iv.as_bytes(), encoded)?,
            None => encoded.to_vec(),
        };
        check(&name)?;
        Ok(name)
    }

    /// What a name found in a directory is.
    pub fn classify(&self, disk: &[u8], is_root: bool) -> Classified {
        if is_root && disk == CONF_NAME.as_bytes() || self.uses_dir_iv && disk == DIR_IV_NAME.as_bytes() {
            return Classified::Reserved;
        }
        if self.long_name_max.is_none() {
            return Classified::Ordinary;
        }
        match disk {
            disk if long_name::is_content(disk) => Classified::LongContent,
            disk if long_name::is_name_file(disk) => Classified::LongNameFile,
            _ => Classified::Ordinary,
        }
    }

    /// The name of the file that holds the encoded form of a hashed entry.
    pub fn name_file_of(&self, long_content: &[u8]) -> Vec<u8> {
        long_name::name_file(long_content)
    }

    /// Whether the content of a name file belongs to the entry beside it. If not, the entry can be listed but not found.
    pub fn name_file_matches(&self, long_content: &[u8], encoded: &[u8]) -> bool {
        (self.encryption.as_ref()).is_some_and(|names| long_name::content_name(names.code(), encoded) == long_content)
    }
}

fn check(name: &[u8]) -> Result<(), NameError> {
    match name {
        b"" | b"." | b".." => Err(NameError::Invalid),
        _ if name.iter().any(|byte| matches!(byte, b'/' | 0)) => Err(NameError::Invalid),
        _ if name.len() > crate::eme_name::MAX_NAME => Err(NameError::TooLong),
        _ => Ok(()),
    }
}
