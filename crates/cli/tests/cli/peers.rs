//! gocryptfs reads what these commands write, and they read what it writes. The formats in depth are compared elsewhere.

use std::{fs, process::Command};

use crate::support::{Place, can_mount, has};

#[test]
fn gocryptfs_reads_a_vault_made_here() {
    if !has("gocryptfs") {
        return;
    }
    for (cipher, named) in
        [("aes-gcm", "AES-GCM-256"), ("aes-siv", "AES-SIV-512"), ("xchacha20-poly1305", "XChaCha20-Poly1305")]
    {
        let place = Place::new();
        place.init(&["--cipher", cipher]).expect(0);
        let info = Command::new("gocryptfs").arg("-info").arg(place.path("vault")).output().unwrap();
        assert!(String::from_utf8_lossy(&info.stdout).contains(named), "{info:?}");
        let changed = Command::new("gocryptfs")
            .args(["-q", "-passwd", "-passfile"])
            .arg(place.path("pass"))
            .arg(place.path("vault"))
            .output()
            .unwrap();
        assert!(changed.status.success(), "{changed:?}");
        place.run(&["check", "vault", "--passphrase-file", "pass"]).expect(0);
    }
}

#[test]
fn a_vault_made_by_gocryptfs_is_checked_and_gets_a_new_passphrase() {
    if !has("gocryptfs") {
        return;
    }
    let place = Place::new();
    fs::create_dir(place.path("vault")).unwrap();
    let made = Command::new("gocryptfs")
        .args(["-q", "-init", "-scryptn", "10", "-passfile"])
        .args([place.path("pass"), place.path("vault")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    place.run(&["check", "vault", "--passphrase-file", "pass"]).expect(0);
    place.run(&["passwd", "vault", "--passphrase-file", "pass", "--new-passphrase-command", "echo new"]).expect(0);
    place.run(&["check", "vault", "--passphrase-command", "echo new"]).expect(0);
    let info = place.run(&["info", "vault", "--json"]).expect(0).json();
    assert!(info["creator"].as_str().unwrap().starts_with("gocryptfs"), "{info}");
}

#[test]
fn a_vault_that_gocryptfs_has_mounted_is_in_use() {
    if !has("gocryptfs") || !can_mount() {
        return;
    }
    let place = Place::with_vault();
    fs::create_dir(place.path("theirs")).unwrap();
    fs::create_dir(place.path("ours")).unwrap();
    let mounted = Command::new("gocryptfs")
        .args(["-q", "-passfile"])
        .args([place.path("pass"), place.path("vault"), place.path("theirs")])
        .output()
        .unwrap();
    let ran = place.run(&["mount", "vault", "ours", "--passphrase-file", "pass"]);
    let checked = place.run(&["check", "vault", "--passphrase-file", "pass"]);
    let unmounted = place.run(&["umount", "theirs"]);
    assert!(mounted.status.success(), "{mounted:?}");
    ran.expect(7);
    checked.expect(7);
    unmounted.expect(0);
}
