//! Why a backup is kept, or is not.

use std::fmt;

use jiff::civil::{Date, Weekday};

/// Why a backup is kept, or is not. Shown, it is the end of the sentence "kept, being …" or "deleted, being …".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// There is no rule, so everything stays.
    NoPolicy,
    /// Somebody locked it.
    Locked,
    /// No good one is newer.
    LastGood,
    /// It is not good, and no good one is as new.
    NothingBetter,
    /// Its date lies ahead: a clock was wrong then, or is now. It is kept, and takes nobody's place.
    FromTheFuture,
    /// One that is kept cannot be restored without it.
    BaseOf {
        /// The newest that needs it, as an index into what was judged.
        index: usize,
        /// The same one's name.
        name: String,
        /// How many more that are kept need it.
        others: usize,
    },
    /// One of the newest, as [`last`](crate::Retention::last) says.
    AmongLast(u32),
    /// The newest of a day.
    NewestOfDay(Date),
    /// The newest of an ISO week.
    NewestOfWeek {
        /// The year that the week belongs to.
        year: i16,
        /// 1 to 53.
        week: i8,
    },
    /// The newest of a month.
    NewestOfMonth {
        /// The year.
        year: i16,
        /// 1 to 12.
        month: i8,
    },
    /// The newest of a year.
    NewestOfYear(i16),
    /// Not as old as [`max_age`](crate::Retention::max_age) days.
    YoungerThan(u32),
    /// One of as many as there have to be at least, by [`min_count`](crate::Retention::min_count).
    AtLeast(u32),
    /// No rule asks for it: it is deleted.
    NotAskedFor,
    /// It misses a base, and so took nobody's place. Said besides, of those that stay and of those that go.
    MissesBase,
    /// It is damaged, or one that it needs is, and so took nobody's place. Said besides likewise.
    Damaged,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoPolicy => write!(f, "subject to no rule"),
            Reason::Locked => write!(f, "locked"),
            Reason::LastGood => write!(f, "the last good one"),
            Reason::NothingBetter => write!(f, "not good, but newer than any good one"),
            Reason::FromTheFuture => write!(f, "dated in the future"),
            Reason::BaseOf { name, others: 0, .. } => write!(f, "a base of {name}"),
            Reason::BaseOf { name, others: 1, .. } => write!(f, "a base of {name} and another"),
            Reason::BaseOf { name, others, .. } => write!(f, "a base of {name} and {others} others"),
            Reason::AmongLast(1) => write!(f, "the last one"),
            Reason::AmongLast(count) => write!(f, "one of the last {count}"),
            Reason::NewestOfDay(day) => write!(f, "the newest of {} {day}", weekday(day.weekday())),
            Reason::NewestOfWeek { year, week } => write!(f, "the newest of week {year}-W{week:02}"),
            Reason::NewestOfMonth { year, month } => write!(f, "the newest of {} {year}", month_name(*month)),
            Reason::NewestOfYear(year) => write!(f, "the newest of the year {year}"),
            Reason::YoungerThan(1) => write!(f, "younger than a day"),
            Reason::YoungerThan(days) => write!(f, "younger than {days} days"),
            Reason::AtLeast(count) => write!(f, "one of the {count} that there have to be at least"),
            Reason::NotAskedFor => write!(f, "asked for by no rule"),
            Reason::MissesBase => write!(f, "without a base that it needs, which is missing"),
            Reason::Damaged => write!(f, "damaged, or in need of one that is"),
        }
    }
}

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

fn month_name(month: i8) -> &'static str {
    const NAMES: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    usize::try_from(month - 1).ok().and_then(|month| NAMES.get(month)).unwrap_or(&"?")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_reason_reads_as_a_person_would_say_it() {
        assert_eq!(Reason::NewestOfDay(date(2026, 11, 16)).to_string(), "the newest of Monday 2026-11-16");
        assert_eq!(Reason::NewestOfWeek { year: 2026, week: 7 }.to_string(), "the newest of week 2026-W07");
        assert_eq!(Reason::NewestOfMonth { year: 2026, month: 12 }.to_string(), "the newest of December 2026");
        let base_of = |others| Reason::BaseOf { index: 3, name: "x-20261116-0300".into(), others }.to_string();
        assert_eq!(base_of(0), "a base of x-20261116-0300");
        assert_eq!(base_of(63), "a base of x-20261116-0300 and 63 others");
    }
}
