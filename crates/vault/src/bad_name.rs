//! Entries whose names on disk cannot be decoded, shown all the same under names that say so, for whoever wants to rescue
//! them: what can be decoded of the beginning, the rest as it is on disk, and a suffix.
//!
//! Which of them is told by patterns as those of Go's `filepath.Match`, since that is what gocryptfs's users have.

use rustix::io::Errno;
use strongroom_format::{Classified, DirIv, NameCipher, StoredName};

use crate::backing::{Backing, Target};
use crate::directory::DirHandle;
use crate::error::{Result, VaultError};
use crate::vault::Vault;

/// The end of a name that stands for an undecodable one.
const BAD_NAME_SUFFIX: &[u8] = b" GOCRYPTFS_BAD_NAME";
/// The shortest encoded name there is: of one block of the cipher, without padding.
const SHORTEST_ENCODED: usize = 22;

/// A pattern of names on disk: `*` is any run of characters but `/`, `?` one of them, `[a-z]` and `[^a-z]` one of a class,
/// and `\` takes the next character as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(Vec<Token>);

/// What is no pattern.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("syntax error in pattern")]
pub struct BadNamePattern;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Char(char),
    Class { is_negated: bool, ranges: Vec<(char, char)> },
}

impl NamePattern {
    /// Understands a pattern.
    pub fn parse(pattern: &str) -> std::result::Result<NamePattern, BadNamePattern> {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(char) = chars.next() {
            tokens.push(match char {
                '*' => Token::Any,
                '?' => Token::One,
                '[' => class(&mut chars)?,
                '\\' => Token::Char(chars.next().ok_or(BadNamePattern)?),
                char => Token::Char(char),
            });
        }
        Ok(NamePattern(tokens))
    }

    /// Whether all of `name` is as the pattern says.
    pub fn matches(&self, name: &[u8]) -> bool {
        let name: Vec<char> = String::from_utf8_lossy(name).chars().collect();
        let (mut at, mut token) = (0, 0);
        let mut last_any = None;
        while at < name.len() {
            match self.0.get(token) {
                Some(Token::Any) => {
                    last_any = Some((token, at));
                    token += 1;
                }
                Some(one) if one.takes(name[at]) => {
                    at += 1;
                    token += 1;
                }
                _ => {
                    // The last run takes one character more.
                    let Some((any, from)) = last_any.filter(|&(_, from)| name[from] != '/') else { return false };
                    last_any = Some((any, from + 1));
                    (token, at) = (any + 1, from + 1);
                }
            }
        }
        self.0[token..].iter().all(|token| *token == Token::Any)
    }
}

impl Token {
    fn takes(&self, char: char) -> bool {
        match self {
            Token::Any => false,
            Token::One => char != '/',
            Token::Char(this) => *this == char,
            Token::Class { is_negated, ranges } => {
                ranges.iter().any(|&(low, high)| (low..=high).contains(&char)) != *is_negated
            }
        }
    }
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> std::result::Result<Token, BadNamePattern> {
    let is_negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
        let low = member(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { member(chars)? } else { low };
        ranges.push((low, high));
    }
    Ok(Token::Class { is_negated, ranges })
}

fn member(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> std::result::Result<char, BadNamePattern> {
    match chars.next() {
        Some('\\') => chars.next().ok_or(BadNamePattern),
        None | Some('-' | ']') => Err(BadNamePattern),
        Some(char) => Ok(char),
    }
}

impl<B: Backing> Vault<B> {
    /// Shows entries that cannot be decoded if their names on disk are as one of these patterns says.
    pub fn show_bad_names(&mut self, patterns: Vec<NamePattern>) {
        self.bad_names = patterns;
    }

    /// The name under which an undecodable entry is shown, if it is.
    pub(crate) fn bad_name(&self, handle: &DirHandle<B>, disk: &[u8]) -> Option<Vec<u8>> {
        if !self.bad_names.iter().any(|pattern| pattern.matches(disk)) {
            return None;
        }
        Some(shown_as(&self.ciphers.names, &handle.iv, disk))
    }

    /// What the name of a shown, undecodable entry is on disk. A name that is encoded as it is, although it ends like one
    /// of those, comes first; and is what a new entry gets.
    pub(crate) fn stored_bad_name(
        &self,
        handle: &DirHandle<B>,
        name: &[u8],
        ordinary: StoredName,
    ) -> Result<StoredName> {
        if self.bad_names.is_empty() || self.ciphers.names.is_plaintext() {
            return Ok(ordinary);
        }
        let Some(stem) = name.strip_suffix(BAD_NAME_SUFFIX) else { return Ok(ordinary) };
        if self.is_there(handle, ordinary.disk())? {
            return Ok(ordinary);
        }
        let mut found = Vec::new();
        for disk in candidates(&self.ciphers.names, &handle.iv, stem) {
            if self.is_there(handle, &disk)? {
                found.push(disk);
            }
        }
        match found.pop() {
            None => Ok(ordinary),
            Some(disk) if found.is_empty() => Ok(StoredName::verbatim(disk)),
            Some(_) => Err(VaultError::NotFound),
        }
    }

    fn is_there(&self, handle: &DirHandle<B>, disk: &[u8]) -> Result<bool> {
        match self.backing.stat(Target::Entry(&handle.dir, disk)) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT | Errno::NAMETOOLONG | Errno::INVAL) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The longest beginning that can be decoded, decoded; the rest; the suffix.
fn shown_as(names: &NameCipher, iv: &DirIv, disk: &[u8]) -> Vec<u8> {
    let decoded = (SHORTEST_ENCODED..disk.len())
        .rev()
        .find_map(|at| names.decrypt(iv, &disk[..at]).ok().map(|name| (name, &disk[at..])));
    match decoded {
        Some((name, rest)) => [&name[..], rest, BAD_NAME_SUFFIX].concat(),
        None => [disk, BAD_NAME_SUFFIX].concat(),
    }
}

/// What may be on disk for a shown name: it itself, or a beginning of it encoded, at each place where that may end. Not the
/// format's own files, which are not shown either.
fn candidates(names: &NameCipher, iv: &DirIv, stem: &[u8]) -> Vec<Vec<u8>> {
    let is_shown = |disk: &Vec<u8>| disk.len() <= 255 && names.classify(disk, true) == Classified::Ordinary;
    let encoded = (1..=stem.len()).rev().filter_map(|at| {
        let stored = names.encrypt(iv, &stem[..at]).ok().filter(|stored| !stored.is_long())?;
        Some([stored.disk(), &stem[at..]].concat())
    });
    std::iter::once(stem.to_vec()).filter(|stem| !stem.is_empty()).chain(encoded).filter(is_shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        NamePattern::parse(pattern).unwrap().matches(name.as_bytes())
    }

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        // From the tests of Go's path/filepath.
        for (pattern, name, is_match) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("[a-ζ]*", "α", true),
            ("[\\]a]", "]", true),
            ("[x\\-]", "-", true),
            ("*x", "xxx", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, name), is_match, "{pattern:?} {name:?}");
        }
    }

    #[test]
    fn what_go_calls_a_syntax_error_is_one() {
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "[\\", "\\"] {
            assert_eq!(NamePattern::parse(pattern), Err(BadNamePattern), "{pattern:?}");
        }
    }
}
