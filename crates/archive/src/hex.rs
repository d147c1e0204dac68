//! Lower-case hexadecimal, the one form in which the format writes bytes as text.

/// Two digits for each byte.
pub fn encode(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("a nibble is a hexadecimal digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Exactly `N` bytes, and no other way of writing them.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    let mut seen = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (NIBBLES[usize::from(*high)], NIBBLES[usize::from(*low)]);
        seen |= high | low;
        *byte = high << 4 | low & 15;
    }
    (seen & NONE == 0).then_some(bytes)
}

/// What stands for what is no digit.
const NONE: u8 = 0x80;

/// The value of each digit. An index has a hash for each of perhaps a million files.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [NONE; 256];
    let mut value = 0;
    while value < 16 {
        nibbles[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    nibbles
};

/// Bytes of fixed length as a hexadecimal string: `#[serde(with = "hex::serde")]`.
pub mod serde {
    use std::fmt;

    use serde::{
        Deserializer, Serializer,
        de::{Error, Unexpected, Visitor},
    };

    /// Writes the string.
    pub fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::encode(bytes))
    }

    /// Reads the string.
    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
        deserializer.deserialize_str(Digits::<N>)
    }

    struct Digits<const N: usize>;

    impl<const N: usize> Visitor<'_> for Digits<N> {
        type Value = [u8; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{N} bytes in lower-case hexadecimal")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<[u8; N], E> {
            super::decode(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_digits_of_the_right_number_are_taken() {
        assert_eq!(decode::<3>("00a9ff"), Some([0, 0xa9, 0xff]));
        assert_eq!(decode::<3>(&encode(&[1, 2, 254])), Some([1, 2, 254]));
        for bad in ["", "00a9f", "00a9fF", "00a9ff00", "00a9fg", "00 9ff", "00a9\u{e9}"] {
            assert_eq!(decode::<3>(bad), None, "{bad:?}");
        }
    }
}
