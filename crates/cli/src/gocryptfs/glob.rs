//! Whether a pattern of `-badname` is one, by the rules of Go's `filepath.Match`.

/// Whether the pattern is well formed: every `[` is closed by a `]` with something between them, and nothing is cut off.
pub fn is_valid(pattern: &[u8]) -> bool {
    let mut rest = pattern;
    loop {
        rest = match rest {
            [] => return true,
            [b'\\'] => return false,
            [b'\\', _, after @ ..] => after,
            [b'[', after @ ..] => match after_class(after) {
                Some(after) => after,
                None => return false,
            },
            [_, after @ ..] => after,
        };
    }
}

/// What follows a class of characters, whose `[` was read.
fn after_class(pattern: &[u8]) -> Option<&[u8]> {
    let mut rest = pattern.strip_prefix(b"^").unwrap_or(pattern);
    let mut ranges = 0;
    loop {
        if let Some(after) = rest.strip_prefix(b"]")
            && ranges > 0
        {
            return Some(after);
        }
        rest = after_character(rest)?;
        if let Some(after) = rest.strip_prefix(b"-") {
            rest = after_character(after)?;
        }
        ranges += 1;
    }
}

/// What follows a character of a class. It is not the last thing in a pattern.
fn after_character(pattern: &[u8]) -> Option<&[u8]> {
    let plain = match pattern {
        [] | [b'-' | b']', ..] => return None,
        [b'\\', after @ ..] => after,
        plain => plain,
    };
    let first = plain.utf8_chunks().next()?;
    let len = first.valid().chars().next().map_or(1, char::len_utf8);
    // What is not UTF-8 is no character here.
    let is_text = !first.valid().is_empty();
    plain.get(len..).filter(|after| is_text && !after.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_taken_and_refused_as_go_does() {
        for good in ["", "*", "a?b", "[a]", "[^a-z]*", "\\[", "[\\]]", "[a-c\\-]", "[\u{e9}]", "a]"] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        for bad in ["[", "a[", "a[]b]", "a\\", "[]", "[^]", "[a", "[a-]", "[-a]", "[a-b", "[\\", "[a\\"] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
        assert!(!is_valid(b"[\xff]"));
    }
}
