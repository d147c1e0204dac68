//! File names of archives: `NAME-YYYYMMDD-HHMMSS.SUFFIX`. Pure. What to do when there is such a file is up to the caller.

use std::fmt;

use crate::Algorithm;

/// A wall-clock time to the second, as a file name holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameTime {
    /// 0 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// The parts of the file name of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// Of what it is an archive.
    pub name: String,
    /// When it was begun, in local time.
    pub time: NameTime,
    /// How its frames are compressed.
    pub compression: Algorithm,
    /// Whether it is sealed.
    pub sealed: bool,
}

/// What follows the suffix of the compression when the file is sealed.
const SEALED: &str = ".enc";
/// The longest NAME, in bytes: with date, suffix and what is put behind a file name for a while, a name stays below 255.
const MAX_NAME: usize = 128;
/// The NAME of what has no letter in its own.
const NAMELESS: &str = "backup";

impl FileName {
    /// A file name for an archive of `name`, which is made fit for one by [`sanitise`].
    pub fn new(name: &str, time: NameTime, compression: Algorithm, sealed: bool) -> Self {
        Self { name: sanitise(name), time, compression, sealed }
    }

    /// Reads a file name; `None` if it is not one of an archive. What is read is written the same again.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, sealed) = match text.strip_suffix(SEALED) {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (rest, compression) =
            Algorithm::ALL.into_iter().find_map(|it| rest.strip_suffix(it.suffix()).map(|rest| (rest, it)))?;
        let (rest, clock) = rest.rsplit_once('-')?;
        let (name, date) = rest.rsplit_once('-')?;
        let is_name = !name.is_empty() && !name.contains(['/', '\0']);
        is_name.then_some(Self { name: name.to_owned(), time: NameTime::parse(date, clock)?, compression, sealed })
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, time, compression, sealed } = self;
        let sealed = if *sealed { SEALED } else { "" };
        write!(f, "{name}-{time}{}{sealed}", compression.suffix())
    }
}

impl NameTime {
    fn parse(date: &str, clock: &str) -> Option<Self> {
        let is_digits = |text: &str, len| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(date, 8) || !is_digits(clock, 6) {
            return None;
        }
        let two = |text: &str, at: usize| text[at..at + 2].parse::<u8>().ok();
        let time = Self {
            year: date[..4].parse().ok()?,
            month: two(date, 4)?,
            day: two(date, 6)?,
            hour: two(clock, 0)?,
            minute: two(clock, 2)?,
            second: two(clock, 4)?,
        };
        time.exists().then_some(time)
    }

    fn exists(&self) -> bool {
        (1..=12).contains(&self.month)
            && (1..=self.days_of_month()).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second < 60
    }

    fn days_of_month(&self) -> u8 {
        let is_leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        match self.month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

impl fmt::Display for NameTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
    }
}

/// Makes any text fit to be the NAME of an archive: letters and digits of any script, `.`, `_`, `-`, `+` and `@` stay,
/// everything else becomes `_`; what would hide the file or look like an option goes from the front.
pub fn sanitise(name: &str) -> String {
    let stays = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@');
    let mut fit: String =
        name.trim().chars().map(|c| if stays(c) { c } else { '_' }).skip_while(|c| matches!(c, '.' | '-')).collect();
    let ends = fit.char_indices().map(|(at, c)| at + c.len_utf8());
    fit.truncate(ends.take_while(|&end| end <= MAX_NAME).last().unwrap_or(0));
    match fit.chars().any(char::is_alphanumeric) {
        true => fit,
        false => NAMELESS.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIME: NameTime = NameTime { year: 2026, month: 2, day: 3, hour: 4, minute: 5, second: 6 };

    #[test]
    fn a_name_has_date_time_and_suffixes() {
        let text = |algorithm, sealed| FileName::new("data", TIME, algorithm, sealed).to_string();
        assert_eq!(text(Algorithm::Zstd, true), "data-20260203-040506.tar.zst.enc");
        assert_eq!(text(Algorithm::Gzip, false), "data-20260203-040506.tar.gz");
        assert_eq!(text(Algorithm::Lz4, true), "data-20260203-040506.tar.lz4.enc");
        assert_eq!(text(Algorithm::None, false), "data-20260203-040506.tar");
    }

    #[test]
    fn any_text_becomes_a_file_name() {
        for (name, fit) in [
            ("", "backup"),
            ("/", "backup"),
            ("..", "backup"),
            (".config", "config"),
            ("-rf", "rf"),
            ("a/b", "a_b"),
            ("a\nb\0c", "a_b_c"),
            (" my data ", "my_data"),
            ("Grüße", "Grüße"),
            ("x-20260203-040506.tar", "x-20260203-040506.tar"),
        ] {
            assert_eq!(sanitise(name), fit);
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let name = sanitise(&"é".repeat(300));
        assert_eq!(name, "é".repeat(64));
    }

    #[test]
    fn what_is_not_the_name_of_an_archive_is_none() {
        for bad in [
            "",
            "data",
            "data.tar.zst",
            "-20260203-040506.tar",
            "20260203-040506.tar",
            "data-20260203-040506.zst",
            "data-20260203-040506.tar.enc.zst",
            "data-20260203-040506.tar.zst.enc.tmp",
            "data-20260203-0405.tar",
            "data-20260203-24 506.tar",
            "data-20260203-240506.tar",
            "data-20261303-040506.tar",
            "data-20260229-040506.tar",
            "data-2026020-0040506.tar",
            "data-+0260203-040506.tar",
            "a/data-20260203-040506.tar",
        ] {
            assert_eq!(FileName::parse(bad), None, "{bad}");
        }
        assert!(FileName::parse("data-20240229-040506.tar").is_some());
    }

    proptest! {
        #[test]
        fn every_name_that_is_made_is_read_again(name in any::<String>(), n in 0usize..4, sealed in any::<bool>()) {
            let made = FileName::new(&name, TIME, Algorithm::ALL[n], sealed);
            let text = made.to_string();
            prop_assert!(text.len() < 200 && !text.contains(['/', '\0']) && !text.starts_with(['.', '-']));
            prop_assert_eq!(FileName::parse(&text), Some(made));
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "[a-c./-]{0,5}-20[0-9]{6}-[0-2][0-9]{5}\\.tar(\\.gz|\\.zst)?(\\.enc)?") {
            if let Some(read) = FileName::parse(&text) {
                prop_assert_eq!(read.to_string(), text);
            }
        }
    }
}
