//! The operations of a vault on a real directory, one by one, in every mode.

use std::sync::{Arc, Mutex};

use strongroom_crypto::OsRandom;
use strongroom_event::Event;
use strongroom_format::{Algorithm, MasterKey, NameMode, Settings, Superblock};
use strongroom_vault::{
    Creation, Kind, NodeId, RealBacking, RenameMode, SetAttr, Vault, VaultError, VaultOptions, XattrMode,
};

const NEW: Creation = Creation { permissions: 0o755, umask: 0, owner: None };

struct Fixture {
    dir: tempfile::TempDir,
    master: MasterKey,
    superblock: Superblock,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Fixture {
    fn new(cipher: Algorithm, names: NameMode) -> Self {
        rustix::process::umask(rustix::fs::Mode::empty());
        let master = MasterKey::generate(&OsRandom);
        let settings = Settings { cipher, names, long_name_max: None, scrypt_log_n: 10 };
        let passphrase = strongroom_secret::Passphrase::new(b"test".to_vec());
        let superblock = Superblock::create(&settings, &passphrase, &master, &OsRandom).unwrap();
        let dir = tempfile::tempdir().unwrap();
        if names == NameMode::Encrypted {
            std::fs::write(dir.path().join("gocryptfs.diriv"), [7; 16]).unwrap();
        }
        Fixture { dir, master, superblock, events: Arc::default() }
    }

    fn vault(&self) -> Vault {
        self.vault_with(VaultOptions::default())
    }

    fn vault_with(&self, options: VaultOptions) -> Vault {
        let events = self.events.clone();
        let observer = move |event: &Event| events.lock().unwrap().push(event.clone());
        let ciphers = self.superblock.ciphers(&self.master).unwrap();
        let backing = RealBacking::open(self.dir.path()).unwrap();
        Vault::new(backing, ciphers, options, Arc::new(observer), Arc::new(OsRandom)).unwrap()
    }
}

fn modes() -> Vec<Fixture> {
    let mut all = Vec::new();
    for cipher in [Algorithm::Aes256Gcm, Algorithm::AesSiv, Algorithm::XChaCha20Poly1305] {
        for names in [NameMode::Encrypted, NameMode::Deterministic, NameMode::Plaintext] {
            all.push(Fixture::new(cipher, names));
        }
    }
    all
}

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8 ^ seed).collect()
}

fn read_all(vault: &Vault, node: NodeId) -> Vec<u8> {
    let size = vault.attr(node).unwrap().size;
    let mut out = vec![0; size as usize];
    let len = vault.read(node, 0, &mut out).unwrap();
    assert_eq!(len as u64, size, "a read ends where stat says");
    out
}

#[test]
fn what_is_written_is_read_back_after_a_remount_in_every_mode() {
    for fixture in modes() {
        let long = [b'n'; 255];
        let sizes = [0, 1, 15, 4095, 4096, 4097, 8191, 8192, 8193, 100_000];
        let vault = fixture.vault();
        let dir = vault.make_dir(NodeId::ROOT, b"dir", &NEW).unwrap().node;
        for (i, size) in sizes.iter().enumerate() {
            let file = vault.create(dir, format!("f{i}").as_bytes(), &NEW).unwrap().node;
            assert_eq!(vault.write(file, 0, &pattern(*size, i as u8)).unwrap(), *size);
        }
        vault.make_symlink(dir, &long, b"../over/there", &NEW).unwrap();
        drop(vault);
        let vault = fixture.vault();
        let dir = vault.lookup(NodeId::ROOT, b"dir").unwrap().node;
        let listing = vault.open_dir(dir).unwrap();
        assert_eq!(listing.entries().len(), sizes.len() + 1);
        for (i, size) in sizes.iter().enumerate() {
            let attr = vault.lookup(dir, format!("f{i}").as_bytes()).unwrap();
            assert_eq!(attr.size, *size as u64);
            assert!(read_all(&vault, attr.node) == pattern(*size, i as u8));
        }
        let link = vault.lookup(dir, &long).unwrap();
        assert_eq!((link.kind, link.size), (Kind::Symlink, 13));
        assert_eq!(vault.read_link(link.node).unwrap(), b"../over/there");
        assert!(!fixture.events.lock().unwrap().iter().any(|e| matches!(e, Event::Damaged { .. })));
    }
}

#[test]
fn writes_at_odd_places_behave_like_writes_to_a_byte_array() {
    for fixture in modes() {
        let vault = fixture.vault();
        let file = vault.create(NodeId::ROOT, b"f", &NEW).unwrap().node;
        let mut model: Vec<u8> = Vec::new();
        let steps: &[(u64, usize)] =
            &[(5000, 10), (0, 3), (4090, 20), (100_000, 5000), (8192, 4096), (99_000, 1), (200_001, 1), (0, 70_000)];
        for (i, (offset, len)) in steps.iter().enumerate() {
            let data = pattern(*len, i as u8);
            vault.write(file, *offset, &data).unwrap();
            let end = *offset as usize + len;
            model.resize(model.len().max(end), 0);
            model[*offset as usize..end].copy_from_slice(&data);
            assert!(read_all(&vault, file) == model, "after step {i}");
        }
        for size in [150_000, 4097, 4096, 10, 10_000, 8192, 8191, 20_480, 0, 4096, 5000, 0, 5000] {
            vault.set_attr(file, &SetAttr { size: Some(size), ..SetAttr::default() }).unwrap();
            model.resize(size as usize, 0);
            assert!(read_all(&vault, file) == model, "at size {size}");
        }
        drop(vault);
        let vault = fixture.vault();
        let file = vault.lookup(NodeId::ROOT, b"f").unwrap().node;
        assert!(read_all(&vault, file) == model);
    }
}

#[test]
fn names_move_and_go_like_on_any_file_system() {
    for fixture in modes() {
        let vault = fixture.vault();
        let long = |c: u8| vec![c; 200];
        let dir = vault.make_dir(NodeId::ROOT, &long(b'd'), &NEW).unwrap().node;
        let file = vault.create(dir, &long(b'a'), &NEW).unwrap().node;
        vault.write(file, 0, b"content").unwrap();
        vault.rename(dir, &long(b'a'), NodeId::ROOT, &long(b'b'), RenameMode::Replace).unwrap();
        assert!(matches!(vault.lookup(dir, &long(b'a')), Err(VaultError::NotFound)));
        assert_eq!(vault.lookup(NodeId::ROOT, &long(b'b')).unwrap().node, file);
        vault.link(file, dir, b"second").unwrap();
        assert_eq!(vault.attr(file).unwrap().links, 2);
        assert!(matches!(vault.remove_dir(NodeId::ROOT, &long(b'd')), Err(VaultError::NotEmpty)));
        vault.unlink(NodeId::ROOT, &long(b'b')).unwrap();
        assert_eq!(read_all(&vault, file), b"content");
        vault.unlink(dir, b"second").unwrap();
        assert_eq!(read_all(&vault, file), b"content", "a removed file lives as long as it is known");
        vault.write(file, 3, b"more").unwrap();
        assert_eq!(read_all(&vault, file), b"conmore");
        let other = vault.make_dir(NodeId::ROOT, b"other", &NEW).unwrap().node;
        vault.make_dir(other, b"sub", &NEW).unwrap();
        vault.rename(NodeId::ROOT, b"other", NodeId::ROOT, &long(b'd'), RenameMode::Replace).unwrap();
        assert_eq!(vault.open_dir(NodeId::ROOT).unwrap().entries().len(), 1);
        assert_eq!(vault.lookup(other, b"sub").unwrap().kind, Kind::Directory);
        vault.remove_dir(other, b"sub").unwrap();
        vault.remove_dir(NodeId::ROOT, &long(b'd')).unwrap();
        assert!(vault.open_dir(NodeId::ROOT).unwrap().entries().is_empty());
        let left = std::fs::read_dir(fixture.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
        assert!(left.iter().all(|name| name == "gocryptfs.diriv"), "{left:?}");
        assert!(!fixture.events.lock().unwrap().iter().any(|e| matches!(e, Event::Damaged { .. })));
    }
}

#[test]
fn extended_attributes_come_back_and_stay_secret() {
    for fixture in modes() {
        let vault = fixture.vault();
        let file = vault.create(NodeId::ROOT, b"f", &NEW).unwrap().node;
        vault.set_xattr(file, b"user.secret", b"value", XattrMode::Create).unwrap();
        vault.set_xattr(file, b"trusted.empty", b"", XattrMode::Any).unwrap();
        assert!(matches!(vault.set_xattr(file, b"user.secret", b"", XattrMode::Create), Err(VaultError::Exists)));
        assert_eq!(vault.xattr(file, b"user.secret").unwrap(), b"value");
        assert_eq!(vault.xattr(file, b"trusted.empty").unwrap(), b"");
        let mut names = vault.list_xattrs(file).unwrap();
        names.sort();
        assert_eq!(names, [b"trusted.empty".to_vec(), b"user.secret".to_vec()]);
        vault.remove_xattr(file, b"user.secret").unwrap();
        assert!(matches!(vault.xattr(file, b"user.secret"), Err(VaultError::NoAttribute)));
    }
}

#[test]
fn a_flipped_bit_damages_one_block_and_is_reported_with_its_path() {
    let fixture = Fixture::new(Algorithm::Aes256Gcm, NameMode::Plaintext);
    let vault = fixture.vault();
    let dir = vault.make_dir(NodeId::ROOT, b"d", &NEW).unwrap().node;
    let file = vault.create(dir, b"f", &NEW).unwrap().node;
    vault.write(file, 0, &pattern(20_000, 0)).unwrap();
    drop(vault);
    let path = fixture.dir.path().join("d/f");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[18 + 4128 * 2 + 100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let vault = fixture.vault();
    let dir = vault.lookup(NodeId::ROOT, b"d").unwrap().node;
    let file = vault.lookup(dir, b"f").unwrap().node;
    let mut block = [0; 4096];
    for n in [0, 1, 3] {
        assert_eq!(vault.read(file, n * 4096, &mut block).unwrap(), 4096);
    }
    assert!(matches!(vault.read(file, 2 * 4096, &mut block), Err(VaultError::Corrupt { .. })));
    let events = fixture.events.lock().unwrap();
    assert!(matches!(&events[..], [Event::Damaged { path, .. }] if path == b"/d/f"), "{events:?}");
}

#[test]
fn few_descriptors_are_enough_for_many_files() {
    let fixture = Fixture::new(Algorithm::Aes256Gcm, NameMode::Encrypted);
    let vault = fixture.vault_with(VaultOptions { open_files: 8, ..VaultOptions::default() });
    let mut files = Vec::new();
    for i in 0..200u32 {
        let dir = vault.make_dir(NodeId::ROOT, format!("d{i}").as_bytes(), &NEW).unwrap().node;
        let file = vault.create(dir, b"f", &NEW).unwrap().node;
        vault.write(file, 0, &i.to_le_bytes()).unwrap();
        files.push(file);
    }
    for (i, file) in files.iter().enumerate() {
        assert_eq!(read_all(&vault, *file), (i as u32).to_le_bytes());
    }
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open < 100, "{open} descriptors are open");
}

#[test]
fn holes_are_where_no_data_are() {
    let fixture = Fixture::new(Algorithm::Aes256Gcm, NameMode::Encrypted);
    let vault = fixture.vault();
    let file = vault.create(NodeId::ROOT, b"f", &NEW).unwrap().node;
    vault.write(file, 1 << 20, b"island").unwrap();
    vault.set_attr(file, &SetAttr { size: Some(4 << 20), ..SetAttr::default() }).unwrap();
    let data = vault.seek_data(file, 8192).unwrap();
    assert!(data <= 1 << 20 && data > (1 << 20) - 16384, "{data}");
    let hole = vault.seek_hole(file, 1 << 20).unwrap();
    assert!(hole > 1 << 20 && hole < (1 << 20) + 16384, "{hole}");
    assert!(matches!(vault.seek_data(file, 2 << 20), Err(VaultError::NoMoreData)));
    assert_eq!(vault.seek_hole(file, 3 << 20).unwrap(), 3 << 20);
    assert!(vault.attr(file).unwrap().blocks < 64);
}

#[test]
fn forgotten_nodes_are_dropped_with_their_parents() {
    let fixture = Fixture::new(Algorithm::Aes256Gcm, NameMode::Encrypted);
    let vault = fixture.vault();
    let mut nodes = vec![NodeId::ROOT];
    for _ in 0..5 {
        let dir = vault.make_dir(*nodes.last().unwrap(), b"d", &NEW).unwrap().node;
        nodes.push(dir);
    }
    assert_eq!(vault.nodes_in_use(), 5);
    let deepest = nodes.pop().unwrap();
    for node in nodes {
        vault.forget(node, 1);
    }
    assert_eq!(vault.path_of(deepest).unwrap(), b"/d/d/d/d/d", "a child keeps its parents");
    vault.forget(deepest, 1);
    assert_eq!(vault.nodes_in_use(), 0);
}

#[test]
fn a_file_can_be_read_all_the_time_while_it_and_its_directory_are_renamed() {
    let fixture = Fixture::new(Algorithm::Aes256Gcm, NameMode::Encrypted);
    // Shared: nothing is kept open, so that every read has to find the file anew.
    let vault = fixture.vault_with(VaultOptions { shared: true, ..VaultOptions::default() });
    let dirs = [b"one", b"two"].map(|name| vault.make_dir(NodeId::ROOT, name, &NEW).unwrap().node);
    let file = vault.create(dirs[0], b"a", &NEW).unwrap().node;
    vault.write(file, 0, b"always there").unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..400 {
                let (from, to) = (i % 2, (i + 1) % 2);
                vault.rename(dirs[from], b"a", dirs[to], b"a", RenameMode::Replace).unwrap();
                vault.rename(NodeId::ROOT, b"one", NodeId::ROOT, b"1", RenameMode::Replace).unwrap();
                vault.rename(NodeId::ROOT, b"1", NodeId::ROOT, b"one", RenameMode::Replace).unwrap();
            }
            vault.unlink(dirs[0], b"a").unwrap();
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        let mut out = [0; 12];
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            assert_eq!(vault.read(file, 0, &mut out).unwrap(), 12);
            assert_eq!(vault.attr(file).unwrap().size, 12);
        }
    });
}

#[test]
fn a_path_is_translated_to_what_stands_on_the_disk_and_back() {
    for fixture in modes() {
        let vault = fixture.vault();
        let long = [b'l'; 200];
        let dir = vault.make_dir(NodeId::ROOT, &long, &NEW).unwrap().node;
        vault.create(dir, b"file", &NEW).unwrap();
        let plain = [&long[..], b"/file"].concat();
        let disk = vault.encrypted_path(&plain).unwrap();
        let found = fixture.dir.path().join(std::str::from_utf8(&disk).unwrap());
        assert!(found.is_file(), "{found:?}");
        assert_eq!(vault.decrypted_path(&disk).unwrap(), plain);
    }
}

#[test]
fn the_last_component_of_a_path_need_not_exist_but_the_others_must() {
    let fixture = Fixture::new(Algorithm::Aes256Gcm, NameMode::Encrypted);
    let vault = fixture.vault();
    vault.make_dir(NodeId::ROOT, b"dir", &NEW).unwrap();
    vault.create(NodeId::ROOT, b"file", &NEW).unwrap();
    assert!(vault.encrypted_path(b"dir/none").is_ok());
    assert!(matches!(vault.encrypted_path(b"none/x"), Err(VaultError::NotFound)));
    assert!(matches!(vault.encrypted_path(b"file/x"), Err(VaultError::NotADirectory)));
    assert!(matches!(vault.decrypted_path(b"gocryptfs.diriv"), Err(VaultError::InvalidName)));
    assert!(matches!(vault.decrypted_path(b"gocryptfs.longname.none"), Err(VaultError::NotFound)));
}
