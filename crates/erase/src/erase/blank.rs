//! Names that tell nothing, as long as those they take the place of.

/// How many names are tried until one is free.
const TRIES: u32 = 36 * 36;

/// The last digits count, if there are that many.
const COUNTING: usize = 2;

/// Names of `len` zeros that count up at their end.
pub(super) fn blanks(len: usize) -> impl Iterator<Item = Vec<u8>> {
    let digits = len.min(COUNTING);
    let tries = 36u32.pow(digits as u32).min(TRIES);
    (0..tries).map(move |number| {
        let mut name = vec![b'0'; len];
        let mut rest = number;
        for digit in name.iter_mut().rev().take(digits) {
            *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
            rest /= 36;
        }
        name
    })
}

/// Whether `name` is one of those.
pub(super) fn is_blank(name: &[u8]) -> bool {
    let (zeros, count) = name.split_at(name.len().saturating_sub(COUNTING));
    zeros.iter().all(|&byte| byte == b'0')
        && count.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn blanks_are_all_different_as_long_as_asked_and_known_again() {
        for (len, many) in [(1, 36), (2, 1296), (3, 1296), (255, 1296)] {
            let names: BTreeSet<_> = blanks(len).collect();
            assert_eq!(names.len(), many);
            assert!(names.iter().all(|name| name.len() == len && is_blank(name)));
        }
        assert!(["aaa", "Z", "00/", "100"].iter().all(|name| !is_blank(name.as_bytes())));
    }
}
