//! Moments: as files have them, as text, and as names of files.

use jiff::Zoned;
use strongroom_archive::NameTime;
use strongroom_tree::Timestamp;

/// RFC 3339 with the offset that was in force.
pub(crate) fn rfc3339(moment: &Zoned) -> String {
    moment.timestamp().display_with_offset(moment.offset()).to_string()
}

/// As files have it.
pub(crate) fn from_rfc3339(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    let nanoseconds = moment.as_nanosecond();
    let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?;
    Some(Timestamp { seconds, nanoseconds: nanoseconds.rem_euclid(1_000_000_000) as u32 })
}

/// In UTC.
pub(crate) fn text_of(moment: Timestamp) -> String {
    match jiff::Timestamp::new(moment.seconds, moment.nanoseconds as i32) {
        Ok(moment) => moment.to_string(),
        // Beyond what a calendar has words for.
        Err(_) => format!("{}.{:09}", moment.seconds, moment.nanoseconds),
    }
}

/// A little earlier.
pub(crate) fn minus_seconds(moment: Timestamp, seconds: i64) -> Timestamp {
    Timestamp { seconds: moment.seconds.saturating_sub(seconds), ..moment }
}

/// As a file name has it.
pub(crate) fn name_time(moment: &Zoned) -> NameTime {
    NameTime {
        year: moment.year().clamp(0, 9999) as u16,
        month: moment.month() as u8,
        day: moment.day() as u8,
        hour: moment.hour() as u8,
        minute: moment.minute() as u8,
        second: moment.second() as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_comes_back_from_its_text_to_the_nanosecond() {
        let text = "2026-11-21T07:12:13.000000042+01:00";
        let moment = from_rfc3339(text).unwrap();
        assert_eq!(moment.nanoseconds, 42);
        assert_eq!(text_of(moment), "2026-11-21T06:12:13.000000042Z");
        let zoned: Zoned = "2026-11-21T07:12:13.5+01:00[+01:00]".parse().unwrap();
        assert_eq!(rfc3339(&zoned), "2026-11-21T07:12:13.5+01:00");
    }

    #[test]
    fn before_1970_counts_down_by_whole_seconds() {
        let moment = from_rfc3339("1969-12-31T23:59:59.25Z").unwrap();
        assert_eq!(moment, Timestamp { seconds: -1, nanoseconds: 250_000_000 });
    }
}
