//! What is in a place, in an archive, and between two of them.

use strongroom_actions::backup::{
    Catalog, Change, ChangeKind, Comparison, How, Info, Listed, ListedEntry, Verification,
};

use super::{amount, backup::issues, count, local, restore::entries};
use crate::face::Style;

/// What a place holds.
pub fn catalog(catalog: &Catalog, verbose: bool, style: Style) -> String {
    let mut text = String::new();
    if catalog.archives.is_empty() {
        text.push_str(&format!("There are no backups in {}.\n", catalog.place.display()));
    } else {
        let width = catalog.archives.iter().map(|listed| listed.file_name.len()).max().unwrap_or_default();
        let heading = format!("{:<19}  {:<12} {:>9}  {:<width$}  verified", "date", "type", "size", "archive");
        text.push_str(&format!("{}\n", style.bold(heading.trim_end())));
        for archive in &catalog.archives {
            text.push_str(&row(archive, width, style));
            if verbose {
                text.push_str(&particulars(archive));
            }
        }
        let bytes = catalog.archives.iter().map(|listed| listed.bytes).sum();
        text.push_str(&format!("{}, {}\n", count(catalog.archives.len() as u64, "archive"), amount(bytes)));
    }
    for stranger in catalog.strangers.iter().filter(|stranger| verbose || stranger.should_be_archive) {
        let path = stranger.path.display().to_string();
        let shown = if stranger.should_be_archive { style.red(&path) } else { path };
        text.push_str(&format!("{shown}: {}\n", stranger.why));
    }
    for leftover in catalog.leftovers.iter().filter(|_| verbose) {
        let state = if leftover.in_use { "is being written" } else { "was left by a run that was interrupted" };
        text.push_str(&format!("{}: {state} ({})\n", leftover.path.display(), amount(leftover.bytes)));
    }
    text
}

fn row(archive: &Listed, width: usize, style: Style) -> String {
    let verified = match &archive.marks.verified {
        None => "never".to_owned(),
        Some(mark) if mark.ok => format!("{} ({})", date(&mark.at), how(mark.how)),
        Some(mark) => style.red(&format!("{} found it damaged", date(&mark.at))),
    };
    let mut notes = Vec::new();
    if archive.marks.locked {
        notes.push("locked".to_owned());
    }
    if !archive.sealed {
        notes.push("not encrypted".to_owned());
    }
    if archive.marks.complete == Some(false) {
        notes.push("incomplete".to_owned());
    }
    let missing = archive.needs.iter().filter(|need| need.file_name.is_none()).count();
    if missing > 0 {
        notes.push(style.red(&format!("{} missing", count(missing as u64, "base"))));
    }
    if !archive.damaged_needs.is_empty() {
        notes.push(style.red(&format!("{} damaged", count(archive.damaged_needs.len() as u64, "base"))));
    }
    let notes = if notes.is_empty() { String::new() } else { format!("  [{}]", notes.join(", ")) };
    format!(
        "{:<19}  {:<12} {:>9}  {:<width$}  {verified}{notes}\n",
        date(&archive.created),
        archive.kind.to_string(),
        amount(archive.bytes),
        archive.file_name,
    )
}

fn particulars(archive: &Listed) -> String {
    let mut lines = vec![format!("id {}, {}", archive.id, archive.compression)];
    lines.extend(archive.label.iter().map(|label| format!("label: {label}")));
    if !archive.needs.is_empty() {
        let needs =
            archive.needs.iter().map(|need| need.file_name.clone().unwrap_or_else(|| format!("{} (missing)", need.id)));
        lines.push(format!("needs {}", needs.collect::<Vec<_>>().join(", ")));
    }
    if !archive.needed_by.is_empty() {
        lines.push(format!("needed by {}", archive.needed_by.join(", ")));
    }
    lines.iter().map(|line| format!("    {line}\n")).collect()
}

/// A date that an archive has in text, as the clock on the wall shows it.
fn date(rfc3339: &str) -> String {
    rfc3339.parse().map_or_else(|_| rfc3339.to_owned(), local)
}

fn how(how: How) -> &'static str {
    match how {
        How::Created => "when made",
        How::Verify => "verify",
        How::Deep => "deep",
    }
}

/// What an archive is made of.
pub fn archive_info(info: &Info) -> String {
    let metadata = &info.metadata;
    let counts = &metadata.counts;
    let sealed = match (&metadata.encryption, &metadata.kdf) {
        (Some(encryption), Some(kdf)) => format!("{encryption}, passphrase by {kdf}"),
        (Some(encryption), None) => encryption.clone(),
        _ => "no".to_owned(),
    };
    let mut lines = vec![
        ("Archive", info.path.display().to_string()),
        ("Id", metadata.id.to_string()),
        ("Type", metadata.kind.to_string()),
        (
            "Made",
            format!("{} on {} by {} {}", date(&metadata.created), metadata.host, metadata.tool, metadata.tool_version),
        ),
        ("Source", format!("{} ({})", metadata.source, metadata.source_kind)),
        ("Size", format!("{} for {}", amount(info.bytes), amount(counts.bytes))),
        ("Compression", format!("{}, level {}", metadata.compression, metadata.compression_level)),
        ("Encrypted", sealed),
        (
            "Entries",
            format!(
                "{}, {}, {}, {}",
                count(counts.files, "file"),
                count(counts.directories, "directory"),
                count(counts.symlinks, "symbolic link"),
                count(counts.links, "hard link")
            ),
        ),
    ];
    lines.extend(metadata.label.clone().map(|label| ("Label", label)));
    if !metadata.tags.is_empty() {
        lines.push(("Tags", metadata.tags.join(", ")));
    }
    for need in &info.needs {
        let is_missing = info.missing.iter().any(|missing| missing.file_name == *need);
        lines.push(("Needs", if is_missing { format!("{need} (missing)") } else { need.clone() }));
    }
    if let Some(keys) = &metadata.keys {
        lines.push(("Keys", format!("of the vault, under the {}", keys.sealed_under.replace('-', " "))));
    }
    for part in &metadata.components {
        lines.push((
            "Component",
            format!("{} ({}): {}, {}", part.name, part.kind, entries(part.entries), amount(part.bytes)),
        ));
    }
    let text: String = lines.iter().map(|(label, value)| format!("{label:<11} {value}\n")).collect();
    text + &issues(&info.issues)
}

/// An entry of an archive, on one line.
pub fn listed_entry(entry: &ListedEntry) -> String {
    let target = entry.target.as_ref().map_or_else(String::new, |target| format!(" -> {target}"));
    format!(
        "{}{:04o} {:>10} {:>10} {:>12} {} {}{target}\n",
        letter(entry.kind),
        entry.mode,
        entry.owner,
        entry.group,
        entry.bytes,
        date(&entry.modified),
        entry.path
    )
}

fn letter(kind: &str) -> char {
    match kind {
        "directory" => 'd',
        "symlink" => 'l',
        "link" => 'h',
        "fifo" => 'p',
        "char-device" => 'c',
        "block-device" => 'b',
        _ => '-',
    }
}

/// What verifying found.
pub fn verified(found: &Verification, style: Style) -> String {
    let mut text = String::new();
    for archive in &found.archives {
        let verdict = match archive.problems.as_slice() {
            [] => "whole".to_owned(),
            problems => style.red(&count(problems.len() as u64, "problem")),
        };
        text.push_str(&format!(
            "{}: {}, {}: {verdict}\n",
            archive.path.display(),
            count(archive.files, "file"),
            amount(archive.bytes)
        ));
        for problem in &archive.problems {
            text.push_str(&format!("  {problem}\n"));
        }
    }
    if !found.databases.is_empty() {
        text.push_str(&format!("Opened and found well: {}\n", found.databases.join(", ")));
    }
    text.push_str(match (found.ok, found.deep) {
        (true, true) => "Everything could be restored.\n",
        (true, false) => "Every byte is authentic and every file has its hash.\n",
        (false, _) => "Not all of it is as it should be.\n",
    });
    text
}

/// A difference, on one line.
pub fn change(change: &Change) -> String {
    let sign = match change.kind {
        ChangeKind::Added => '+',
        ChangeKind::Removed => '-',
        ChangeKind::Changed => '~',
        ChangeKind::Renamed => '>',
    };
    let from = change.from.as_ref().map_or_else(String::new, |from| format!(" (was {from})"));
    let what = if change.what.is_empty() { String::new() } else { format!(": {}", change.what.join(", ")) };
    format!("{sign} {}{from}{what}\n", change.path)
}

/// How two trees differ.
pub fn comparison(comparison: &Comparison) -> String {
    let Comparison { added, removed, changed, renamed, same, bytes } = comparison;
    format!(
        "{added} added, {removed} removed, {changed} changed ({}), {renamed} renamed, {same} the same\n",
        amount(*bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_one_line() {
        let change = Change {
            kind: ChangeKind::Renamed,
            path: "b".into(),
            from: Some("a".into()),
            what: vec!["mode"],
            old_bytes: None,
            new_bytes: None,
        };
        assert_eq!(super::change(&change), "> b (was a): mode\n");
    }
}
