//! What becomes of backups, in sentences.

use std::path::Path;

use strongroom_actions::backup::{ArchiveKind, BackupMade, Cleanup, Created, Deleted, Issue, PassphraseReplaced};

use super::{amount, count};

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

/// What is not in an archive as it was.
pub(super) fn issues(issues: &[Issue]) -> String {
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

/// What else one should know.
pub(super) fn warnings(warnings: &[String]) -> String {
    warnings.iter().map(|warning| format!("Note: {warning}\n")).collect()
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
        true if cleanup.verdicts.iter().all(|verdict| verdict.keep) => text.push_str("Nothing is to be deleted.\n"),
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

/// An archive was exported.
pub fn exported(archive: &Path, output: &Path, bytes: u64) -> String {
    format!("Wrote {} to {} ({}).\n", archive.display(), output.display(), amount(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_goes_that_is_what_is_said() {
        let nothing = Cleanup { verdicts: Vec::new(), deleted: Vec::new(), freed: 0 };
        assert_eq!(cleanup(&nothing, true), "Nothing is to be deleted.\n");
    }
}
