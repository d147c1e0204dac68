//! How a Go program reads and writes values: numbers, durations, quoted strings, errors of the system. Scripts know these
//! forms from gocryptfs.

use std::{
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    process::ExitStatus,
};

/// As `%q` writes a string.
pub fn quote(bytes: &[u8]) -> String {
    let mut quoted = String::with_capacity(bytes.len() + 2);
    quoted.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| quote_char(&mut quoted, c));
        for byte in chunk.invalid() {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    quoted
}

/// As `%q` writes a list of them, without its brackets.
pub fn quote_all<'a>(strings: impl IntoIterator<Item = &'a [u8]>) -> String {
    strings.into_iter().map(quote).collect::<Vec<_>>().join(" ")
}

fn quote_char(out: &mut String, c: char) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        ' '..='~' => out.push(c),
        '\0'..='\x7f' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if is_printable(c) => out.push(c),
        c if u32::from(c) < 0x10000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
    }
}

/// Within a string, Rust escapes nothing else than what has no shape.
fn is_printable(c: char) -> bool {
    format!("a{c}").escape_debug().count() == 2
}

/// Why a system call failed, in the words of Go: those of strerror(3), in small letters and without a number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error().and_then(|number| text.strip_suffix(&format!(" (os error {number})"))) {
        Some(text) => text.to_lowercase(),
        None => text,
    }
}

/// Why a program could not be started.
pub fn not_started(program: &OsStr, error: &io::Error) -> String {
    let is_path = program.as_bytes().contains(&b'/');
    match error.kind() {
        io::ErrorKind::NotFound if !is_path => {
            format!("exec: {}: executable file not found in $PATH", quote(program.as_bytes()))
        }
        _ => format!("fork/exec {}: {}", program.display(), reason(error)),
    }
}

/// How a program ended.
pub fn status(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal: {}", signal_name(signal)),
        (None, None) => status.to_string(),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "hangup",
        libc::SIGINT => "interrupt",
        libc::SIGQUIT => "quit",
        libc::SIGABRT => "aborted",
        libc::SIGKILL => "killed",
        libc::SIGSEGV => "segmentation fault",
        libc::SIGPIPE => "broken pipe",
        libc::SIGTERM => "terminated",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

/// `strconv.ParseBool`
pub fn parse_bool(text: &[u8]) -> Result<bool, String> {
    match text {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Ok(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Ok(false),
        _ => Err(not_parsed("ParseBool", text, "invalid syntax")),
    }
}

/// `strconv.ParseInt` in whatever base the number is written in, of so many bits.
pub fn parse_int(text: &[u8], bits: u32) -> Result<i64, String> {
    let failed = |why| not_parsed("ParseInt", text, why);
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let limit = 1i128 << (bits - 1);
    let max = if is_negative { limit } else { limit - 1 };
    let number = parse_digits(digits, u64::MAX.into()).map_err(failed)?;
    match i128::try_from(number) {
        Ok(number) if number <= max => {
            let signed = if is_negative { -number } else { number };
            Ok(i64::try_from(signed).expect("at most 64 bits were asked for"))
        }
        _ => Err(failed(OUT_OF_RANGE)),
    }
}

/// `strconv.ParseUint` of eight bits.
pub fn parse_byte(text: &[u8]) -> Result<u8, String> {
    let number = parse_digits(text, u8::MAX.into()).map_err(|why| not_parsed("ParseUint", text, why))?;
    Ok(u8::try_from(number).expect("bounded just now"))
}

const BAD_SYNTAX: &str = "invalid syntax";
const OUT_OF_RANGE: &str = "value out of range";

fn not_parsed(function: &str, text: &[u8], why: &str) -> String {
    format!("strconv.{function}: parsing {}: {why}", quote(text))
}

/// `0x1F`, `0b1`, `0o7`, `017`, `1_000`: the prefix says the base, and `_` may stand between digits.
fn parse_digits(text: &[u8], max: u128) -> Result<u128, &'static str> {
    let (base, digits) = match text {
        [] => return Err(BAD_SYNTAX),
        [b'0', b'b' | b'B', digits @ ..] if !digits.is_empty() => (2, digits),
        [b'0', b'o' | b'O', digits @ ..] if !digits.is_empty() => (8, digits),
        [b'0', b'x' | b'X', digits @ ..] if !digits.is_empty() => (16, digits),
        [b'0', digits @ ..] => (8, digits),
        digits => (10, digits),
    };
    let mut number = 0;
    for &byte in digits.iter().filter(|&&byte| byte != b'_') {
        let digit = char::from(byte).to_digit(base).ok_or(BAD_SYNTAX)?;
        number = number * u128::from(base) + u128::from(digit);
        if number > max {
            return Err(OUT_OF_RANGE);
        }
    }
    // The prefix counts as a digit.
    let is_prefixed = digits.len() < text.len();
    match underscores_separate(digits, is_prefixed) {
        true => Ok(number),
        false => Err(BAD_SYNTAX),
    }
}

fn underscores_separate(digits: &[u8], mut after_digit: bool) -> bool {
    for &byte in digits {
        if byte == b'_' && !after_digit {
            return false;
        }
        after_digit = byte != b'_';
    }
    after_digit
}

/// `time.ParseDuration`, in nanoseconds.
pub fn parse_duration(text: &[u8]) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote_ascii(text));
    let (is_negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if rest == b"0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0u64;
    while !rest.is_empty() {
        let (whole, after) = leading_digits(rest);
        let (fraction, after) = match after {
            [b'.', after @ ..] => leading_digits(after),
            after => (&[][..], after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let letters = after.iter().take_while(|&&byte| byte != b'.' && !byte.is_ascii_digit()).count();
        let (unit, after) = after.split_at(letters);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote_ascii(text)));
        }
        let Some(nanoseconds) = unit_of_time(unit) else {
            return Err(format!("time: unknown unit {} in duration {}", quote_ascii(unit), quote_ascii(text)));
        };
        let part = scaled(whole, fraction, nanoseconds).ok_or_else(invalid)?;
        total = total.checked_add(part).filter(|&total| total <= 1 << 63).ok_or_else(invalid)?;
        rest = after;
    }
    match is_negative {
        true => Ok(0i64.wrapping_sub_unsigned(total)),
        false => i64::try_from(total).map_err(|_| invalid()),
    }
}

fn leading_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn unit_of_time(unit: &[u8]) -> Option<u64> {
    let nanoseconds = match std::str::from_utf8(unit).ok()? {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3600 * 1_000_000_000,
        _ => return None,
    };
    Some(nanoseconds)
}

/// `whole.fraction` times `unit`, unless it is more than Go can count.
fn scaled(whole: &[u8], fraction: &[u8], unit: u64) -> Option<u64> {
    let limit = 1u64 << 63;
    let whole = whole.iter().try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    let whole = whole.checked_mul(unit).filter(|&product| product <= limit)?;
    // More digits than these are less than a nanosecond, of whatever unit.
    let digits = &fraction[..fraction.len().min(18)];
    let numerator = digits.iter().fold(0u128, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    let scale = digits.iter().fold(1u128, |scale, _| scale * 10);
    let part = numerator * u128::from(unit) / scale;
    whole.checked_add(u64::try_from(part).ok()?).filter(|&sum| sum <= limit)
}

/// As package `time` quotes: what is not ASCII as bytes.
fn quote_ascii(text: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for &byte in text {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=0x7f => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_go_does() {
        for (bytes, quoted) in [
            (&b"plain words"[..], r#""plain words""#),
            (b"a\"b\\c", r#""a\"b\\c""#),
            (b"\x07\x08\x0c\n\r\t\x0b\x00\x7f", r#""\a\b\f\n\r\t\v\x00\x7f""#),
            (b"\xff\xfe\x01", r#""\xff\xfe\x01""#),
            (
                "\u{e9}\u{a0}\u{301}\u{200b}\u{1f600}\u{e0001}".as_bytes(),
                "\"\u{e9}\\u00a0\u{301}\\u200b\u{1f600}\\U000e0001\"",
            ),
        ] {
            assert_eq!(quote(bytes), quoted);
        }
        assert_eq!(quote_all([&b"a"[..], b"b c"]), r#""a" "b c""#);
    }

    #[test]
    fn numbers_have_gos_bases_and_underscores() {
        for (text, number) in [
            ("16", 16),
            ("+16", 16),
            ("-5", -5),
            ("0x10", 16),
            ("0b11", 3),
            ("0o17", 15),
            ("017", 15),
            ("0", 0),
            ("1_0", 10),
            ("0x_1f", 31),
            ("0_7", 7),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse_int(text.as_bytes(), 64), Ok(number), "{text}");
        }
        for text in ["", "x", "1__0", "_1", "1_", "0x", "08", "1 ", "-", "0b2", "1.5"] {
            let error = parse_int(text.as_bytes(), 64).unwrap_err();
            assert_eq!(error, format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"));
        }
        for text in ["9223372036854775808", "99999999999999999999", "-9223372036854775809"] {
            assert!(parse_int(text.as_bytes(), 64).unwrap_err().ends_with("value out of range"), "{text}");
        }
        assert!(parse_int(b"2147483648", 32).is_err());
    }

    #[test]
    fn a_byte_is_a_number_without_a_sign() {
        assert_eq!(parse_byte(b"0b11111111"), Ok(255));
        assert_eq!(parse_byte(b"300").unwrap_err(), "strconv.ParseUint: parsing \"300\": value out of range");
        assert_eq!(parse_byte(b"-1").unwrap_err(), "strconv.ParseUint: parsing \"-1\": invalid syntax");
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("10ms", 10_000_000),
            ("2h45m", 9900 * 1_000_000_000),
            (".5s", 500_000_000),
            ("1.5h", 5400 * 1_000_000_000),
            ("+1s", 1_000_000_000),
            ("-1s", -1_000_000_000),
            ("0", 0),
            ("1\u{b5}s", 1000),
            ("1.s", 1_000_000_000),
        ] {
            assert_eq!(parse_duration(text.as_bytes()), Ok(nanoseconds), "{text}");
        }
        for (text, error) in [
            ("3", "time: missing unit in duration \"3\""),
            ("1h3", "time: missing unit in duration \"1h3\""),
            ("3x", "time: unknown unit \"x\" in duration \"3x\""),
            ("", "time: invalid duration \"\""),
            ("--1s", "time: invalid duration \"--1s\""),
            (".s", "time: invalid duration \".s\""),
            ("9999999999h", "time: invalid duration \"9999999999h\""),
        ] {
            assert_eq!(parse_duration(text.as_bytes()), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn errors_of_the_system_are_in_small_letters_and_without_number() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(reason(&io::Error::other("as it is")), "as it is");
    }
}
