//! What becomes of backups, in sentences and tables.

use std::path::{Path, PathBuf};

use strongroom_actions::backup::{
    ArchiveKind, BackupMade, Catalog, Change, ChangeKind, Cleanup, Comparison, Created, Deleted, How, Info, Issue,
    Listed, ListedEntry, Listing, Mode, PassphraseReplaced, RecoverOutcome, Recovered, RestorePlan, Restored,
    Verification,
};

use super::{amount, count, local};
use crate::face::Style;

/// How many problems are listed; all of them are in JSON.
const LISTED: usize = 20;

/// An archive was made.
pub fn archive_created(made: &BackupMade) -> String {
    let Created { path, bytes, metadata, .. } = &made.created;
    let counts = &metadata.counts;
    let mut text = format!(
        "Made {}: {} backup of {}, {} with {} in {}.\n",
        path.display(),
        article(metadata.kind),
        metadata.source,
        count(counts.files, "file"),
        amount(counts.bytes),
        amount(*bytes),
    );
    if let Some(why) = &made.created.fell_back {
        text.push_str(&format!("It is a full one: {why}.\n"));
    } else if metadata.kind != ArchiveKind::Full {
        text.push_str(&format!(
            "{} new or changed, {} as before, {} gone, {} renamed.\n",
            counts.new_files, counts.unchanged, counts.gone, counts.renamed
        ));
    }
    text.push_str(match made.created.verified {
        true => "It was read back, and every byte is as it should be.\n",
        false => "It was not read back; to do that: strongroom backup verify\n",
    });
    text.push_str(&issues(&made.created.issues));
    text.push_str(&warnings(&made.created.warnings));
    if let Some(cleanup) = made.cleanup.as_ref().filter(|cleanup| !cleanup.deleted.is_empty()) {
        text.push_str(&deleted_sentence(cleanup));
    }
    text
}

fn article(kind: ArchiveKind) -> String {
    if kind == ArchiveKind::Incremental { format!("an {kind}") } else { format!("a {kind}") }
}

fn issues(issues: &[Issue]) -> String {
    if issues.is_empty() {
        return String::new();
    }
    let mut text = format!("Not everything is in it as it was ({}):\n", count(issues.len() as u64, "problem"));
    for issue in issues.iter().take(LISTED) {
        text.push_str(&format!("  {issue}\n"));
    }
    if issues.len() > LISTED {
        text.push_str(&format!("  and {} more; strongroom backup info lists them\n", issues.len() - LISTED));
    }
    text
}

fn warnings(warnings: &[String]) -> String {
    warnings.iter().map(|warning| format!("Note: {warning}\n")).collect()
}

/// What a restore will do.
pub fn plan(plan: &RestorePlan) -> String {
    let mut text = format!("Restoring {} into {}", plan.archive.display(), plan.target.display());
    text.push_str(&match plan.from.len() {
        0 | 1 => ".\n".to_owned(),
        n => format!(", with bytes of {}.\n", count(n as u64, "archive")),
    });
    let parts = [
        ("made", &plan.made),
        ("replaced", &plan.replaced),
        ("removed", &plan.removed),
        ("left alone", &plan.left_alone),
        ("not restored", &plan.withheld),
    ];
    for (what, listing) in parts.into_iter().filter(|(_, listing)| listing.count > 0) {
        text.push_str(&listed(what, listing));
    }
    if plan.made.count + plan.replaced.count + plan.removed.count == 0 {
        text.push_str("There is nothing to do.\n");
    }
    text.push_str(&format!("{} are written; {} are free.\n", amount(plan.bytes), amount(plan.available)));
    if !plan.in_use_by.is_empty() {
        text.push_str(&format!("In use by {}: stop that first.\n", plan.in_use_by.join(", ")));
    }
    if plan.mode == Mode::Refuse && plan.replaced.count + plan.removed.count > 0 {
        text.push_str("This is refused without --force or --merge.\n");
    }
    text + &warnings(&plan.warnings)
}

fn listed(what: &str, listing: &Listing) -> String {
    let mut text = format!("  {what}: {}, {}\n", entries(listing.count), amount(listing.bytes));
    for path in &listing.sample {
        text.push_str(&format!("    {path}\n"));
    }
    let unlisted = listing.count.saturating_sub(listing.sample.len() as u64);
    if unlisted > 0 {
        text.push_str(&format!("    and {unlisted} more\n"));
    }
    text
}

fn entries(n: u64) -> String {
    count(n, "entry")
}

/// A backup was restored.
pub fn restored(restored: &Restored, backup: Option<&Created>) -> String {
    let mut text = String::new();
    if let Some(backup) = backup {
        text.push_str(&format!("What was there before is in {}.\n", backup.path.display()));
    }
    text.push_str(&format!(
        "Restored {} with {} into {}.\n",
        entries(restored.entries),
        amount(restored.bytes),
        restored.target.display()
    ));
    if !restored.databases.is_empty() {
        text.push_str(&format!("Opened and found well: {}.\n", restored.databases.join(", ")));
    }
    for kept in &restored.kept_old {
        text.push_str(&format!("What was replaced is kept in {}.\n", kept.display()));
    }
    text + &warnings(&restored.warnings)
}

/// An interrupted restore was put right.
pub fn recovered(outcome: &RecoverOutcome) -> String {
    let target = outcome.target.display();
    match outcome.recovered {
        Recovered::Nothing => format!("No interrupted restore has left anything at {target}.\n"),
        Recovered::RolledBack => format!("{target} is as it was before the restore that was interrupted.\n"),
        Recovered::RolledForward => format!("The restore into {target} that was interrupted is complete now.\n"),
    }
}

/// The vault's keys were written to a file.
pub fn keys_written(path: &Path) -> String {
    format!(
        "Wrote the keys of the vault to {}. Put it beside the ciphertext as gocryptfs.conf to open that.\n",
        path.display()
    )
}

/// An archive was deleted.
pub fn deleted(deleted: &Deleted) -> String {
    format!("Deleted {} ({}).\n", deleted.path.display(), amount(deleted.bytes))
}

/// What a cleaning did, or would do.
pub fn cleanup(cleanup: &Cleanup, is_preview: bool) -> String {
    let mut text = String::new();
    for verdict in &cleanup.verdicts {
        let fate = match (verdict.keep, is_preview) {
            (true, _) => "keep",
            (false, true) => "delete",
            (false, false) => "deleted",
        };
        text.push_str(&format!("{fate:<8} {}  {}\n", verdict.file_name, verdict.reasons.join(", ")));
    }
    match is_preview {
        true => {
            let goes = cleanup.verdicts.iter().filter(|verdict| !verdict.keep).count();
            text.push_str(&format!(
                "{} would go, and free {}.\n",
                count(goes as u64, "archive"),
                amount(cleanup.freed)
            ));
        }
        false => text.push_str(&deleted_sentence(cleanup)),
    }
    text
}

fn deleted_sentence(cleanup: &Cleanup) -> String {
    format!("Deleted {}, which frees {}.\n", count(cleanup.deleted.len() as u64, "old archive"), amount(cleanup.freed))
}

/// An archive is protected, or not any more.
pub fn locked(archive: &Path, is_locked: bool) -> String {
    match is_locked {
        true => format!("{} is locked: nothing deletes it until it is unlocked.\n", archive.display()),
        false => format!("{} is not locked.\n", archive.display()),
    }
}

/// An archive has another passphrase.
pub fn passphrase_replaced(replaced: &PassphraseReplaced) -> String {
    format!(
        "Changed the passphrase of {}. Copies of it elsewhere still open with the old one, and so do a vault's keys in it.\n",
        replaced.archive.display()
    )
}

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

/// An archive was exported.
pub fn exported(archive: &Path, output: &Path, bytes: u64) -> String {
    format!("Wrote {} to {} ({}).\n", archive.display(), output.display(), amount(bytes))
}

/// The configuration.
pub fn config(files: &[PathBuf], toml: &str) -> String {
    let mut text = match files {
        [] => "# There is no configuration file; these are the defaults.\n".to_owned(),
        files => files.iter().map(|file| format!("# from {}\n", file.display())).collect(),
    };
    text.push('\n');
    text + toml
}

/// The configuration can be used.
pub fn config_checked(files: &[PathBuf]) -> String {
    match files {
        [] => "There is no configuration file; the defaults hold.\n".to_owned(),
        files => files.iter().map(|file| format!("{} can be used.\n", file.display())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_what_is_made_and_what_is_replaced() {
        let replaced = Listing { count: 3, bytes: 2048, sample: vec!["a".into(), "b/".into()] };
        let plan = RestorePlan {
            archive: "/b/x.tar".into(),
            from: vec!["x.tar".into()],
            target: "/srv".into(),
            created: "2026-01-01T00:00:00Z".into(),
            mode: Mode::Refuse,
            whole: false,
            made: Listing { count: 1, bytes: 1, sample: vec!["new".into()] },
            replaced,
            left_alone: Listing::default(),
            removed: Listing::default(),
            withheld: Listing::default(),
            databases: Vec::new(),
            bytes: 2049,
            available: 1 << 30,
            in_use_by: Vec::new(),
            warnings: Vec::new(),
        };
        let wanted = "Restoring /b/x.tar into /srv.\n  made: 1 entry, 1 byte\n    new\n  replaced: 3 entries, 2 KiB\n    a\n    b/\n    and 1 more\n2.0 KiB are written; 1 GiB are free.\nThis is refused without --force or --merge.\n";
        assert_eq!(super::plan(&plan), wanted);
    }

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
