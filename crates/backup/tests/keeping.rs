//! What is deleted, what is refused, and what is never left without its base.

mod common;

use std::fs;

use common::Desk;
use jiff::Zoned;
use strongroom_backup::{
    ArchiveKind, BackupError, Catalog, CleanupRequest, Created, Retention, cleanup, create, delete, lock, unlock,
};

/// An archive that was made on a day of January 2026.
fn made_on(desk: &Desk, day: i8, kind: ArchiveKind) -> Created {
    let now = move || -> Zoned { format!("2026-01-{day:02}T03:00:00+01:00[Europe/Berlin]").parse().unwrap() };
    let mut plan = desk.plan(kind);
    plan.seal = None;
    plan.verify = false;
    // Both are of one machine, and what they compare does not matter here.
    desk.world.with(|context| create(&plan, &strongroom_backup::Context { now: &now, ..*context })).unwrap()
}

fn clean(desk: &Desk, policy: Retention, dry_run: bool) -> strongroom_backup::Cleanup {
    let now = || -> Zoned { "2026-01-31T12:00:00+01:00[Europe/Berlin]".parse().unwrap() };
    let request = CleanupRequest { place: desk.place(), policy, name: None, dry_run };
    desk.world.with(|context| cleanup(&request, &strongroom_backup::Context { now: &now, ..*context })).unwrap()
}

fn names(desk: &Desk) -> Vec<String> {
    Catalog::read(&desk.place()).unwrap().archives.iter().map(|one| one.created[8..10].to_owned()).collect()
}

#[test]
fn what_is_needed_locked_or_the_last_good_one_is_not_deleted() {
    let desk = Desk::new();
    desk.write("a", "one");
    let full = made_on(&desk, 1, ArchiveKind::Full);
    let incremental = made_on(&desk, 2, ArchiveKind::Incremental);
    let delete = |path: &std::path::Path| desk.world.with(|context| delete(path, context));
    let error = delete(&full.path).unwrap_err();
    let BackupError::Needed { by, .. } = &error else { panic!("{error}") };
    assert_eq!(*by, [incremental.path.file_name().unwrap().to_str().unwrap()]);
    assert!(lock(&incremental.path).unwrap() && !lock(&incremental.path).unwrap());
    assert!(matches!(delete(&incremental.path), Err(BackupError::Locked { .. })));
    assert!(unlock(&incremental.path).unwrap());
    delete(&incremental.path).unwrap();
    assert!(matches!(delete(&full.path), Err(BackupError::LastGood { .. })));
    assert_eq!(names(&desk), ["01"]);
    assert!(!desk.names("place").iter().any(|name| name.contains("20260102")), "its marks go with it");
}

#[test]
fn a_preview_deletes_nothing_and_says_why_for_each() {
    let desk = Desk::new();
    desk.write("a", "one");
    for day in [1, 2, 3] {
        made_on(&desk, day, ArchiveKind::Full);
    }
    let done = clean(&desk, Retention { last: Some(1), ..Retention::default() }, true);
    assert_eq!(done.verdicts.iter().map(|verdict| verdict.keep).collect::<Vec<_>>(), [true, false, false]);
    assert!(done.verdicts.iter().all(|verdict| !verdict.reasons.is_empty()));
    assert!(done.deleted.is_empty() && done.freed > 0);
    assert_eq!(names(&desk), ["01", "02", "03"]);
    let done = clean(&desk, Retention { last: Some(1), ..Retention::default() }, false);
    assert_eq!(done.deleted.len(), 2);
    assert_eq!(names(&desk), ["03"]);
}

#[test]
fn a_base_stays_as_long_as_something_that_stays_needs_it() {
    let desk = Desk::new();
    desk.write("a", "one");
    made_on(&desk, 1, ArchiveKind::Full);
    for day in [2, 3, 4] {
        fs::write(desk.source().join(format!("day-{day}")), "new").unwrap();
        made_on(&desk, day, ArchiveKind::Incremental);
    }
    made_on(&desk, 5, ArchiveKind::Full);
    let done = clean(&desk, Retention { last: Some(2), ..Retention::default() }, false);
    // The second newest needs all before it.
    assert_eq!(done.deleted.len(), 0);
    let done = clean(&desk, Retention { last: Some(1), ..Retention::default() }, false);
    let order: Vec<_> =
        done.deleted.iter().map(|one| one.path.file_name().unwrap().to_str().unwrap()[11..13].to_owned()).collect();
    assert_eq!(order, ["04", "03", "02", "01"], "those that need others go before them");
    assert_eq!(names(&desk), ["05"]);
}

#[test]
fn a_place_in_use_is_not_cleaned_up() {
    let desk = Desk::new();
    desk.write("a", "one");
    let full = made_on(&desk, 1, ArchiveKind::Full);
    made_on(&desk, 2, ArchiveKind::Full);
    let _busy = strongroom_durable::DirLock::shared(&desk.place()).unwrap();
    let error = desk.world.with(|context| delete(&full.path, context)).unwrap_err();
    assert!(matches!(error, BackupError::Busy(_)), "{error}");
}
