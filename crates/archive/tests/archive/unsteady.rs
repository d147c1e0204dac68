//! Files that change, vanish or fail while they are read, and a disk that fills up.

use std::{
    io,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use strongroom_archive::{Algorithm, Body, Issue, Item};
use strongroom_event::Silent;
use strongroom_tree::{Content, Entry, Filter, Kind, Look, Meta, RelPath, Source, Stamp, Timestamp, TreeError};

use crate::kit::*;

/// A source whose one file behaves as it is told.
struct Unsteady {
    /// Length when it was walked.
    walked: u64,
    /// Length when it is opened.
    len: u64,
    /// How many bytes can be read.
    readable: u64,
    /// Where reading fails.
    fails_at: u64,
    /// How many times it is written to while it is read.
    changes: u64,
    /// How it cannot be opened.
    closed: Option<io::ErrorKind>,
    opened: AtomicU64,
}

impl Unsteady {
    fn steady(len: u64) -> Self {
        let opened = AtomicU64::new(0);
        Self { walked: len, len, readable: len, fails_at: u64::MAX, changes: 0, closed: None, opened }
    }

    fn entry(&self, name: &str, kind: Kind) -> Entry {
        let stamp = Stamp { links: 2, blocks: u64::MAX / 512, ..Stamp::default() };
        Entry { path: path(name), kind, meta: Meta { mode: 0o600, ..Meta::default() }, stamp }
    }

    /// The file `a`, its second name `b`, and a file `c` after them.
    fn items(&self) -> Vec<Result<Item<'_>, TreeError>> {
        let item = |entry, body| Ok(Item { component: 0, entry, body, renamed_from: None });
        vec![
            item(self.entry("a", Kind::File { len: self.walked }), Body::Read(self, path("a"))),
            item(self.entry("b", Kind::Link { to: path("a") }), Body::Nothing),
            item(self.entry("c", Kind::File { len: 4 }), Body::Bytes(b"last".to_vec())),
        ]
    }
}

impl Source for Unsteady {
    fn entries<'a>(&'a self, _: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        Box::new(std::iter::empty())
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        if let Some(kind) = self.closed {
            return Err(TreeError { attempted: "opening", path: path.clone(), source: kind.into() });
        }
        let time = self.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Open { file: self, time, looks: 0 }))
    }
}

struct Open<'a> {
    file: &'a Unsteady,
    time: u64,
    looks: u64,
}

impl Content for Open<'_> {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        if offset + out.len() as u64 > self.file.fails_at {
            return Err(io::Error::from_raw_os_error(5));
        }
        let len = self.file.readable.saturating_sub(offset).min(out.len() as u64) as usize;
        // What it holds tells at which opening it was read.
        out[..len].fill(b'0' + self.time as u8);
        Ok(len)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        Ok(Some(from..self.file.len))
    }

    fn look(&mut self) -> io::Result<Look> {
        self.looks += 1;
        let changed = self.looks > 1 && self.time < self.file.changes;
        let seconds = (2 * self.time + u64::from(changed)) as i64;
        let stamp = Stamp { blocks: u64::MAX / 512, ..Stamp::default() };
        Ok(Look { len: self.file.len, mtime: Timestamp { seconds, nanoseconds: 0 }, stamp })
    }
}

/// Name, length with first and last byte, whether it is marked as changed, and as damaged.
type Kept = (String, String, bool, bool);

/// What is in the archive, and the issues.
fn kept(source: &Unsteady) -> (Vec<Kept>, Vec<Issue>) {
    let (bytes, written) = Making::of(Algorithm::Zstd, true).write(&mut source.items().into_iter()).unwrap();
    let archive = opened(&bytes).unwrap();
    archive.verify(2, &Silent).unwrap();
    assert_eq!(archive.issues().unwrap(), written.issues);
    assert_eq!(written.metadata.issues, written.issues.len() as u64);
    assert_eq!(written.metadata.complete, written.issues.is_empty());
    let scratch = tempfile::tempdir().unwrap();
    extract(&archive, &scratch.path().join("out")).unwrap();
    let content = |record: &strongroom_archive::Record| {
        let mut whole = vec![0; record.entry.len() as usize];
        if record.sha256.is_some() {
            archive.content(record).unwrap().read_at(0, &mut whole).unwrap();
        }
        let ends: Vec<u8> = whole.first().into_iter().chain(whole.last()).copied().collect();
        format!("{} {}", whole.len(), ends.escape_ascii())
    };
    let kept =
        records(&archive).iter().map(|it| (it.entry.path.to_string(), content(it), it.changed, it.damaged)).collect();
    (kept, written.issues)
}

fn whole(name: &str, content: &str) -> Kept {
    (name.into(), content.into(), false, false)
}

fn rest() -> [Kept; 2] {
    [whole("b", "0 "), whole("c", "4 lt")]
}

const BIG: u64 = 10 << 20;

#[test]
fn a_file_that_is_written_to_is_read_again_until_it_holds_still() {
    for (len, text) in [(1000, "1000 22"), (BIG, "10485760 22")] {
        let (kept, issues) = kept(&Unsteady { changes: 2, ..Unsteady::steady(len) });
        assert_eq!((&kept[0], &kept[1..], &issues[..]), (&whole("a", text), &rest()[..], &[][..]));
    }
}

#[test]
fn a_file_that_never_holds_still_is_kept_and_marked() {
    for (len, text) in [(1000, "1000 33"), (BIG, "10485760 33")] {
        let (kept, issues) = kept(&Unsteady { changes: 99, ..Unsteady::steady(len) });
        assert_eq!((&kept[0], &kept[1..]), (&("a".into(), text.into(), true, false), &rest()[..]));
        assert_eq!(issues, [Issue::Changed { component: 0, path: path("a") }]);
    }
}

#[test]
fn a_file_that_becomes_shorter_is_filled_with_zeros_and_marked() {
    for (len, text) in [(1000, "1000 3\\x00"), (BIG, "10485760 3\\x00")] {
        let (kept, issues) = kept(&Unsteady { readable: 500, changes: 99, ..Unsteady::steady(len) });
        assert_eq!((&kept[0], &kept[1..]), (&("a".into(), text.into(), true, false), &rest()[..]));
        assert_eq!(issues, [Issue::Changed { component: 0, path: path("a") }]);
    }
}

#[test]
fn a_file_is_as_long_as_when_it_was_opened() {
    // One that has become big meanwhile is opened a second time.
    for (walked, len, text) in [(10, 1000, "1000 00"), (10, BIG, "10485760 11"), (BIG, 10, "10 00"), (BIG, 0, "0 ")] {
        let (kept, issues) = kept(&Unsteady { walked, ..Unsteady::steady(len) });
        assert_eq!((&kept[0], &kept[1..], &issues[..]), (&whole("a", text), &rest()[..], &[][..]));
    }
}

#[test]
fn what_vanished_is_left_out_with_its_other_names() {
    for len in [1000, BIG] {
        let (kept, issues) = kept(&Unsteady { closed: Some(io::ErrorKind::NotFound), ..Unsteady::steady(len) });
        assert_eq!(kept, rest()[1..]);
        assert_eq!(issues[0], Issue::Vanished { component: 0, path: path("a") });
        assert!(matches!(&issues[1], Issue::Unreadable { path: name, .. } if *name == path("b")));
    }
}

#[test]
fn what_cannot_be_read_is_left_out() {
    for (len, fails_at) in [(1000, 0), (BIG, 0), (BIG, 2 << 20)] {
        let (kept, issues) = kept(&Unsteady { fails_at, ..Unsteady::steady(len) });
        assert_eq!(kept, rest()[1..]);
        assert!(matches!(&issues[0], Issue::Unreadable { path: name, .. } if *name == path("a")));
    }
}

#[test]
fn zeros_stand_for_the_rest_of_a_file_whose_beginning_was_written_already() {
    let (kept, issues) = kept(&Unsteady { fails_at: 9 << 20, ..Unsteady::steady(BIG) });
    assert_eq!((&kept[0], &kept[1..]), (&("a".into(), "10485760 0\\x00".into(), false, true), &rest()[..]));
    assert!(matches!(&issues[..], [Issue::Unreadable { .. }]));
}

/// Takes so many bytes, and no more.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.0);
        self.0 -= len;
        if len == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(len) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_it_wherever_it_fills_up() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("source");
    all_kinds(&root);
    let tree = strongroom_tree::LocalTree::open(&root).unwrap();
    let filter = Filter::everything();
    let whole = Making::default().write_tree(&root).0.len();
    for room in [0, 1, 100, whole / 3, whole / 2, whole - 100, whole - 1] {
        let mut items = tree.entries(&filter).map(|entry| entry.map(|entry| item(&tree, entry)));
        let error = Making::default().write_to(&mut Full(room), &mut items).unwrap_err();
        let strongroom_archive::ArchiveError::Io { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull, "room for {room}");
    }
}
