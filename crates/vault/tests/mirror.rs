//! A vault follows a directory that changes, and survives whatever happens to it meanwhile.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use strongroom_crypto::{Key, OsRandom};
use strongroom_event::Silent;
use strongroom_testkit::{Dice, Fixture, Journal, MemContent, MemTree, RestlessTree, SimBacking, bytes};
use strongroom_tree::{
    CannotHold, Comparison, Entry, Filter, Kind, LocalTree, Manifest, Meta, MirrorError, Mirrored, Mirroring, RelPath,
    Replica, Sink, Source, Stamp, Timestamp, Xattr, compare, mirror, reconcile,
};
use strongroom_vault::{Backing, RealBacking, Vault, VaultOptions, VaultTree};

fn opened<B: Backing>(fixture: &Fixture, backing: B) -> VaultTree<B> {
    rustix::process::umask(rustix::fs::Mode::empty());
    let options = VaultOptions { open_files: 64, ..VaultOptions::default() };
    let vault = Vault::new(backing, fixture.ciphers(), options, Arc::new(Silent), Arc::new(OsRandom)).unwrap();
    VaultTree::new(Arc::new(vault))
}

fn on_disk(fixture: &Fixture) -> (tempfile::TempDir, VaultTree) {
    let dir = tempfile::tempdir().unwrap();
    fixture.format(&RealBacking::open(dir.path()).unwrap());
    let tree = opened(fixture, RealBacking::open(dir.path()).unwrap());
    (dir, tree)
}

fn key() -> Key<32> {
    Key::new(&[7; 32])
}

fn round(source: &dyn Source, replica: &dyn Replica, manifest: &mut Manifest) -> Result<Mirrored, MirrorError> {
    let how = Mirroring {
        workers: 2,
        round_started: Timestamp { seconds: 9_000_000_000, nanoseconds: 0 },
        tick: Duration::ZERO,
        always_dirty: &|_| false,
        batch_entries: 7,
        batch_bytes: 100_000,
        stop: &AtomicBool::new(false),
    };
    mirror(source, &Filter::everything(), replica, manifest, &how, &Silent)
}

fn assert_equal(source: &dyn Source, replica: &dyn Source, what: &str) {
    let plainly = Comparison { plainly: true, ..Comparison::default() };
    assert_eq!(compare(source, replica, &Filter::everything(), &plainly, &Silent), [], "{what}");
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

fn entry(name: &str, kind: Kind) -> Entry {
    let mode = if kind == Kind::Directory { 0o750 } else { 0o640 };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mtime = Timestamp { seconds: 1_234_567_890, nanoseconds: 123_456_789 };
    let meta = Meta { mode, uid, gid, mtime, ..Meta::default() };
    Entry { path: path(name), kind, meta, stamp: Stamp::default() }
}

#[test]
fn a_vault_in_every_mode_follows_a_directory() {
    for mode in 0..9 {
        let (plain, (_cipher, vault)) = (tempfile::tempdir().unwrap(), on_disk(Fixture::mode(mode)));
        let mut manifest = Manifest::create(&plain.path().with_extension("manifest"), &key()).unwrap();
        let source = LocalTree::open(plain.path()).unwrap();
        let mut restless = RestlessTree::new(plain.path(), mode as u64);
        for number in 0..4 {
            restless.stir(60);
            let done = round(&source, &vault, &mut manifest).unwrap();
            assert!(done.failed.is_empty() && done.dirty_left.is_empty(), "mode {mode}, round {number}: {done:?}");
            assert_equal(&source, &vault, &format!("mode {mode}, round {number}"));
        }
        std::fs::remove_file(manifest.path()).unwrap();
    }
}

#[test]
fn access_lists_holes_and_odd_names_are_followed() {
    let (plain, (_cipher, vault)) = (tempfile::tempdir().unwrap(), on_disk(Fixture::usual()));
    let keep = tempfile::tempdir().unwrap();
    let mut manifest = Manifest::create(&keep.path().join("manifest"), &key()).unwrap();
    let sh = |script: &str| {
        let status = std::process::Command::new("sh").args(["-ec", script]).current_dir(plain.path()).status();
        assert!(status.unwrap().success(), "{script}");
    };
    let source = LocalTree::open(plain.path()).unwrap();
    let rounds = [
        "mkdir d && setfacl -d -m u:1234:rwx d && echo a > d/inherits && setfacl -m u:99:r d/inherits && chmod 4755 d/inherits",
        "echo b > d/second && setfacl -b d/inherits && mkdir d/sub && setfacl -k d",
        "truncate -s 50M sparse && printf x | dd of=sparse bs=1 seek=20M conv=notrunc status=none && chmod 2770 d",
        "setfacl -d -m u:7:r d && setfacl -b d/sub && mv d/second d/third && touch -d '1960-01-01 00:00:00.5' d/third",
        "mkdir -p \"$(printf 'n%.0s' $(seq 250))\" && touch \"$(printf '\\377\\n')\" && ln d/third hard && rm sparse",
    ];
    for script in rounds {
        sh(script);
        let done = round(&source, &vault, &mut manifest).unwrap();
        assert!(done.failed.is_empty(), "{done:?}");
        assert_equal(&source, &vault, script);
    }
}

#[test]
fn what_a_vault_cannot_hold_is_refused_by_name() {
    let (_cipher, vault) = on_disk(Fixture::usual());
    let far = entry("far", Kind::Symlink { target: vec![b't'; 4000] });
    let refused = vault.put(&far, None).unwrap_err();
    assert_eq!(refused.cannot_hold(), Some(&CannotHold::Target { len: 4000 }));
    let attributed = |kind, name: &str, len| {
        let mut entry = entry("attributed", kind);
        entry.meta.xattrs = vec![Xattr { name: name.into(), value: vec![1; len] }];
        entry
    };
    let many = [
        attributed(Kind::Fifo, "user.a", 1),
        attributed(Kind::Symlink { target: b"t".to_vec() }, "trusted.a", 1),
        attributed(Kind::File { len: 0 }, &format!("user.{}", "n".repeat(240)), 1),
    ];
    for entry in many {
        let refused = vault.put(&entry, None).unwrap_err();
        assert!(matches!(refused.cannot_hold(), Some(CannotHold::Xattr { .. })), "{refused:?}");
        assert!(!refused.is_full());
    }
    let mut too_long = entry("long", Kind::File { len: 1 << 62 });
    too_long.meta.mode = 0o600;
    let refused = vault.put(&too_long, Some(&mut Endless)).unwrap_err();
    assert_eq!(refused.cannot_hold(), Some(&CannotHold::Length { len: 1 << 62 }));
    assert_eq!(vault.entries(&Filter::everything()).count(), 1, "nothing is left of them");
}

/// Content of 2^62 bytes that are all hole.
struct Endless;

impl strongroom_tree::Content for Endless {
    fn read_at(&mut self, _: u64, out: &mut [u8]) -> std::io::Result<usize> {
        out.fill(0);
        Ok(out.len())
    }

    fn data_from(&mut self, _: u64) -> std::io::Result<Option<std::ops::Range<u64>>> {
        Ok(None)
    }

    fn look(&mut self) -> std::io::Result<strongroom_tree::Look> {
        let zero = Timestamp::default();
        Ok(strongroom_tree::Look { len: 1 << 62, mtime: zero, stamp: Stamp::default() })
    }
}

/// Two states of a source: `grown` is `first`, with much changed.
fn source(changes: bool) -> MemTree {
    let (tree, mut dice) = (MemTree::new(), Dice::new(5));
    tree.dress(&entry("", Kind::Directory)).unwrap();
    let put_file = |name: &str, len: usize, seed| {
        tree.put(&entry(name, Kind::File { len: len as u64 }), Some(&mut MemContent::new(bytes(seed, len)))).unwrap();
    };
    let long = format!("d/{}", "l".repeat(200));
    for dir in ["d", "e", "gone", long.as_str()] {
        tree.put(&entry(dir, Kind::Directory), None).unwrap();
        for number in 0..3 {
            put_file(&format!("{dir}/{number}"), [10, 5000, 0][number], dice.throw());
        }
    }
    tree.put(&entry("e/link", Kind::Link { to: path("d/1") }), None).unwrap();
    tree.put(&entry("soft", Kind::Symlink { target: b"t".to_vec() }), None).unwrap();
    if changes {
        tree.remove(&path("gone")).unwrap();
        put_file("gone", 100, 1);
        tree.remove(&path("soft")).unwrap();
        tree.put(&entry("soft", Kind::Directory), None).unwrap();
        put_file(&format!("{long}/1"), 9000, 2);
        put_file("d/1", 5000, 3);
        let mut dressed = entry("e/0", Kind::File { len: 10 });
        dressed.meta.mode = 0o444;
        tree.dress(&dressed).unwrap();
        put_file("soft/new", 1, 4);
    }
    tree
}

#[test]
fn a_mirror_whose_power_is_cut_anywhere_is_completed_by_the_next() {
    [Journal::Posix, Journal::Ext4Like, Journal::TreeLog].into_iter().for_each(cut_anywhere);
}

fn cut_anywhere(journal: Journal) {
    let (first, second) = (source(false), source(true));
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let disk = SimBacking::new(journal);
    Fixture::usual().format(&disk);
    let mut manifest = Manifest::create(&at("manifest"), &key()).unwrap();
    round(&first, &opened(Fixture::usual(), disk.clone()), &mut manifest).unwrap();
    drop(manifest);
    for calls in 0.. {
        let disk = disk.fork();
        std::fs::copy(at("manifest"), at("under way")).unwrap();
        let mut manifest = Manifest::open(&at("under way"), &key()).unwrap();
        let vault = opened(Fixture::usual(), disk.clone());
        disk.kill_after(calls);
        let done = round(&second, &vault, &mut manifest);
        drop(manifest);
        for (number, state) in disk.crash_states(5).into_iter().enumerate() {
            std::fs::copy(at("under way"), at("after")).unwrap();
            let mut manifest = Manifest::open(&at("after"), &key()).unwrap();
            let vault = opened(Fixture::usual(), state.disk);
            let what = format!("killed at {calls}, {}", state.what);
            if number % 2 == 0 {
                reconcile(&vault, &mut manifest, &Silent).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            let done = round(&second, &vault, &mut manifest).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(done.failed.is_empty(), "{what}: {done:?}");
            assert_equal(&second, &vault, &what);
        }
        if done.is_ok() {
            assert!(calls > 50, "it was killed {calls} times only");
            return;
        }
    }
}

#[test]
fn a_vault_without_room_is_a_pause_and_the_next_round_goes_on() {
    let second = source(true);
    let dir = tempfile::tempdir().unwrap();
    for pages in [0, 5, 12, 20] {
        let disk = SimBacking::new(Journal::Ext4Like);
        Fixture::usual().format(&disk);
        let manifest_at = dir.path().join(pages.to_string());
        let mut manifest = Manifest::create(&manifest_at, &key()).unwrap();
        let vault = opened(Fixture::usual(), disk.clone());
        disk.limit_space(Some(pages));
        let full = round(&second, &vault, &mut manifest).unwrap_err();
        assert!(full.is_no_room(), "{full}");
        disk.limit_space(None);
        round(&second, &vault, &mut manifest).unwrap();
        assert_equal(&second, &vault, &format!("after {pages} pages"));
    }
}
