//! `check` finds every kind of damage, tells it from what is merely odd, and finds nothing where nothing is wrong.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use strongroom_crypto::OsRandom;
use strongroom_event::{Event, Silent};
use strongroom_format::{Algorithm, MasterKey, NameMode, Settings, Superblock};
use strongroom_vault::{
    CheckOptions, Creation, NodeId, Problem, ProblemKind, RealBacking, Report, Vault, VaultOptions, XattrMode, check,
};

const NEW: Creation = Creation { permissions: 0o700, umask: 0, owner: None };
const LONG: [u8; 200] = [b'n'; 200];

struct Fixture {
    dir: tempfile::TempDir,
    master: MasterKey,
    superblock: Superblock,
}

impl Fixture {
    fn empty(cipher: Algorithm, names: NameMode) -> Self {
        let master = MasterKey::generate(&OsRandom);
        let settings = Settings { cipher, names, long_name_max: None, scrypt_log_n: 10 };
        let passphrase = strongroom_secret::Passphrase::new(b"test".to_vec());
        let superblock = Superblock::create(&settings, &passphrase, &master, &OsRandom).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("gocryptfs.conf"), superblock.to_json()).unwrap();
        if names == NameMode::Encrypted {
            fs::write(dir.path().join("gocryptfs.diriv"), [0xd1; 16]).unwrap();
        }
        Fixture { dir, master, superblock }
    }

    fn new() -> Self {
        let fixture = Self::empty(Algorithm::Aes256Gcm, NameMode::Encrypted);
        fixture.populate();
        fixture
    }

    fn vault(&self) -> Vault {
        let backing = RealBacking::open(self.dir.path()).unwrap();
        let ciphers = self.superblock.ciphers(&self.master).unwrap();
        Vault::new(backing, ciphers, VaultOptions::default(), Arc::new(Silent), Arc::new(OsRandom)).unwrap()
    }

    /// /file (3 blocks and a bit, an attribute), /dir/small, /dir/link, /dir/LONG, /hole, /empty
    fn populate(&self) {
        let vault = self.vault();
        let file = vault.create(NodeId::ROOT, b"file", &NEW).unwrap().node;
        vault.write(file, 0, &pattern(3 * 4096 + 100)).unwrap();
        vault.set_xattr(file, b"user.colour", b"blue", XattrMode::Any).unwrap();
        let dir = vault.make_dir(NodeId::ROOT, b"dir", &NEW).unwrap().node;
        let small = vault.create(dir, b"small", &NEW).unwrap().node;
        vault.write(small, 0, b"small").unwrap();
        vault.link(small, NodeId::ROOT, b"hard link").unwrap();
        vault.make_symlink(dir, b"link", b"../file", &NEW).unwrap();
        let long = vault.create(dir, &LONG, &NEW).unwrap().node;
        vault.write(long, 0, b"long").unwrap();
        let hole = vault.create(NodeId::ROOT, b"hole", &NEW).unwrap().node;
        vault.write(hole, 0, b"x").unwrap();
        vault.write(hole, 100 * 4096, b"y").unwrap();
        vault.create(NodeId::ROOT, b"empty", &NEW).unwrap();
    }

    fn check(&self) -> Report {
        let backing = RealBacking::open(self.dir.path()).unwrap();
        let ciphers = self.superblock.ciphers(&self.master).unwrap();
        check(&backing, &ciphers, CheckOptions { threads: 2, ..CheckOptions::default() }, &Silent).unwrap()
    }

    /// The path on disk of a plaintext path.
    fn disk(&self, path: &str) -> PathBuf {
        let ciphers = self.superblock.ciphers(&self.master).unwrap();
        let mut at = self.dir.path().to_owned();
        for part in path.split('/') {
            let iv = strongroom_format::DirIv::parse(&fs::read(at.join("gocryptfs.diriv")).unwrap()).unwrap();
            let stored = ciphers.names.encrypt(&iv, part.as_bytes()).unwrap();
            at.push(std::str::from_utf8(stored.disk()).unwrap());
        }
        at
    }

    fn long_name_file(&self) -> PathBuf {
        let mut path = self.disk(&format!("dir/{}", std::str::from_utf8(&LONG).unwrap())).into_os_string();
        path.push(".name");
        path.into()
    }

    /// The one problem there is.
    fn only_problem(&self) -> Problem {
        let mut report = self.check();
        assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
        assert_eq!(report.damaged, u64::from(report.problems[0].kind.is_damage()));
        report.problems.remove(0)
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8 + 1).collect()
}

fn flip(path: &Path, at: u64) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 0x10;
    file.write_all_at(&byte, at).unwrap();
}

fn text(path: &[u8]) -> &str {
    std::str::from_utf8(path).unwrap()
}

#[test]
fn a_sound_vault_has_nothing_wrong_in_any_mode() {
    for cipher in [Algorithm::Aes256Gcm, Algorithm::AesSiv, Algorithm::XChaCha20Poly1305] {
        for names in [NameMode::Encrypted, NameMode::Deterministic, NameMode::Plaintext] {
            let fixture = Fixture::empty(cipher, names);
            fixture.populate();
            let report = fixture.check();
            assert_eq!(report.problems, [], "{cipher:?} {names:?}");
            assert_eq!((report.files, report.directories, report.symlinks, report.xattrs), (5, 2, 1, 1));
            // The tail of block 0 of /hole is padded; 99 blocks of it are a hole.
            assert_eq!(report.bytes, 3 * 4096 + 100 + 5 + 7 + 4 + 4096 + 1, "{cipher:?} {names:?}");
            assert_eq!(report.hole_bytes, 99 * 4096);
        }
    }
}

#[test]
fn a_vault_that_holds_nothing_is_sound() {
    let fixture = Fixture::empty(Algorithm::Aes256Gcm, NameMode::Deterministic);
    let report = fixture.check();
    assert_eq!((report.directories, report.files, report.problems), (1, 0, Vec::new()));
}

#[test]
fn a_flipped_bit_anywhere_in_a_file_is_found_by_path_and_block() {
    let fixture = Fixture::new();
    let path = fixture.disk("file");
    let len = fs::metadata(&path).unwrap().len();
    for at in (18..len).step_by(97).chain([18, 18 + 4128 - 1, 18 + 4128, len - 1]) {
        flip(&path, at);
        let problem = fixture.only_problem();
        let block = (at - 18) / 4128;
        assert_eq!((problem.kind, text(&problem.path)), (ProblemKind::Block, "/file"));
        assert_eq!(Path::new(text(&problem.disk_path)), path.strip_prefix(fixture.dir.path()).unwrap());
        assert!(problem.detail.starts_with(&format!("block {block} ")), "byte {at}: {}", problem.detail);
        flip(&path, at);
    }
    assert_eq!(fixture.check().problems, []);
}

#[test]
fn a_flipped_bit_in_a_header_is_found() {
    let fixture = Fixture::new();
    for at in 0..18 {
        flip(&fixture.disk("file"), at);
        let problem = fixture.only_problem();
        let expected = if at < 2 { ProblemKind::Header } else { ProblemKind::Block };
        assert_eq!((problem.kind, text(&problem.path)), (expected, "/file"));
        flip(&fixture.disk("file"), at);
    }
}

#[test]
fn blocks_that_were_swapped_are_both_found_as_one_run() {
    let fixture = Fixture::new();
    let path = fixture.disk("file");
    let mut stored = fs::read(&path).unwrap();
    let (first, second) = stored[18..].split_at_mut(4128);
    first.swap_with_slice(&mut second[..4128]);
    fs::write(&path, stored).unwrap();
    let problem = fixture.only_problem();
    assert!(problem.detail.starts_with("blocks 0 to 1 (2 of them"), "{}", problem.detail);
}

#[test]
fn a_file_in_the_place_of_another_is_sound_but_a_block_of_it_is_not() {
    let fixture = Fixture::new();
    let other = fs::read(fixture.disk("dir/small")).unwrap();
    let path = fixture.disk("file");
    let mut stored = fs::read(&path).unwrap();
    stored.truncate(18 + 3 * 4128);
    stored.extend_from_slice(&other[18..]);
    fs::write(&path, stored).unwrap();
    assert!(fixture.only_problem().detail.starts_with("block 3 "));
}

#[test]
fn a_flipped_bit_in_a_name_is_found() {
    let fixture = Fixture::new();
    let path = fixture.disk("file");
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    for at in 0..name.len() {
        let mut damaged = name.clone().into_bytes();
        damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
        let damaged_path = path.with_file_name(std::str::from_utf8(&damaged).unwrap());
        fs::rename(&path, &damaged_path).unwrap();
        let kind = fixture.only_problem().kind;
        // Once in 250 times garbage is well-formed, and then it is not UTF-8.
        assert!([ProblemKind::Name, ProblemKind::OddName].contains(&kind), "{kind:?}");
        fs::rename(&damaged_path, &path).unwrap();
    }
}

#[test]
fn the_content_behind_a_damaged_name_is_checked_all_the_same() {
    let fixture = Fixture::new();
    let path = fixture.disk("file");
    flip(&path, 18);
    fs::rename(&path, path.with_file_name("!!!!")).unwrap();
    let kinds: Vec<_> = fixture.check().problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [ProblemKind::Name, ProblemKind::Block]);
}

#[test]
fn a_flipped_bit_in_a_long_name_is_found() {
    let fixture = Fixture::new();
    let path = fixture.long_name_file();
    for at in (0..fs::metadata(&path).unwrap().len()).step_by(7) {
        flip(&path, at);
        assert_eq!(fixture.only_problem().kind, ProblemKind::LongName);
        flip(&path, at);
    }
}

#[test]
fn a_missing_long_name_is_found_and_an_orphaned_one_is_noted() {
    let fixture = Fixture::new();
    let (name_file, content) = (fixture.long_name_file(), fixture.long_name_file().with_extension(""));
    let kept = fs::read(&name_file).unwrap();
    fs::remove_file(&name_file).unwrap();
    let problem = fixture.only_problem();
    assert_eq!(problem.kind, ProblemKind::LongName);
    assert!(text(&problem.path).starts_with("/dir/gocryptfs.longname."), "{}", text(&problem.path));
    fs::write(&name_file, kept).unwrap();
    fs::remove_file(content).unwrap();
    assert_eq!(fixture.only_problem().kind, ProblemKind::OrphanLongName);
}

#[test]
fn a_flipped_bit_in_a_link_is_found() {
    let fixture = Fixture::new();
    let path = fixture.disk("dir/link");
    let target = fs::read_link(&path).unwrap().to_str().unwrap().to_owned();
    for at in 0..target.len() - 1 {
        let mut damaged = target.clone().into_bytes();
        damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(std::str::from_utf8(&damaged).unwrap(), &path).unwrap();
        let problem = fixture.only_problem();
        assert_eq!((problem.kind, text(&problem.path)), (ProblemKind::Symlink, "/dir/link"));
    }
}

#[test]
fn a_flipped_bit_in_an_attribute_is_found_in_value_and_name() {
    let fixture = Fixture::new();
    let path = fixture.disk("file");
    let mut names = [0; 256];
    let len = rustix::fs::listxattr(&path, &mut names).unwrap();
    let name = names[..len].split(|&byte| byte == 0).find(|name| name.starts_with(b"user.gocryptfs.")).unwrap();
    let name = std::str::from_utf8(name).unwrap();
    let mut value = vec![0; 256];
    let len = rustix::fs::getxattr(&path, name, &mut value).unwrap();
    value.truncate(len);
    for at in 0..value.len() {
        value[at] ^= 1;
        rustix::fs::setxattr(&path, name, &value, rustix::fs::XattrFlags::empty()).unwrap();
        let problem = fixture.only_problem();
        assert_eq!((problem.kind, text(&problem.path)), (ProblemKind::Xattr, "/file"));
        assert!(problem.detail.contains("user.colour"), "{}", problem.detail);
        value[at] ^= 1;
    }
    rustix::fs::removexattr(&path, name).unwrap();
    rustix::fs::setxattr(&path, format!("{name}AAAA"), &value, rustix::fs::XattrFlags::empty()).unwrap();
    assert_eq!(fixture.only_problem().kind, ProblemKind::Xattr);
}

#[test]
fn a_directory_without_its_iv_is_damaged_if_it_holds_something() {
    let fixture = Fixture::new();
    let iv = fixture.disk("dir").join("gocryptfs.diriv");
    for content in [None, Some(&[][..]), Some(&[0; 16]), Some(&[1; 15]), Some(&[1; 17])] {
        let _ = fs::remove_file(&iv);
        if let Some(content) = content {
            fs::write(&iv, content).unwrap();
        }
        let problem = fixture.only_problem();
        assert_eq!((problem.kind, text(&problem.path)), (ProblemKind::DirIv, "/dir"), "{content:?}");
        assert!(text(&problem.disk_path).ends_with("/gocryptfs.diriv"));
    }
}

#[test]
fn a_changed_directory_iv_is_found_by_the_names_in_it() {
    let fixture = Fixture::new();
    flip(&fixture.disk("dir").join("gocryptfs.diriv"), 3);
    assert!(fixture.check().damaged >= 2);
}

#[test]
fn an_empty_directory_without_its_iv_is_noted() {
    let fixture = Fixture::new();
    fixture.vault().make_dir(NodeId::ROOT, b"new", &NEW).unwrap();
    fs::remove_file(fixture.disk("new").join("gocryptfs.diriv")).unwrap();
    let problem = fixture.only_problem();
    assert_eq!((problem.kind, text(&problem.path)), (ProblemKind::EmptyDirIv, "/new"));
}

#[test]
fn stubs_and_leftovers_are_noted() {
    let fixture = Fixture::new();
    fs::write(fixture.disk("empty"), [7; 18]).unwrap();
    fs::write(fixture.dir.path().join("gocryptfs.conf.0123456789abcdef.tmp"), "{}").unwrap();
    fs::write(fixture.disk("dir").join("gocryptfs.diriv.rmdir.12345"), [7; 16]).unwrap();
    let report = fixture.check();
    let mut kinds: Vec<_> = report.problems.iter().map(|problem| problem.kind).collect();
    kinds.sort();
    assert_eq!(kinds, [ProblemKind::Stub, ProblemKind::Leftover, ProblemKind::Leftover]);
    assert_eq!(report.damaged, 0);
}

#[test]
fn what_a_crash_left_of_a_change_of_size_is_noted_not_damaged() {
    let fixture = Fixture::new();
    // Grown: the short last block is followed by zeros.
    let path = fixture.disk("dir/small");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(18 + 4128 + 50).unwrap();
    let report = fixture.check();
    assert_eq!(report.damaged, 0, "{:?}", report.problems);
    assert!(report.problems.iter().all(|problem| problem.kind == ProblemKind::Interrupted));
}

#[test]
fn a_file_that_lost_its_tail_within_a_block_is_found() {
    let fixture = Fixture::new();
    let path = fixture.disk("file");
    let file = fs::File::options().write(true).open(&path).unwrap();
    for len in [18 + 4128 + 1, 18 + 4128 + 32, 18 + 2 * 4128 - 1] {
        file.set_len(len).unwrap();
        let problem = fixture.only_problem();
        assert!(problem.kind == ProblemKind::Block && problem.detail.starts_with("block 1 "), "{}", problem.detail);
    }
}

#[test]
fn data_overwritten_by_zeros_are_counted_as_holes_and_a_part_of_a_block_is_damage() {
    let fixture = Fixture::new();
    let path = fixture.disk("file");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 4128], 18 + 4128).unwrap();
    let report = fixture.check();
    assert_eq!((report.hole_bytes, report.damaged), (100 * 4096, 0));
    file.write_all_at(&[0; 2000], 18).unwrap();
    assert_eq!(fixture.only_problem().kind, ProblemKind::Block);
}

#[test]
fn every_part_of_a_large_file_and_of_a_large_directory_is_checked() {
    let fixture = Fixture::empty(Algorithm::Aes256Gcm, NameMode::Encrypted);
    let vault = fixture.vault();
    let large = vault.create(NodeId::ROOT, b"large", &NEW).unwrap().node;
    let blocks = 3 * 4096 + 10;
    let chunk = pattern(256 * 4096);
    for first in (0..blocks).step_by(256) {
        vault.write(large, first * 4096, &chunk[..(256.min(blocks - first) * 4096) as usize]).unwrap();
    }
    let dir = vault.make_dir(NodeId::ROOT, b"dir", &NEW).unwrap().node;
    for i in 0..1000 {
        let file = vault.create(dir, format!("file {i}").as_bytes(), &NEW).unwrap().node;
        vault.write(file, 0, b"content").unwrap();
    }
    drop(vault);
    let report = fixture.check();
    assert_eq!((report.files, report.damaged), (1001, 0));
    assert_eq!(report.bytes, blocks * 4096 + 7000);
    for block in [0, 4095, 4097, 8191, 8192, blocks - 1] {
        flip(&fixture.disk("large"), 18 + block * 4128 + 9);
    }
    flip(&fixture.disk("dir/file 0"), 20);
    flip(&fixture.disk("dir/file 999"), 20);
    let report = fixture.check();
    let paths: Vec<_> = report.problems.iter().map(|problem| text(&problem.path)).collect();
    assert_eq!(report.damaged as usize, report.problems.len());
    assert_eq!(paths[2..], ["/large"; 5]);
    let details: Vec<_> =
        report.problems[2..].iter().map(|problem| problem.detail.split(" (").next().unwrap()).collect();
    // 8191 and 8192 were found by different jobs.
    assert_eq!(details, ["block 0", "block 4095", "block 4097", "blocks 8191 to 8192", "block 12297"]);
    assert_eq!(paths[..2], ["/dir/file 0", "/dir/file 999"]);
}

#[test]
fn progress_adds_up_to_the_size_that_was_told() {
    let fixture = Fixture::new();
    let (total, done) = (Mutex::new(None), Mutex::new(0));
    let observer = |event: &Event| match event {
        Event::Phase { total: Some(size), .. } => *total.lock().unwrap() = Some(*size),
        Event::Progress(bytes) => *done.lock().unwrap() += bytes,
        _ => {}
    };
    // A large file keeps the work from being over before the size is known.
    let vault = fixture.vault();
    let large = vault.create(NodeId::ROOT, b"large", &NEW).unwrap().node;
    vault.write(large, 0, &pattern(40 << 20)).unwrap();
    let backing = RealBacking::open(fixture.dir.path()).unwrap();
    let ciphers = fixture.superblock.ciphers(&fixture.master).unwrap();
    check(&backing, &ciphers, CheckOptions { threads: 1, estimate: true, ..CheckOptions::default() }, &observer)
        .unwrap();
    let done = *done.lock().unwrap();
    let total = total.lock().unwrap().expect("the size was told while the large file was read");
    // Hard links are counted twice in the estimate, and long names' contents not at all.
    assert!(done.abs_diff(total) < 1000, "{done} of {total}");
}

#[test]
fn a_new_vault_whose_root_lost_its_iv_is_noted_and_heals() {
    let fixture = Fixture::empty(Algorithm::Aes256Gcm, NameMode::Encrypted);
    fs::remove_file(fixture.dir.path().join("gocryptfs.diriv")).unwrap();
    assert_eq!(fixture.only_problem().kind, ProblemKind::EmptyDirIv);
    fixture.populate();
    assert_eq!(fixture.check().problems, []);
}
