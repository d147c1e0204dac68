//! What can stand to the right of a `=`: read from TOML, and written as TOML.

use std::{
    num::NonZeroU32,
    path::{Component as PathPart, Path, PathBuf},
    time::Duration,
};

use toml::{Spanned, de::DeValue};

use crate::{
    choice::Choice,
    unit::{parse_duration, parse_size, show_duration, show_size},
};

/// A type of settings.
pub(crate) trait Value: Sized {
    /// What it can be, as the end of "`key` is …".
    fn expected() -> String;

    /// `None` if the value is not what is expected.
    fn read(value: &DeValue<'_>, paths: &Paths<'_>) -> Option<Self>;

    /// Of a value that is not what is expected: the part to blame, and what that could have been.
    fn culprit<'v, 'i>(value: &'v Spanned<DeValue<'i>>, _: &Paths<'_>) -> (&'v Spanned<DeValue<'i>>, String) {
        (value, Self::expected())
    }

    /// As TOML; `None` if there is no way to write it.
    fn show(&self) -> Option<String>;
}

/// What a path that stands in a file is relative to.
#[derive(Clone, Copy)]
pub(crate) struct Paths<'a> {
    /// The directory of the file.
    pub dir: &'a Path,
    /// What `~` stands for, if anything.
    pub home: Option<&'a Path>,
}

impl Value for bool {
    fn expected() -> String {
        "`true` or `false`".to_owned()
    }

    fn read(value: &DeValue<'_>, _: &Paths<'_>) -> Option<Self> {
        value.as_bool()
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for String {
    fn expected() -> String {
        "a text".to_owned()
    }

    fn read(value: &DeValue<'_>, _: &Paths<'_>) -> Option<Self> {
        // A control character has no business in a name, a label or a pattern, and would be one in a log or a header.
        value.as_str().filter(|text| !text.chars().any(char::is_control)).map(str::to_owned)
    }

    fn show(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl Value for PathBuf {
    fn expected() -> String {
        "a path".to_owned()
    }

    fn read(value: &DeValue<'_>, paths: &Paths<'_>) -> Option<Self> {
        let text = String::read(value, paths)?;
        match text.strip_prefix('~') {
            _ if text.is_empty() => None,
            None => Some(plain(&paths.dir.join(text))),
            // Somebody else's home cannot be known here, and a directory called `~user` is not what anybody means.
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                paths.home.map(|home| plain(&home.join(rest.trim_start_matches('/'))))
            }
            Some(_) => None,
        }
    }

    fn show(&self) -> Option<String> {
        self.to_str().map(quoted)
    }
}

impl Value for u32 {
    fn expected() -> String {
        "a whole number, 0 or more".to_owned()
    }

    fn read(value: &DeValue<'_>, _: &Paths<'_>) -> Option<Self> {
        integer(value)?.try_into().ok()
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for NonZeroU32 {
    fn expected() -> String {
        "a whole number, 1 or more".to_owned()
    }

    fn read(value: &DeValue<'_>, paths: &Paths<'_>) -> Option<Self> {
        NonZeroU32::new(u32::read(value, paths)?)
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for Duration {
    fn expected() -> String {
        "a duration with its unit, such as \"90s\", \"5m\", \"1h30m\" or \"2d\"".to_owned()
    }

    fn read(value: &DeValue<'_>, _: &Paths<'_>) -> Option<Self> {
        value.as_str().and_then(parse_duration)
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&show_duration(*self)))
    }
}

/// Bytes.
pub(crate) struct Size(pub u64);

impl Value for Size {
    fn expected() -> String {
        "a size such as \"10GiB\", \"500MB\" or a number of bytes".to_owned()
    }

    fn read(value: &DeValue<'_>, _: &Paths<'_>) -> Option<Self> {
        value.as_str().and_then(parse_size).or_else(|| integer(value)?.try_into().ok()).map(Size)
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&show_size(self.0)))
    }
}

/// Whole days.
pub(crate) struct Days(pub u32);

impl Value for Days {
    fn expected() -> String {
        "whole days, such as \"30d\" or \"4w\"".to_owned()
    }

    fn read(value: &DeValue<'_>, _: &Paths<'_>) -> Option<Self> {
        const DAY: u64 = 24 * 60 * 60;
        let seconds = value.as_str().and_then(parse_duration)?.as_secs();
        if seconds.is_multiple_of(DAY) { u32::try_from(seconds / DAY).ok().map(Days) } else { None }
    }

    fn show(&self) -> Option<String> {
        Some(format!("\"{}d\"", self.0))
    }
}

/// Binary logarithm of scrypt's cost.
pub(crate) struct Cost(pub u8);

impl Value for Cost {
    fn expected() -> String {
        "a whole number from 10 to 22".to_owned()
    }

    fn read(value: &DeValue<'_>, _: &Paths<'_>) -> Option<Self> {
        integer(value)?.try_into().ok().filter(|cost| (10..=22).contains(cost)).map(Cost)
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// 1 to 9.
pub(crate) struct Level(pub u8);

impl Value for Level {
    fn expected() -> String {
        "a whole number from 1 (fast) to 9 (small)".to_owned()
    }

    fn read(value: &DeValue<'_>, _: &Paths<'_>) -> Option<Self> {
        integer(value)?.try_into().ok().filter(|level| (1..=9).contains(level)).map(Level)
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// What may become part of a file name: letters, digits, `.`, `_` and `-`, not beginning with `.` or `-`.
pub(crate) struct Name(pub String);

impl Value for Name {
    fn expected() -> String {
        "a name of at most 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit".to_owned()
    }

    fn read(value: &DeValue<'_>, _: &Paths<'_>) -> Option<Self> {
        let name = value.as_str()?;
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
        let begins = name.chars().next().is_some_and(char::is_alphanumeric);
        (begins && name.chars().all(fits) && name.len() <= 64).then(|| Name(name.to_owned()))
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// A [`Name`] that is not one of those that every archive has.
pub(crate) struct OwnName(pub String);

/// What the parts of an archive are called that no component claims.
const TAKEN: [&str; 3] = ["files", "databases", "config"];

impl Value for OwnName {
    fn expected() -> String {
        format!("{}, and none of `{}`", Name::expected(), TAKEN.join("`, `"))
    }

    fn read(value: &DeValue<'_>, paths: &Paths<'_>) -> Option<Self> {
        Name::read(value, paths).filter(|name| !TAKEN.contains(&name.0.as_str())).map(|name| OwnName(name.0))
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// A path below some directory that is not known yet: relative, and not climbing out.
pub(crate) struct Below(pub String);

impl Value for Below {
    fn expected() -> String {
        "a path within the source, not beginning with `/` and without `..`".to_owned()
    }

    fn read(value: &DeValue<'_>, paths: &Paths<'_>) -> Option<Self> {
        let text = String::read(value, paths)?;
        let parts = || Path::new(&text).components();
        let below = parts().all(|part| matches!(part, PathPart::Normal(_))) && parts().next().is_some();
        below.then(|| Below(text.trim_end_matches('/').to_owned()))
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

impl<T: Choice> Value for T {
    fn expected() -> String {
        let words: Vec<String> = T::ALL.iter().map(|(word, _)| format!("{word:?}")).collect();
        let (last, others) = words.split_last().expect("a choice has two words or more");
        format!("{} or {last}", others.join(", "))
    }

    fn read(value: &DeValue<'_>, _: &Paths<'_>) -> Option<Self> {
        let word = value.as_str()?;
        T::ALL.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice)
    }

    fn show(&self) -> Option<String> {
        Some(quoted(self.word()))
    }
}

impl<T: Value> Value for Vec<T> {
    fn expected() -> String {
        format!("a list, `[…]`, of which each is {}", T::expected())
    }

    fn read(value: &DeValue<'_>, paths: &Paths<'_>) -> Option<Self> {
        value.as_array()?.iter().map(|each| T::read(each.get_ref(), paths)).collect()
    }

    fn culprit<'v, 'i>(value: &'v Spanned<DeValue<'i>>, paths: &Paths<'_>) -> (&'v Spanned<DeValue<'i>>, String) {
        let wrong = |each: &&Spanned<DeValue<'i>>| T::read(each.get_ref(), paths).is_none();
        let each = value.get_ref().as_array().and_then(|list| list.iter().find(wrong));
        each.map_or_else(|| (value, Self::expected()), |each| T::culprit(each, paths))
    }

    fn show(&self) -> Option<String> {
        let all: Option<Vec<String>> = self.iter().map(Value::show).collect();
        all.map(|all| format!("[{}]", all.join(", ")))
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Without `.` parts, which joining leaves. `..` stays: what it means depends on symbolic links.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// A TOML string.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{:04X}", c as u32),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
