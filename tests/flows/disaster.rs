//! Everything is lost but an archive and its passphrase.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use strongroom_tests::{Need, Program, Scratch, capture, has, run};

use crate::{Flow, in_a_vault, is_same};

/// The passphrase of the vault, where it is another than that of the backup.
const VAULTS_OWN: &str = "only the vault's";

#[test]
fn a_new_user_with_an_empty_home_restores_from_the_archive_alone() {
    if !has(&[Need::Root, Need::Program("setpriv")]) {
        return;
    }
    let flow = Flow::with_files();
    let before = capture(&flow.source);
    let archive = flow.create(&[]);
    let machine = Scratch::new();
    let home = machine.dir("newcomer");
    let moved = home.join(archive.file_name().unwrap());
    fs::copy(&archive, &moved).unwrap();
    let key = machine.passphrase_file();
    for path in [&home, &moved, &key] {
        chown(path, Some(4321), Some(4321)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=4321", "--regid=4321", "--clear-groups", "env", "-i"])
        .arg(format!("HOME={}", home.display()));
    command.arg(Program::Strongroom.command().get_program());
    command.args(["backup", "restore", "--passphrase-file"]).arg(&key);
    command.arg("--target").arg(home.join("data")).arg(&moved).stdin(Stdio::null());
    run(&mut command);
    let mine = |root: &Path| {
        fs::read(root.join("sub/c")).unwrap();
        root.to_owned()
    };
    assert_eq!(fs::read(mine(&home.join("data")).join("b")).unwrap(), fs::read(flow.source.join("b")).unwrap());
    run(Command::new("chown").args(["-R", "-h", "0:0"]).arg(home.join("data")));
    is_same(&before, &home.join("data"));
}

#[test]
fn the_keys_in_a_backup_open_the_ciphertext_with_the_passphrase_of_the_backup() {
    if !has(&[Need::Fuse]) {
        return;
    }
    let flow = Flow::new();
    let cipher_dir = flow.scratch.dir("cipher");
    let vaults_own = flow.scratch.write_passphrase("vault-passphrase", VAULTS_OWN);
    let mut init = flow.command(&["init", "--scrypt-log-n", "10", "--passphrase-file"]);
    run(init.arg(&vaults_own).arg(&cipher_dir));
    let mut mount = flow.command(&["mount", "--passphrase-file"]);
    run(mount.arg(&vaults_own).arg(&cipher_dir).arg(&flow.source));
    flow.write("precious", b"content");
    run(flow.command(&["umount"]).arg(&flow.source));
    let archive = flow.create_of(&cipher_dir, &["--vault-passphrase-file", vaults_own.to_str().unwrap()]);

    let conf = cipher_dir.join("gocryptfs.conf");
    fs::remove_file(&conf).unwrap(); // The disaster: the ciphertext is there, and nothing opens it.
    let mut keys = flow.backup("restore", &["--keys-only", "--output"]);
    run(keys.arg(&conf).arg(&archive));
    assert_eq!(conf.metadata().unwrap().permissions().mode() & 0o777, 0o400);
    let server = Program::Strongroom.mount(&flow.scratch, &cipher_dir, &flow.source, &[]);
    assert_eq!(fs::read(server.path("precious")).unwrap(), b"content");
    server.unmount();
}

#[test]
fn the_keys_of_a_mounted_vault_travel_as_they_are_if_nothing_opens_them() {
    if !has(&[Need::Fuse]) {
        return;
    }
    let (flow, cipher_dir) = in_a_vault();
    let server = Program::Strongroom.mount(&flow.scratch, &cipher_dir, &flow.source, &[]);
    let others = flow.scratch.write_passphrase("backup-passphrase", "only the backup's");
    let mut create = flow.command(&["--json", "backup", "create", "--passphrase-file"]);
    let output = run(create.arg(&others).arg("--place").arg(&flow.place).arg(&flow.source));
    assert!(String::from_utf8_lossy(&output.stderr).contains("passphrase"), "it is said that they need another one");
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(made["metadata"]["keys"]["sealed_under"], "vault-passphrase");
    let mut keys = flow.command(&["backup", "restore", "--keys-only", "--passphrase-file"]);
    let output = run(keys.arg(&others).arg(made["path"].as_str().unwrap()));
    assert_eq!(output.stdout, fs::read(cipher_dir.join("gocryptfs.conf")).unwrap());
    server.unmount();
}
