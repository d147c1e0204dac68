//! A backup, a loss, a restore, and everything is as it was.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use strongroom_tests::{Need, capture, has, output_of, run};

use crate::{Flow, code, empty, ends, is_same, ok};

#[test]
fn everything_that_a_directory_holds_comes_back() {
    if !has(&[Need::Program("setfacl")]) {
        return;
    }
    let flow = Flow::with_everything();
    let before = capture(&flow.source);
    let archive = flow.create(&[]);
    let mode = archive.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    flow.wipe();
    flow.restore(&archive, &["--devices", "--owners", "numbers"]);
    is_same(&before, &flow.source);
}

#[test]
fn every_compression_sealed_and_plain_gives_back_what_it_took() {
    let flow = Flow::with_files();
    let before = capture(&flow.source);
    for compression in ["zstd", "gzip", "lz4", "none"] {
        for sealing in [&["--kdf", "scrypt"][..], &["--kdf", "pbkdf2"], &["--no-encrypt"]] {
            let mut arguments = vec!["--compression", compression];
            arguments.extend_from_slice(sealing);
            let archive = flow.create(&arguments);
            let target = flow.scratch.path("target");
            let wanted = ["--target", target.to_str().unwrap()];
            flow.restore(&archive, &wanted);
            is_same(&before, &target);
            fs::remove_dir_all(&target).unwrap();
            fs::remove_file(&archive).unwrap();
        }
    }
}

#[test]
fn plain_archives_are_read_by_the_tools_everybody_has() {
    let flow = Flow::with_files();
    let readers = [
        ("zstd", "zstd -dc \"$A\" | tar x"),
        ("gzip", "tar xzf \"$A\""),
        ("lz4", "lz4 -dc \"$A\" | tar x"),
        ("none", "tar xf \"$A\""),
    ];
    for (compression, script) in readers {
        if !has(&[Need::Program("tar")]) || compression != "none" && !has(&[Need::Program(compression)]) {
            continue;
        }
        let archive = flow.create(&["--no-encrypt", "--compression", compression]);
        let dir = flow.scratch.dir(compression);
        let output = run(Command::new("sh").args(["-ec", script]).env("A", &archive).current_dir(&dir));
        assert!(output.stderr.is_empty(), "{script} says: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read(dir.join("files/sub/c")).unwrap(), b"in a directory");
        assert!(dir.join("metadata.json").is_file());
        fs::remove_file(&archive).unwrap();
    }
}

#[test]
fn what_export_writes_is_a_tar_archive() {
    if !has(&[Need::Program("tar")]) {
        return;
    }
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    let tar = flow.scratch.path("exported.tar");
    ok(flow.backup("export", &[]).arg(&archive).arg(&tar));
    let listed = run(Command::new("tar").arg("tf").arg(&tar));
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().any(|line| line == "files/sub/c"), "{listed}");
    assert_eq!(listed.lines().last(), Some("metadata.json"));
    let mut to_stdout = flow.backup("export", &[]);
    assert_eq!(output_of(to_stdout.arg(&archive).arg("-")).stdout, fs::read(&tar).unwrap());
}

#[test]
fn the_name_says_when_and_of_what_by_the_local_clock() {
    let flow = Flow::with_files();
    let archive = flow.create(&["--label", "first"]);
    let name = archive.file_name().unwrap().to_str().unwrap();
    let stem = name.strip_prefix("data-").and_then(|rest| rest.strip_suffix(".tar.zst.enc")).expect(name);
    assert_eq!(stem.len(), "YYYYMMDD-HHMMSS".len());
    assert!(stem.chars().all(|c| c.is_ascii_digit() || c == '-'), "{name}");
    let listed = &flow.archives()[0];
    assert_eq!(listed["file_name"], name);
    assert_eq!((&listed["label"], &listed["sealed"]), (&"first".into(), &true.into()));
    assert_eq!(listed["marks"]["verified"]["ok"], true);
}

#[test]
fn info_tells_what_is_in_an_archive() {
    let flow = Flow::with_files();
    let archive = flow.create(&["--tag", "x"]);
    let info = ok(flow.backup("info", &[]).arg("latest"));
    assert_eq!(info["metadata"]["tags"], serde_json::json!(["x"]));
    assert_eq!(info["metadata"]["counts"]["files"], 4);
    assert_eq!(info["metadata"]["source"].as_str(), flow.source.to_str());
    let output = output_of(flow.backup("info", &["--contents"]).arg(&archive));
    let lines = String::from_utf8(output.stdout).unwrap();
    let paths: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["path"].as_str().unwrap().to_owned())
        .collect();
    for wanted in ["a", "b", "empty", "link", "sub", "sub/c", "sub/twin of a"] {
        assert!(paths.iter().any(|path| path == wanted), "{wanted} of {paths:?}");
    }
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    fs::remove_file(flow.source.join("b")).unwrap();
    flow.write("a", b"changed");
    flow.write("new", b"new");
    let (before, inode) = (capture(&flow.source), flow.source.metadata().unwrap().ino());
    let outcome = flow.restore(&archive, &["--dry-run", "--force"]);
    let plan = &outcome["plan"];
    assert_eq!(outcome["restored"], serde_json::Value::Null);
    let sample = |part: &str| plan[part]["sample"].to_string();
    assert!(sample("made").contains("\"b\""), "{plan:#}");
    assert!(sample("replaced").contains("\"a\""), "{plan:#}");
    assert!(sample("removed").contains("\"new\""), "{plan:#}");
    is_same(&before, &flow.source);
    assert_eq!(flow.source.metadata().unwrap().ino(), inode);
}

#[test]
fn a_restore_over_data_wants_to_be_told_what_to_do_with_it() {
    let flow = Flow::with_files();
    let before = capture(&flow.source);
    let archive = flow.create(&[]);
    flow.write("a", b"changed");
    flow.write("mine", b"mine");
    let changed = capture(&flow.source);
    let hint = |arguments: &[&str]| {
        let failure = ends(flow.backup("restore", arguments).arg(&archive), code::REFUSED);
        failure["error"]["hint"].as_str().unwrap().to_owned()
    };
    assert!(hint(&[]).contains("--force"), "{}", hint(&[]));
    assert!(hint(&["--force"]).contains("--yes"), "{}", hint(&["--force"]));
    is_same(&changed, &flow.source);
    flow.restore(&archive, &["--force", "--yes"]);
    is_same(&before, &flow.source);
}

#[test]
fn merging_adds_what_is_missing_and_touches_nothing() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    flow.write("a", b"changed");
    flow.write("mine", b"mine");
    fs::remove_file(flow.source.join("b")).unwrap();
    flow.restore(&archive, &["--merge"]);
    assert_eq!(fs::read(flow.source.join("a")).unwrap(), b"changed");
    assert_eq!(fs::read(flow.source.join("mine")).unwrap(), b"mine");
    assert_eq!(fs::metadata(flow.source.join("b")).unwrap().len(), 100_000);
}

#[test]
fn what_is_replaced_can_be_backed_up_first() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    empty(&flow.source);
    flow.write("only this", b"and it is lost otherwise");
    let current = capture(&flow.source);
    let outcome = flow.restore(&archive, &["--force", "--yes", "--backup-current-first"]);
    let first = outcome["backup"]["path"].as_str().unwrap();
    assert_eq!(flow.files().len(), 2);
    flow.restore(first.as_ref(), &["--force", "--yes"]);
    is_same(&current, &flow.source);
}

#[test]
fn differences_between_an_archive_and_a_directory_are_named() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    flow.write("b", b"changed");
    flow.write("new", b"new");
    fs::remove_file(flow.source.join("empty")).unwrap();
    let found = ok(flow.backup("diff", &[]).arg(&archive).arg(&flow.source));
    let changes: Vec<_> = found["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| format!("{} {}", change["kind"].as_str().unwrap(), change["path"].as_str().unwrap()))
        .collect();
    for wanted in ["changed b", "added new", "removed empty"] {
        assert!(changes.iter().any(|change| change == wanted), "{wanted} of {changes:?}");
    }
}

#[test]
fn the_passphrase_of_an_archive_can_be_changed() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    let new = flow.scratch.write_passphrase("new", "another one");
    ok(flow.backup("passwd", &[]).arg(&archive).arg("--new-passphrase-file").arg(&new));
    ends(flow.backup("verify", &[]).arg(&archive), code::WRONG_SECRET);
    let mut verify = flow.command(&["--json", "backup", "verify", "--passphrase-file"]);
    ok(verify.arg(&new).arg(&archive));
}

#[test]
fn patterns_say_what_is_in_a_backup() {
    let flow = Flow::with_files();
    let archive = flow.create(&["--exclude", "b,sub/twin*"]);
    flow.wipe();
    flow.restore(&archive, &[]);
    assert!(!flow.source.join("b").exists() && !flow.source.join("sub/twin of a").exists());
    assert!(flow.source.join("a").exists() && flow.source.join("sub/c").exists());
}
