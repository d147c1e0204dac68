//! The key of a volume, from which all others follow.

use strongroom_crypto::{Key, Random};
use zeroize::Zeroizing;

use crate::SuperblockError;

/// The 32 bytes that gocryptfs.conf holds wrapped in the passphrase. Whoever has them needs no passphrase.
pub struct MasterKey(Key<32>);

impl MasterKey {
    /// A new key.
    pub fn generate(random: &dyn Random) -> Self {
        Self(Key::filled_by(|slot| random.fill(slot)))
    }

    /// Takes a key over. The caller wipes its own copy.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Key::new(bytes))
    }

    pub(crate) fn filled_by<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut filled = Ok(());
        let key = Key::filled_by(|slot| filled = fill(slot));
        filled.map(|()| Self(key))
    }

    /// Reads what [`MasterKey::to_hex_groups`] wrote, or any 64 hexadecimal digits; dashes and blanks are skipped.
    pub fn from_hex_groups(text: &str) -> Result<Self, SuperblockError> {
        Self::filled_by(|key| {
            let mut digits = text.chars().filter(|c| *c != '-' && !c.is_whitespace());
            for byte in key.iter_mut() {
                *byte = digit(digits.next())? << 4 | digit(digits.next())?;
            }
            match digits.next() {
                None => Ok(()),
                Some(_) => Err(SuperblockError::RecoveryKey("more")),
            }
        })
    }

    /// The key in hexadecimal, in eight groups of eight digits, for a person to write down.
    pub fn to_hex_groups(&self) -> Zeroizing<String> {
        // Reserved at once, since a growing string would leave pieces of the key behind.
        let mut text = Zeroizing::new(String::with_capacity(64 + 7));
        for (i, byte) in self.0.expose().iter().enumerate() {
            if i > 0 && i % 4 == 0 {
                text.push('-');
            }
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(nibble.into(), 16).expect("a nibble is a hexadecimal digit"));
            }
        }
        text
    }

    /// A second copy.
    pub fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }

    /// The bytes, for derivation and wrapping.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

fn digit(c: Option<char>) -> Result<u8, SuperblockError> {
    let c = c.ok_or(SuperblockError::RecoveryKey("fewer"))?;
    let value = c.to_digit(16).ok_or(SuperblockError::RecoveryKey("something else in it"))?;
    Ok(u8::try_from(value).expect("a hexadecimal digit is below 16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_written_form() {
        let key = MasterKey::from_bytes(&std::array::from_fn(|i| i as u8));
        let text = key.to_hex_groups();
        assert_eq!(&**text, "00010203-04050607-08090a0b-0c0d0e0f-10111213-14151617-18191a1b-1c1d1e1f");
        let blanks = text.replace('-', " \n").to_uppercase();
        for text in [text.as_str(), &blanks, &text.replace('-', "")] {
            assert_eq!(MasterKey::from_hex_groups(text).ok().unwrap().expose(), key.expose());
        }
    }

    #[test]
    fn what_is_not_64_digits_is_refused() {
        for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(64)] {
            assert!(matches!(MasterKey::from_hex_groups(bad), Err(SuperblockError::RecoveryKey(_))), "{bad}");
        }
    }
}
