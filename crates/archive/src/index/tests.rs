//! Indexes that come back, and indexes that are refused.

use std::{io::Read, sync::Arc};

use proptest::{collection::vec, prelude::*};
use strongroom_tree::{Entry, Kind, Meta, RelPath, Stamp, Timestamp, Xattr};

use super::*;
use crate::{Algorithm, ArchiveError, ArchiveId, ArchiveKind, ComponentInfo, Counts, Frame};

fn metadata() -> Metadata {
    let component = |name: &str| ComponentInfo {
        name: name.into(),
        kind: "files".into(),
        path: "/srv".into(),
        prefix: name.into(),
        entries: 0,
        bytes: 0,
        sha256: [0; 32],
        facts: [("a".to_owned(), "b".to_owned())].into(),
    };
    Metadata {
        format_version: 1,
        tool: "strongroom".into(),
        tool_version: "0".into(),
        host: "h".into(),
        platform: "linux-x86_64".into(),
        created: "2026-11-21T07:00:00Z".into(),
        started: "2026-11-21T07:00:00Z".into(),
        finished: "2026-11-21T07:00:00Z".into(),
        id: ArchiveId([1; 16]),
        name: "n".into(),
        kind: ArchiveKind::Full,
        base: None,
        label: None,
        tags: vec![],
        source: "/srv".into(),
        source_kind: "directory".into(),
        compression: Algorithm::Zstd,
        compression_level: 3,
        encryption: None,
        kdf: None,
        components: vec![component("files"), component("databases")],
        counts: Counts::default(),
        content_sha256: [0; 32],
        keys: None,
        complete: true,
        issues: 0,
    }
}

fn head(tail: u64, frames: u64) -> Head {
    let base = BaseRef { id: ArchiveId([2; 16]), file_name: "b".into(), index_sha256: [3; 32] };
    Head { format: 1, metadata: metadata(), archives: vec![base], frames, tail, keys: None }
}

fn record(path: &str, kind: Kind) -> Record {
    let sha256 = matches!(kind, Kind::File { .. }).then_some([7; 32]);
    let at = sha256.map(|_| Location { archive: 1, tar_offset: 0, tar_len: 512 });
    let entry = Entry {
        path: RelPath::parse(path.as_bytes()).unwrap(),
        kind,
        meta: Meta::default(),
        stamp: Stamp { links: 1, ..Stamp::default() },
    };
    Record { component: 0, entry, sha256, at, changed: false, damaged: false, renamed_from: None }
}

fn directory(path: &str) -> Record {
    record(path, Kind::Directory)
}

fn file(path: &str) -> Record {
    record(path, Kind::File { len: 1 })
}

fn link(path: &str, to: &str) -> Record {
    record(path, Kind::Link { to: RelPath::parse(to.as_bytes()).unwrap() })
}

type Parts = (Vec<Record>, Vec<Gone>, Vec<Issue>);

fn stored(head: Head, records: &[Record], frames: &[Frame], gone: &[Gone], issues: &[Issue]) -> (Vec<u8>, u64) {
    let mut writer = IndexWriter::new().unwrap();
    records.iter().for_each(|record| writer.entry(record).unwrap());
    let (mut stored, plain_len) = writer.finish(head, frames, gone, issues).unwrap();
    let mut bytes = Vec::new();
    stored.read_to_end(&mut bytes).unwrap();
    (bytes, plain_len)
}

fn read(bytes: &[u8], plain_len: u64) -> Result<Parts, ArchiveError> {
    let mut reader = IndexReader::open(bytes, plain_len, u64::MAX)?;
    let mut parts = Parts::default();
    while let Some(part) = reader.part()? {
        match part {
            Part::Record(record) => parts.0.push(*record),
            Part::Void(..) => {}
            Part::Gone(gone) => parts.1.push(gone),
            Part::Issue(issue) => parts.2.push(issue),
        }
    }
    Ok(parts)
}

fn why(records: &[Record]) -> String {
    let (bytes, plain_len) = stored(head(0, 0), records, &[], &[], &[]);
    read(&bytes, plain_len).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_tree_in_order_is_taken() {
    let mut first = file("a/f");
    first.entry.stamp.links = 2;
    let records = [directory(""), directory("a"), first, link("a/g", "a/f"), directory("a!"), file("b")];
    let (bytes, plain_len) = stored(head(0, 0), &records, &[], &[], &[]);
    assert_eq!(read(&bytes, plain_len).unwrap().0, records);
}

#[test]
fn a_path_twice_is_refused() {
    assert!(why(&[file("a"), file("a")]).contains("twice"));
    assert!(why(&[file("a"), file("b"), file("a")]).contains("twice"));
}

#[test]
fn what_is_below_no_directory_is_refused() {
    for records in [
        vec![file("a"), file("a/b")],
        vec![record("a", Kind::Symlink { target: b"/etc".to_vec() }), file("a/b")],
        vec![directory(""), file("a/b")],
        vec![directory("a"), file("a/b/c")],
        vec![file("")],
    ] {
        assert!(why(&records).contains("below something that is no directory"));
    }
}

#[test]
fn a_link_to_what_is_not_before_it_is_refused() {
    let mut later = file("b");
    later.entry.stamp.links = 2;
    let mut other_component = later.clone();
    other_component.component = 1;
    for records in [
        vec![link("a", "b"), later],
        vec![other_component, link("c", "b")],
        vec![directory("b"), link("c", "b")],
        vec![link("c", "c")],
    ] {
        assert!(why(&records).contains("not before it"));
    }
}

#[test]
fn files_must_be_somewhere_and_in_one_place() {
    let mut nowhere = file("a");
    nowhere.at = None;
    assert!(why(&[nowhere]).contains("no archive holds"));
    let mut foreign = file("a");
    foreign.at = Some(Location { archive: 2, tar_offset: 0, tar_len: 512 });
    assert!(why(&[foreign]).contains("not there"));
    let mut unhashed = file("a");
    unhashed.sha256 = None;
    assert!(why(&[unhashed]).contains("hash"));
    let at = |tar_offset, tar_len| Some(Location { archive: 0, tar_offset, tar_len });
    for place in [at(512, 512), at(0, 0), at(0, 100), at(u64::MAX - 511, 512), at(0, 1024)] {
        let mut record = file("a");
        record.at = place;
        let (bytes, plain_len) = stored(head(512, 0), &[record], &[], &[], &[]);
        assert!(read(&bytes, plain_len).is_err(), "{place:?}");
    }
    let (bytes, plain_len) = stored(head(512, 0), &[file("a")], &[], &[], &[]);
    assert!(read(&bytes, plain_len).is_err_and(|error| error.to_string().contains("does not list")));
}

#[test]
fn a_component_that_is_not_there_is_refused() {
    let mut stray = file("a");
    stray.component = 2;
    assert!(why(&[stray]).contains("component"));
}

#[test]
fn prefixes_that_get_in_each_others_way_are_refused() {
    assert_eq!(check_prefixes(&["files", "databases/a", "databases/b"]), Ok(()));
    for bad in [&["files", "files"][..], &["a", "a/b"], &["a/b", "a"], &[""], &["metadata.json"], &["../x"], &["/x"]] {
        assert!(check_prefixes(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn an_index_cut_at_any_line_is_refused() {
    let (bytes, _) = stored(head(0, 1), &[file("a")], &[frame_of(0, 10, 0, 512)], &[], &[]);
    let plain = zstd::decode_all(&*bytes).unwrap();
    let cut = |end: usize| read(&zstd::encode_all(&plain[..end], 1).unwrap(), plain.len() as u64);
    assert!(cut(plain.len()).is_ok());
    for end in 0..plain.len() {
        assert!(cut(end).is_err(), "cut at {end}");
    }
}

#[test]
fn more_than_the_footer_promised_is_refused() {
    let (bytes, plain_len) = stored(head(0, 0), &[file("a")], &[], &[], &[]);
    assert!(read(&bytes, plain_len).is_ok());
    assert!(read(&bytes, plain_len - 1).is_err());
    let more = [bytes, zstd::encode_all(&b"{}\n"[..], 1).unwrap()].concat();
    assert!(read(&more, plain_len + 3).is_err());
}

#[test]
fn a_later_version_is_refused_by_its_number() {
    let line = br#"{"head":{"format":2,"something":"else"}}"#;
    let bytes = zstd::encode_all(&[&line[..], b"\n"].concat()[..], 1).unwrap();
    assert!(matches!(read(&bytes, 1000), Err(ArchiveError::UnknownVersion { found: 2, .. })));
}

fn frame_of(offset: u64, packed_len: u64, tar_offset: u64, tar_len: u64) -> Frame {
    Frame { offset, packed_len, tar_offset, tar_len }
}

fn odd_names() -> impl Strategy<Value = RelPath> {
    let name = prop_oneof![
        "[a-c]{1,2}".prop_map(String::into_bytes),
        vec(any::<u8>(), 1..40),
        "\\PC{1,20}".prop_map(String::into_bytes)
    ];
    vec(name, 1..4).prop_filter_map("a path", |names| RelPath::parse(&names.join(&b'/')).ok())
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Directory),
        any::<u64>().prop_map(|len| Kind::File { len }),
        odd_names().prop_map(|to| Kind::Link { to }),
        vec(any::<u8>(), 0..50).prop_map(|target| Kind::Symlink { target }),
        Just(Kind::Fifo),
        any::<u64>().prop_map(|rdev| Kind::CharDevice { rdev }),
        any::<u64>().prop_map(|rdev| Kind::BlockDevice { rdev }),
    ]
}

prop_compose! {
    fn records()(
        path in odd_names(), kind in kinds(), mode in 0..0o10000u32, (uid, gid) in any::<(u32, u32)>(),
        (seconds, nanoseconds) in (any::<i64>(), 0..1_000_000_000u32), user in proptest::option::of("\\PC{0,9}"),
        (dev, ino, links, blocks) in any::<(u64, u64, u64, u64)>(), renamed_from in proptest::option::of(odd_names()),
        xattrs in vec((vec(any::<u8>(), 1..9), vec(any::<u8>(), 0..9)), 0..3), (changed, damaged) in any::<(bool, bool)>(),
        hash in any::<[u8; 32]>(), at in proptest::option::of(any::<(u32, u64, u64)>()), component in any::<u32>(),
    ) -> Record {
        let time = Timestamp { seconds, nanoseconds };
        let user: Option<Arc<str>> = user.map(Into::into);
        let xattrs = xattrs.into_iter().map(|(name, value)| Xattr { name, value }).collect();
        let sha256 = matches!(kind, Kind::File { .. }).then_some(hash);
        let at = at.map(|(archive, tar_offset, tar_len)| Location { archive, tar_offset, tar_len });
        let meta = Meta { mode, uid, gid, group: user.clone(), user, mtime: time, xattrs };
        let entry = Entry { path, kind, meta, stamp: Stamp { dev, ino, ctime: time, links, blocks } };
        Record { component, entry, sha256, at, changed, damaged, renamed_from }
    }
}

proptest! {
    #[test]
    fn every_record_comes_back_from_its_line(record in records()) {
        let json = serde_json::to_vec(&line::EntryLine::from(&record)).unwrap();
        prop_assert!(!json.contains(&b'\n'));
        let line: line::EntryLine<'_> = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(line.record().unwrap(), record);
    }

    #[test]
    fn frames_what_is_gone_and_issues_come_back(
        lengths in vec((8..1_000_000u64, 1..30_000u64), 0..3000), paths in vec(odd_names(), 0..9), why in "\\PC*",
    ) {
        let mut frames: Vec<Frame> = Vec::new();
        for (packed_len, blocks) in lengths {
            let (offset, tar_offset) = frames.last().map_or((0, 0), |f| (f.offset + f.packed_len, f.tar_offset + f.tar_len));
            frames.push(frame_of(offset, packed_len, tar_offset, blocks * 512));
        }
        let gone: Vec<_> = paths.iter().map(|path| Gone { component: 1, path: path.clone() }).collect();
        let issues: Vec<_> = paths.iter().flat_map(|path| {
            let (component, path, why) = (1, path.clone(), why.clone());
            [
                Issue::Vanished { component, path: path.clone() },
                Issue::Changed { component, path: path.clone() },
                Issue::NotKept { component, path: path.clone(), kind: "a socket".into() },
                Issue::Unreadable { component, path, why },
            ]
        }).collect();
        let (bytes, plain_len) = stored(head(0, frames.len() as u64), &[], &frames, &gone, &issues);
        prop_assert_eq!(read(&bytes, plain_len).unwrap(), (vec![], gone, issues));
        let reader = IndexReader::open(&*bytes, plain_len, u64::MAX).unwrap();
        prop_assert_eq!(reader.into_head().1, frames);
    }

    #[test]
    fn no_lines_make_it_panic(lines in vec("\\PC{0,80}", 0..5), tail in any::<u64>()) {
        let head = serde_json::to_string(&line::Line::Head(Box::new(head(tail, 0)))).unwrap();
        let text = format!("{head}\n{}\n", lines.join("\n"));
        let _ = read(&zstd::encode_all(text.as_bytes(), 1).unwrap(), text.len() as u64);
        let _ = read(text.as_bytes(), 1000);
    }
}
