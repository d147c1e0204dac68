//! What cannot be done is said, with the code that is promised, and nothing is changed.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use strongroom_tests::{Need, capture, has, output_of};

use crate::{Flow, as_user, code, ends, is_same, json, ok, words};

#[test]
fn a_wrong_passphrase_is_told_from_damage() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    flow.scratch.write_passphrase("passphrase", "not this one");
    let before = capture(&flow.source);
    for verb in ["info", "verify", "restore"] {
        ends(flow.backup(verb, &[]).arg(&archive), code::WRONG_SECRET);
    }
    is_same(&before, &flow.source);
}

#[test]
fn a_truncated_archive_is_damaged_wherever_it_ends() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    let content = fs::read(&archive).unwrap();
    let cut = flow.place.join("cut.tar.zst.enc");
    for len in [content.len() - 1, content.len() / 2, 9000] {
        fs::write(&cut, &content[..len]).unwrap();
        ends(flow.backup("verify", &[]).arg(&cut), code::DAMAGED);
        let target = flow.scratch.path("target");
        ends(flow.backup("restore", &["--target", target.to_str().unwrap()]).arg(&cut), code::DAMAGED);
        assert!(!target.exists(), "nothing of an archive that was cut to {len} bytes is restored");
    }
}

#[test]
fn a_flipped_bit_is_found_and_nothing_is_restored_from_it() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    let content = fs::read(&archive).unwrap();
    let before = capture(&flow.source);
    for at in [content.len() - 5, content.len() / 2, content.len() / 3] {
        let mut bad = content.clone();
        bad[at] ^= 0x10;
        fs::write(&archive, bad).unwrap();
        ends(flow.backup("verify", &[]).arg(&archive), code::DAMAGED);
        ends(flow.backup("restore", &["--force", "--yes"]).arg(&archive), code::DAMAGED);
        is_same(&before, &flow.source);
    }
}

#[test]
fn a_restore_does_not_remove_the_archives_that_lie_in_its_target() {
    let mut flow = Flow::with_files();
    flow.place = flow.source.join("backups");
    let archive = flow.create(&[]);
    flow.write("a", b"changed");
    ends(flow.backup("restore", &["--force", "--yes"]).arg(&archive), code::REFUSED);
    assert!(archive.exists());
    flow.restore(&archive, &["--force", "--yes", "--path", "a"]);
    assert!(archive.exists());
    assert_eq!(fs::read(flow.source.join("a")).unwrap().len(), 10);
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let flow = Flow::with_files();
    let letter = flow.place.join("letter.tar.zst.enc");
    fs::write(&letter, "Dear reader").unwrap();
    for no_archive in ["letter.tar.zst.enc", "nothing.tar", "/nonexistent/x.tar.zst.enc", "latest"] {
        ends(flow.backup("info", &[]).arg(no_archive), code::NO_ARCHIVE);
    }
}

#[test]
fn without_a_passphrase_and_a_terminal_nothing_is_made() {
    let flow = Flow::with_files();
    let mut create = flow.command(&["--json", "backup", "create", "--place"]);
    ends(create.arg(&flow.place).arg(&flow.source), code::NO_SECRET);
    assert_eq!(flow.files().len(), 0);
}

#[test]
fn deleting_wants_a_yes_where_nobody_can_be_asked() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    flow.create(&[]);
    ends(flow.backup("delete", &[]).arg(&archive), code::REFUSED);
    assert!(archive.exists());
}

#[test]
fn a_file_that_cannot_be_read_makes_a_backup_incomplete_and_is_named() {
    if !has(&[Need::Root, Need::Program("setpriv")]) {
        return;
    }
    let flow = Flow::with_files();
    fs::set_permissions(flow.source.join("b"), fs::Permissions::from_mode(0o600)).unwrap();
    let output = output_of(as_user(&flow, 1234, &flow.backup("create", &[])).arg(&flow.source));
    assert_eq!(output.status.code(), Some(code::INCOMPLETE), "{}", words(&output));
    let made = json(&output);
    assert_eq!(made["complete"], false);
    assert!(made["issues"].to_string().contains("\"b\""), "{}", made["issues"]);
    let target = flow.scratch.path("target");
    flow.restore(made["path"].as_str().unwrap().as_ref(), &["--target", target.to_str().unwrap()]);
    assert!(target.join("a").exists() && !target.join("b").exists());
}

/// Bytes of a file that takes a while to read.
const LONG: u64 = 600 << 20;

#[test]
fn a_file_that_will_not_hold_still_makes_a_backup_incomplete_and_is_whole_as_recorded() {
    let flow = Flow::with_files();
    let busy = flow.source.join("log");
    // So much, if mostly holes, that reading it takes longer than the writer can be kept off a processor.
    fs::File::create(&busy).unwrap().set_len(LONG).unwrap();
    let is_done = AtomicBool::new(false);
    let output = std::thread::scope(|threads| {
        threads.spawn(|| {
            let log = fs::OpenOptions::new().append(true).open(&busy).unwrap();
            while !is_done.load(Ordering::Relaxed) {
                (&log).write_all(b"another line\n").unwrap();
            }
        });
        let output = output_of(flow.backup("create", &[]).arg(&flow.source));
        is_done.store(true, Ordering::Relaxed);
        output
    });
    assert_eq!(output.status.code(), Some(code::INCOMPLETE), "{}", words(&output));
    let made = json(&output);
    assert!(made["issues"].to_string().contains("log"), "{}", made["issues"]);
    let target = flow.scratch.path("target");
    let archive = made["path"].as_str().unwrap();
    ok(flow.backup("verify", &[]).arg(archive));
    flow.restore(archive.as_ref(), &["--target", target.to_str().unwrap()]);
    assert!(fs::metadata(target.join("log")).unwrap().len() >= LONG);
}

#[test]
fn a_mistake_in_the_configuration_is_shown_with_line_and_column() {
    let flow = Flow::with_files();
    let config = flow.scratch.path("strongroom.toml");
    fs::write(&config, "[backup]\nencrypt = true\nkdf = 'md5'\n").unwrap();
    let failure = ends(flow.command(&["--json", "config", "check", "--config"]).arg(&config), code::BAD_CONFIG);
    let message = failure["error"]["message"].as_str().unwrap();
    assert!(message.contains("strongroom.toml:3:"), "{message}");
    ends(flow.backup("create", &["--config"]).arg(&config).arg(&flow.source), code::BAD_CONFIG);
    assert_eq!(flow.files().len(), 0);
}

#[test]
fn the_command_line_goes_before_the_environment_and_that_before_the_file() {
    let flow = Flow::with_files();
    let config = flow.scratch.path("strongroom.toml");
    fs::write(&config, "[backup]\ncompression = 'gzip'\nlabel = 'file'\nname = 'file'\n").unwrap();
    let mut create = flow.backup("create", &["--name", "line", "--config"]);
    create.arg(&config).env("STRONGROOM_BACKUP_LABEL", "environment").env("STRONGROOM_BACKUP_NAME", "environment");
    let made = ok(create.arg(&flow.source));
    let metadata = &made["metadata"];
    assert_eq!((metadata["name"].as_str(), metadata["label"].as_str()), (Some("line"), Some("environment")));
    assert_eq!(metadata["compression"], "gzip");
}
