//! A vault is a tree, in every mode.

use std::sync::Arc;

use strongroom_crypto::OsRandom;
use strongroom_event::Silent;
use strongroom_testkit::{Fixture, Journal, MemContent, SimBacking, conform};
use strongroom_tree::{
    Comparison, Entry, Filter, Kind, LocalSink, LocalTree, Meta, Planting, RelPath, Sink, Source, Stamp, compare,
    transfer,
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

fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

fn file(name: &str, len: u64) -> Entry {
    let kind = Kind::File { len };
    Entry { path: path(name), kind, meta: Meta { mode: 0o600, ..Meta::default() }, stamp: Stamp::default() }
}

#[test]
fn a_vault_is_a_tree_in_every_mode() {
    for mode in 0..9 {
        let fixture = Fixture::mode(mode);
        conform::tree(|case| {
            let (_dir, tree) = on_disk(fixture);
            case((&tree, &tree));
        });
    }
}

#[test]
fn a_vault_is_a_replica_in_every_mode() {
    for mode in 0..9 {
        let fixture = Fixture::mode(mode);
        conform::replica(|case| {
            let (_dir, tree) = on_disk(fixture);
            case(&tree);
        });
    }
}

#[test]
fn a_vault_on_a_simulated_disk_is_a_replica() {
    conform::replica(|case| {
        let backing = SimBacking::new(Journal::Posix);
        Fixture::usual().format(&backing);
        case(&opened(Fixture::usual(), backing));
    });
}

#[test]
fn a_vault_on_a_simulated_disk_is_a_tree() {
    conform::tree(|case| {
        let backing = SimBacking::new(Journal::Posix);
        Fixture::usual().format(&backing);
        let tree = opened(Fixture::usual(), backing);
        case((&tree, &tree));
    });
}

#[test]
fn what_flowed_into_a_vault_flows_out_of_it_unchanged() {
    let (plain, (_cipher, vault), out) =
        (tempfile::tempdir().unwrap(), on_disk(Fixture::usual()), tempfile::tempdir().unwrap());
    let setup = "mkdir -p d/e && head -c 300000 /dev/urandom > d/random && ln d/random hard && ln -s d/random soft \
                 && truncate -s 50M sparse && mkfifo d/pipe && setfattr -n user.x -v y d/random \
                 && setfacl -m u:1234:rw d/random && setfacl -d -m u:1234:rwx d && chmod 500 d/e \
                 && touch -d '1999-12-31 23:59:59.123456789' d/random d";
    let status = std::process::Command::new("sh").args(["-ec", setup]).current_dir(plain.path()).status().unwrap();
    assert!(status.success());
    let source = LocalTree::open(plain.path()).unwrap();
    let everything = Filter::everything();
    transfer(&source, &everything, &vault, 2, &Silent).unwrap();
    let exactly = Comparison { holes: true, ..Comparison::default() };
    assert_eq!(compare(&source, &vault, &everything, &exactly, &Silent), []);
    let sink = LocalSink::open(out.path(), Planting::exact(), &Silent).unwrap();
    transfer(&vault, &everything, &sink, 2, &Silent).unwrap();
    assert_eq!(compare(&source, &LocalTree::open(out.path()).unwrap(), &everything, &exactly, &Silent), []);
}

#[test]
fn a_sealed_tree_survives_a_power_cut() {
    let backing = SimBacking::new(Journal::Posix);
    Fixture::usual().format(&backing);
    let tree = opened(Fixture::usual(), backing.clone());
    tree.put(&Entry { kind: Kind::Directory, ..file("d", 0) }, None).unwrap();
    tree.put(&file("d/file", 4), Some(&mut MemContent::new(b"kept"))).unwrap();
    tree.seal().unwrap();
    for state in backing.crash_states(100) {
        let tree = opened(Fixture::usual(), state.disk);
        let mut out = [0; 4];
        tree.open(&path("d/file")).unwrap().read_at(0, &mut out).unwrap();
        assert_eq!(&out, b"kept", "{}", state.what);
    }
}

#[test]
fn an_entry_that_cannot_be_decoded_is_told_and_the_rest_given() {
    let (dir, tree) = on_disk(Fixture::usual());
    tree.put(&file("good", 0), None).unwrap();
    std::fs::write(dir.path().join("not-an-encrypted-name"), b"").unwrap();
    let told: Vec<_> =
        tree.entries(&Filter::everything()).map(|entry| entry.map(|entry| entry.path).map_err(|e| e.path)).collect();
    assert_eq!(told, [Ok(path("")), Err(path("")), Ok(path("good"))]);
}

#[test]
fn a_damaged_block_is_an_error_of_reading_and_not_of_the_walk() {
    let (dir, tree) = on_disk(Fixture::usual());
    tree.put(&file("f", 4), Some(&mut MemContent::new(b"text"))).unwrap();
    tree.seal().unwrap();
    drop(tree);
    let damage = |entry: std::fs::DirEntry| {
        let at = entry.path();
        let mut bytes = std::fs::read(&at).unwrap();
        if !entry.file_name().to_string_lossy().starts_with("gocryptfs.") {
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&at, bytes).unwrap();
        }
    };
    std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap).for_each(damage);
    let tree = opened(Fixture::usual(), RealBacking::open(dir.path()).unwrap());
    assert_eq!(tree.entries(&Filter::everything()).filter(Result::is_ok).count(), 2);
    let error = tree.open(&path("f")).unwrap().read_at(0, &mut [0; 4]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}
