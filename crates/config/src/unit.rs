//! Sizes and durations with units: "10GiB", "1h30m".

use std::time::Duration;

const SIZES: [(&str, u64); 13] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("T", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

const TIMES: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// `10GiB` (2^30), `10G` (the same), `10GB` (10^9), `512`.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (count, unit, rest) = first_term(text)?;
    let (_, factor) = SIZES.iter().find(|(name, _)| *name == unit)?;
    if rest.is_empty() { count.checked_mul(*factor) } else { None }
}

/// The shortest exact way to write a size.
pub(crate) fn show_size(bytes: u64) -> String {
    let binary = SIZES[2..6].iter().rev().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    binary.map_or_else(|| bytes.to_string(), |(name, factor)| format!("{}{name}", bytes / factor))
}

/// `90s`, `1h30m`, `2d`: whole numbers, each with its unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total: u64 = 0;
    loop {
        let (count, unit, after) = first_term(rest)?;
        let (_, factor) = TIMES.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(count.checked_mul(*factor)?)?;
        if after.is_empty() {
            return Some(Duration::from_millis(total));
        }
        rest = after;
    }
}

/// As [`parse_duration`] reads it.
pub(crate) fn show_duration(time: Duration) -> String {
    let mut left = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut shown = String::new();
    for (name, factor) in TIMES.iter().rev() {
        if left >= *factor {
            shown += &format!("{}{name}", left / factor);
            left %= factor;
        }
    }
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

/// A number, the letters after it, and what comes then.
fn first_term(text: &str) -> Option<(u64, &str, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let count = text[..digits].parse().ok()?;
    let rest = text[digits..].trim_start();
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    Some((count, &rest[..letters], &rest[letters..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_binary_unless_they_say_otherwise() {
        let sizes = ["10GiB", "10 GiB", "10G", "10GB", "512", "1TiB"].map(parse_size);
        let gib = 10 << 30;
        assert_eq!(sizes, [Some(gib), Some(gib), Some(gib), Some(10_000_000_000), Some(512), Some(1 << 40)]);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "GiB", "1.5GiB", "-1", "1 gib", "1GiB2", "99999999999999999999", "99999999T"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_add_up() {
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_duration("1d 2h"), Some(Duration::from_secs(93600)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
    }

    #[test]
    fn a_number_without_unit_is_no_duration() {
        for text in ["", "90", "s", "1.5h", "1h30", "1y", "-1s", "999999999999999999w"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_size_that_is_shown_reads_the_same(bytes: u64) {
            prop_assert_eq!(parse_size(&show_size(bytes)), Some(bytes));
        }

        #[test]
        fn a_duration_that_is_shown_reads_the_same(millis: u64) {
            let time = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&show_duration(time)), Some(time));
        }
    }
}
