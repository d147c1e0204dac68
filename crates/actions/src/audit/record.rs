//! A record, and its line: JSON whose last field is the SHA-256 of all that stands before it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// What is told besides: names and numbers, never a secret.
pub type Details = Map<String, Value>;

/// How an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It begins; what it is going to do is not done yet. If no other record follows, it was killed.
    Begun,
    /// It did all that it should.
    Ok,
    /// It did what it could; something was left out.
    Incomplete,
    /// It failed.
    Failed,
}

/// Who does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The user as whom it is done.
    pub uid: u32,
    /// His name, if he has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The user who logged in, if the kernel remembers: not the same after sudo(8).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub login: Option<u32>,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its number; the first is 1.
    pub seq: u64,
    /// When it was written, in UTC.
    pub time: jiff::Timestamp,
    /// What is done: `backup.create`.
    pub operation: String,
    /// To what: a path, odd bytes escaped.
    pub target: String,
    /// How it stands.
    pub outcome: Outcome,
    /// The number of the record with which the operation began, in the one with which it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub begun: Option<u64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
    /// Who does it.
    pub user: Actor,
    /// On which machine.
    pub host: String,
    /// In which process.
    pub pid: u32,
    /// What else there is to say.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub details: Details,
    /// SHA-256 of the line before, without its newline; zeros in the first record.
    pub prev: String,
}

/// What stands between the fields and the hash, and after it.
const BEFORE: &str = ",\"hash\":\"";
const AFTER: &str = "\"}";
const HASH_LEN: usize = 64;

/// What the first record has for the hash of the one before.
pub(super) const NOTHING_BEFORE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl AuditRecord {
    /// Its line, without a newline.
    pub(super) fn line(&self) -> String {
        let fields = serde_json::to_string(self).expect("a record is strings and numbers with string keys");
        let hash = hash(fields.as_bytes());
        format!("{}{BEFORE}{hash}{AFTER}", &fields[..fields.len() - 1])
    }

    /// Reads a line; `None` if it is no record, or its hash is not that of what it says.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let (fields, written) = text.strip_suffix(AFTER)?.split_at_checked(text.len() - AFTER.len() - HASH_LEN)?;
        let fields = format!("{}}}", fields.strip_suffix(BEFORE)?);
        if hash(fields.as_bytes()) != written {
            return None;
        }
        serde_json::from_str(&fields).ok()
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record such as they are.
    pub fn sample(seq: u64, prev: &str) -> AuditRecord {
        AuditRecord {
            seq,
            time: "2026-03-29T00:59:59.5Z".parse().unwrap(),
            operation: "backup.create".into(),
            target: "/srv".into(),
            outcome: Outcome::Begun,
            begun: None,
            message: None,
            user: Actor { uid: 0, name: Some("root".into()), login: None },
            host: "h".into(),
            pid: 7,
            details: Details::new(),
            prev: prev.into(),
        }
    }

    #[test]
    fn a_record_is_read_from_its_line() {
        let record = sample(1, NOTHING_BEFORE);
        assert_eq!(AuditRecord::parse(record.line().as_bytes()), Some(record));
    }

    #[test]
    fn no_byte_of_a_line_can_be_changed() {
        let line = sample(1, NOTHING_BEFORE).line().into_bytes();
        for at in 0..line.len() {
            let mut changed = line.clone();
            changed[at] ^= 1;
            assert_eq!(AuditRecord::parse(&changed), None, "byte {at}");
            assert_eq!(AuditRecord::parse(&line[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn the_hash_is_what_sha256sum_gives_for_the_rest_of_the_line() {
        let line = sample(1, NOTHING_BEFORE).line();
        let (fields, rest) = line.split_once(",\"hash\":\"").unwrap();
        assert_eq!(rest, format!("{}\"}}", hash(format!("{fields}}}").as_bytes())));
    }
}
