//! Patterns of paths as people copy them from what is shown: with escapes, or with bytes that are no text.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

/// A byte that belongs to no ASCII character, as patterns are matched byte by byte.
const NO_TEXT: &str = "[!\u{1}-\u{7f}]";

/// The pattern as text. What `backup info` escapes is taken as what it stands for; each byte that is not UTF-8 becomes a
/// class, since a pattern is text.
pub fn text(pattern: &OsStr) -> String {
    let bytes = unescaped(pattern.as_bytes());
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.push_str(&NO_TEXT.repeat(chunk.invalid().len()));
    }
    text
}

fn unescaped(mut rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((&first, after)) = rest.split_first() {
        let escape = if first == b'\\' { escape(after) } else { None };
        let (len, meant) = escape.unwrap_or_else(|| (0, vec![first]));
        // What is no escape of ours is one of the pattern, and stays with what it escapes.
        let stays = if first == b'\\' && len == 0 { after.len().min(1) } else { 0 };
        bytes.extend(meant);
        bytes.extend(&after[..stays]);
        rest = &after[len + stays..];
    }
    bytes
}

/// How long the escape is at the beginning of `after`, which follows a backslash, and what it stands for.
fn escape(after: &[u8]) -> Option<(usize, Vec<u8>)> {
    let hex = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    match after {
        [b'n', ..] => Some((1, b"\n".to_vec())),
        [b'r', ..] => Some((1, b"\r".to_vec())),
        [b't', ..] => Some((1, b"\t".to_vec())),
        [b'x', high, low, ..] => {
            let byte = u8::try_from(hex(&[*high, *low])?).ok().filter(|byte| !byte.is_ascii())?;
            Some((3, vec![byte]))
        }
        [b'u', b'{', digits @ ..] => {
            let len = digits.iter().take(7).position(|&digit| digit == b'}')?;
            let meant = char::from_u32(hex(&digits[..len])?).filter(|c| c.is_control())?;
            Some((len + 3, meant.to_string().into_bytes()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_text_stays_as_it_is() {
        for pattern in ["docs/*.md", "a\\*b", "a\\\\n", "[ab]\\", "\u{e4}/**", "\\x41"] {
            assert_eq!(text(pattern.as_ref()), pattern);
        }
    }

    #[test]
    fn a_byte_that_is_no_text_is_matched_as_it_is_and_as_it_is_shown() {
        let pattern = format!("caf{NO_TEXT}*");
        assert_eq!(text(OsStr::from_bytes(b"caf\xe9*")), pattern);
        assert_eq!(text("caf\\xe9*".as_ref()), pattern);
    }

    #[test]
    fn control_characters_are_taken_as_they_are_shown() {
        assert_eq!(text("a\\nb\\u{1b}c".as_ref()), "a\nb\u{1b}c");
    }
}
