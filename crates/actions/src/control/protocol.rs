//! One request, one reply: the protocol of gocryptfs's control socket, byte for byte.
//!
//! A request is a JSON object, read as Go reads one into a struct: the names of fields in any case, unknown ones skipped, the
//! last of several wins, `null` says nothing. A reply is a line of JSON, its fields always in the same order, and escaped
//! as Go does it, since there are clients that compare text.

use std::{fmt, fmt::Write, io};

use rustix::io::Errno;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{PathTranslator, Translation};

/// What a request may be at most; whoever sends more is hung up on.
pub const REQUEST_LIMIT: usize = 4999;

/// The reply to a request.
pub fn answer(request: &[u8], translator: &dyn PathTranslator) -> Vec<u8> {
    let reply = match Request::parse(request) {
        Ok(request) => request.answer(translator),
        Err(error) => Reply::refusal(format!("JSON Unmarshal error: {error}")),
    };
    reply.to_line()
}

/// A request about a path.
pub fn request(translation: Translation, path: &[u8]) -> Vec<u8> {
    let field = match translation {
        Translation::Encrypt => "EncryptPath",
        Translation::Decrypt => "DecryptPath",
    };
    format!("{{\"{field}\":{}}}", quoted(&to_text(path))).into_bytes()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    encrypt: String,
    decrypt: String,
}

impl Request {
    fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        // `null` leaves a struct as it is, in Go.
        Ok(serde_json::from_str::<Option<Self>>(&to_text(text))?.unwrap_or_default())
    }

    fn answer(&self, translator: &dyn PathTranslator) -> Reply {
        let path = match (self.encrypt.as_str(), self.decrypt.as_str()) {
            ("", "") => return Reply::refusal("empty input"),
            (plain, "") => plain,
            ("", cipher) => cipher,
            _ => return Reply::refusal("Ambiguous"),
        };
        let canonical = canonical(path);
        let warning = match canonical == path {
            true => String::new(),
            false => format!("Non-canonical input path '{path}' has been interpreted as '{canonical}'."),
        };
        if canonical.is_empty() {
            return Reply { warning, ..Reply::refusal("empty input after canonicalization") };
        }
        let translated = match self.encrypt.is_empty() {
            true => translator.decrypt(canonical.as_bytes()),
            false => translator.encrypt(canonical.as_bytes()),
        };
        match translated {
            Ok(path) => Reply { result: to_text(&path), warning, ..Reply::default() },
            Err(errno) => Reply { warning, ..Reply::failure(errno) },
        }
    }
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RequestVisitor)
    }
}

struct RequestVisitor;

impl<'de> Visitor<'de> for RequestVisitor {
    type Value = Request;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with EncryptPath or DecryptPath")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Request, A::Error> {
        let mut request = Request::default();
        while let Some(name) = map.next_key::<String>()? {
            let field = match name.to_ascii_lowercase().as_str() {
                "encryptpath" => &mut request.encrypt,
                "decryptpath" => &mut request.decrypt,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value: Option<String> =
                map.next_value().map_err(|error| de::Error::custom(format!("{name}: {error}")))?;
            if let Some(value) = value {
                *field = value;
            }
        }
        Ok(request)
    }
}

/// The path relative to the root, without `.`, `..`, and doubled or trailing slashes; empty if it is the root itself or
/// climbs above it.
fn canonical(path: &str) -> String {
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if components.pop().is_none() => return String::new(),
            ".." => {}
            name => components.push(name),
        }
    }
    components.join("/")
}

#[derive(Default)]
struct Reply {
    result: String,
    number: i32,
    error: String,
    warning: String,
}

impl Reply {
    fn refusal(error: impl Into<String>) -> Self {
        Self { number: -1, error: error.into(), ..Self::default() }
    }

    /// Only the number of "no such file" is told, as by gocryptfs; a client may take any other one for something else.
    fn failure(errno: Errno) -> Self {
        let number = if errno == Errno::NOENT { errno.raw_os_error() } else { -1 };
        Self { number, ..Self::refusal(words(errno)) }
    }

    fn to_line(&self) -> Vec<u8> {
        let [result, error, warning] = [&self.result, &self.error, &self.warning].map(|text| quoted(text));
        let number = self.number;
        format!("{{\"Result\":{result},\"ErrNo\":{number},\"ErrText\":{error},\"WarnText\":{warning}}}\n").into_bytes()
    }
}

/// What strerror(3) says, as Go writes it.
fn words(errno: Errno) -> String {
    let text = io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Text as Go makes it of bytes: each byte that is not of UTF-8 becomes U+FFFD.
fn to_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// A JSON string as Go writes it, fit to be put into HTML.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(quoted, "\\u{:04x}", u32::from(char)).expect("a string takes all that is written");
            }
            _ => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns a path around, and has a few that cannot be.
    struct Mirror;

    impl PathTranslator for Mirror {
        fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, Errno> {
            match plain {
                b"none/x" => Err(Errno::NOENT),
                b"f/x" => Err(Errno::NOTDIR),
                b"raw" => Ok(vec![b'a', 0xff, 0xfe, b'b']),
                _ => Ok(plain.iter().rev().copied().collect()),
            }
        }

        fn decrypt(&self, cipher: &[u8]) -> Result<Vec<u8>, Errno> {
            match cipher {
                b"bad" => Err(Errno::BADMSG),
                _ => self.encrypt(cipher),
            }
        }
    }

    fn reply(request: &str) -> String {
        let line = String::from_utf8(answer(request.as_bytes(), &Mirror)).unwrap();
        line.strip_suffix('\n').unwrap().to_owned()
    }

    #[test]
    fn a_path_is_translated_either_way() {
        let expected = r#"{"Result":"cba","ErrNo":0,"ErrText":"","WarnText":""}"#;
        assert_eq!(reply(r#"{"EncryptPath":"abc"}"#), expected);
        assert_eq!(reply(r#"{"DecryptPath":"abc"}"#), expected);
    }

    #[test]
    fn a_request_that_was_written_is_read() {
        let written = request(Translation::Decrypt, b"a\"b/<c");
        assert_eq!(Request::parse(&written).unwrap(), Request { decrypt: "a\"b/<c".into(), ..Request::default() });
    }

    #[test]
    fn requests_are_read_as_go_reads_them() {
        for same in [
            r#"{"encryptpath":"abc"}"#,
            r#"{"ENCRYPTPATH":"x","EncryptPath":"abc"}"#,
            r#"{"EncryptPath":"abc","EncryptPath":null,"more":[{"a":1}]}"#,
            "\n{\"EncryptPath\" : \"abc\", \"DecryptPath\":\"\"}\n",
            r#"{"EncryptPath":"a\u0062c"}"#,
        ] {
            assert!(reply(same).starts_with(r#"{"Result":"cba","ErrNo":0"#), "{same}");
        }
        assert_eq!(reply("null"), reply("{}"));
    }

    #[test]
    fn what_is_no_request_is_refused_with_a_reason() {
        for wrong in ["[]", "3", "x", "{", r#"{"EncryptPath":3}"#, r#"{"EncryptPath":"a"}{"EncryptPath":"a"}"#] {
            let said = reply(wrong);
            assert!(
                said.starts_with(r#"{"Result":"","ErrNo":-1,"ErrText":"JSON Unmarshal error: "#),
                "{wrong}: {said}"
            );
        }
    }

    #[test]
    fn both_or_neither_are_refused() {
        let refused = |text: &str| format!(r#"{{"Result":"","ErrNo":-1,"ErrText":"{text}","WarnText":""}}"#);
        assert_eq!(reply(r#"{"EncryptPath":"a","DecryptPath":"b"}"#), refused("Ambiguous"));
        assert_eq!(reply("{}"), refused("empty input"));
    }

    #[test]
    fn a_path_in_another_form_is_taken_with_a_warning() {
        assert_eq!(
            reply(r#"{"EncryptPath":"/a//b/../c/"}"#),
            r#"{"Result":"c/a","ErrNo":0,"ErrText":"","WarnText":"Non-canonical input path '/a//b/../c/' has been interpreted as 'a/c'."}"#
        );
    }

    #[test]
    fn the_root_and_what_is_above_it_are_refused() {
        for path in [".", "/", "//", "..", "../x", "/../x", "a/..", "a/../../b"] {
            assert_eq!(
                reply(&format!(r#"{{"EncryptPath":"{path}"}}"#)),
                format!(
                    r#"{{"Result":"","ErrNo":-1,"ErrText":"empty input after canonicalization","WarnText":"Non-canonical input path '{path}' has been interpreted as ''."}}"#
                )
            );
        }
    }

    #[test]
    fn only_a_missing_file_has_a_number() {
        let failed =
            |number: i32, text: &str| format!(r#"{{"Result":"","ErrNo":{number},"ErrText":"{text}","WarnText":""}}"#);
        assert_eq!(reply(r#"{"EncryptPath":"none/x"}"#), failed(2, "no such file or directory"));
        assert_eq!(reply(r#"{"EncryptPath":"f/x"}"#), failed(-1, "not a directory"));
        assert_eq!(reply(r#"{"DecryptPath":"bad"}"#), failed(-1, "bad message"));
    }

    #[test]
    fn replies_are_escaped_as_go_does_it() {
        assert!(reply(r#"{"EncryptPath":"\u0001\t<&>\"\\"}"#).contains(r#""Result":"\\\"\u003e\u0026\u003c\t\u0001""#));
    }

    #[test]
    fn a_name_that_is_not_utf_8_does_not_survive() {
        assert!(reply(r#"{"EncryptPath":"raw"}"#).contains("\"Result\":\"a\u{fffd}\u{fffd}b\""));
        assert_eq!(Request::parse(b"{\"EncryptPath\":\"a\xffb\"}").unwrap().encrypt, "a\u{fffd}b");
    }
}
