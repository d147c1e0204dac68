//! Numbers, durations and times as people read them.

use jiff::{Timestamp, tz::TimeZone};

/// So many of something.
pub fn count(n: u64, noun: &str) -> String {
    match (n, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (n, Some(stem)) if !stem.ends_with(['a', 'e', 'o']) => format!("{n} {stem}ies"),
        (n, _) => format!("{n} {noun}s"),
    }
}

/// A number of bytes with three digits and a unit.
pub fn amount(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return count(n, "byte");
    }
    let mut value = n as f64;
    let mut unit = "";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    let digits = if value < 9.95 && value.fract() != 0.0 { 1 } else { 0 };
    format!("{value:.digits$} {unit}")
}

/// A number of seconds, in the two largest units that it has.
pub fn duration(seconds: u64) -> String {
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min {seconds} s"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// A time as the clock on the wall shows it, to the second.
pub fn local(time: Timestamp) -> String {
    local_in(time, TimeZone::system())
}

fn local_in(time: Timestamp, zone: TimeZone) -> String {
    time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_and_a_unit() {
        let cases = [
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (64 << 20, "64 MiB"),
            (1500, "1.5 KiB"),
            (10_237, "10 KiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (n, text) in cases {
            assert_eq!(amount(n), text);
        }
    }

    #[test]
    fn durations_have_two_units() {
        let cases = [(0, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (90_061, "25 h 1 min")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn several_are_plural() {
        assert_eq!([count(1, "key"), count(2, "key"), count(2, "entry")], ["1 key", "2 keys", "2 entries"]);
    }

    #[test]
    fn times_are_local() {
        let time = "2026-07-01T22:30:05.9Z".parse().unwrap();
        assert_eq!(local_in(time, TimeZone::get("Europe/Vienna").unwrap()), "2026-07-02 00:30:05");
    }
}
