//! Times as decimal text, seconds with a fraction.

use strongroom_tree::Timestamp;

/// The text, without zeros that say nothing.
pub fn text(time: Timestamp) -> String {
    let (mut seconds, mut fraction) = (i128::from(time.seconds), time.nanoseconds);
    let mut sign = "";
    if seconds < 0 {
        // Whole seconds are rounded down and the fraction goes upward; in the text both go away from zero.
        let nanoseconds = -(seconds * 1_000_000_000 + i128::from(fraction));
        (seconds, fraction, sign) = (nanoseconds / 1_000_000_000, (nanoseconds % 1_000_000_000) as u32, "-");
    }
    if fraction == 0 {
        return format!("{sign}{seconds}");
    }
    let digits = format!("{fraction:09}");
    format!("{sign}{seconds}.{}", digits.trim_end_matches('0'))
}

/// The time that a text says; finer parts than nanoseconds are cut off.
pub fn parse(text: &[u8]) -> Option<Timestamp> {
    let text = str::from_utf8(text).ok()?;
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction: u32 = format!("{:0<9.9}", fraction).parse().ok()?;
    let nanoseconds = i128::from(whole.parse::<u64>().ok()?) * 1_000_000_000 + i128::from(fraction);
    let nanoseconds = if negative { -nanoseconds } else { nanoseconds };
    let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?;
    Some(Timestamp { seconds, nanoseconds: nanoseconds.rem_euclid(1_000_000_000) as u32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64, nanoseconds: u32) -> Timestamp {
        Timestamp { seconds, nanoseconds }
    }

    #[test]
    fn times_are_written_as_pax_has_them() {
        for (of, written) in [
            (time(0, 0), "0"),
            (time(1, 500_000_000), "1.5"),
            (time(1, 1), "1.000000001"),
            (time(-1, 0), "-1"),
            (time(-2, 500_000_000), "-1.5"),
            (time(-1, 999_999_999), "-0.000000001"),
            (time(i64::MIN, 0), "-9223372036854775808"),
        ] {
            assert_eq!(text(of), written);
            assert_eq!(parse(written.as_bytes()), Some(of));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["", "-", ".", "1.", ".5", "+1", "1e3", "--1", "9223372036854775808", "99999999999999999999", "1.5x"]
        {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
