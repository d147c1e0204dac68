use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::Place;

fn opens(place: &Place, passphrase: &str) -> bool {
    match place.run_with(&["check", "vault", "--passphrase-stdin"], passphrase).code {
        Some(0) => true,
        Some(3) => false,
        other => panic!("check ended with {other:?}"),
    }
}

#[test]
fn a_changed_passphrase_opens_and_the_old_one_does_not() {
    let place = Place::with_vault();
    let arguments = ["passwd", "vault", "--passphrase-file", "pass", "--new-passphrase-command", "echo new"];
    place.run(&arguments).expect(0);
    assert!(opens(&place, "new\n") && !opens(&place, "open sesame\n"));
    let mode = fs::metadata(place.path("vault/gocryptfs.conf")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o400);
    assert_eq!(place.entries("vault"), ["gocryptfs.conf", "gocryptfs.diriv"]);
}

#[test]
fn both_passphrases_can_come_from_one_standard_input() {
    let place = Place::with_vault();
    let arguments = ["passwd", "vault", "--passphrase-stdin", "--new-passphrase-stdin"];
    place.run_with(&arguments, "open sesame\nsecond\n").expect(0);
    assert!(opens(&place, "second\n"));
}

#[test]
fn a_wrong_passphrase_changes_nothing_and_the_new_one_is_not_asked_for() {
    let place = Place::with_vault();
    let before = place.conf();
    let arguments =
        ["passwd", "vault", "--passphrase-command", "echo wrong", "--new-passphrase-command", "touch asked; echo x"];
    let ran = place.run(&arguments).expect(3);
    assert!(ran.err.contains("--recovery-key"), "{}", ran.err);
    assert_eq!(place.conf(), before);
    assert!(!place.path("asked").exists());
}

#[test]
fn an_empty_new_passphrase_changes_nothing() {
    let place = Place::with_vault();
    let before = place.conf();
    let arguments = ["passwd", "vault", "--passphrase-stdin", "--new-passphrase-stdin"];
    place.run_with(&arguments, "open sesame\n\n").expect(8);
    assert_eq!(place.conf(), before);
}

#[test]
fn the_recovery_key_takes_the_place_of_a_lost_passphrase() {
    let place = Place::new();
    let created = place.init(&["--json"]).expect(0).json();
    let key = created["recovery_key"].as_str().unwrap();
    let new = ["--new-passphrase-command", "echo from stdin"];
    let ran = place.run_with(&[&["passwd", "vault", "--recovery-key"], &new[..]].concat(), &format!("{key}\n"));
    ran.expect(0);
    assert!(opens(&place, "from stdin\n"));
    fs::write(place.path("key"), key.replace('-', " ").to_uppercase()).unwrap();
    let new = ["--new-passphrase-command", "echo from file", "--json"];
    let changed = place.run(&[&["passwd", "vault", "--recovery-key-file", "key"], &new[..]].concat()).expect(0).json();
    assert_eq!(changed["by_recovery_key"], true);
    assert!(opens(&place, "from file\n"));
}

#[test]
fn the_recovery_key_and_the_new_passphrase_can_come_from_one_standard_input() {
    let place = Place::new();
    let created = place.init(&["--json"]).expect(0).json();
    let input = format!("{}\nbrand new\n", created["recovery_key"].as_str().unwrap());
    place.run_with(&["passwd", "vault", "--recovery-key", "--new-passphrase-stdin"], &input).expect(0);
    assert!(opens(&place, "brand new\n"));
}

#[test]
fn what_is_no_recovery_key_is_refused() {
    let place = Place::with_vault();
    let before = place.conf();
    for wrong in ["abc", "00000000-00000000", &"x".repeat(64)] {
        let arguments = ["passwd", "vault", "--recovery-key", "--new-passphrase-command", "echo x"];
        place.run_with(&arguments, wrong).expect(8);
    }
    assert_eq!(place.conf(), before);
}

#[test]
fn the_recovery_key_of_another_vault_is_refused_where_anything_shows_it() {
    if !crate::support::can_mount() {
        return;
    }
    for names in ["encrypted", "plaintext"] {
        let place = Place::new();
        place.init(&["--names", names]).expect(0);
        crate::mount::while_mounted(&place, |plain| fs::write(plain.join("file"), "content").unwrap());
        let before = place.conf();
        let arguments = ["passwd", "vault", "--recovery-key", "--new-passphrase-command", "echo x"];
        let ran = place.run_with(&arguments, &"0123456789abcdef".repeat(4)).expect(3);
        assert!(ran.err.contains("nothing in it opens with it"), "{}", ran.err);
        assert_eq!(place.conf(), before);
    }
}

#[test]
fn a_configuration_behind_a_link_is_replaced_where_it_is() {
    let place = Place::with_vault();
    fs::rename(place.path("vault/gocryptfs.conf"), place.path("conf")).unwrap();
    std::os::unix::fs::symlink("../conf", place.path("vault/gocryptfs.conf")).unwrap();
    place.run(&["passwd", "vault", "--passphrase-file", "pass", "--new-passphrase-command", "echo new"]).expect(0);
    assert!(fs::symlink_metadata(place.path("vault/gocryptfs.conf")).unwrap().is_symlink());
    assert!(opens(&place, "new\n"));
}
