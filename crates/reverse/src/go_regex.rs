//! Regular expressions as Go reads them, written so that our engine understands the same by them.
//!
//! Exclusions are made of what people write for names, and end up in an expression with all the characters they wrote. Where
//! the two dialects differ is just there: `{a,b}` stands for itself in Go, `c++` is a mistake, `[a&&b]` a plain set, `\d` knows
//! ASCII only. What Go refuses is refused here. Unicode classes (`\pL`) are left out: refused, where Go takes them.

use std::iter::Peekable;
use std::str::Chars;

/// Go refuses to repeat anything more often.
const MOST_REPEATS: u32 = 1000;

/// The expression in our engine's dialect, or what is wrong with it.
pub(crate) fn translated(go: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(go.len() + 16);
    let mut rest = go.chars().peekable();
    let mut just_repeated = false;
    while let Some(c) = rest.next() {
        let repeats = match c {
            '*' | '+' | '?' => {
                out.push(c);
                true
            }
            '{' => match repetition(&rest)? {
                Some((text, len)) => {
                    out.push_str(&text);
                    rest.nth(len - 1);
                    true
                }
                None => {
                    out.push_str(r"\{");
                    false
                }
            },
            '[' => {
                class(&mut rest, &mut out)?;
                false
            }
            '\\' => {
                escape(&mut rest, &mut out)?;
                false
            }
            '(' | ')' | '|' | '.' | '^' | '$' => {
                out.push(c);
                false
            }
            other => {
                literal(other, &mut out);
                false
            }
        };
        if repeats && just_repeated {
            return Err("a repetition is repeated");
        }
        just_repeated = repeats;
    }
    Ok(out)
}

fn literal(c: char, out: &mut String) {
    match c {
        c if c.is_ascii_alphanumeric() || c == '_' || c == '/' || !c.is_ascii() => out.push(c),
        c => {
            out.push_str(&format!(r"\x{{{:x}}}", u32::from(c)));
        }
    }
}

/// What follows a brace, if that is a repetition: its text, and how many characters that are.
fn repetition(rest: &Peekable<Chars<'_>>) -> Result<Option<(String, usize)>, &'static str> {
    let text: String = rest.clone().take_while(|&c| c != '}').collect();
    let is_closed = rest.clone().any(|c| c == '}');
    let (least, most) = match text.split_once(',') {
        Some((least, most)) => (least, Some(most)),
        None => (&*text, None),
    };
    let is_number = |word: &str| {
        let plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        plain && (word == "0" || !word.starts_with('0'))
    };
    if !is_closed || !is_number(least) || !most.is_none_or(|most| most.is_empty() || is_number(most)) {
        return Ok(None);
    }
    let value = |word: &str| word.parse::<u32>().ok().filter(|&count| count <= MOST_REPEATS);
    let too_often = "something is to be repeated too often";
    let low = value(least).ok_or(too_often)?;
    if let Some(most) = most.filter(|most| !most.is_empty())
        && value(most).ok_or(too_often)? < low
    {
        return Err("the end of a range comes before its beginning");
    }
    let len = text.chars().count() + 1;
    Ok(Some((format!("{{{text}}}"), len)))
}

/// An escape outside of a class.
fn escape(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), &'static str> {
    let c = *rest.peek().ok_or("a backslash at the end")?;
    match c {
        'A' | 'z' => out.push_str(if c == 'A' { r"\A" } else { r"\z" }),
        'b' => out.push_str(r"(?-u:\b)"),
        'B' => out.push_str(r"(?-u:\B)"),
        'Q' => return quotation(rest, out),
        _ => match set_of(c) {
            Some((members, negated)) => {
                out.push_str(if negated { "[^" } else { "[" });
                out.push_str(members);
                out.push(']');
            }
            None => {
                let c = escaped_char(rest)?;
                literal(c, out);
                return Ok(());
            }
        },
    }
    rest.next();
    Ok(())
}

/// `\Q...\E`: all in between stands for itself.
fn quotation(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), &'static str> {
    rest.next();
    while let Some(c) = rest.next() {
        if c == '\\' && rest.peek() == Some(&'E') {
            rest.next();
            return Ok(());
        }
        literal(c, out);
    }
    Ok(())
}

/// Perl's sets, which in Go are of ASCII; and whether the complement is meant.
fn set_of(c: char) -> Option<(&'static str, bool)> {
    let members = match c.to_ascii_lowercase() {
        'd' => "0-9",
        's' => r"\t\n\x0c\r ",
        'w' => "0-9A-Za-z_",
        _ => return None,
    };
    Some((members, c.is_ascii_uppercase()))
}

/// The one character that an escape stands for; the backslash was taken.
fn escaped_char(rest: &mut Peekable<Chars<'_>>) -> Result<char, &'static str> {
    const UNKNOWN: &str = "an escape that means nothing";
    let c = rest.next().ok_or("a backslash at the end")?;
    match c {
        'a' => Ok('\x07'),
        'f' => Ok('\x0c'),
        't' => Ok('\t'),
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        'v' => Ok('\x0b'),
        'x' => hexadecimal(rest).ok_or(UNKNOWN),
        // A single digit would be a back-reference.
        '1'..='7' if !matches!(rest.peek(), Some('0'..='7')) => Err(UNKNOWN),
        '0'..='7' => {
            let mut value = c.to_digit(8).unwrap_or_default();
            for _ in 0..2 {
                let Some(digit) = rest.peek().and_then(|c| c.to_digit(8)) else { break };
                value = value * 8 + digit;
                rest.next();
            }
            char::from_u32(value).ok_or(UNKNOWN)
        }
        c if c.is_ascii_punctuation() || (c.is_ascii() && !c.is_ascii_alphanumeric()) => Ok(c),
        _ => Err(UNKNOWN),
    }
}

fn hexadecimal(rest: &mut Peekable<Chars<'_>>) -> Option<char> {
    let mut value = 0u32;
    if rest.peek() == Some(&'{') {
        rest.next();
        let mut digits = 0;
        loop {
            match rest.next()? {
                '}' if digits > 0 => return char::from_u32(value),
                c => value = value.checked_mul(16)?.checked_add(c.to_digit(16)?)?,
            }
            digits += 1;
        }
    }
    for _ in 0..2 {
        value = value * 16 + rest.next()?.to_digit(16)?;
    }
    char::from_u32(value)
}

/// A class; the bracket was taken.
fn class(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), &'static str> {
    const OPEN: &str = "a bracket is not closed";
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut is_first = true;
    loop {
        let next = *rest.peek().ok_or(OPEN)?;
        match next {
            ']' if !is_first => {
                rest.next();
                out.push(']');
                return Ok(());
            }
            '[' if posix_class(rest, out)? => {}
            '\\' if in_class_set(rest, out) => {}
            _ => range(rest, out)?,
        }
        is_first = false;
    }
}

/// `[:alpha:]` and its like.
fn posix_class(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<bool, &'static str> {
    let ahead: String = rest.clone().collect();
    let Some(name) = ahead.strip_prefix("[:").and_then(|after| after.split_once(":]")).map(|(name, _)| name) else {
        return Ok(false);
    };
    let bare = name.strip_prefix('^').unwrap_or(name);
    const KNOWN: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
        "word", "xdigit",
    ];
    if !KNOWN.contains(&bare) {
        return Err("a class that is not known");
    }
    out.push_str(&format!("[:{name}:]"));
    rest.nth(name.len() + 3);
    Ok(true)
}

/// One of Perl's sets within a class.
fn in_class_set(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> bool {
    let Some((members, negated)) = rest.clone().nth(1).and_then(set_of) else { return false };
    out.push_str(if negated { "[^" } else { "[" });
    out.push_str(members);
    out.push(']');
    rest.nth(1);
    true
}

/// A character of a class, or a range of them.
fn range(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), &'static str> {
    let from = class_char(rest)?;
    let mut ahead = rest.clone();
    if ahead.next() != Some('-') || matches!(ahead.peek(), Some(']') | None) {
        class_literal(from, out);
        return Ok(());
    }
    rest.next();
    let to = class_char(rest)?;
    if to < from {
        return Err("the end of a range comes before its beginning");
    }
    class_literal(from, out);
    out.push('-');
    class_literal(to, out);
    Ok(())
}

fn class_char(rest: &mut Peekable<Chars<'_>>) -> Result<char, &'static str> {
    match rest.next() {
        Some('\\') => escaped_char(rest),
        Some(c) => Ok(c),
        None => Err("a bracket is not closed"),
    }
}

fn class_literal(c: char, out: &mut String) {
    out.push_str(&format!(r"\x{{{:x}}}", u32::from(c)));
}

#[cfg(test)]
mod tests {
    use regex_automata::meta::Regex;

    use super::*;

    /// Whether the whole of `text` is what the expression means.
    fn means(go: &str, text: &str) -> bool {
        let ours = translated(go).unwrap_or_else(|why| panic!("{go}: {why}"));
        Regex::new(&format!("^(?:{ours})$")).unwrap_or_else(|error| panic!("{go} -> {ours}: {error}")).is_match(text)
    }

    #[test]
    fn braces_that_repeat_nothing_stand_for_themselves() {
        assert!(means("a{b,c}", "a{b,c}"));
        assert!(means("a{,2}", "a{,2}"));
        assert!(means("a{2", "a{2"));
        assert!(means("a{01}", "a{01}"));
        assert!(means("a}", "a}"));
        assert!(means("a{2,3}b", "aaab") && !means("a{2,3}b", "ab"));
    }

    #[test]
    fn classes_hold_what_go_puts_in_them() {
        assert!(means("[a&&b]+", "a&b"));
        assert!(means("[[]", "["));
        assert!(means("[]a]+", "]a"));
        assert!(means("[a-]+", "a-") && means("[-a]+", "-a"));
        assert!(means(r"[\d.]+", "1.2") && !means(r"[\d.]", "\u{0661}"));
        assert!(means("[[:alpha:]_]+", "a_b"));
        assert!(means("[^/]+", "a\nb") && !means("[^/]", "/"));
        assert!(means("[é-ë]", "ê"));
    }

    #[test]
    fn escapes_mean_what_they_mean_in_go() {
        assert!(means(r"\Qa.b*\E+", "a.b**"));
        assert!(means(r"\x41\x{e9}\101", "AéA"));
        assert!(means(r"\.\ \-\#", ". -#"));
        assert!(means("#a b&~", "#a b&~"));
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for bad in ["c++", "a**", "a{2}*", "a{1001}", "a{3,2}", "[b-a]", "[a", r"\8", r"\1", r"\y", r"a\", "[[:foo:]]"]
        {
            assert!(translated(bad).is_err(), "{bad}");
        }
    }
}
