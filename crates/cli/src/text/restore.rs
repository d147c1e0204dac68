//! What a restore will do and did.

use std::path::Path;

use strongroom_actions::backup::{Created, Listing, Mode, RecoverOutcome, Recovered, RestorePlan, Restored};

use super::{amount, backup::warnings, count};

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
    text.push_str(&target_in_use(plan));
    if plan.mode == Mode::Refuse && plan.replaced.count + plan.removed.count > 0 {
        text.push_str("This is refused without --force or --merge.\n");
    }
    text + &warnings(&plan.warnings)
}

/// Who has files open in what is replaced.
pub fn target_in_use(plan: &RestorePlan) -> String {
    match plan.in_use_by.as_slice() {
        [] => String::new(),
        users => format!("In use by {}: stop that first.\n", users.join(", ")),
    }
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

pub(super) fn entries(n: u64) -> String {
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
}
