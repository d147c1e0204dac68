//! What is left out of a view: patterns like those of .gitignore, as gocryptfs's library for them reads them.
//!
//! That library makes a regular expression of each pattern by replacing text, and not everything that it does is what git
//! would do. It decides what a backup holds, so its results are kept, the odd ones too: `?` stands for itself, `foo/` takes
//! what is below `foo` but not `foo`, and characters that mean something in regular expressions mean it here.

use regex_automata::meta::{BuildError, Regex};

use crate::go_regex::translated;

/// Stands for a star that is not to be replaced, while others are.
const MAGIC_STAR: &str = "#$~";

/// Patterns, of which the last one that matches decides.
#[derive(Default)]
pub struct Exclusions {
    patterns: Vec<Pattern>,
    ignored: Vec<IgnoredPattern>,
}

struct Pattern {
    regex: Regex,
    brings_back: bool,
}

/// A pattern that means nothing, and so excludes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the exclusion pattern {pattern:?} means nothing: {why}")]
pub struct IgnoredPattern {
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

impl Exclusions {
    /// Reads patterns, one a line: empty lines and comments among them. A path that is to be excluded, from the root, is a
    /// line that begins with `/`.
    pub fn parse<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>) -> Self {
        let mut parsed = Self::default();
        for line in lines {
            let line = line.as_ref();
            match std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned()).and_then(pattern) {
                Ok(pattern) => parsed.patterns.extend(pattern),
                Err(why) => {
                    let pattern = String::from_utf8_lossy(line).into_owned();
                    parsed.ignored.push(IgnoredPattern { pattern, why });
                }
            }
        }
        parsed
    }

    /// The patterns that mean nothing. gocryptfs passes over them in silence.
    pub fn ignored(&self) -> &[IgnoredPattern] {
        &self.ignored
    }

    /// Whether nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether the plaintext path, relative to the root, is excluded. What is below an excluded directory is, unless a
    /// pattern brings it back.
    pub fn exclude(&self, path: &[u8]) -> bool {
        if self.patterns.is_empty() {
            return false;
        }
        let path = as_go_reads(path);
        let last = self.patterns.iter().rev().find(|pattern| pattern.regex.is_match(&*path));
        last.is_some_and(|pattern| !pattern.brings_back)
    }
}

/// Go takes each byte that is part of no character for U+FFFD.
fn as_go_reads(path: &[u8]) -> std::borrow::Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(path) {
        return text.into();
    }
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text.into()
}

/// The pattern of a line; `None` for what says nothing.
fn pattern(line: &str) -> Result<Option<Pattern>, String> {
    let Some((expression, brings_back)) = expression(line) else { return Ok(None) };
    let ours = translated(&expression)?;
    let regex = Regex::new(&ours).map_err(|error| short(&error))?;
    Ok(Some(Pattern { regex, brings_back }))
}

/// What is wrong, without the expression, which is not what was written.
fn short(error: &BuildError) -> String {
    let whole = error.syntax_error().map_or(error.to_string(), ToString::to_string);
    whole.rsplit("error: ").next().unwrap_or_default().trim_end().to_owned()
}

/// The regular expression, in Go's dialect, that a line stands for, and whether it brings back what others exclude.
fn expression(line: &str) -> Option<(String, bool)> {
    let line = line.trim_end_matches('\r');
    if line.starts_with('#') {
        return None;
    }
    let line = line.trim_matches(' ');
    if line.is_empty() {
        return None;
    }
    let (line, brings_back) = match line.strip_prefix('!') {
        Some(rest) => (rest, true),
        None => (line, false),
    };
    // Of `!!` and `!#` one more character goes: an escape was meant.
    let line = line.strip_prefix(['#', '!']).unwrap_or(line);
    let mut text = match is_suffix_in_folder(line) && !line.starts_with('/') {
        true => format!("/{line}"),
        false => line.to_owned(),
    };
    text = text.replace('.', r"\.");
    if text.starts_with("/**/") {
        text.remove(0);
    }
    text = text.replace("/**/", "(/|/.+/)");
    text = text.replace("**/", &format!("(|.{MAGIC_STAR}/)"));
    text = text.replace("/**", &format!("(|/.{MAGIC_STAR})"));
    text = text.replace(r"\*", &format!(r"\{MAGIC_STAR}"));
    text = text.replace('*', "([^/]*)");
    text = text.replace('?', r"\?");
    text = text.replace(MAGIC_STAR, "*");
    text += if text.ends_with('/') { "(|.*)$" } else { "(|/.*)$" };
    Some(match text.strip_prefix('/') {
        Some(rest) => (format!("^(|/){rest}"), brings_back),
        None => (format!("^(|.*/){text}"), brings_back),
    })
}

/// Whether the pattern is one like `foo/*.blah`, which is taken from the root: `([^\/+])/.*\*\.` in Go's words.
fn is_suffix_in_folder(line: &str) -> bool {
    let bytes = line.as_bytes();
    let begins = |at: &usize| bytes[*at] == b'/' && *at > 0 && !matches!(bytes[at - 1], b'/' | b'+');
    (0..bytes.len()).filter(begins).any(|at| {
        let rest = &line[at + 1..];
        rest.split('\n').next().unwrap_or_default().contains("*.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_exclude_what_gocryptfs_excludes() {
        for (lines, excluded, shown) in [
            (&["/a"][..], &["a", "a/b", "a/b/c"][..], &["b/a", "ab", "A"][..]),
            (&["a"], &["a", "b/a", "b/a/c"], &["ab", "ba"]),
            (&["*.txt"], &["x.txt", "d/x.txt", ".txt", "d.txt/below"], &["x.txt2", "txt"]),
            (&["*"], &["a", "a/b"], &[]),
            (&["/*.c"], &["a.c", "a.c/x"], &["d/a.c"]),
            (&["doc/*.html"], &["doc/a.html"], &["doc/sub/a.html", "x/doc/a.html"]),
            (&["/doc/*.html"], &["doc/a.html"], &["x/doc/a.html"]),
            (&["foo/"], &["foo/", "foo/x", "d/foo/x"], &["foo", "foox"]),
            (&["a?c"], &["a?c"], &["abc"]),
            (&["[ab].o"], &["a.o", "b.o"], &["c.o"]),
            (&["[^ab].o"], &["c.o"], &["a.o"]),
            (&["**/foo"], &["foo", "a/foo", "a/b/foo"], &["xfoo/y"]),
            (&["/**/foo"], &["foo", "a/foo"], &["xfoo"]),
            (&["abc/**"], &["abc", "abc/x", "abc/x/y"], &["abcd"]),
            (&["a/**/b"], &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/bc"]),
            (&["*", "!keep", "!keep/**"], &["a", "a/b"], &["keep", "keep/x"]),
            (&["!a", "a"], &["a"], &[]),
            (&["a", "!a", "a"], &["a"], &[]),
            (&["# comment", "", "   ", "x\r"], &["x"], &["# comment", "comment"]),
            (&[r"\#x"], &["#x"], &["x"]),
            (&[r"\!x"], &["!x"], &["x"]),
            (&["!#x"], &[], &["x", "#x"]),
            (&["  spaced  "], &["spaced"], &["  spaced  "]),
            (&[r"a\*b"], &["a*b"], &["axb"]),
            (&["*.{jpg,png}"], &["a.{jpg,png}"], &["a.jpg"]),
            (&["a+b"], &["ab", "aab"], &["a+b"]),
            (&["x(1)"], &["x1"], &["x(1)"]),
            (&["ü*"], &["über", "d/ü"], &["uber"]),
        ] {
            let exclusions = Exclusions::parse(lines);
            assert_eq!(exclusions.ignored(), [], "{lines:?}");
            for path in excluded {
                assert!(exclusions.exclude(path.as_bytes()), "{lines:?} shows {path}");
            }
            for path in shown {
                assert!(!exclusions.exclude(path.as_bytes()), "{lines:?} excludes {path}");
            }
        }
    }

    #[test]
    fn what_means_nothing_is_told_and_excludes_nothing() {
        let exclusions = Exclusions::parse([&b"c++"[..], b"[a", b"\xff", b"x"]);
        assert_eq!(exclusions.ignored().len(), 3, "{:?}", exclusions.ignored());
        assert!(!exclusions.exclude(b"c++") && !exclusions.exclude(b"[a") && exclusions.exclude(b"x"));
    }

    #[test]
    fn stars_take_bytes_that_are_no_text() {
        let exclusions = Exclusions::parse(["/x*y", "[^a]b"]);
        assert!(exclusions.exclude(b"x\xff\xfey"));
        assert!(exclusions.exclude(b"\xffb"));
        assert!(!exclusions.exclude(b"\xff\xff/x/y"));
    }
}
