//! Archives against a base: what they hold, what they need, and what comes back.

mod common;

use std::{fs, os::unix::fs::symlink};

use common::{Desk, assert_same, grow, settle};
use strongroom_backup::{
    ArchiveKind, BackupError, Catalog, ChangeKind, VerifyRequest, diff, info, restore::Mode, verify,
};

fn verify_all(desk: &Desk, archive: &std::path::Path, deep: bool) -> strongroom_backup::Verification {
    let request = VerifyRequest { archive: archive.to_owned(), chain: true, deep, scratch: None };
    desk.world.with(|context| verify(&request, context)).unwrap()
}

#[test]
fn a_chain_comes_back_as_the_tree_was_each_time() {
    let desk = Desk::new();
    grow(&desk.source());
    settle();
    let source = desk.source();
    let mut kept = Vec::new();
    let changes: [&dyn Fn(); 5] = [
        &|| {},
        &|| {
            desk.write("new.txt", "new");
            fs::remove_file(source.join("text.log")).unwrap();
            fs::write(source.join("a.txt"), "alpha, longer").unwrap();
        },
        &|| {
            fs::rename(source.join("big.bin"), source.join("d/moved.bin")).unwrap();
            fs::rename(source.join("d/e"), source.join("f")).unwrap();
        },
        &|| {
            // Each becomes something else.
            fs::remove_file(source.join("empty")).unwrap();
            fs::create_dir(source.join("empty")).unwrap();
            fs::remove_file(source.join("link")).unwrap();
            desk.write("link", "a file now");
            fs::remove_dir(source.join("hollow")).unwrap();
            symlink("a.txt", source.join("hollow")).unwrap();
        },
        &|| {
            fs::remove_file(source.join("d/hard")).unwrap();
            fs::hard_link(source.join("new.txt"), source.join("d/hard")).unwrap();
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        change();
        let kind = if number == 0 { ArchiveKind::Full } else { ArchiveKind::Incremental };
        let created = desk.create(kind);
        assert_eq!(created.metadata.kind, kind, "{:?}", created.fell_back);
        let copy = desk.path().join(format!("copy-{number}"));
        let copied = std::process::Command::new("cp").arg("-a").arg(&source).arg(&copy).status().unwrap();
        assert!(copied.success());
        kept.push((created.path, copy));
    }
    for (archive, copy) in &kept {
        desk.restore(archive);
        assert_same(copy, &desk.target());
        fs::remove_dir_all(desk.target()).unwrap();
    }
    let verified = verify_all(&desk, &kept[4].0, true);
    assert!(verified.ok && verified.archives.len() == 5, "{verified:?}");
}

#[test]
fn what_is_unchanged_or_renamed_is_not_stored_again() {
    let desk = Desk::new();
    desk.write("same", vec![1; 100_000]);
    desk.write("moves", vec![2; 200_000]);
    desk.write("goes", vec![3; 300_000]);
    settle();
    let full = desk.full();
    assert_eq!((full.metadata.counts.new_files, full.metadata.counts.stored_bytes), (3, 600_000));
    fs::create_dir(desk.source().join("deeper")).unwrap();
    fs::rename(desk.source().join("moves"), desk.source().join("deeper/moved")).unwrap();
    fs::remove_file(desk.source().join("goes")).unwrap();
    desk.write("comes", vec![4; 50_000]);
    let counts = desk.incremental().metadata.counts;
    assert_eq!((counts.new_files, counts.stored_bytes), (1, 50_000));
    assert_eq!((counts.unchanged, counts.gone, counts.renamed), (2, 1, 1));
}

#[test]
fn a_file_that_changed_while_the_base_was_begun_is_read_again() {
    let desk = Desk::new();
    desk.write("a", "one");
    // No settling: the file may have been written after the base read it, within the same tick.
    desk.full();
    let created = desk.incremental();
    // It was read, found to be the same, and not stored again.
    assert_eq!(created.metadata.counts.new_files, 0);
    let time = fs::metadata(desk.source().join("a")).unwrap().modified().unwrap();
    fs::write(desk.source().join("a"), "two").unwrap();
    fs::File::options().write(true).open(desk.source().join("a")).unwrap().set_modified(time).unwrap();
    let created = desk.incremental();
    desk.restore(&created.path);
    assert_eq!(fs::read(desk.target().join("a")).unwrap(), b"two");
}

#[test]
fn checksum_finds_what_no_stamp_tells() {
    let desk = Desk::new();
    desk.write("a", "one");
    settle();
    let full = desk.full();
    let mut plan = desk.plan(ArchiveKind::Incremental);
    plan.checksum = true;
    fs::write(desk.source().join("a"), "one").unwrap();
    let created = desk.try_create(&plan).unwrap();
    assert_eq!((created.metadata.kind, created.metadata.counts.new_files), (ArchiveKind::Incremental, 0));
    assert_eq!(created.metadata.base, Some(full.metadata.id));
}

#[test]
fn a_differential_needs_the_full_one_only() {
    let desk = Desk::new();
    desk.write("a", "one");
    settle();
    let full = desk.full();
    desk.write("b", "two");
    desk.incremental();
    desk.write("c", "three");
    let differential = desk.create(ArchiveKind::Differential);
    let known = desk.world.with(|context| info(&differential.path, context)).unwrap();
    assert_eq!(known.needs, [full.path.file_name().unwrap().to_str().unwrap()]);
    assert_eq!(differential.metadata.counts.new_files, 2);
    desk.restore(&differential.path);
    assert_same(&desk.source(), &desk.target());
}

#[test]
fn a_missing_base_is_named_and_nothing_is_touched() {
    let desk = Desk::new();
    desk.write("a", "one");
    settle();
    let full = desk.full();
    desk.write("b", "two");
    let incremental = desk.incremental();
    fs::rename(&full.path, desk.path().join("elsewhere")).unwrap();
    let error = desk.try_restore(&desk.request(&incremental.path)).unwrap_err();
    let BackupError::MissingBase { missing, .. } = &error else { panic!("{error}") };
    assert_eq!(missing[0].file_name, full.path.file_name().unwrap().to_str().unwrap());
    assert!(!desk.target().exists());
    // What needs nothing of it comes back nevertheless.
    let mut request = desk.request(&incremental.path);
    request.paths = vec!["b".into()];
    desk.try_restore(&request).unwrap();
    assert_eq!(common::names(&desk.target()), ["b"]);
}

#[test]
fn a_base_is_found_under_any_name_and_refused_if_it_is_another() {
    let desk = Desk::new();
    desk.write("a", "one");
    settle();
    let full = desk.full();
    let incremental = desk.incremental();
    fs::rename(&full.path, desk.place().join("renamed-by-somebody")).unwrap();
    desk.restore(&incremental.path);
    assert_same(&desk.source(), &desk.target());
}

#[test]
fn without_a_base_it_becomes_a_full_one_and_says_why() {
    let desk = Desk::new();
    desk.write("a", "one");
    let first = desk.incremental();
    assert_eq!(first.metadata.kind, ArchiveKind::Full);
    assert!(first.fell_back.unwrap().contains("no archive of desk"));
    let mut plan = desk.plan(ArchiveKind::Incremental);
    plan.seal = None;
    let plain = desk.try_create(&plan).unwrap();
    assert!(plain.fell_back.unwrap().contains("sealed"));
    let mut desk = desk;
    desk.world.passphrase = b"another passphrase".to_vec();
    let other = desk.create(ArchiveKind::Incremental);
    assert!(other.fell_back.is_some());
}

#[test]
fn an_archive_found_damaged_is_no_base() {
    let desk = Desk::new();
    desk.write("a", common::noise(200_000, 7));
    let full = desk.full();
    let mut bytes = fs::read(&full.path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&full.path, bytes).unwrap();
    assert!(!verify_all(&desk, &full.path, false).ok);
    assert!(desk.incremental().fell_back.unwrap().contains("damaged"));
}

#[test]
fn a_diff_tells_what_was_added_removed_changed_and_renamed() {
    let desk = Desk::new();
    desk.write("same", "same");
    desk.write("goes", "goes");
    desk.write("moves", "moves along");
    desk.write("changes", "before");
    settle();
    let full = desk.full();
    fs::remove_file(desk.source().join("goes")).unwrap();
    fs::rename(desk.source().join("moves"), desk.source().join("moved")).unwrap();
    desk.write("changes", "after!");
    desk.write("comes", "comes");
    let incremental = desk.incremental();
    for new in [incremental.path, desk.source()] {
        let mut changes = Vec::new();
        let counts = desk.world.with(|context| {
            diff(&full.path, &new, context, &mut |change| {
                changes.push((change.kind, change.path, change.from));
                Ok(())
            })
        });
        let counts = counts.unwrap();
        let files: Vec<_> = changes.iter().filter(|one| one.1 != ".").map(|one| (one.0, one.1.as_str())).collect();
        assert_eq!(
            files,
            [
                (ChangeKind::Changed, "changes"),
                (ChangeKind::Added, "comes"),
                (ChangeKind::Removed, "goes"),
                (ChangeKind::Renamed, "moved"),
                (ChangeKind::Removed, "moves"),
            ]
        );
        assert_eq!((counts.added, counts.removed, counts.changed, counts.renamed), (1, 2, 1, 1));
    }
}

#[test]
fn the_catalogue_needs_no_passphrase_and_knows_who_needs_whom() {
    let desk = Desk::new();
    desk.write("a", "one");
    let full = desk.full();
    let incremental = desk.incremental();
    fs::write(desk.place().join("notes.txt"), "not an archive").unwrap();
    fs::write(desk.place().join("desk-20200101-000000.tar.zst.enc"), "half an archive").unwrap();
    let catalog = Catalog::read(&desk.place()).unwrap();
    let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let names: Vec<_> = catalog.archives.iter().map(|one| one.file_name.clone()).collect();
    assert_eq!(names, [name(&full.path), name(&incremental.path)]);
    assert_eq!(catalog.archives[0].needed_by, [name(&incremental.path)]);
    assert_eq!(catalog.archives[1].needs[0].file_name, Some(name(&full.path)));
    let strangers: Vec<_> = catalog.strangers.iter().map(|one| one.should_be_archive).collect();
    assert_eq!(strangers, [true, false]);
    assert_eq!(catalog.find("latest").unwrap().path, incremental.path);
    assert_eq!(catalog.find(&full.metadata.id.to_string()[..8]).unwrap().path, full.path);
    assert!(matches!(catalog.find("nothing"), Err(BackupError::NoArchive { .. })));
}

#[test]
fn two_of_one_second_have_two_names() {
    let desk = Desk::new();
    desk.write("a", "one");
    let mut plan = desk.plan(ArchiveKind::Full);
    plan.verify = false;
    let archives: Vec<_> = (0..3).map(|_| desk.try_create(&plan).unwrap().path).collect();
    assert_eq!(Catalog::read(&desk.place()).unwrap().archives.len(), 3, "{archives:?}");
}

#[test]
fn merging_a_chain_adds_what_is_missing() {
    let desk = Desk::new();
    desk.write("d/a", "one");
    settle();
    desk.full();
    desk.write("d/b", "two");
    let incremental = desk.incremental();
    fs::create_dir_all(desk.target().join("d")).unwrap();
    fs::write(desk.target().join("d/b"), "mine").unwrap();
    let mut request = desk.request(&incremental.path);
    request.mode = Mode::Merge;
    desk.try_restore(&request).unwrap();
    assert_eq!(fs::read(desk.target().join("d/a")).unwrap(), b"one");
    assert_eq!(fs::read(desk.target().join("d/b")).unwrap(), b"mine");
}

#[test]
fn a_chain_becomes_no_longer_than_a_header_can_tell() {
    let desk = Desk::new();
    desk.write("a", "one");
    let mut plan = desk.plan(ArchiveKind::Incremental);
    plan.verify = false;
    plan.label = Some("x".repeat(500));
    let kinds: Vec<_> = (0..67).map(|_| desk.try_create(&plan).unwrap().metadata.kind).collect();
    let full: Vec<_> = (0..67).filter(|&number| kinds[number] == ArchiveKind::Full).collect();
    assert_eq!(full, [0, 65]);
    desk.restore(&Catalog::read(&desk.place()).unwrap().archives[64].path);
    assert_same(&desk.source(), &desk.target());
}
