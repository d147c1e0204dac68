//! What the verbs promise beyond what the command line shows.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use strongroom_actions::{
    ActionError, Algorithm, Context, Init, NameMode, OldSecret, RecoveryKey, change_passphrase, check, info, init,
    open_vault,
};
use strongroom_event::Silent;
use strongroom_secret::{Passphrase, SecretError};
use strongroom_vault::{Creation, NodeId, VaultOptions};

const NEW: Creation = Creation { permissions: 0o700, umask: 0, owner: None };

fn unaudited() -> Context {
    Context::unaudited(Arc::new(Silent), || jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC))
}

struct Place {
    _dir: tempfile::TempDir,
    vault: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().canonicalize().unwrap().join("vault");
        Place { _dir: dir, vault }
    }

    fn init(&self, names: NameMode) -> RecoveryKey {
        let request = Init { names, scrypt_log_n: Some(10), ..Init::new(self.vault.clone()) };
        init(&unaudited(), &request, || Ok(secret("first"))).unwrap().1
    }

    fn populate(&self, fill: impl FnOnce(&strongroom_vault::Vault)) {
        let opened =
            open_vault(&self.vault, VaultOptions::default(), || Ok(secret("first")), Arc::new(Silent)).unwrap();
        fill(&opened.vault);
    }

    fn conf(&self) -> PathBuf {
        self.vault.join("gocryptfs.conf")
    }

    fn opens_with(&self, passphrase: &'static str) -> bool {
        match check(&self.vault, Some(1), || Ok(secret(passphrase)), Arc::new(Silent)) {
            Ok(_) => true,
            Err(ActionError::WrongPassphrase(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn secret(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes().to_vec())
}

fn never() -> Result<Passphrase, SecretError> {
    panic!("no secret was to be asked for")
}

fn other_key() -> RecoveryKey {
    RecoveryKey::parse(&"0123456789abcdef".repeat(4)).unwrap()
}

fn by_key(place: &Place, key: RecoveryKey) -> Result<(), ActionError> {
    change_passphrase(&unaudited(), &place.vault, || Ok(OldSecret::RecoveryKey(key)), || Ok(secret("second"))).map(drop)
}

#[test]
fn an_open_vault_belongs_to_its_opener_and_the_next_is_not_even_asked() {
    let place = Place::new();
    place.init(NameMode::Encrypted);
    let first = open_vault(&place.vault, VaultOptions::default(), || Ok(secret("first")), Arc::new(Silent)).unwrap();
    let second = open_vault(&place.vault, VaultOptions::default(), never, Arc::new(Silent));
    assert!(matches!(second, Err(ActionError::InUse { owner: Some(pid), .. }) if pid == std::process::id()));
    drop(first);
    assert!(place.opens_with("first"));
}

#[test]
fn no_passphrase_is_asked_for_where_no_vault_can_be_made() {
    let place = Place::new();
    fs::create_dir(&place.vault).unwrap();
    fs::write(place.vault.join("file"), "").unwrap();
    let request = Init { cipher: Algorithm::AesSiv, ..Init::new(place.vault.clone()) };
    assert!(matches!(init(&unaudited(), &request, never), Err(ActionError::NotEmpty { .. })));
    let request = Init { dir: place.vault.join("file/vault"), ..request };
    assert!(matches!(init(&unaudited(), &request, never), Err(ActionError::CipherDir { .. })));
}

#[test]
fn the_new_passphrase_is_asked_for_only_when_the_old_one_proved_right() {
    let place = Place::new();
    place.init(NameMode::Encrypted);
    let changed = change_passphrase(&unaudited(), &place.vault, || Ok(OldSecret::Passphrase(secret("wrong"))), never);
    assert!(matches!(changed, Err(ActionError::WrongPassphrase(_))));
}

#[test]
fn a_changed_configuration_keeps_its_mode_and_owner() {
    let place = Place::new();
    place.init(NameMode::Encrypted);
    fs::set_permissions(place.conf(), fs::Permissions::from_mode(0o440)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(place.conf(), Some(1234), Some(5678)).unwrap();
    }
    let old = || Ok(OldSecret::Passphrase(secret("first")));
    change_passphrase(&unaudited(), &place.vault, old, || Ok(secret("second"))).unwrap();
    let metadata = fs::metadata(place.conf()).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o440);
    if is_root {
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 5678));
    }
    assert!(place.opens_with("second"));
}

#[test]
fn a_passphrase_that_cannot_be_stored_leaves_the_old_one() {
    let place = Place::new();
    place.init(NameMode::Encrypted);
    let before = fs::read(place.conf()).unwrap();
    let refused = || Err(SecretError::Mismatch { what: "new passphrase".into() });
    let changed = change_passphrase(&unaudited(), &place.vault, || Ok(OldSecret::Passphrase(secret("first"))), refused);
    assert!(matches!(changed, Err(ActionError::Secret(_))));
    assert_eq!(fs::read(place.conf()).unwrap(), before);
}

#[test]
fn the_right_recovery_key_is_taken_whatever_is_in_the_vault() {
    for names in [NameMode::Encrypted, NameMode::Deterministic, NameMode::Plaintext] {
        let place = Place::new();
        let key = place.init(names);
        place.populate(|vault| {
            vault.create(NodeId::ROOT, b"empty", &NEW).unwrap();
            let dir = vault.make_dir(NodeId::ROOT, b"dir", &NEW).unwrap().node;
            vault.make_symlink(dir, b"link", b"target", &NEW).unwrap();
        });
        by_key(&place, key).unwrap();
        assert!(place.opens_with("second") && !place.opens_with("first"));
    }
}

#[test]
fn a_wrong_recovery_key_is_refused_by_any_file_link_or_name() {
    type Fill = fn(&strongroom_vault::Vault);
    let file: Fill = |vault| {
        let dir = vault.make_dir(NodeId::ROOT, b"dir", &NEW).unwrap().node;
        let file = vault.create(dir, b"file", &NEW).unwrap().node;
        vault.write(file, 0, b"content").unwrap();
    };
    let link: Fill = |vault| {
        vault.make_symlink(NodeId::ROOT, b"link", b"target", &NEW).unwrap();
    };
    let names: Fill = |vault| {
        for name in [b"one", b"two", b"six"] {
            vault.make_dir(NodeId::ROOT, name, &NEW).unwrap();
        }
    };
    for (mode, fill) in [
        (NameMode::Encrypted, file),
        (NameMode::Encrypted, link),
        (NameMode::Encrypted, names),
        (NameMode::Deterministic, link),
        (NameMode::Plaintext, file),
    ] {
        let place = Place::new();
        place.init(mode);
        place.populate(fill);
        let before = fs::read(place.conf()).unwrap();
        assert!(matches!(by_key(&place, other_key()), Err(ActionError::WrongRecoveryKey(_))), "{mode:?}");
        assert_eq!(fs::read(place.conf()).unwrap(), before);
    }
}

#[test]
fn damage_does_not_keep_the_right_recovery_key_out() {
    let place = Place::new();
    let key = place.init(NameMode::Encrypted);
    place.populate(|vault| {
        for name in [b"one", b"two", b"six"] {
            let file = vault.create(NodeId::ROOT, name, &NEW).unwrap().node;
            vault.write(file, 0, b"content").unwrap();
        }
    });
    let stored = |path: &Path| fs::metadata(path).unwrap().len() == 18 + 32 + 7;
    let files = fs::read_dir(&place.vault).unwrap().map(|entry| entry.unwrap().path()).filter(|path| stored(path));
    for damaged in files.take(2) {
        fs::write(damaged, [9; 18 + 32 + 7]).unwrap();
    }
    by_key(&place, key).unwrap();
}

#[test]
fn info_needs_no_passphrase_and_names_who_uses_the_vault() {
    let place = Place::new();
    place.init(NameMode::Deterministic);
    assert!(info(&place.vault).unwrap().in_use.is_none());
    place.populate(|_| assert_eq!(info(&place.vault).unwrap().in_use.unwrap().pid, Some(std::process::id())));
}
