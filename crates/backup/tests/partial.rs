//! Restores into a directory that is in use: what is meant is replaced, and nothing else is touched.

mod common;

use std::{fs, os::unix::fs::symlink};

use common::{Desk, assert_same, assert_same_but_for_directories, grow, inode};
use strongroom_backup::{
    BackupError,
    restore::{Mode, prepare},
};

/// A desk whose target is a copy of its source.
fn in_use() -> (Desk, std::path::PathBuf) {
    let desk = Desk::new();
    grow(&desk.source());
    let created = desk.full();
    desk.restore(&created.path);
    (desk, created.path)
}

#[test]
fn one_file_is_replaced_and_everything_else_keeps_its_inode() {
    let (desk, archive) = in_use();
    fs::write(desk.target().join("big.bin"), b"corrupted").unwrap();
    let others = ["a.txt", "d", "d/e", "d/e/deep.bin", "text.log", "hollow", "link"];
    let before: Vec<_> = others.iter().map(|name| inode(&desk.target().join(name))).collect();
    let mut request = desk.request(&archive);
    request.paths = vec!["big.bin".into()];
    request.mode = Mode::Force;
    desk.try_restore(&request).unwrap();
    assert_same_but_for_directories(&desk.source(), &desk.target());
    let after: Vec<_> = others.iter().map(|name| inode(&desk.target().join(name))).collect();
    assert_eq!(before, after);
    assert_eq!(desk.names("."), ["place", "source", "target"]);
}

#[test]
fn what_is_there_is_refused_unless_forced() {
    let (desk, archive) = in_use();
    for paths in [vec![], vec!["a.txt".to_owned()]] {
        let mut request = desk.request(&archive);
        request.paths = paths;
        let error = desk.try_restore(&request).unwrap_err();
        assert!(matches!(error, BackupError::Refused { .. }), "{error}");
        assert_same(&desk.source(), &desk.target());
    }
    assert_eq!(desk.names("."), ["place", "source", "target"]);
}

#[test]
fn forcing_the_whole_removes_what_the_archive_does_not_have_and_says_so_before() {
    let (desk, archive) = in_use();
    fs::write(desk.target().join("d/extra"), b"extra").unwrap();
    fs::remove_file(desk.target().join("empty")).unwrap();
    let mut request = desk.request(&archive);
    request.mode = Mode::Force;
    let plan = desk.world.with(|context| prepare(&request, true, context)).unwrap().plan().clone();
    assert!(plan.whole);
    assert_eq!((plan.removed.sample, plan.made.sample), (vec!["d/extra".to_owned()], vec!["empty".to_owned()]));
    assert!(plan.replaced.sample.contains(&"a.txt".to_owned()));
    assert!(desk.target().join("d/extra").exists(), "a plan changes nothing");
    desk.try_restore(&request).unwrap();
    assert_same(&desk.source(), &desk.target());
}

#[test]
fn what_was_replaced_is_kept_if_asked_for() {
    let (desk, archive) = in_use();
    fs::write(desk.target().join("a.txt"), b"mine").unwrap();
    for paths in [vec![], vec!["a.txt".to_owned()]] {
        let whole = paths.is_empty();
        let mut request = desk.request(&archive);
        request.mode = Mode::Force;
        request.keep_old = true;
        request.paths = paths;
        let kept = desk.try_restore(&request).unwrap().kept_old;
        assert_eq!(kept.len(), 1);
        assert_eq!(fs::read(kept[0].join("a.txt")).unwrap(), if whole { &b"mine"[..] } else { b"alpha" });
        fs::remove_dir_all(&kept[0]).unwrap();
        assert_eq!(fs::read(desk.target().join("a.txt")).unwrap(), b"alpha");
    }
}

#[test]
fn merging_adds_what_is_missing_and_changes_nothing_else() {
    let (desk, archive) = in_use();
    let target = desk.target();
    fs::write(target.join("a.txt"), b"mine").unwrap();
    fs::remove_file(target.join("big.bin")).unwrap();
    fs::remove_dir_all(target.join("odd\nname \u{e4}\u{1f980}")).unwrap();
    fs::remove_file(target.join("another")).unwrap();
    fs::write(target.join("d/extra"), b"extra").unwrap();
    // Where the archive has a directory, there is a link to one elsewhere.
    fs::remove_dir(target.join("hollow")).unwrap();
    symlink("/tmp", target.join("hollow")).unwrap();
    let kept = ["a.txt", "d", "d/e/deep.bin", "hollow", "text.log"];
    let before: Vec<_> = kept.iter().map(|name| inode(&target.join(name))).collect();
    let mut request = desk.request(&archive);
    request.mode = Mode::Merge;
    desk.try_restore(&request).unwrap();
    assert_eq!(before, kept.iter().map(|name| inode(&target.join(name))).collect::<Vec<_>>());
    assert_eq!(fs::read(target.join("a.txt")).unwrap(), b"mine");
    assert_eq!(fs::read(target.join("another")).unwrap(), fs::read(desk.source().join("another")).unwrap());
    assert_eq!(fs::read(target.join("big.bin")).unwrap(), fs::read(desk.source().join("big.bin")).unwrap());
    assert_same(&desk.source().join("odd\nname \u{e4}\u{1f980}"), &target.join("odd\nname \u{e4}\u{1f980}"));
    assert!(target.join("d/extra").exists());
}

#[test]
fn a_link_without_what_it_links_to_becomes_the_file() {
    let (desk, archive) = in_use();
    let mut request = desk.request(&archive);
    request.target = Some(desk.path().join("other"));
    request.paths = vec!["d/hard".into(), "d/e/*".into()];
    desk.try_restore(&request).unwrap();
    let other = desk.path().join("other");
    assert_eq!(fs::read(other.join("d/hard")).unwrap(), b"alpha");
    assert_eq!(common::names(&other.join("d")), ["e", "hard"]);
    assert_eq!(common::names(&other), ["d"]);
}

#[test]
fn a_file_takes_the_place_of_a_directory_and_the_other_way_round() {
    let (desk, archive) = in_use();
    let target = desk.target();
    fs::remove_file(target.join("a.txt")).unwrap();
    fs::create_dir(target.join("a.txt")).unwrap();
    fs::write(target.join("a.txt/in the way"), b"x").unwrap();
    fs::remove_dir_all(target.join("d")).unwrap();
    symlink("/etc", target.join("d")).unwrap();
    let mut request = desk.request(&archive);
    request.mode = Mode::Force;
    request.paths = vec!["a.txt".into(), "d".into()];
    let plan = desk.world.with(|context| prepare(&request, true, context)).unwrap().plan().clone();
    assert_eq!(plan.removed.sample, ["a.txt/in the way"]);
    desk.try_restore(&request).unwrap();
    // Whoever of two names comes back alone is a file of its own.
    assert_eq!(fs::read(target.join("a.txt")).unwrap(), b"alpha");
    assert_same(&desk.source().join("d/e"), &target.join("d/e"));
    assert!(!target.join("d").is_symlink());
}

#[test]
fn a_pattern_that_matches_nothing_is_an_error() {
    let (desk, archive) = in_use();
    let mut request = desk.request(&archive);
    request.paths = vec!["no such thing".into()];
    assert!(matches!(desk.try_restore(&request), Err(BackupError::Unknown { .. })));
    request.paths.clear();
    request.components = vec!["nobody".into()];
    assert!(matches!(desk.try_restore(&request), Err(BackupError::Unknown { .. })));
}

#[test]
fn archives_within_the_target_survive_its_restore() {
    for (place, other) in [("backups", "old"), ("var/backups", "var/old"), ("new/backups", "var/old")] {
        let desk = Desk::new();
        grow(&desk.source());
        desk.write("var/inner", "inner");
        let place = desk.source().join(place);
        fs::create_dir_all(&place).unwrap();
        let mut plan = desk.plan(strongroom_backup::ArchiveKind::Full);
        plan.place = place.clone();
        let archive = desk.try_create(&plan).unwrap().path;
        let copied =
            std::process::Command::new("cp").arg("-a").arg(desk.source()).arg(desk.path().join("copy")).status();
        assert!(copied.unwrap().success());
        desk.write(other, "new since then");
        desk.write("var/inner", "changed");
        let mut request = desk.request(&archive);
        (request.target, request.mode) = (None, Mode::Force);
        let plan = desk.world.with(|context| prepare(&request, true, context)).unwrap().plan().clone();
        assert!(!plan.whole);
        assert_eq!(plan.removed.sample, [other]);
        desk.try_restore(&request).unwrap();
        assert!(archive.exists());
        assert!(!desk.source().join(other).exists());
        assert_same_but_for_directories(&desk.path().join("copy"), &desk.source());
    }
}

#[test]
fn what_would_take_the_archives_away_is_refused() {
    let desk = Desk::new();
    desk.write("a", "a file once");
    let created = desk.full();
    fs::remove_file(desk.source().join("a")).unwrap();
    fs::create_dir_all(desk.source().join("a/backups")).unwrap();
    let archive = desk.source().join("a/backups").join(created.path.file_name().unwrap());
    fs::copy(&created.path, &archive).unwrap();
    for paths in [vec![], vec!["a".to_owned()]] {
        let mut request = desk.request(&archive);
        (request.target, request.mode, request.paths) = (None, Mode::Force, paths);
        let error = desk.try_restore(&request).unwrap_err();
        assert!(matches!(error, BackupError::Refused { .. }), "{error}");
        assert!(archive.exists());
    }
}
