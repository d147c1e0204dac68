//! Taking an archive apart and putting it together again.

use std::{
    io::{Read, Write},
    os::unix::fs::FileExt,
};

use serde_json::Value;
use strongroom_archive::{
    Algorithm, Archive, ArchiveError, ArchiveId, ArchiveKind, Body, Component, Compression, Compressor,
    ContainerWriter, Counts, Ending, Facts, FrameScratch, Item, Job, KeysInfo, Metadata, Record, Settings, Totals,
    VerifyReport, write,
};
use strongroom_crypto::OsRandom;
use strongroom_event::Silent;
use strongroom_secret::Passphrase;
use strongroom_tree::{Entry, Kind, Meta, RelPath, Stamp, Timestamp, Xattr};

/// An archive in its parts.
#[derive(Clone)]
pub struct Parts {
    /// The frames, decompressed.
    pub frames: Vec<Vec<u8>>,
    /// The index, line by line.
    pub lines: Vec<Value>,
    /// What the footer says of its length.
    pub plain_len: Option<u64>,
}

const COMPRESSION: Compression = Compression { algorithm: Algorithm::Lz4, level: 1 };

fn facts() -> Facts {
    Facts {
        id: ArchiveId([7; 16]),
        created: "2026-11-21T08:00:00+01:00".into(),
        name: "test".into(),
        kind: ArchiveKind::Full,
        parents: vec![],
        label: None,
        compression: COMPRESSION.algorithm,
    }
}

impl Parts {
    /// Those of a good archive with something of every kind.
    pub fn good() -> Self {
        Self::of(&written(true))
    }

    /// Those of a plain archive.
    pub fn of(bytes: &[u8]) -> Self {
        let archive = open(bytes).unwrap();
        let (mut scratch, mut tar) = (FrameScratch::default(), Vec::new());
        let mut decode = |frame| archive.container().frame(frame, &mut scratch, &mut tar).map(|()| tar.clone());
        let frames = archive.frames().iter().map(|frame| decode(frame).unwrap()).collect();
        let mut stored = Vec::new();
        archive.container().index().unwrap().read_to_end(&mut stored).unwrap();
        let text = String::from_utf8(zstd::decode_all(&stored[..]).unwrap()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { frames, lines, plain_len: None }
    }

    /// The archive that they make, its frames told in the index as they are now.
    pub fn bytes(&self) -> Vec<u8> {
        let text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        self.with_index(text.as_bytes())
    }

    /// The archive that they make with any index.
    pub fn with_index(&self, plain: &[u8]) -> Vec<u8> {
        let stored = zstd::encode_all(plain, 1).unwrap();
        self.with_stored_index(&stored, self.plain_len.unwrap_or(plain.len() as u64))
    }

    pub fn with_stored_index(&self, mut stored: &[u8], plain_len: u64) -> Vec<u8> {
        let mut writer = ContainerWriter::create(Vec::new(), &facts(), COMPRESSION, None, &OsRandom).unwrap();
        let (mut compressor, mut packed) = (Compressor::new(COMPRESSION).unwrap(), Vec::new());
        for tar in &self.frames {
            compressor.frame(tar, &mut packed).unwrap();
            writer.push(&packed, tar.len() as u64).unwrap();
        }
        writer.finish(&mut stored, plain_len).unwrap().0
    }

    /// Tells the frames in the index as they are now.
    pub fn tell_frames(&mut self) {
        let mut compressor = Compressor::new(COMPRESSION).unwrap();
        let mut lengths = |tar: &Vec<u8>| {
            let mut packed = Vec::new();
            compressor.frame(tar, &mut packed).unwrap();
            serde_json::json!([packed.len(), tar.len()])
        };
        let told: Vec<Value> = self.frames.iter().map(&mut lengths).collect();
        self.line("frames")["frames"] = told.into();
    }

    /// The first line of a kind.
    pub fn line(&mut self, kind: &str) -> &mut Value {
        self.lines.iter_mut().find(|line| line.get(kind).is_some()).unwrap()
    }

    /// The line of an entry.
    pub fn entry(&mut self, path: &str) -> &mut Value {
        let is_it = |line: &&mut Value| line["entry"]["path"] == path;
        &mut self.lines.iter_mut().find(is_it).unwrap()["entry"]
    }

    /// Where in its frame the tar header of an entry is; there is one frame.
    pub fn header(&mut self, path: &str) -> usize {
        self.entry(path)["at"][1].as_u64().unwrap() as usize
    }
}

pub fn open(bytes: &[u8]) -> Result<Archive, ArchiveError> {
    let file = tempfile::tempfile().unwrap();
    (&file).write_all(bytes).unwrap();
    assert_eq!(file.read_at(&mut [0], 0).unwrap(), usize::from(!bytes.is_empty()));
    Archive::open(file, &mut |_| Ok(Passphrase::new(b"x".to_vec())))
}

/// Everything that a careful reader does with an archive.
pub fn check(bytes: &[u8]) -> Result<VerifyReport, ArchiveError> {
    let archive = open(bytes)?;
    let records = archive.records()?.collect::<Result<Vec<Record>, _>>()?;
    archive.extract(&mut records.into_iter().map(Ok), 2, &|record, content| {
        let Some(content) = content else { return Ok(()) };
        let mut all = vec![0; record.entry.len().min(1 << 20) as usize];
        content.read_at(0, &mut all).map(|_| ()).map_err(|source| ArchiveError::Io { attempted: "reading", source })
    })?;
    archive.verify(2, &Silent)
}

/// An archive with `encryption_key.enc` in it, whose metadata tells so or not.
pub fn written(tells_of_keys: bool) -> Vec<u8> {
    let facts = facts();
    let job = Job {
        facts: &facts,
        seal: None,
        settings: Settings { compression: COMPRESSION, workers: 1, ..Settings::default() },
        components: vec![Component {
            name: "files".into(),
            kind: "files".into(),
            path: "/srv".into(),
            prefix: "files".into(),
        }],
        archives: vec![],
        keys: Some(b"{}".to_vec()),
        time: Timestamp { seconds: 1_700_000_000, nanoseconds: 0 },
        observer: &Silent,
        random: &OsRandom,
    };
    let keys =
        tells_of_keys.then(|| KeysInfo { file: KeysInfo::MEMBER.into(), sealed_under: "backup-passphrase".into() });
    let ending =
        |totals: &Totals| Ending { metadata: Metadata { keys, ..metadata(totals) }, gone: vec![], issues: vec![] };
    write(Vec::new(), &job, &mut items().into_iter().map(Ok), ending).unwrap().0
}

fn items() -> Vec<Item<'static>> {
    let file = |path: &str, bytes: &[u8], links| {
        let stamp = Stamp { links, ino: 5, ..Stamp::default() };
        item(path, Kind::File { len: bytes.len() as u64 }, Body::Bytes(bytes.to_vec()), stamp)
    };
    let other = |path: &str, kind| item(path, kind, Body::Nothing, Stamp::default());
    vec![
        other("", Kind::Directory),
        file("a-file", b"the first", 2),
        other("b-dir", Kind::Directory),
        file("b-dir/inner", b"second one", 1),
        other("c-link", Kind::Link { to: RelPath::parse(b"a-file").unwrap() }),
        other("d-symlink", Kind::Symlink { target: b"../elsewhere".to_vec() }),
        other("e-fifo", Kind::Fifo),
        other("f-device", Kind::CharDevice { rdev: rustix::fs::makedev(1, 3) }),
        file("g-empty", b"", 1),
        file("h-more", &[b'm'; 2000], 1),
    ]
}

fn item(path: &str, kind: Kind, body: Body<'static>, stamp: Stamp) -> Item<'static> {
    let xattrs = match kind {
        Kind::File { .. } => vec![Xattr { name: b"user.comment".to_vec(), value: b"words".to_vec() }],
        _ => vec![],
    };
    let meta = Meta {
        mode: 0o750,
        uid: 1000,
        gid: 100,
        user: Some("ann".into()),
        group: Some("users".into()),
        mtime: Timestamp { seconds: 1_600_000_000, nanoseconds: 5 },
        xattrs,
    };
    let entry = Entry { path: RelPath::parse(path.as_bytes()).unwrap(), kind, meta, stamp };
    Item { component: 0, entry, body, renamed_from: None }
}

fn metadata(totals: &Totals) -> Metadata {
    let Facts { id, created, name, kind, compression, .. } = facts();
    Metadata {
        format_version: Metadata::FORMAT_VERSION,
        tool: "strongroom".into(),
        tool_version: "0.1.0".into(),
        host: "here".into(),
        platform: "linux-x86_64".into(),
        created: created.clone(),
        started: created.clone(),
        finished: created,
        id,
        name,
        kind,
        base: None,
        label: None,
        tags: vec![],
        source: "/srv".into(),
        source_kind: "directory".into(),
        compression,
        compression_level: COMPRESSION.level,
        encryption: None,
        kdf: None,
        components: totals.components.clone(),
        counts: Counts { ..totals.counts },
        content_sha256: totals.content_sha256,
        keys: None,
        complete: true,
        issues: 0,
    }
}
