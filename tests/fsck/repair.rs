//! `strongroom check --repair`, judged by the real gocryptfs.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use strongroom_tests::{Format, Names, Need, Program, capture, differences, has, output_of, without_terminal};

use crate::BOTH;
use crate::volume::{Fsck, Volume, damage, fill};

fn check(volume: &Volume, flags: &[&str]) -> Output {
    let mut command = Program::Strongroom.command();
    command.arg("check").args(flags).arg("--passphrase-file").arg(volume.scratch.passphrase_file()).arg(&volume.dir);
    output_of(without_terminal(&mut command))
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// All that lies on disk, but for times of access.
fn on_disk(volume: &Volume) -> strongroom_tests::Captured {
    capture(&volume.dir)
}

fn damaged(format: Format) -> Volume {
    let volume = Volume::with(format, fill);
    damage(&volume);
    volume
}

#[test]
fn a_repair_without_consent_and_a_dry_run_change_nothing() {
    if !has(BOTH) {
        return;
    }
    let volume = damaged(Format::default());
    let before = on_disk(&volume);
    let dry = check(&volume, &["--repair", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(11), "{}", words(&dry));
    assert!(words(&dry).contains("is set aside: the name of a file that is gone"), "{}", words(&dry));
    let unconfirmed = check(&volume, &["--repair"]);
    assert_eq!(unconfirmed.status.code(), Some(18), "{}", words(&unconfirmed));
    assert_eq!(differences(&before, &on_disk(&volume)), Vec::<String>::new());
    assert!(!volume.scratch.path("cipher.set-aside").exists());
}

#[test]
fn a_repair_puts_right_what_can_be_and_the_real_one_finds_only_what_is_left() {
    if !has(BOTH) {
        return;
    }
    let volume = damaged(Format::default());
    let before = volume.fsck(Fsck::Theirs, &[]).0;
    let done = check(&volume, &["--repair", "--yes"]);
    assert_eq!(done.status.code(), Some(11), "{}", words(&done));
    let after = volume.fsck(Fsck::Theirs, &[]).0;
    let is_repaired = |line: &str| {
        ["\"!!!!\"", "\"AAAA", "gocryptfs.conf.tmp", "rmdir.123", "bad-empty-no-iv"]
            .iter()
            .any(|what| line.contains(what))
    };
    let is_finding = |line: &&String| line.starts_with("fsck: ");
    let left: Vec<_> = before.iter().filter(is_finding).filter(|line| !is_repaired(line)).collect();
    assert_eq!(after.iter().filter(is_finding).collect::<Vec<_>>(), left);
    assert_eq!(fs::metadata(volume.disk("stub")).unwrap().len(), 0);
    let aside = volume.scratch.path("cipher.set-aside/1");
    assert!(aside.join("!!!!").is_dir() && aside.join("gocryptfs.conf.tmp").is_file());
    // By hand it is undone: what was moved is moved back.
    for name in ["!!!!", "gocryptfs.conf.tmp"] {
        fs::rename(aside.join(name), volume.dir.join(name)).unwrap();
    }
    assert_eq!(volume.fsck(Fsck::Theirs, &[]).0.len(), after.len() + 2);
}

#[test]
fn a_corrupt_file_stays_and_the_command_that_restores_it_is_told() {
    if !has(BOTH) {
        return;
    }
    let volume = damaged(Format::default());
    let content = fs::read(volume.disk("bad-block")).unwrap();
    let done = check(&volume, &["--repair", "--yes"]);
    assert!(words(&done).contains("strongroom backup restore latest --force --path bad-block\n"), "{}", words(&done));
    assert!(fs::read(volume.disk("bad-block")).unwrap() == content);
}

#[test]
fn a_second_repair_finds_nothing_to_do() {
    if !has(BOTH) {
        return;
    }
    for names in [Names::Encrypted, Names::Deterministic, Names::Plaintext] {
        let volume = damaged(Format { names, ..Format::default() });
        check(&volume, &["--repair", "--yes"]);
        let after = on_disk(&volume);
        let again = check(&volume, &["--repair", "--yes", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
        assert_eq!(report["repairs"], serde_json::json!([]), "{names:?}");
        assert!(report["left"].as_array().is_some_and(|left| !left.is_empty()));
        assert_eq!(differences(&after, &on_disk(&volume)), Vec::<String>::new());
    }
}

/// A vault that is the root of a file system has no place beside it.
#[test]
fn what_is_set_aside_within_a_vault_is_seen_by_nobody() {
    if !has(BOTH) || !has(&[Need::Program("unshare")]) {
        return;
    }
    let volume = damaged(Format::default());
    let script = r#"mount --bind "$1" "$1" && shift && exec "$@""#;
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(&volume.dir);
    let check = Program::Strongroom.command();
    command.arg(check.get_program()).args(["check", "--repair", "--yes", "--passphrase-file"]);
    command.arg(volume.scratch.passphrase_file()).arg(&volume.dir);
    check.get_envs().for_each(|(name, value)| {
        value.map(|value| command.env(name, value));
    });
    let done = output_of(without_terminal(&mut command));
    assert_eq!(done.status.code(), Some(11), "{}", words(&done));
    let aside = volume.dir.join("gocryptfs.longname.set-aside.name");
    assert!(aside.join("1/!!!!").is_dir(), "{}", words(&done));
    assert!(!volume.scratch.path("cipher.set-aside").exists());
    for program in [Fsck::Theirs, Fsck::Ours] {
        let told = volume.fsck(program, &[]).0;
        assert!(!told.iter().any(|line| line.contains("set-aside") || line.contains("\"!!!!\"")), "{told:#?}");
    }
    for program in [Program::Gocryptfs, Program::Strongroom] {
        assert!(!listed(program, &volume).iter().any(|name| name.contains("aside")));
    }
}

fn listed(program: Program, volume: &Volume) -> Vec<String> {
    let server = program.mount(&volume.scratch, &volume.dir, &volume.scratch.path("mount"), &[]);
    let names = names(server.root());
    server.unmount();
    assert!(names.contains(&"good".to_owned()), "{names:?}");
    names
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_mounted_vault_is_not_repaired() {
    if !has(BOTH) {
        return;
    }
    let volume = damaged(Format::default());
    for program in [Program::Strongroom, Program::Gocryptfs] {
        let server = program.mount(&volume.scratch, &volume.dir, &volume.scratch.path("mount"), &[]);
        let refused = check(&volume, &["--repair", "--yes"]);
        assert_eq!(refused.status.code(), Some(7), "{program:?}: {}", words(&refused));
        server.unmount();
    }
}
