//! The alphabets of the format: URL-safe for names and symlinks, raw or padded; standard and padded in gocryptfs.conf.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
    },
};

/// URL-safe base64. Decoding is strict: no line breaks, no stray bits in the last character, exactly the padding that
/// is written. Otherwise two names on disk would stand for one name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum UrlSafe {
    /// Without `=` (feature Raw64).
    Raw,
    /// With `=`.
    Padded,
}

impl UrlSafe {
    pub fn encode(self, bytes: &[u8]) -> Vec<u8> {
        self.engine().encode(bytes).into_bytes()
    }

    pub fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        self.engine().decode(text).ok()
    }

    fn engine(self) -> &'static GeneralPurpose {
        match self {
            Self::Raw => &URL_SAFE_NO_PAD,
            Self::Padded => &URL_SAFE,
        }
    }
}

/// Standard base64 as Go writes it into JSON.
pub fn encode_standard(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Standard base64 as Go reads it: padded, line breaks skipped, stray bits ignored. What it holds is authenticated.
pub fn decode_standard(text: &str) -> Option<Vec<u8>> {
    const AS_GO: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
    );
    let one_line: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    AS_GO.decode(one_line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_stray_bits_and_wrong_padding_are_refused() {
        assert_eq!(UrlSafe::Raw.decode(b"AQ"), Some(vec![1]));
        assert_eq!(UrlSafe::Padded.decode(b"AQ=="), Some(vec![1]));
        for bad in [&b"AQ=="[..], b"AR", b"A\nQ", b"AQ\n", b"A", b"A+", b"A/"] {
            assert_eq!(UrlSafe::Raw.decode(bad), None, "{:?}", bad.escape_ascii().to_string());
        }
        for bad in [&b"AQ"[..], b"AQ=", b"AR==", b"AQ==\n", b"=", b"AQ===="] {
            assert_eq!(UrlSafe::Padded.decode(bad), None, "{:?}", bad.escape_ascii().to_string());
        }
    }

    #[test]
    fn the_standard_alphabet_is_read_as_go_reads_it() {
        assert_eq!(decode_standard("AP/+\r\n/g=="), decode_standard("AP/+/g=="));
        assert_eq!(decode_standard("AR=="), Some(vec![1]));
        assert_eq!(decode_standard("AP_-_g=="), None);
        assert_eq!(decode_standard("AP/+/g"), None);
    }
}
