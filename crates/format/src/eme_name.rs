//! Names under EME: padded to whole blocks, encrypted as a whole, written in base64. Entries and attributes share it.

use strongroom_crypto::Eme;

use crate::{NameError, base64::UrlSafe};

/// The longest name an entry or an attribute can have.
pub const MAX_NAME: usize = 255;
/// What it is padded to, and then encoded in.
const MAX_PADDED: usize = 256;
const MAX_ENCODED: usize = MAX_PADDED.div_ceil(3) * 4;

pub struct EmeNames {
    eme: Eme,
    code: UrlSafe,
}

impl EmeNames {
    pub fn new(eme: Eme, code: UrlSafe) -> Self {
        Self { eme, code }
    }

    pub fn code(&self) -> UrlSafe {
        self.code
    }

    /// The encoded form of a name of at most 255 bytes.
    pub fn encrypt(&self, tweak: &[u8; 16], name: &[u8]) -> Result<Vec<u8>, NameError> {
        if name.len() > MAX_NAME {
            return Err(NameError::TooLong);
        }
        // PKCS#7: as many bytes as it takes to fill the last block, 1 to 16, each of them telling how many.
        let padding = 16 - name.len() % 16;
        let mut padded = [u8::try_from(padding).expect("at most 16"); MAX_PADDED];
        padded[..name.len()].copy_from_slice(name);
        let padded = &mut padded[..name.len() + padding];
        self.eme.encrypt(tweak, padded);
        Ok(self.code.encode(padded))
    }

    /// The name behind an encoded form, never empty. Whether it may be a name is for the caller to see.
    pub fn decrypt(&self, tweak: &[u8; 16], encoded: &[u8]) -> Result<Vec<u8>, NameError> {
        if encoded.len() > MAX_ENCODED {
            return Err(NameError::Length);
        }
        let mut text = self.code.decode(encoded).ok_or(NameError::NotBase64)?;
        if text.is_empty() || !text.len().is_multiple_of(16) || text.len() > MAX_PADDED {
            return Err(NameError::Length);
        }
        self.eme.decrypt(tweak, &mut text);
        let len = unpadded_len(&text).ok_or(NameError::Padding)?;
        text.truncate(len);
        Ok(text)
    }
}

fn unpadded_len(text: &[u8]) -> Option<usize> {
    let padding = usize::from(*text.last()?);
    let len = text.len().checked_sub(padding)?;
    let valid = (1..=16).contains(&padding) && len > 0 && text[len..].iter().all(|&byte| usize::from(byte) == padding);
    valid.then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pkcs7_over_something_is_padding() {
        assert_eq!(unpadded_len(&[b'a', 1]), Some(1));
        let mut block = [16u8; 32];
        assert_eq!(unpadded_len(&block), Some(16));
        block[17] = 15;
        assert_eq!(unpadded_len(&block), None, "unequal padding bytes");
        assert_eq!(unpadded_len(&[16; 16]), None, "an empty name");
        assert_eq!(unpadded_len(&[0; 16]), None, "no padding");
        assert_eq!(unpadded_len(&[17; 32]), None, "more padding than a block");
        assert_eq!(unpadded_len(&[]), None);
    }
}
