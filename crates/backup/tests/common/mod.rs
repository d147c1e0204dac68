//! What the tests of this crate share: a world, trees to back up, and what a person would look at afterwards.

#![allow(dead_code)]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use jiff::Zoned;
use strongroom_backup::{
    ArchiveKind, BackupError, Compression, Context, Create, Created, Kdf, Live, Origin, Owners, Selection, Wanted,
    create,
    restore::{Mode, RestoreRequest, Restored, prepare},
};
use strongroom_crypto::OsRandom;
use strongroom_event::Silent;
use strongroom_secret::{Passphrase, SecretError};
use strongroom_tree::{Comparison, Filter, LocalTree, compare};

pub const PASSPHRASE: &[u8] = b"correct horse battery staple";
/// As cheap as sealing may be.
pub const CHEAP: Kdf = Kdf::Scrypt { log_n: 10 };

pub struct World {
    pub passphrase: Vec<u8>,
    pub host: String,
}

impl Default for World {
    fn default() -> Self {
        Self { passphrase: PASSPHRASE.to_vec(), host: "testhost".into() }
    }
}

impl World {
    pub fn with<T>(&self, act: impl FnOnce(&Context<'_>) -> T) -> T {
        self.observed(&Silent, act)
    }

    pub fn observed<T>(&self, observer: &dyn strongroom_event::Observer, act: impl FnOnce(&Context<'_>) -> T) -> T {
        let secret =
            |_: Wanted<'_>| -> Result<Passphrase, SecretError> { Ok(Passphrase::new(self.passphrase.clone())) };
        act(&Context {
            observer,
            random: &OsRandom,
            now: &Zoned::now,
            secret: &secret,
            is_stopped: &|| false,
            host: &self.host,
            version: "0.0.0",
            workers: 2,
        })
    }
}

/// A directory with a source, a place, and room for targets.
pub struct Desk {
    pub world: World,
    dir: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["source", "place"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { world: World::default(), dir }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub fn source(&self) -> PathBuf {
        self.path().join("source")
    }

    pub fn place(&self) -> PathBuf {
        self.path().join("place")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.source().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// As it is asked for by default, but sealed cheaply.
    pub fn plan(&self, kind: ArchiveKind) -> Create<'static> {
        Create {
            name: "desk".into(),
            origin: Origin::Directory(self.source()),
            place: self.place(),
            kind,
            compression: Compression::default(),
            seal: Some(CHEAP),
            components: Vec::new(),
            selection: Selection::default(),
            filter: Filter::everything(),
            label: None,
            tags: Vec::new(),
            checksum: false,
            verify: true,
            keys: None,
            max_size: None,
            live: Live::default(),
        }
    }

    pub fn create(&self, kind: ArchiveKind) -> Created {
        self.try_create(&self.plan(kind)).unwrap()
    }

    pub fn try_create(&self, plan: &Create<'_>) -> Result<Created, BackupError> {
        self.world.with(|context| create(plan, context))
    }

    pub fn full(&self) -> Created {
        self.create(ArchiveKind::Full)
    }

    pub fn incremental(&self) -> Created {
        self.create(ArchiveKind::Incremental)
    }

    pub fn request(&self, archive: &Path) -> RestoreRequest {
        RestoreRequest {
            archive: archive.to_owned(),
            target: Some(self.path().join("target")),
            components: Vec::new(),
            paths: Vec::new(),
            config_only: false,
            mode: Mode::Refuse,
            keep_old: false,
            owners: if is_root() { Owners::ByNumber } else { Owners::Mine },
            set_id: Some(true),
            devices: true,
            check_databases: true,
        }
    }

    pub fn restore(&self, archive: &Path) -> Restored {
        self.try_restore(&self.request(archive)).unwrap()
    }

    pub fn try_restore(&self, request: &RestoreRequest) -> Result<Restored, BackupError> {
        self.world.with(|context| prepare(request, false, context)?.run(context))
    }

    pub fn target(&self) -> PathBuf {
        self.path().join("target")
    }

    /// What stands in the place and beside the source, by name.
    pub fn names(&self, dir: &str) -> Vec<String> {
        names(&self.path().join(dir))
    }
}

/// Says why a test does nothing. Where CI is set, everything that a test needs has to be there.
#[allow(clippy::print_stderr)]
pub fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}, and CI is set");
    eprintln!("skipped: {why}");
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// In what two directories differ, in words.
pub fn differences(first: &Path, second: &Path) -> Vec<String> {
    let (first, second) = (LocalTree::open(first).unwrap(), LocalTree::open(second).unwrap());
    let found = compare(&first, &second, &Filter::everything(), &Comparison::default(), &Silent);
    found.iter().map(ToString::to_string).collect()
}

pub fn assert_same(first: &Path, second: &Path) {
    assert_eq!(differences(first, second), Vec::<String>::new());
}

/// But for the times of directories in which something was put.
pub fn assert_same_but_for_directories(first: &Path, second: &Path) {
    let is_dir_time =
        |found: &&String| found.contains(": changed at ") && second.join(found.split(':').next().unwrap()).is_dir();
    let found = differences(first, second);
    assert_eq!(found.iter().filter(|one| !is_dir_time(one)).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// A tree with one of everything that can be made here.
pub fn grow(root: &Path) {
    let write = |name: &str, content: &[u8]| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("a.txt", b"alpha");
    write("empty", b"");
    write("d/e/deep.bin", &noise(300_000, 1));
    write("big.bin", &noise(9 << 20, 2));
    write("text.log", "the same line again and again\n".repeat(100_000).as_bytes());
    write("odd\nname \u{e4}\u{1f980}/x", b"odd");
    fs::create_dir(root.join("hollow")).unwrap();
    symlink("a.txt", root.join("link")).unwrap();
    symlink("/nowhere/at all", root.join("dangling")).unwrap();
    fs::hard_link(root.join("a.txt"), root.join("d/hard")).unwrap();
    fs::hard_link(root.join("d/e/deep.bin"), root.join("another")).unwrap();
    fs::set_permissions(root.join("d/e"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(root.join("a.txt"), fs::Permissions::from_mode(0o604)).unwrap();
    let fifo = root.join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o640.into(), 0).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"in the middle", 5 << 20).unwrap();
    sparse.set_len(32 << 20).unwrap();
    set_time(&root.join("big.bin"), 1_000_000_000, 123_456_789);
    set_time(&root.join("hollow"), 86_400 * 365, 1);
}

pub fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
    utimensat(CWD, path, &Timestamps { last_access: time, last_modification: time }, AtFlags::SYMLINK_NOFOLLOW)
        .unwrap();
}

/// Bytes that do not compress.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}

/// Makes everything old enough that nobody could doubt whether it was changed while a backup was begun.
pub fn settle() {
    // The rule looks at the clock of the file system: waiting for it is the only way there is.
    std::thread::sleep(std::time::Duration::from_millis(2100));
}

pub fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}
