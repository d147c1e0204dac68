//! What is deleted, what is refused, and what is never left without its base.

mod common;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use common::Desk;
use jiff::Zoned;
use strongroom_backup::{
    ArchiveKind, BackupError, Catalog, CleanupRequest, Created, Deleted, Retention, VerifyRequest, cleanup, create,
    delete, lock, unlock, verify,
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
    let delete = |path: &Path| desk.world.with(|context| delete(path, context));
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

fn last(count: u32) -> Retention {
    Retention { last: Some(count), ..Retention::default() }
}

fn try_delete(desk: &Desk, path: &Path) -> Result<Deleted, BackupError> {
    desk.world.with(|context| delete(path, context))
}

fn is_whole(desk: &Desk, path: &Path) -> bool {
    let request = VerifyRequest { archive: path.to_owned(), chain: false, deep: false, scratch: None };
    desk.world.with(|context| verify(&request, context)).unwrap().ok
}

/// Changes a byte in the middle, and has that found out.
fn spoil(desk: &Desk, path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    assert!(!is_whole(desk, path));
}

/// Makes the head of an archive one that nobody can read; what it is called and its marks stay.
fn behead(path: &Path) {
    let len = fs::metadata(path).unwrap().len() as usize;
    fs::write(path, vec![0xA5; len]).unwrap();
}

#[test]
fn an_archive_that_was_cut_short_can_be_deleted() {
    let desk = Desk::new();
    desk.write("a", common::noise(100_000, 1));
    let cut = made_on(&desk, 1, ArchiveKind::Full).path;
    made_on(&desk, 2, ArchiveKind::Full);
    fs::File::options().write(true).open(&cut).unwrap().set_len(5000).unwrap();
    try_delete(&desk, &cut).unwrap();
    assert!(!cut.exists());
}

/// A full archive of the first, and incremental ones of the next days.
fn chain(desk: &Desk, days: i8) -> Vec<PathBuf> {
    desk.write("a", common::noise(100_000, 1));
    let kind = |day| if day == 1 { ArchiveKind::Full } else { ArchiveKind::Incremental };
    (1..=days)
        .map(|day| {
            desk.write(&format!("day-{day}"), format!("{day}"));
            let created = made_on(desk, day, kind(day));
            assert_eq!(created.metadata.kind, kind(day), "{:?}", created.fell_back);
            created.path
        })
        .collect()
}

#[test]
fn a_symbolic_link_in_a_place_is_no_second_archive() {
    let desk = Desk::new();
    desk.write("a", "one");
    let full = made_on(&desk, 1, ArchiveKind::Full).path;
    let link = desk.place().join("latest.tar.zst");
    symlink(full.file_name().unwrap(), &link).unwrap();
    let catalog = Catalog::read(&desk.place()).unwrap();
    assert_eq!(catalog.archives.len(), 1);
    assert!(catalog.strangers.iter().any(|one| one.path == link && !one.should_be_archive));
    assert!(clean(&desk, last(1), false).deleted.is_empty());
    assert!(matches!(try_delete(&desk, &full), Err(BackupError::LastGood { .. })));
    assert!(matches!(try_delete(&desk, &link), Err(BackupError::NoArchive { .. })));
    assert!(full.is_file() && link.is_symlink());
    assert!(is_whole(&desk, &link), "it can be read by that name");
    let named = |word: &str| Catalog::resolve(Some(&desk.place()), Path::new(word)).unwrap();
    assert_eq!(named("latest.tar.zst"), link);
    symlink(link.file_name().unwrap(), desk.place().join("latest")).unwrap();
    assert_eq!(named("latest"), full, "the word is not taken over by a name");
}

#[test]
fn a_base_with_a_symbolic_link_to_it_stays() {
    let desk = Desk::new();
    let archives = chain(&desk, 2);
    symlink(archives[0].file_name().unwrap(), desk.place().join("zz-latest.tar.zst")).unwrap();
    assert!(clean(&desk, last(1), false).deleted.is_empty());
    assert!(matches!(try_delete(&desk, &archives[0]), Err(BackupError::Needed { .. })));
    desk.restore(&archives[1]);
}

#[test]
fn a_lock_by_way_of_a_symbolic_link_protects_the_archive() {
    let desk = Desk::new();
    desk.write("a", "one");
    let first = made_on(&desk, 1, ArchiveKind::Full).path;
    made_on(&desk, 2, ArchiveKind::Full);
    let link = desk.path().join("precious.tar.zst");
    symlink(&first, &link).unwrap();
    assert!(lock(&link).unwrap());
    assert!(clean(&desk, last(1), false).deleted.is_empty());
    assert!(!desk.names("").iter().any(|name| name.ends_with(".state")));
}

#[test]
fn copies_of_one_archive_take_one_place_of_a_rule() {
    let desk = Desk::new();
    desk.write("a", "one");
    let first = made_on(&desk, 1, ArchiveKind::Full).path;
    let second = made_on(&desk, 2, ArchiveKind::Full).path;
    for number in 0..3 {
        fs::copy(&second, desk.place().join(format!("copy-{number}.tar.zst"))).unwrap();
    }
    fs::hard_link(&second, desk.place().join("linked.tar.zst")).unwrap();
    assert_eq!(Catalog::read(&desk.place()).unwrap().archives.len(), 6);
    assert!(clean(&desk, last(2), false).deleted.is_empty());
    let deleted: Vec<_> = clean(&desk, last(1), false).deleted.into_iter().map(|one| one.path).collect();
    assert_eq!(deleted, [first]);
    assert!(second.is_file());
}

#[test]
fn a_copy_makes_an_archive_superfluous_only_after_it_was_read() {
    let desk = Desk::new();
    let archives = chain(&desk, 2);
    let copy = desk.place().join("copy.tar.zst");
    fs::copy(&archives[0], &copy).unwrap();
    assert!(matches!(try_delete(&desk, &archives[0]), Err(BackupError::Needed { .. })));
    assert!(is_whole(&desk, &copy));
    try_delete(&desk, &archives[0]).unwrap();
    assert!(matches!(try_delete(&desk, &copy), Err(BackupError::Needed { .. })), "it is the last one now");
    desk.restore(&archives[1]);
}

#[test]
fn a_file_that_is_called_latest_is_deleted_itself() {
    let desk = Desk::new();
    desk.write("a", "one");
    let first = made_on(&desk, 1, ArchiveKind::Full).path;
    let second = made_on(&desk, 2, ArchiveKind::Full).path;
    let latest = desk.place().join("latest");
    fs::rename(&first, &latest).unwrap();
    assert_eq!(try_delete(&desk, &latest).unwrap().path, latest);
    assert!(second.is_file());
}

#[test]
fn what_needs_a_damaged_archive_is_not_the_last_good_one() {
    let desk = Desk::new();
    desk.write("a", common::noise(100_000, 1));
    let whole = made_on(&desk, 1, ArchiveKind::Full).path;
    let base = made_on(&desk, 2, ArchiveKind::Full).path;
    for day in [3, 4] {
        desk.write(&format!("day-{day}"), "new");
        assert_eq!(made_on(&desk, day, ArchiveKind::Incremental).metadata.kind, ArchiveKind::Incremental);
    }
    spoil(&desk, &base);
    let catalog = Catalog::read(&desk.place()).unwrap();
    assert_eq!(catalog.archives.iter().map(|one| one.is_good()).collect::<Vec<_>>(), [true, false, false, false]);
    assert_eq!(catalog.archives[3].damaged_needs, [base.file_name().unwrap().to_str().unwrap()]);
    assert!(matches!(try_delete(&desk, &whole), Err(BackupError::LastGood { .. })));
    clean(&desk, last(1), false);
    assert!(whole.is_file());
}

#[test]
fn what_needs_a_damaged_archive_is_no_base() {
    let desk = Desk::new();
    let archives = chain(&desk, 3);
    spoil(&desk, &archives[0]);
    let created = made_on(&desk, 4, ArchiveKind::Incremental);
    assert_eq!(created.metadata.kind, ArchiveKind::Full);
    let why = created.fell_back.unwrap();
    assert!(why.contains(archives[0].file_name().unwrap().to_str().unwrap()) && why.contains("damaged"), "{why}");
}

#[test]
fn archives_whose_base_is_somewhere_else_today_are_kept_as_the_rules_say() {
    let desk = Desk::new();
    let archives = chain(&desk, 4);
    let elsewhere = desk.path().join("elsewhere");
    fs::rename(&archives[0], &elsewhere).unwrap();
    made_on(&desk, 5, ArchiveKind::Full);
    let done = clean(&desk, last(10), false);
    assert!(done.deleted.is_empty());
    assert!(done.verdicts[1].reasons.iter().any(|reason| reason.contains("missing")), "{:?}", done.verdicts);
    fs::rename(&elsewhere, &archives[0]).unwrap();
    desk.restore(&archives[3]);
}

#[test]
fn a_base_of_many_is_said_to_be_one_of_the_newest_and_so_many_others() {
    let desk = Desk::new();
    let archives = chain(&desk, 4);
    let done = clean(&desk, last(3), true);
    let newest = archives[3].file_name().unwrap().to_str().unwrap();
    assert_eq!(done.verdicts[3].reasons, [format!("a base of {newest} and 2 others")]);
}

#[test]
fn an_archive_without_a_head_can_be_deleted_unless_its_marks_say_otherwise() {
    let desk = Desk::new();
    let archives = chain(&desk, 2);
    lock(&archives[0]).unwrap();
    behead(&archives[0]);
    assert!(matches!(try_delete(&desk, &archives[0]), Err(BackupError::Locked { .. })));
    assert!(unlock(&archives[0]).unwrap());
    assert!(matches!(try_delete(&desk, &archives[0]), Err(BackupError::Needed { .. })));
    try_delete(&desk, &archives[1]).unwrap();
    let by_name = Catalog::resolve(Some(&desk.place()), Path::new(archives[0].file_name().unwrap())).unwrap();
    try_delete(&desk, &by_name).unwrap();
    assert_eq!(desk.names("place").iter().filter(|name| name.contains("2026")).count(), 0);
}

#[test]
fn what_never_was_an_archive_is_not_deleted() {
    let desk = Desk::new();
    let notes = desk.place().join("notes.txt");
    fs::write(&notes, "dear diary").unwrap();
    assert!(matches!(try_delete(&desk, &notes), Err(BackupError::NoArchive { .. })));
    assert!(notes.is_file());
}
