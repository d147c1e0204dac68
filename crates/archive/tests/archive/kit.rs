//! Trees to archive, and archives of them.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use strongroom_archive::{
    Algorithm, Archive, ArchiveError, ArchiveId, ArchiveKind, BaseRef, Body, Component, Compression, Ending, Facts,
    Gone, Item, Job, Kdf, KeysInfo, Metadata, Record, Seal, Settings, Totals, Written, write,
};
use strongroom_crypto::{OsRandom, Random};
use strongroom_event::Silent;
use strongroom_secret::Passphrase;
use strongroom_tree::{
    Comparison, Filter, Kind, LocalSink, LocalTree, Planting, RelPath, Sink, Source, Timestamp, TreeError, compare,
};

pub const PASSPHRASE: &[u8] = b"correct horse battery staple";

pub fn passphrase() -> Passphrase {
    Passphrase::new(PASSPHRASE.to_vec())
}

pub fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

/// How an archive is to be made.
pub struct Making<'a> {
    pub compression: Compression,
    pub sealed: bool,
    pub id: ArchiveId,
    pub kind: ArchiveKind,
    pub archives: Vec<BaseRef>,
    pub gone: Vec<Gone>,
    pub keys: Option<Vec<u8>>,
    pub workers: usize,
    pub random: &'a dyn Random,
}

impl Default for Making<'_> {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            sealed: false,
            id: ArchiveId([7; 16]),
            kind: ArchiveKind::Full,
            archives: Vec::new(),
            gone: Vec::new(),
            keys: Some(b"{\"keys\": true}".to_vec()),
            workers: 2,
            random: &OsRandom,
        }
    }
}

impl Making<'_> {
    pub fn of(algorithm: Algorithm, sealed: bool) -> Self {
        Self { compression: Compression::of(algorithm), sealed, ..Self::default() }
    }

    pub fn facts(&self) -> Facts {
        Facts {
            id: self.id,
            created: "2026-11-21T08:00:00+01:00".into(),
            name: "test".into(),
            kind: self.kind,
            parents: self.archives.iter().map(|base| base.id).collect(),
            label: None,
            compression: self.compression.algorithm,
        }
    }

    /// Writes an archive of items, of one component `files`.
    pub fn write<'a>(
        &self,
        items: &mut (dyn Iterator<Item = Result<Item<'a>, TreeError>> + Send),
    ) -> Result<(Vec<u8>, Written), ArchiveError> {
        let mut bytes = Vec::new();
        let written = self.write_to(&mut bytes, items)?;
        Ok((bytes, written))
    }

    pub fn write_to<'a>(
        &self,
        out: &mut (dyn std::io::Write + Send),
        items: &mut (dyn Iterator<Item = Result<Item<'a>, TreeError>> + Send),
    ) -> Result<Written, ArchiveError> {
        let (facts, passphrase) = (self.facts(), passphrase());
        let seal = Seal { passphrase: &passphrase, kdf: Kdf::Scrypt { log_n: 10 } };
        let component = |name: &str, prefix: &str| Component {
            name: name.into(),
            kind: "files".into(),
            path: "/srv/test".into(),
            prefix: prefix.into(),
        };
        let job = Job {
            facts: &facts,
            seal: self.sealed.then_some(&seal),
            settings: Settings { compression: self.compression, workers: self.workers, ..Settings::default() },
            components: vec![component("files", "files"), component("extra", "databases/extra")],
            archives: self.archives.clone(),
            keys: self.keys.clone(),
            time: Timestamp { seconds: 1_700_000_000, nanoseconds: 0 },
            observer: &Silent,
            random: self.random,
        };
        let ending =
            |totals: &Totals| Ending { metadata: self.metadata(totals), gone: self.gone.clone(), issues: vec![] };
        write(out, &job, items, ending).map(|(_, written)| written)
    }

    fn metadata(&self, totals: &Totals) -> Metadata {
        Metadata {
            format_version: Metadata::FORMAT_VERSION,
            tool: "strongroom".into(),
            tool_version: "0.1.0".into(),
            host: "vault".into(),
            platform: "linux-x86_64".into(),
            created: self.facts().created,
            started: "2026-11-21T08:00:00+01:00".into(),
            finished: "2026-11-21T08:00:01+01:00".into(),
            id: self.id,
            name: "test".into(),
            kind: self.kind,
            base: None,
            label: None,
            tags: vec![],
            source: "/srv/test".into(),
            source_kind: "directory".into(),
            compression: self.compression.algorithm,
            compression_level: self.compression.level,
            encryption: None,
            kdf: None,
            components: totals.components.clone(),
            counts: totals.counts,
            content_sha256: totals.content_sha256,
            keys: self
                .keys
                .as_ref()
                .map(|_| KeysInfo { file: KeysInfo::MEMBER.into(), sealed_under: "backup-passphrase".into() }),
            complete: totals.issues == 0,
            issues: totals.issues,
        }
    }

    /// Writes an archive of everything in a directory.
    pub fn write_tree(&self, root: &Path) -> (Vec<u8>, Written) {
        let tree = LocalTree::open(root).unwrap();
        let filter = Filter::everything();
        self.write(&mut tree.entries(&filter).map(|entry| entry.map(|entry| item(&tree, entry)))).unwrap()
    }
}

/// An entry of a source as an item.
pub fn item<'a>(source: &'a dyn Source, entry: strongroom_tree::Entry) -> Item<'a> {
    let body = match entry.kind {
        Kind::File { .. } => Body::Read(source, entry.path.clone()),
        _ => Body::Nothing,
    };
    Item { component: 0, entry, body, renamed_from: None }
}

pub fn opened(bytes: &[u8]) -> Result<Archive, ArchiveError> {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    Archive::open(file, &mut |_| Ok(passphrase()))
}

pub fn records(archive: &Archive) -> Vec<Record> {
    archive.records().unwrap().collect::<Result<_, _>>().unwrap()
}

#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Tree(TreeError),
}

/// Restores everything that an archive holds itself.
pub fn extract(archive: &Archive, to: &Path) -> Result<(), Failed> {
    fs::create_dir(to).unwrap();
    let sink = LocalSink::open(to, Planting::exact(), &Silent).map_err(Failed::Tree)?;
    let is_file = |record: &Record| matches!(record.entry.kind, Kind::File { .. });
    let put = |record: &Record, content: Option<&mut dyn strongroom_tree::Content>| {
        sink.put(&record.entry, content).map_err(Failed::Tree)
    };
    for record in archive.records()? {
        let record = record?;
        if record.entry.is_dir() {
            put(&record, None)?;
        }
    }
    let mut files =
        archive.records()?.map(|record| record.map_err(Failed::from)).filter(|it| it.as_ref().map_or(true, is_file));
    archive.extract(&mut files, 2, &put)?;
    for record in archive.records()? {
        let record = record?;
        if !record.entry.is_dir() && !is_file(&record) {
            put(&record, None)?;
        }
    }
    sink.seal().map_err(Failed::Tree)
}

/// Fails unless two directories hold the same.
#[track_caller]
pub fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (LocalTree::open(a).unwrap(), LocalTree::open(b).unwrap());

    let wanted = Comparison { holes: true, ..Comparison::default() };
    let differences = compare(&a, &b, &Filter::everything(), &wanted, &Silent);
    assert!(differences.is_empty(), "{differences:#?}");
}

pub fn run(program: &str, arguments: &[&str], within: &Path) -> String {
    let output = Command::new(program).args(arguments).current_dir(within).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{program} {arguments:?}: {}: {err}", output.status);
    out.into_owned()
}

/// Bytes that no algorithm makes shorter, the same each time.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

pub fn sparse(path: &Path, len: u64, data: &[(u64, &[u8])]) {
    let file = File::create(path).unwrap();
    file.set_len(len).unwrap();
    for (at, bytes) in data {
        file.write_all_at(bytes, *at).unwrap();
    }
}

fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
    utimensat(CWD, path, &Timestamps { last_access: time, last_modification: time }, AtFlags::SYMLINK_NOFOLLOW)
        .unwrap();
}

/// A directory with something of every kind in it.
pub fn all_kinds(root: &Path) {
    fs::create_dir(root).unwrap();
    let at = |name: &str| root.join(name);
    fs::write(at("plain"), b"plain").unwrap();
    fs::write(at("empty"), b"").unwrap();
    fs::write(at("text"), "some text that repeats itself\n".repeat(5000)).unwrap();
    fs::write(at("noise"), noise(100_000, 1)).unwrap();
    fs::write(at("big"), noise(9 << 20, 2)).unwrap();
    fs::write(at("exactly"), noise(4 << 20, 3)).unwrap();
    fs::create_dir(at("dir")).unwrap();
    fs::create_dir(at("dir/empty")).unwrap();
    fs::set_permissions(at("dir/empty"), fs::Permissions::from_mode(0o1770)).unwrap();
    fs::write(at("dir/inner"), b"inner").unwrap();
    fs::hard_link(at("plain"), at("z-linked")).unwrap();
    fs::hard_link(at("big"), at("dir/big-too")).unwrap();
    symlink("../nowhere/at all", at("symlink")).unwrap();
    symlink("x".repeat(300), at("symlink-long")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, 0o640.into(), 0).unwrap();
    fs::set_permissions(at("text"), fs::Permissions::from_mode(0o4751)).unwrap();
    sparse(&at("sparse"), 20 << 20, &[(1 << 20, &noise(70_000, 4)), (15 << 20, b"fifteen")]);
    sparse(&at("sparse-big"), 24 << 20, &[(3 << 20, &noise(3 << 20, 5)), (15 << 20, &noise(2 << 20, 6))]);
    sparse(&at("sparse-all"), 5 << 20, &[]);
    odd_names(root);
    set_mtime(&at("plain"), 1_234_567_890, 123_456_789);
    set_mtime(&at("empty"), -5, 1);
    set_mtime(&at("symlink"), 1_000_000_000, 0);
    set_mtime(&at("noise"), 20_000_000_000, 0);
    run("setfattr", &["-n", "user.comment", "-v", "a=b%c\\012", "text"], root);
    run("setfattr", &["-n", "user.k=v%", "-v", "0x00ff00", "dir"], root);
    run("setfacl", &["-m", "u:1234:rw,g:4321:r", "noise"], root);
    run("setfacl", &["-m", "d:u:1234:rwx,d:o::r", "dir"], root);
    if rustix::process::geteuid().is_root() {
        let device = rustix::fs::makedev(1, 3);
        rustix::fs::mknodat(rustix::fs::CWD, at("null"), rustix::fs::FileType::CharacterDevice, 0o666.into(), device)
            .unwrap();
        std::os::unix::fs::chown(at("noise"), Some(3_000_000), Some(4_000_000)).unwrap();
        std::os::unix::fs::lchown(at("symlink"), Some(12), Some(34)).unwrap();
    }
    assert!(fs::metadata(at("sparse-all")).unwrap().blocks() == 0, "no holes here: {root:?}");
}

fn odd_names(root: &Path) {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let long = [b'n'; 255];
    let names: &[&[u8]] = &[
        b"new\nline",
        b" blank ",
        b"-rf",
        b"back\\slash",
        b"caf\xe9",
        b"\xff\xfe",
        "grün".as_bytes(),
        b"*",
        b"a=b",
        &long,
    ];
    for name in names {
        fs::write(root.join(OsStr::from_bytes(name)), name).unwrap();
    }
    let mut long_latin = [0xE9; 200];
    long_latin[100] = b'x';
    let deep = root.join("deep").join("d".repeat(120)).join("e".repeat(130));
    fs::create_dir_all(&deep).unwrap();
    for name in [&long_latin[..], &"ü".repeat(100).into_bytes(), b"short"] {
        fs::write(deep.join(OsStr::from_bytes(name)), b"deep").unwrap();
    }
    sparse(&deep.join("sparse"), 1 << 20, &[(500_000, b"data")]);
    sparse(&root.join(OsStr::from_bytes(b"sparse-\xff")), 1 << 20, &[(500_000, b"data")]);
    sparse(&deep.join(OsStr::from_bytes(&long_latin[1..])), 1 << 20, &[(500_000, b"data")]);
}
