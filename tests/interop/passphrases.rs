//! A passphrase that one program changed opens the volume for the other; the recovery key is gocryptfs's master key.

use std::fs;
use std::process::Command;

use strongroom_tests::{Format, PASSPHRASE, Program, Scratch, output_of, run, unmount};

use super::{Need, has};

const NEEDS: &[Need] = &[Need::Fuse, Need::Gocryptfs];

#[test]
fn a_passphrase_that_we_changed_opens_for_gocryptfs() {
    if !has(NEEDS) {
        return;
    }
    let scratch = Scratch::new();
    let cipher_dir = scratch.dir("cipher");
    Program::Gocryptfs.init(&scratch, &cipher_dir, &Format::default());
    let new = scratch.write_passphrase("new", "another one");
    let mut passwd = Program::Strongroom.command();
    passwd.arg("passwd").arg("--passphrase-file").arg(scratch.passphrase_file());
    run(passwd.arg("--new-passphrase-file").arg(new).arg(&cipher_dir));
    scratch.write_passphrase("passphrase", "another one");
    Program::Gocryptfs.finds_nothing_wrong(&scratch, &cipher_dir);
}

#[test]
fn a_passphrase_that_gocryptfs_changed_opens_for_us() {
    if !has(NEEDS) {
        return;
    }
    let scratch = Scratch::new();
    let cipher_dir = scratch.dir("cipher");
    Program::Strongroom.init(&scratch, &cipher_dir, &Format::default());
    let mut passwd = Command::new("sh");
    passwd.args([
        "-c",
        r#"printf '%s\n' "$1" 'another one' | gocryptfs -q -passwd -scryptn 10 "$2""#,
        "sh",
        PASSPHRASE,
    ]);
    let output = output_of(passwd.arg(&cipher_dir));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    scratch.write_passphrase("passphrase", "another one");
    Program::Strongroom.finds_nothing_wrong(&scratch, &cipher_dir);
}

#[test]
fn the_recovery_key_opens_the_volume_for_gocryptfs() {
    if !has(NEEDS) {
        return;
    }
    let scratch = Scratch::new();
    let (cipher_dir, mountpoint) = (scratch.dir("cipher"), scratch.dir("mount"));
    let mut init = Program::Strongroom.command();
    init.args(["--json", "init", "--scrypt-log-n", "10", "--passphrase-file"]).arg(scratch.passphrase_file());
    let output = run(init.arg(&cipher_dir));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let key = report["recovery_key"].as_str().expect("the report holds the recovery key").to_owned();
    let server = Program::Strongroom.mount(&scratch, &cipher_dir, &mountpoint, &[]);
    fs::write(server.path("file"), "found again").unwrap();
    server.unmount();
    run(Program::Gocryptfs.command().args(["-q", "-masterkey", &key]).arg(&cipher_dir).arg(&mountpoint));
    let found = fs::read(mountpoint.join("file"));
    unmount(&mountpoint);
    assert_eq!(found.unwrap(), b"found again");
}
