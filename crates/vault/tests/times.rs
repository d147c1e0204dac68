//! The modification times of files that are written through a cache, as the kernel's is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_crypto::OsRandom;
use strongroom_format::{Algorithm, MasterKey, NameMode, Settings, Superblock};
use strongroom_vault::{Creation, NodeId, RealBacking, SetAttr, SetTime, Timestamp, Vault, VaultOptions};

const NEW: Creation = Creation { permissions: 0o644, umask: 0, owner: None };
const THEN: Timestamp = Timestamp { seconds: 1_500_000_000, nanoseconds: 123_456_789 };
const LATER: Timestamp = Timestamp { seconds: 1_600_000_000, nanoseconds: 987_654_321 };

fn vault(dir: &Path) -> Vault {
    let vault = vault_without_cache(dir);
    vault.leave_times_to_the_cache();
    vault
}

fn vault_without_cache(dir: &Path) -> Vault {
    let settings =
        Settings { cipher: Algorithm::Aes256Gcm, names: NameMode::Plaintext, long_name_max: None, scrypt_log_n: 10 };
    let master = MasterKey::generate(&OsRandom);
    let passphrase = strongroom_secret::Passphrase::new(b"test".to_vec());
    let superblock = Superblock::create(&settings, &passphrase, &master, &OsRandom).unwrap();
    let ciphers = superblock.ciphers(&master).unwrap();
    let backing = RealBacking::open(dir).unwrap();
    let observer = Arc::new(strongroom_event::Silent);
    Vault::new(backing, ciphers, VaultOptions::default(), observer, Arc::new(OsRandom)).unwrap()
}

fn file_of(vault: &Vault, name: &str, time: Timestamp) -> NodeId {
    let node = vault.create(NodeId::ROOT, name.as_bytes(), &NEW).unwrap().node;
    set_time(vault, node, time);
    node
}

fn set_time(vault: &Vault, node: NodeId, time: Timestamp) {
    vault.set_attr(node, &SetAttr { mtime: Some(SetTime::To(time)), ..SetAttr::default() }).unwrap();
}

/// What whoever mounts next would see.
fn stored(path: PathBuf) -> Timestamp {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path).unwrap();
    Timestamp { seconds: found.mtime(), nanoseconds: found.mtime_nsec() as u32 }
}

#[test]
fn a_write_through_a_cache_leaves_the_time_alone() {
    let dir = tempfile::tempdir().unwrap();
    let vault = vault(dir.path());
    let node = file_of(&vault, "file", THEN);
    vault.write(node, 0, b"some").unwrap();
    vault.set_attr(node, &SetAttr { size: Some(10_000), ..SetAttr::default() }).unwrap();
    vault.allocate(node, 0, 20_000, false).unwrap();
    assert_eq!(vault.attr(node).unwrap().mtime, THEN, "while it is held");
    vault.sync_all().unwrap();
    assert_eq!(stored(dir.path().join("file")), THEN, "when the mount has ended");
}

#[test]
fn a_flush_before_and_one_after_the_time_is_told_come_to_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let vault = vault(dir.path());
    let before = file_of(&vault, "before", THEN);
    vault.write(before, 0, b"some").unwrap();
    set_time(&vault, before, LATER);
    let after = file_of(&vault, "after", THEN);
    vault.write(after, 0, b"some").unwrap();
    set_time(&vault, after, LATER);
    vault.write(after, 4, b"more").unwrap();
    vault.sync_all().unwrap();
    for name in ["before", "after"] {
        assert_eq!(stored(dir.path().join(name)), LATER, "{name}");
    }
}

#[test]
fn a_file_that_is_synced_has_its_time_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let vault = vault(dir.path());
    let node = file_of(&vault, "file", THEN);
    vault.write(node, 0, b"some").unwrap();
    vault.sync(node, false).unwrap();
    assert_eq!(stored(dir.path().join("file")), THEN);
}

#[test]
fn a_file_that_is_forgotten_keeps_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let vault = vault(dir.path());
    let node = file_of(&vault, "file", THEN);
    vault.write(node, 0, b"some").unwrap();
    vault.forget(node, 1);
    assert_eq!(stored(dir.path().join("file")), THEN);
}

#[test]
fn of_a_thousand_files_few_wait_for_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let vault = vault(dir.path());
    for number in 0..1000 {
        let node = file_of(&vault, &number.to_string(), THEN);
        vault.write(node, 0, b"some").unwrap();
    }
    let waiting = (0..1000).filter(|number| stored(dir.path().join(number.to_string())) != THEN).count();
    assert!((1..=256).contains(&waiting), "{waiting}");
    vault.sync_all().unwrap();
    let waiting = (0..1000).filter(|number| stored(dir.path().join(number.to_string())) != THEN).count();
    assert_eq!(waiting, 0);
}

#[test]
fn a_file_that_was_removed_is_let_go_of_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let vault = vault(dir.path());
    let node = file_of(&vault, "file", THEN);
    vault.write(node, 0, b"some").unwrap();
    vault.unlink(NodeId::ROOT, b"file").unwrap();
    vault.forget(node, 1);
    assert_eq!(vault.nodes_in_use(), 0);
}

#[test]
fn without_a_cache_a_write_is_a_change_of_now() {
    let dir = tempfile::tempdir().unwrap();
    let vault = vault_without_cache(dir.path());
    let node = file_of(&vault, "file", THEN);
    vault.write(node, 0, b"some").unwrap();
    let seen = vault.attr(node).unwrap().mtime;
    assert!(seen.seconds > LATER.seconds);
    assert_eq!(stored(dir.path().join("file")), seen);
}
