//! The audit log in tables.

use strongroom_actions::audit::{AuditRecord, Counts, Outcome, Summary, Verified};

use super::{count, local};
use crate::face::Style;

/// Records, one a line.
pub fn audit_list(records: &[AuditRecord]) -> String {
    if records.is_empty() {
        return "There is no such record.\n".into();
    }
    let mut text =
        format!("{:>6}  {:<19}  {:<10} {:<15} {:<10} target\n", "number", "time", "user", "operation", "outcome");
    for record in records {
        let user = record.user.name.clone().unwrap_or_else(|| record.user.uid.to_string());
        text.push_str(&format!(
            "{:>6}  {:<19}  {user:<10} {:<15} {:<10} {}\n",
            record.seq,
            local(record.time),
            record.operation,
            outcome(record.outcome),
            record.target
        ));
        if let Some(message) = &record.message {
            text.push_str(&format!("{:8}{message}\n", ""));
        }
    }
    text
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Begun => "begun",
        Outcome::Ok => "ok",
        Outcome::Incomplete => "incomplete",
        Outcome::Failed => "failed",
    }
}

/// How often what was done.
pub fn audit_summary(summary: &Summary) -> String {
    let (Some(first), Some(last)) = (summary.first, summary.last) else {
        return "There is no such record.\n".into();
    };
    let mut text =
        format!("{:<18} {:>8} {:>11} {:>8} {:>11}\n", "operation", "ok", "incomplete", "failed", "unfinished");
    for (operation, Counts { ok, incomplete, failed, unfinished }) in &summary.operations {
        text.push_str(&format!("{operation:<18} {ok:>8} {incomplete:>11} {failed:>8} {unfinished:>11}\n"));
    }
    let users: Vec<_> = summary.users.iter().map(|(user, begun)| format!("{user} {begun}")).collect();
    if !users.is_empty() {
        text.push_str(&format!("\nBegun by: {}\n", users.join(", ")));
    }
    text.push_str(&format!("{}, from {} to {}\n", count(summary.records, "record"), local(first), local(last)));
    text
}

/// Whether the log is as it was written.
pub fn audit_verified(found: &Verified, style: Style) -> String {
    let mut text = String::new();
    for fault in &found.faults {
        let place = style.red(&format!("{}:{}", fault.place.file, fault.place.line));
        text.push_str(&format!("{place}: {}: {}\n", fault.kind, fault.detail));
    }
    if found.holds_noted == Some(false) {
        text.push_str(&format!("{}: no record has the hash that was noted\n", style.red("missing")));
    }
    for seq in &found.unfinished {
        text.push_str(&format!("What record {seq} began has no end: it was killed, or goes on now.\n"));
    }
    if found.clock_set_back > 0 {
        text.push_str(&format!("The clock was set back {}.\n", count(found.clock_set_back, "time")));
    }
    text.push_str(&match (found.is_sound(), &found.head) {
        (true, Some(head)) => format!(
            "{}, all as they were written. To notice later if the end is cut off, note this elsewhere:\n  {} {}\n",
            count(found.records, "record"),
            head.seq,
            head.hash
        ),
        _ if found.faults.is_empty() => {
            "The log has lost the record that was noted: its end was cut off, or the hash is of another log.\n".into()
        }
        _ => format!("The log is not as it was written: {}.\n", count(found.faults.len() as u64, "fault")),
    });
    text
}

#[cfg(test)]
mod tests {
    use strongroom_actions::audit::{Fault, Head, Place};

    use super::*;

    #[test]
    fn a_sound_log_shows_what_to_note() {
        let found = Verified { records: 1, head: Some(Head { seq: 1, hash: "ab".into() }), ..Verified::default() };
        let text = audit_verified(&found, Style::PLAIN);
        assert!(text.starts_with("1 record, all as they were written.") && text.ends_with("  1 ab\n"), "{text}");
    }

    #[test]
    fn a_log_that_has_lost_what_was_noted_is_not_said_to_have_no_faults() {
        let text = audit_verified(&Verified { holds_noted: Some(false), ..Verified::default() }, Style::PLAIN);
        assert!(text.contains("lost the record that was noted") && !text.contains("0 faults"), "{text}");
    }

    #[test]
    fn the_first_bad_place_stands_first() {
        let place = Place { file: "audit-2026-01-01.jsonl".into(), line: 3 };
        let fault = Fault { place, kind: "removed", detail: "record 3 is missing before record 4".into() };
        let text = audit_verified(&Verified { faults: vec![fault], ..Verified::default() }, Style::PLAIN);
        assert!(text.starts_with("audit-2026-01-01.jsonl:3: removed: record 3 is missing"), "{text}");
        assert!(text.ends_with("1 fault.\n"), "{text}");
    }
}
