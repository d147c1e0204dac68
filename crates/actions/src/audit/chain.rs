//! Whether a log is as it was written: pure, line by line.

use std::collections::BTreeSet;

use serde::Serialize;

use super::record::{AuditRecord, NOTHING_BEFORE, Outcome, hash};

/// Where a line is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// `altered`, `removed` or `reordered`.
    pub kind: &'static str,
    /// What is wrong there, in words.
    pub detail: String,
}

/// The last record. Whoever notes its hash elsewhere can tell later that nothing up to it was changed or cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Its number.
    pub seq: u64,
    /// SHA-256 of its line.
    pub hash: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Records that are whole.
    pub records: u64,
    /// What is wrong, in the order of the log: the first is the first bad place.
    pub faults: Vec<Fault>,
    /// Operations that began and did not end: they were killed, or go on now.
    pub unfinished: Vec<u64>,
    /// How often the clock was set back between two records. No fault.
    pub clock_set_back: u64,
    /// The last record.
    pub head: Option<Head>,
    /// Whether the record whose hash was noted elsewhere is there; `None` if none was named.
    pub holds_noted: Option<bool>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.holds_noted != Some(false)
    }
}

/// Follows a log from its first line.
#[derive(Default)]
pub struct Chain {
    found: Verified,
    noted: Option<String>,
    next: u64,
    /// The hash of the line before; `None` after a line that was altered, which the record after it cannot tell of.
    prev: Option<String>,
    time: Option<jiff::Timestamp>,
    open: BTreeSet<u64>,
}

impl Chain {
    /// Begins before the first line. `noted` is the hash of a record that has to be there.
    pub fn new(noted: Option<String>) -> Self {
        let found = Verified { holds_noted: noted.as_ref().map(|_| false), ..Verified::default() };
        Self { found, noted, next: 1, prev: Some(NOTHING_BEFORE.into()), ..Self::default() }
    }

    /// Takes the next line, without its newline.
    pub fn take(&mut self, place: Place, line: &[u8]) {
        let Some(record) = AuditRecord::parse(line) else {
            self.fault(place, "altered", "this is not a record as it was written".into());
            // Its number cannot be trusted, but the record after it has the next but one.
            self.next += 1;
            self.prev = None;
            return;
        };
        self.found.records += 1;
        let hash = hash(line);
        if self.noted.as_ref() == Some(&hash) {
            self.found.holds_noted = Some(true);
        }
        if record.seq < self.next {
            let detail = format!("record {} stands after record {}, or is here twice", record.seq, self.next - 1);
            return self.fault(place, "reordered", detail);
        }
        self.check_succession(place, &record);
        self.note(&record);
        self.next = record.seq + 1;
        self.found.head = Some(Head { seq: record.seq, hash: hash.clone() });
        self.prev = Some(hash);
    }

    /// What was found, after the last line.
    pub fn finish(mut self) -> Verified {
        self.found.unfinished = self.open.into_iter().collect();
        self.found
    }

    fn check_succession(&mut self, place: Place, record: &AuditRecord) {
        if record.seq > self.next {
            let detail = match record.seq - self.next {
                1 => format!("record {} is missing before record {}", self.next, record.seq),
                _ => format!("records {} to {} are missing before record {}", self.next, record.seq - 1, record.seq),
            };
            self.fault(place, "removed", detail);
        } else if self.prev.as_ref().is_some_and(|prev| *prev != record.prev) {
            let detail = format!("record {} was written after another record than the one before it", record.seq);
            self.fault(place, "altered", detail);
        }
    }

    fn note(&mut self, record: &AuditRecord) {
        match (record.outcome, record.begun) {
            (Outcome::Begun, _) => drop(self.open.insert(record.seq)),
            (_, Some(begun)) => drop(self.open.remove(&begun)),
            _ => {}
        }
        if self.time.is_some_and(|before| record.time < before) {
            self.found.clock_set_back += 1;
        }
        self.time = Some(record.time);
    }

    fn fault(&mut self, place: Place, kind: &'static str, detail: String) {
        self.found.faults.push(Fault { place, kind, detail });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::record::tests::sample, *};

    fn lines(count: u64) -> Vec<String> {
        let mut prev = NOTHING_BEFORE.to_owned();
        let line = |seq| {
            let line = sample(seq, &prev).line();
            prev = hash(line.as_bytes());
            line
        };
        (1..=count).map(line).collect()
    }

    fn verified(lines: &[String]) -> Verified {
        let mut chain = Chain::new(None);
        for (at, line) in lines.iter().enumerate() {
            chain.take(Place { file: "f".into(), line: at as u64 + 1 }, line.as_bytes());
        }
        chain.finish()
    }

    /// Kinds and lines of what is wrong.
    fn faults(lines: &[String]) -> Vec<(&'static str, u64)> {
        verified(lines).faults.into_iter().map(|fault| (fault.kind, fault.place.line)).collect()
    }

    #[test]
    fn a_log_as_it_was_written_is_sound() {
        let found = verified(&lines(5));
        assert!(found.is_sound());
        assert_eq!((found.records, found.head.unwrap().seq), (5, 5));
    }

    #[test]
    fn an_altered_record_is_the_only_fault_there_is() {
        let mut lines = lines(5);
        lines[2] = lines[2].replace("/srv", "/etc");
        assert_eq!(faults(&lines), [("altered", 3)]);
    }

    #[test]
    fn a_record_that_was_altered_with_its_hash_shows_in_the_next() {
        let mut lines = lines(5);
        let mut forged = AuditRecord::parse(lines[2].as_bytes()).unwrap();
        forged.target = "/etc".into();
        lines[2] = forged.line();
        assert_eq!(faults(&lines), [("altered", 4)]);
    }

    #[test]
    fn removed_records_are_named_wherever_they_were() {
        let all = lines(6);
        assert_eq!(faults(&[&all[..2], &all[4..]].concat()), [("removed", 3)]);
        assert_eq!(faults(&all[1..]), [("removed", 1)]);
        let found = verified(&[&all[..2], &all[4..]].concat());
        assert_eq!(found.faults[0].detail, "records 3 to 4 are missing before record 5");
    }

    #[test]
    fn a_record_that_was_moved_is_found_where_it_is_and_where_it_was() {
        let mut lines = lines(6);
        lines.swap(2, 3);
        assert_eq!(faults(&lines), [("removed", 3), ("reordered", 4)]);
    }

    #[test]
    fn a_record_that_is_there_twice_is_found() {
        let mut lines = lines(3);
        lines.insert(2, lines[1].clone());
        assert_eq!(faults(&lines), [("reordered", 3)]);
    }

    #[test]
    fn a_tail_that_was_cut_off_shows_only_against_a_hash_that_was_noted() {
        let all = lines(5);
        assert!(verified(&all[..4]).is_sound());
        let head = verified(&all).head.unwrap().hash;
        let mut chain = Chain::new(Some(head));
        for line in &all[..4] {
            chain.take(Place { file: "f".into(), line: 1 }, line.as_bytes());
        }
        assert!(!chain.finish().is_sound());
    }

    #[test]
    fn an_operation_without_an_end_is_told() {
        let mut first = sample(1, NOTHING_BEFORE);
        first.outcome = Outcome::Begun;
        let second = sample(2, &hash(first.line().as_bytes()));
        let mut third = sample(3, &hash(second.line().as_bytes()));
        (third.outcome, third.begun) = (Outcome::Ok, Some(1));
        assert_eq!(verified(&[first.line(), second.line(), third.line()]).unfinished, [2]);
    }
}
