//! A view without a mount: what it shows opens with the ciphers it was made with.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, openat};
use strongroom_event::Silent;
use strongroom_format::{Algorithm, Ciphers, DirIv, FileHeader, Geometry, MasterKey, NameMode, Settings, Superblock};
use strongroom_reverse::{Attr, Exclusions, Kind, NodeId, View, ViewError, ViewOptions};
use strongroom_secret::Passphrase;

struct Place {
    dir: tempfile::TempDir,
    view: View,
    ciphers: Ciphers,
}

fn place(names: NameMode, options: ViewOptions) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let (for_view, ciphers) = (ciphers(names), ciphers(names));
    let root = openat(CWD, dir.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let view = View::new(root, for_view, options, Arc::new(Silent)).unwrap();
    Place { dir, view, ciphers }
}

fn ciphers(names: NameMode) -> Ciphers {
    let settings = Settings { cipher: Algorithm::AesSiv, names, long_name_max: None, scrypt_log_n: 10 };
    let master = MasterKey::from_hex_groups(&"00112233".repeat(8)).unwrap();
    let passphrase = Passphrase::new(b"x".to_vec());
    let superblock = Superblock::create(&settings, &passphrase, &master, &strongroom_crypto::OsRandom).unwrap();
    superblock.ciphers(&master).unwrap()
}

impl Place {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Finds a plaintext path in the view.
    fn find(&self, plain: &str) -> Result<Attr, ViewError> {
        let cipher = self.view.encrypt_path(plain.as_bytes())?;
        let mut attr = self.view.attr(NodeId::ROOT)?;
        for name in cipher.split(|&byte| byte == b'/') {
            attr = self.view.lookup(attr.node, name)?;
        }
        Ok(attr)
    }

    fn read(&self, attr: &Attr, offset: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0xEE; len];
        let len = self.view.read(attr.node, offset, &mut out).unwrap();
        out.truncate(len);
        out
    }

    fn whole(&self, attr: &Attr) -> Vec<u8> {
        self.read(attr, 0, attr.size as usize + 100)
    }

    fn decrypted(&self, sealed: &[u8]) -> Vec<u8> {
        let Some((header, blocks)) = sealed.split_first_chunk::<{ FileHeader::LEN }>() else { return Vec::new() };
        let id = FileHeader::decode(header).unwrap();
        let mut plain = vec![0; blocks.len()];
        let len = self.ciphers.content.open_blocks(&id, 0, blocks, &mut plain).unwrap();
        plain.truncate(len);
        plain
    }
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 4096) as u8).collect()
}

#[test]
fn files_of_all_sizes_have_the_size_that_is_told_and_decrypt() {
    let place = place(NameMode::Encrypted, ViewOptions::default());
    for len in [0, 1, 15, 4095, 4096, 4097, 8192, 100_000, 300_000] {
        fs::write(place.path("f"), content(len)).unwrap();
        let attr = place.find("f").unwrap();
        assert_eq!(attr.size, Geometry::new(Algorithm::AesSiv).cipher_size(len as u64));
        let sealed = place.whole(&attr);
        assert_eq!(sealed.len() as u64, attr.size, "{len}");
        assert!(place.decrypted(&sealed) == content(len), "{len}");
    }
}

#[test]
fn any_part_is_a_part_of_the_whole() {
    let place = place(NameMode::Encrypted, ViewOptions::default());
    fs::write(place.path("f"), content(30_000)).unwrap();
    let attr = place.find("f").unwrap();
    let whole = place.whole(&attr);
    for offset in [0, 1, 17, 18, 19, 33, 34, 50, 4145, 4146, 4147, 8274, 20_000, whole.len() - 1, whole.len(), 1 << 40]
    {
        for len in [0, 1, 2, 16, 17, 18, 4127, 4128, 4129, 9000, 40_000] {
            let expected = whole.get(offset..).unwrap_or_default();
            let expected = &expected[..len.min(expected.len())];
            assert!(place.read(&attr, offset as u64, len) == expected, "{len} bytes at {offset}");
        }
    }
}

#[test]
fn an_empty_file_has_no_header() {
    let place = place(NameMode::Encrypted, ViewOptions::default());
    fs::write(place.path("f"), "").unwrap();
    let attr = place.find("f").unwrap();
    for len in [1, 18, 100] {
        assert_eq!(place.read(&attr, 0, len), b"");
    }
}

#[test]
fn there_are_no_holes() {
    let place = place(NameMode::Encrypted, ViewOptions::default());
    fs::File::create(place.path("f")).unwrap().set_len(1 << 20).unwrap();
    let attr = place.find("f").unwrap();
    assert_eq!(place.view.seek_data(attr.node, 0).unwrap(), 0);
    assert_eq!(place.view.seek_data(attr.node, 70_000).unwrap(), 70_000);
    assert_eq!(place.view.seek_hole(attr.node, 0).unwrap(), attr.size);
    assert!(matches!(place.view.seek_data(attr.node, attr.size), Err(ViewError::NoMoreData)));
    assert!(place.decrypted(&place.whole(&attr)) == vec![0; 1 << 20]);
}

#[test]
fn links_and_long_names_are_told_as_a_vault_stores_them() {
    let place = place(NameMode::Encrypted, ViewOptions::default());
    let long = "l".repeat(200);
    fs::create_dir(place.path("d")).unwrap();
    symlink("../target", place.path("d").join(&long)).unwrap();
    let attr = place.find(&format!("d/{long}")).unwrap();
    let stored = place.view.read_link(attr.node).unwrap();
    assert_eq!((attr.kind, attr.size), (Kind::Symlink, stored.len() as u64));
    assert_eq!(place.ciphers.content.open_symlink(&stored).unwrap(), b"../target");

    let dir = place.find("d").unwrap();
    let iv = place.view.lookup(dir.node, b"gocryptfs.diriv").unwrap();
    let iv = DirIv::parse(&place.read(&iv, 0, 100)).unwrap();
    let stored = place.ciphers.names.encrypt(&iv, long.as_bytes()).unwrap();
    let (name_file, encoded) = stored.name_file().unwrap();
    let found = place.view.lookup(dir.node, &name_file).unwrap();
    assert_eq!(place.read(&found, 0, 1000), encoded);
    assert_eq!((found.permissions, found.links, found.size), (0o444, 1, encoded.len() as u64));
}

#[test]
fn listings_name_what_can_be_looked_up() {
    for names in [NameMode::Encrypted, NameMode::Deterministic, NameMode::Plaintext] {
        let place = place(names, ViewOptions::default());
        for name in ["short", &"l".repeat(230), "ümläut"] {
            fs::write(place.path(name), name).unwrap();
        }
        let listing = place.view.open_dir(NodeId::ROOT).unwrap();
        let virtual_files = match names {
            NameMode::Encrypted => 2,
            NameMode::Deterministic => 1,
            NameMode::Plaintext => 0,
        };
        assert_eq!(listing.entries().len(), 3 + virtual_files);
        for entry in listing.entries() {
            let listed = place.view.entry_attr(&listing, entry).unwrap();
            assert_eq!(listed, place.view.lookup(NodeId::ROOT, &entry.name).unwrap());
            assert_eq!((listed.node, listed.kind), (entry.node, entry.kind));
        }
        let numbers: BTreeSet<_> = listing.entries().iter().map(|entry| entry.node).collect();
        assert_eq!(numbers.len(), 3 + virtual_files, "no two have the same number");
    }
}

#[test]
fn paths_go_there_and_back() {
    for names in [NameMode::Encrypted, NameMode::Deterministic, NameMode::Plaintext] {
        let place = place(names, ViewOptions::default());
        let long = "l".repeat(230);
        let deep = format!("a/{long}/b/{long}");
        fs::create_dir_all(place.path(&deep)).unwrap();
        let cipher = place.view.encrypt_path(deep.as_bytes()).unwrap();
        assert_eq!(place.view.decrypt_path(&cipher).unwrap(), deep.as_bytes());
        assert_eq!(place.view.encrypt_path(b"").unwrap(), b"");
        assert!(place.view.encrypt_path(b"not/there").is_ok());
    }
}

#[test]
fn attributes_decrypt_by_name_and_value() {
    let place = place(NameMode::Plaintext, ViewOptions::default());
    fs::write(place.path("f"), "x").unwrap();
    if rustix::fs::setxattr(place.path("f"), "user.note", b"secret", rustix::fs::XattrFlags::empty()).is_err() {
        return; // the file system of temporary files has none
    }
    let attr = place.find("f").unwrap();
    let names = place.view.list_xattrs(attr.node).unwrap();
    let decrypted: Vec<_> = names.iter().filter_map(|name| place.ciphers.xattrs.decrypt_name(name)?.ok()).collect();
    assert!(decrypted.contains(&b"user.note".to_vec()), "{decrypted:?}");
    let name = names.iter().find(|name| place.ciphers.xattrs.decrypt_name(name) == Some(Ok(b"user.note".to_vec())));
    let value = place.view.xattr(attr.node, name.unwrap()).unwrap();
    assert_eq!(place.ciphers.content.open_xattr_value(&value).unwrap(), b"secret");
    assert!(matches!(place.view.xattr(attr.node, b"user.note"), Err(ViewError::NoAttribute)));
}

#[test]
fn what_took_the_place_of_a_file_is_not_shown_as_that() {
    let place = place(NameMode::Plaintext, ViewOptions::default());
    fs::write(place.path("f"), "one").unwrap();
    let one = place.find("f").unwrap();
    fs::write(place.path("g"), "another").unwrap();
    fs::rename(place.path("g"), place.path("f")).unwrap();
    assert!(matches!(place.view.attr(one.node), Err(ViewError::Stale)));
    assert!(matches!(place.view.open(one.node), Err(ViewError::Stale)));
    let other = place.find("f").unwrap();
    assert_ne!(one.node, other.node);
    assert_eq!(place.decrypted(&place.whole(&other)), b"another");
}

#[test]
fn what_is_open_can_be_read_when_its_name_is_gone() {
    let place = place(NameMode::Encrypted, ViewOptions::default());
    fs::write(place.path("f"), "x").unwrap();
    let attr = place.find("f").unwrap();
    place.view.open(attr.node).unwrap();
    fs::remove_file(place.path("f")).unwrap();
    assert_eq!(place.decrypted(&place.whole(&attr)), b"x");
    place.view.close(attr.node);
    let mut out = [0; 100];
    assert!(matches!(place.view.read(attr.node, 0, &mut out), Err(ViewError::NotFound)));
}

#[test]
fn a_name_that_was_given_to_something_else_has_not_its_vectors() {
    let place = place(NameMode::Plaintext, ViewOptions::default());
    fs::create_dir(place.path("a")).unwrap();
    fs::write(place.path("a/f"), "x").unwrap();
    let (dir, before) = (place.find("a").unwrap(), place.find("a/f").unwrap());
    let sealed = place.whole(&before);
    // The kernel forgets the directory and goes on to know the file.
    place.view.forget(dir.node, 2);
    fs::rename(place.path("a"), place.path("b")).unwrap();
    let after = place.find("b/f").unwrap();
    assert!(place.whole(&after) != sealed);
    assert_eq!(place.decrypted(&place.whole(&after)), b"x");
}

#[test]
fn what_is_excluded_is_neither_listed_nor_found() {
    let exclude = Exclusions::parse(["*.key", "/private"]);
    let place = place(NameMode::Encrypted, ViewOptions { exclude, ..ViewOptions::default() });
    for name in ["a.key", "b.txt", &format!("{}.key", "l".repeat(200))] {
        fs::write(place.path(name), "x").unwrap();
    }
    fs::create_dir(place.path("private")).unwrap();
    let listing = place.view.open_dir(NodeId::ROOT).unwrap();
    assert_eq!(listing.entries().len(), 2, "the text and the directory's IV");
    for name in ["a.key", "private", "private/x", &format!("{}.key", "l".repeat(200))] {
        assert!(matches!(place.find(name), Err(ViewError::Excluded)), "{name}");
    }
    assert!(place.find("b.txt").is_ok());
}

#[test]
fn a_vault_of_another_cipher_has_no_views() {
    let settings = Settings { scrypt_log_n: 10, ..Settings::default() };
    let master = MasterKey::from_hex_groups(&"00112233".repeat(8)).unwrap();
    let pass = Passphrase::new(b"x".to_vec());
    let superblock = Superblock::create(&settings, &pass, &master, &strongroom_crypto::OsRandom).unwrap();
    let root = openat(CWD, Path::new("/"), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let made = View::new(root, superblock.ciphers(&master).unwrap(), ViewOptions::default(), Arc::new(Silent));
    assert!(matches!(made, Err(ViewError::Unsupported)));
}
