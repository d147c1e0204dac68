//! Entries that cannot be decoded, shown for rescue; and names that are not to be hashed.

use std::fs;
use std::sync::Arc;

use strongroom_crypto::OsRandom;
use strongroom_event::Silent;
use strongroom_format::{MasterKey, NameMode, Settings, Superblock};
use strongroom_vault::{Creation, NamePattern, NodeId, RealBacking, Vault, VaultError, VaultOptions};

const NEW: Creation = Creation { permissions: 0o755, umask: 0, owner: None };
const SUFFIX: &str = " GOCRYPTFS_BAD_NAME";

struct Fixture {
    dir: tempfile::TempDir,
    master: MasterKey,
    superblock: Superblock,
}

impl Fixture {
    fn new(names: NameMode) -> Self {
        let master = MasterKey::generate(&OsRandom);
        let settings = Settings { names, scrypt_log_n: 10, ..Settings::default() };
        let passphrase = strongroom_secret::Passphrase::new(b"test".to_vec());
        let superblock = Superblock::create(&settings, &passphrase, &master, &OsRandom).unwrap();
        let dir = tempfile::tempdir().unwrap();
        if names == NameMode::Encrypted {
            fs::write(dir.path().join("gocryptfs.diriv"), [7; 16]).unwrap();
        }
        Fixture { dir, master, superblock }
    }

    fn open(&self, options: VaultOptions, patterns: &[&str]) -> Vault {
        let ciphers = self.superblock.ciphers(&self.master).unwrap();
        let backing = RealBacking::open(self.dir.path()).unwrap();
        let mut vault = Vault::new(backing, ciphers, options, Arc::new(Silent), Arc::new(OsRandom)).unwrap();
        vault.show_bad_names(patterns.iter().map(|pattern| NamePattern::parse(pattern).unwrap()).collect());
        vault
    }

    fn showing(&self, patterns: &[&str]) -> Vault {
        self.open(VaultOptions::default(), patterns)
    }

    /// A file whose name on disk had something appended by a synchronisation program. Gives the new name.
    fn conflict(&self, name: &str, appended: &str) -> String {
        let vault = self.showing(&[]);
        let node = vault.create(NodeId::ROOT, name.as_bytes(), &NEW).unwrap().node;
        vault.write(node, 0, b"to be rescued").unwrap();
        let stored = vault.encrypted_path(name.as_bytes()).unwrap();
        let renamed = format!("{}{appended}", String::from_utf8(stored).unwrap());
        fs::rename(self.dir.path().join(renamed.strip_suffix(appended).unwrap()), self.dir.path().join(&renamed))
            .unwrap();
        renamed
    }
}

fn listed(vault: &Vault) -> Vec<String> {
    let names = vault.open_dir(NodeId::ROOT).unwrap();
    let mut names: Vec<_> =
        names.entries().iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect();
    names.sort();
    names
}

#[test]
fn an_undecodable_entry_is_shown_read_and_renamed_to_a_good_name() {
    for names in [NameMode::Encrypted, NameMode::Deterministic] {
        let fixture = Fixture::new(names);
        fixture.conflict("letter", ".sync-conflict-1");
        let vault = fixture.showing(&["*.sync-conflict*"]);
        let shown = format!("letter.sync-conflict-1{SUFFIX}");
        assert_eq!(listed(&vault), std::slice::from_ref(&shown));
        let node = vault.lookup(NodeId::ROOT, shown.as_bytes()).unwrap().node;
        let mut content = [0; 13];
        vault.read(node, 0, &mut content).unwrap();
        assert_eq!(&content, b"to be rescued");
        let mode = strongroom_vault::RenameMode::Replace;
        vault.rename(NodeId::ROOT, shown.as_bytes(), NodeId::ROOT, b"rescued", mode).unwrap();
        assert_eq!(listed(&vault), ["rescued"]);
    }
}

#[test]
fn what_no_pattern_names_stays_hidden() {
    let fixture = Fixture::new(NameMode::Encrypted);
    let disk = fixture.conflict("letter", ".sync-conflict-1");
    let vault = fixture.showing(&["*.other"]);
    assert!(listed(&vault).is_empty());
    let hidden = vault.lookup(NodeId::ROOT, format!("{disk}{SUFFIX}.x").as_bytes());
    assert!(matches!(hidden, Err(VaultError::NotFound)), "{hidden:?}");
}

#[test]
fn a_name_of_which_nothing_can_be_decoded_is_shown_as_it_is_on_disk() {
    let fixture = Fixture::new(NameMode::Encrypted);
    fs::write(fixture.dir.path().join("notes.txt"), "").unwrap();
    let vault = fixture.showing(&["*"]);
    let shown = format!("notes.txt{SUFFIX}");
    assert_eq!(listed(&vault), std::slice::from_ref(&shown));
    vault.unlink(NodeId::ROOT, shown.as_bytes()).unwrap();
    assert!(!fixture.dir.path().join("notes.txt").exists());
}

#[test]
fn a_good_name_that_ends_like_a_bad_one_goes_before_it() {
    let fixture = Fixture::new(NameMode::Encrypted);
    fs::write(fixture.dir.path().join("notes.txt"), "bad").unwrap();
    let name = format!("notes.txt{SUFFIX}");
    fixture.showing(&[]).create(NodeId::ROOT, name.as_bytes(), &NEW).unwrap();
    let vault = fixture.showing(&["*"]);
    vault.unlink(NodeId::ROOT, name.as_bytes()).unwrap();
    assert!(fixture.dir.path().join("notes.txt").exists());
}

#[test]
fn the_formats_own_files_are_not_reached_as_bad_names() {
    let fixture = Fixture::new(NameMode::Encrypted);
    let vault = fixture.showing(&["*"]);
    let hidden = vault.lookup(NodeId::ROOT, format!("gocryptfs.diriv{SUFFIX}").as_bytes());
    assert!(matches!(hidden, Err(VaultError::NotFound)), "{hidden:?}");
}

#[test]
fn without_long_names_none_is_hashed_and_hashed_ones_are_hidden() {
    let fixture = Fixture::new(NameMode::Encrypted);
    fixture.showing(&[]).create(NodeId::ROOT, &[b'n'; 200], &NEW).unwrap();
    let vault = fixture.open(VaultOptions { long_names: false, ..VaultOptions::default() }, &[]);
    assert!(listed(&vault).is_empty());
    let refused = vault.create(NodeId::ROOT, &[b'm'; 200], &NEW);
    assert!(matches!(refused, Err(VaultError::NameTooLong)), "{refused:?}");
    vault.create(NodeId::ROOT, &[b'm'; 175], &NEW).unwrap();
    assert_eq!(listed(&vault), ["m".repeat(175)]);
}
