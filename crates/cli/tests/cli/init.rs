use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::Place;

#[test]
fn a_vault_is_made_where_no_directory_was() {
    let place = Place::new();
    let ran = place.init(&[]).expect(0);
    assert_eq!(place.entries("vault"), ["gocryptfs.conf", "gocryptfs.diriv"]);
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("vault"), mode("vault/gocryptfs.conf"), mode("vault/gocryptfs.diriv")), (0o700, 0o400, 0o444));
    assert!(ran.out.contains("recovery key"), "{}", ran.out);
    assert_eq!(ran.err, "");
}

#[test]
fn the_recovery_key_is_eight_groups_of_eight_digits() {
    let place = Place::new();
    let created = place.init(&["--json"]).expect(0).json();
    let key = created["recovery_key"].as_str().unwrap();
    let groups: Vec<_> = key.split('-').collect();
    assert_eq!(groups.len(), 8);
    assert!(groups.iter().all(|group| group.len() == 8 && group.bytes().all(|b| b.is_ascii_hexdigit())), "{key}");
    assert_eq!(created["cipher_dir"], place.text("vault"));
}

#[test]
fn every_kind_of_vault_is_what_was_asked_for() {
    for cipher in ["aes-gcm", "aes-siv", "xchacha20-poly1305"] {
        for (names, files) in [
            ("encrypted", vec!["gocryptfs.conf", "gocryptfs.diriv"]),
            ("deterministic", vec!["gocryptfs.conf"]),
            ("plaintext", vec!["gocryptfs.conf"]),
        ] {
            let place = Place::new();
            place.init(&["--cipher", cipher, "--names", names]).expect(0);
            assert_eq!(place.entries("vault"), files);
            let info = place.run(&["info", "vault", "--json"]).expect(0).json();
            assert_eq!((info["cipher"].as_str(), info["names"].as_str()), (Some(cipher), Some(names)));
        }
    }
}

#[test]
fn the_length_of_names_and_the_cost_of_a_passphrase_are_kept() {
    let place = Place::new();
    place.init(&["--long-name-max", "62"]).expect(0);
    let info = place.run(&["--json", "info", "vault"]).expect(0).json();
    assert_eq!((info["long_name_max"].as_u64(), info["scrypt"]["log_n"].as_u64()), (Some(62), Some(10)));
}

#[test]
fn a_directory_that_holds_something_is_refused_and_the_entry_named() {
    let place = Place::new();
    fs::create_dir(place.path("vault")).unwrap();
    fs::write(place.path("vault/diary.txt"), "dear diary").unwrap();
    let ran = place.init(&[]).expect(6);
    assert!(ran.err.contains("diary.txt") && ran.err.contains("not empty"), "{}", ran.err);
    assert_eq!(place.entries("vault"), ["diary.txt"]);
}

#[test]
fn a_second_vault_in_the_same_place_is_refused_and_the_first_untouched() {
    let place = Place::with_vault();
    let before = place.conf();
    let ran = place.init(&[]).expect(6);
    assert!(ran.err.contains("is one already"), "{}", ran.err);
    assert_eq!(place.conf(), before);
}

#[test]
fn what_an_interrupted_init_left_is_taken_over() {
    let place = Place::new();
    fs::create_dir(place.path("vault")).unwrap();
    fs::write(place.path("vault/gocryptfs.diriv"), [7; 16]).unwrap();
    fs::write(place.path("vault/gocryptfs.conf.0123456789abcdef.tmp"), "{").unwrap();
    place.init(&[]).expect(0);
    assert_eq!(place.entries("vault"), ["gocryptfs.conf", "gocryptfs.diriv"]);
    assert_eq!(fs::read(place.path("vault/gocryptfs.diriv")).unwrap(), [7; 16]);
}

#[test]
fn without_a_passphrase_nothing_is_made() {
    let place = Place::new();
    let ran = place.run(&["init", "vault"]).expect(8);
    assert!(ran.err.contains("--passphrase-file"), "{}", ran.err);
    place.run(&["init", "vault", "--passphrase-file", "nowhere"]).expect(8);
    place.run(&["init", "vault", "--passphrase-command", "exit 3"]).expect(8);
    place.run_with(&["init", "vault", "--passphrase-stdin"], "\n").expect(8);
    assert!(!place.path("vault").exists());
}

#[test]
fn a_directory_without_a_parent_is_refused() {
    let place = Place::new();
    let ran = place.run(&["init", "no/such/vault", "--passphrase-file", "pass"]).expect(4);
    assert!(ran.err.contains("no/such"), "{}", ran.err);
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_and_nothing_left() {
    let place = Place::new();
    let ran = place.run(&["init", "/proc/vault", "--passphrase-file", "pass", "--scrypt-log-n", "10"]);
    assert!(matches!(ran.code, Some(1 | 4)), "{ran:?}");
    assert!(ran.err.contains("/proc/vault"), "{}", ran.err);
}

#[test]
fn settings_out_of_range_are_usage_errors() {
    let place = Place::new();
    for wrong in [["--scrypt-log-n", "9"], ["--scrypt-log-n", "23"], ["--long-name-max", "61"], ["--cipher", "rot13"]] {
        place.run(&[&["init", "vault", "--passphrase-file", "pass"], &wrong[..]].concat()).expect(2);
    }
    // Plaintext names are never hashed.
    place.init(&["--names", "plaintext", "--long-name-max", "100"]).expect(2);
    assert!(!place.path("vault").exists());
}

#[test]
fn the_passphrase_can_come_from_every_source() {
    let place = Place::new();
    fs::create_dir(place.path("credentials")).unwrap();
    fs::write(place.path("credentials/strongroom.passphrase"), "open sesame").unwrap();
    fs::write(place.path("credentials/other"), "open sesame").unwrap();
    place.init(&[]).expect(0);
    for (options, input) in [
        (vec!["--passphrase-stdin"], "open sesame\nignored\n"),
        (vec!["--passphrase-command", "echo open sesame"], ""),
        (vec!["--passphrase-credential", "other"], ""),
        (vec![], ""),
    ] {
        let arguments = [vec!["check", "vault"], options].concat();
        let mut command = crate::support::without_terminal(place.command(&arguments));
        command.env("CREDENTIALS_DIRECTORY", place.path("credentials"));
        let piped = std::process::Stdio::piped;
        let child = command.stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
        crate::support::finish(child, input).expect(0);
    }
}
