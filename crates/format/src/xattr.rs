//! Names of extended attributes. Their values are sealed by [`crate::ContentCipher`].

use crate::{NameError, eme_name::EmeNames};

/// Encrypts and decrypts the names of extended attributes, in every mode of names.
pub struct XattrCipher(EmeNames);

const PREFIX: &[u8] = b"user.gocryptfs.";
const TWEAK: &[u8; 16] = b"xattr_name_iv_xx";

impl XattrCipher {
    pub(crate) fn new(names: EmeNames) -> Self {
        Self(names)
    }

    /// Whether the attribute is stored as it is, name and value: POSIX ACLs, which the kernel itself must read.
    pub fn passes_through(name: &[u8]) -> bool {
        matches!(name, b"system.posix_acl_access" | b"system.posix_acl_default")
    }

    /// What the attribute is called on disk.
    pub fn encrypt_name(&self, name: &[u8]) -> Result<Vec<u8>, NameError> {
        check(name)?;
        Ok([PREFIX, &self.0.encrypt(TWEAK, name)?].concat())
    }

    /// The name behind an attribute's name on disk; `None` if that is not one of ours.
    pub fn decrypt_name(&self, disk: &[u8]) -> Option<Result<Vec<u8>, NameError>> {
        disk.strip_prefix(PREFIX).map(|encoded| {
            let name = self.0.decrypt(TWEAK, encoded)?;
            check(&name)?;
            match Self::passes_through(&name) {
                true => Err(NameError::PassedThrough),
                false => Ok(name),
            }
        })
    }
}

fn check(name: &[u8]) -> Result<(), NameError> {
    match name.is_empty() || name.contains(&0) {
        true => Err(NameError::Invalid),
        false => Ok(()),
    }
}
