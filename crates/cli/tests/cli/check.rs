use std::{fs, os::unix::fs::PermissionsExt};

use crate::{
    mount::while_mounted,
    support::{Place, can_mount},
};

#[test]
fn a_sound_vault_is_said_to_be() {
    let place = Place::with_vault();
    let ran = place.run(&["check", "vault", "--passphrase-file", "pass"]).expect(0);
    assert!(ran.out.ends_with("Nothing is damaged.\n"), "{}", ran.out);
    assert_eq!(ran.err, "");
}

#[test]
fn a_wrong_passphrase_has_its_own_code() {
    let place = Place::with_vault();
    place.run(&["check", "vault", "--passphrase-command", "echo wrong"]).expect(3);
}

#[test]
fn damage_is_listed_by_plaintext_path_and_has_its_own_code() {
    if !can_mount() {
        return;
    }
    let place = Place::with_vault();
    while_mounted(&place, |plain| {
        fs::create_dir(plain.join("letters")).unwrap();
        fs::write(plain.join("letters/to mother"), "dear mother").unwrap();
    });
    let disk = deepest_file(&place);
    fs::set_permissions(&disk, fs::Permissions::from_mode(0o600)).unwrap();
    let mut stored = fs::read(&disk).unwrap();
    stored[30] ^= 1;
    fs::write(&disk, stored).unwrap();
    let ran = place.run(&["check", "vault", "--passphrase-file", "pass"]).expect(11);
    let on_disk = disk.strip_prefix(place.path("vault")).unwrap().display().to_string();
    assert!(ran.out.starts_with("/letters/to mother\n") && ran.out.contains(&on_disk), "{}", ran.out);
    let report = place.run(&["check", "vault", "--passphrase-file", "pass", "--json"]).expect(11).json();
    assert_eq!((report["files"].as_u64(), report["damaged"].as_u64()), (Some(1), Some(1)));
    let problem = &report["problems"][0];
    assert_eq!(problem["path"], "/letters/to mother");
    assert_eq!(problem["kind"], "block");
    assert_eq!(problem["disk_path"], on_disk);
}

fn deepest_file(place: &Place) -> std::path::PathBuf {
    let dirs = fs::read_dir(place.path("vault")).unwrap().map(|entry| entry.unwrap().path());
    let dir = dirs.into_iter().find(|path| path.is_dir()).unwrap();
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| !path.ends_with("gocryptfs.diriv")).unwrap()
}

#[test]
fn a_mounted_vault_is_not_checked() {
    if !can_mount() {
        return;
    }
    let place = Place::with_vault();
    while_mounted(&place, |_| {
        let ran = place.run(&["check", "vault", "--passphrase-file", "pass"]).expect(7);
        assert!(ran.err.contains("in use by process"), "{}", ran.err);
    });
}
