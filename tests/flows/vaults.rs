//! Backups of vaults: mounted and not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use strongroom_tests::{Format, Need, Program, Random, capture, grow, has, output_of, settle_times};

use crate::{as_user, code, empty, ends, in_a_vault, is_same, json, words};

/// What every test here needs.
const MOUNTS: &[Need] = &[Need::Fuse, Need::Program("setfacl")];

fn fill(root: &std::path::Path) {
    grow(root, &Format::default(), &mut Random::seeded(3));
    fs::remove_file(root.join("odd/socket")).unwrap();
    settle_times(root);
}

#[test]
fn the_data_of_a_mounted_vault_comes_back_into_its_mount_point() {
    if !has(MOUNTS) {
        return;
    }
    let (flow, cipher_dir) = in_a_vault();
    let server = Program::Strongroom.mount(&flow.scratch, &cipher_dir, &flow.source, &["--acl", "--dev", "--suid"]);
    fill(&flow.source);
    let before = capture(&flow.source);
    let archive = flow.create(&[]);
    empty(&flow.source);
    flow.restore(&archive, &["--devices", "--owners", "numbers"]);
    is_same(&before, &flow.source);
    server.unmount();
    Program::Strongroom.finds_nothing_wrong(&flow.scratch, &cipher_dir);
}

#[test]
fn a_restore_over_the_data_of_a_mounted_vault_replaces_it() {
    if !has(MOUNTS) {
        return;
    }
    let (flow, cipher_dir) = in_a_vault();
    let server = Program::Strongroom.mount(&flow.scratch, &cipher_dir, &flow.source, &[]);
    fs::create_dir(flow.source.join("sub")).unwrap();
    flow.write("a", b"first");
    flow.write("sub/b", b"first");
    let before = capture(&flow.source);
    let archive = flow.create(&[]);
    flow.write("a", b"second");
    fs::remove_dir_all(flow.source.join("sub")).unwrap();
    flow.write("sub", b"a file now");
    flow.write("extra", b"extra");
    flow.restore(&archive, &["--force", "--yes"]);
    is_same(&before, &flow.source);
    server.unmount();
}

#[test]
fn a_vault_that_is_not_mounted_is_backed_up_and_its_data_restored_into_the_mount() {
    if !has(MOUNTS) {
        return;
    }
    let (flow, cipher_dir) = in_a_vault();
    let server = Program::Strongroom.mount(&flow.scratch, &cipher_dir, &flow.source, &["--acl", "--dev", "--suid"]);
    fill(&flow.source);
    let before = capture(&flow.source);
    server.unmount();
    let archive = flow.create_of(&cipher_dir, &["--name", "data"]);
    let server = Program::Strongroom.mount(&flow.scratch, &cipher_dir, &flow.source, &["--acl", "--dev", "--suid"]);
    empty(&flow.source);
    let target = flow.source.to_str().unwrap();
    flow.restore(&archive, &["--devices", "--owners", "numbers", "--target", target]);
    is_same(&before, &flow.source);
    server.unmount();
}

#[test]
fn a_mounted_vault_is_not_opened_beside_its_mount() {
    if !has(MOUNTS) {
        return;
    }
    let (flow, cipher_dir) = in_a_vault();
    let server = Program::Strongroom.mount(&flow.scratch, &cipher_dir, &flow.source, &[]);
    ends(flow.backup("create", &[]).arg(&cipher_dir), code::IN_USE);
    assert_eq!(flow.files().len(), 0);
    server.unmount();
}

#[test]
fn plaintext_is_not_restored_among_ciphertext() {
    let (flow, cipher_dir) = in_a_vault();
    flow.write("a", b"secret");
    let archive = flow.create(&[]);
    for target in [cipher_dir.clone(), cipher_dir.join("below")] {
        let arguments = ["--force", "--yes", "--target", target.to_str().unwrap()];
        ends(flow.backup("restore", &arguments).arg(&archive), code::REFUSED);
    }
    assert!(!cipher_dir.join("a").exists() && !cipher_dir.join("below").exists());
}

#[test]
fn keys_that_cannot_be_read_are_said_to_be_missing_in_the_backup() {
    if !has(MOUNTS) || !has(&[Need::Root, Need::Program("setpriv")]) {
        return;
    }
    let (flow, cipher_dir) = in_a_vault();
    let server = Program::Strongroom.mount(&flow.scratch, &cipher_dir, &flow.source, &["--allow-other"]);
    fs::set_permissions(server.root(), fs::Permissions::from_mode(0o755)).unwrap();
    flow.write("a", b"everybody may read this");
    let output = output_of(as_user(&flow, 1234, &flow.backup("create", &[])).arg(&flow.source));
    assert!(output.status.success(), "{}", words(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the keys of the vault are not in"), "{}", words(&output));
    assert_eq!(json(&output)["metadata"]["keys"], serde_json::Value::Null);
    server.unmount();
}
