//! Transfers of trees that do not hold still.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use strongroom_event::{Event, Silent};
use strongroom_tree::{
    Comparison, Content, Entry, Filter, LocalSink, LocalTree, Look, Planting, RelPath, Sink, Source, TreeError,
    compare, transfer,
};

use crate::sample::path;

/// A directory to which something happens when files are opened or read.
struct Restless<'a> {
    tree: LocalTree,
    dir: &'a Path,
    on_open: fn(&Path),
    on_read: fn(&Path),
}

impl<'a> Restless<'a> {
    fn new(dir: &'a Path) -> Self {
        Self { tree: LocalTree::open(dir).unwrap(), dir, on_open: |_| {}, on_read: |_| {} }
    }
}

impl Source for Restless<'_> {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        self.tree.entries(filter)
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        let at = self.dir.join(path.as_path());
        (self.on_open)(&at);
        Ok(Box::new(RestlessContent { content: self.tree.open(path)?, at, on_read: self.on_read }))
    }
}

struct RestlessContent<'a> {
    content: Box<dyn Content + 'a>,
    at: PathBuf,
    on_read: fn(&Path),
}

impl Content for RestlessContent<'_> {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        (self.on_read)(&self.at);
        self.content.read_at(offset, out)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        self.content.data_from(from)
    }

    fn look(&mut self) -> io::Result<Look> {
        self.content.look()
    }
}

fn is(at: &Path, name: &str) -> bool {
    at.ends_with(name)
}

#[test]
fn what_vanished_is_told_and_the_rest_is_made() {
    let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(original.path().join("a")).unwrap();
    for name in ["gone", "z"] {
        fs::write(original.path().join(name), name).unwrap();
    }
    fs::hard_link(original.path().join("gone"), original.path().join("other name")).unwrap();
    let source = Restless {
        on_open: |at| {
            if is(at, "gone") {
                // Where the walk has been already; and it keeps its second name.
                fs::rename(at, at.with_file_name("a").join("gone")).unwrap();
            }
        },
        ..Restless::new(original.path())
    };
    let sink = LocalSink::open(copy.path(), Planting::exact(), &Silent).unwrap();
    let done = transfer(&source, &Filter::everything(), &sink, 2, &Silent).unwrap();
    let mut failed: Vec<_> = done.failed.iter().map(|error| (&error.path, error.is_vanished())).collect();
    failed.sort();
    assert_eq!(failed, [(&path("gone"), true), (&path("other name"), true)]);
    assert_eq!(fs::read(copy.path().join("z")).unwrap(), b"z");
    assert_eq!((done.entries, fs::read_dir(copy.path()).unwrap().count()), (3, 2));
}

#[test]
fn a_file_that_was_written_to_is_told() {
    let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["still", "restless"] {
        fs::write(original.path().join(name), b"four").unwrap();
    }
    let source = Restless {
        on_read: |at| {
            if is(at, "restless") {
                fs::write(at, b"longer than before").unwrap();
            }
        },
        ..Restless::new(original.path())
    };
    let sink = LocalSink::open(copy.path(), Planting::exact(), &Silent).unwrap();
    let done = transfer(&source, &Filter::everything(), &sink, 2, &Silent).unwrap();
    assert_eq!(done.changed, [path("restless")]);
    assert_eq!(fs::metadata(copy.path().join("restless")).unwrap().len(), 4);
}

#[test]
fn a_file_that_was_cut_off_is_told_and_not_made() {
    let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(original.path().join("f"), b"long").unwrap();
    let source = Restless { on_read: |at| fs::write(at, b"s").unwrap(), ..Restless::new(original.path()) };
    let sink = LocalSink::open(copy.path(), Planting::exact(), &Silent).unwrap();
    let done = transfer(&source, &Filter::everything(), &sink, 1, &Silent).unwrap();
    assert_eq!(done.failed.len(), 1);
    assert_eq!(fs::read_dir(copy.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_grew_after_the_walk_is_taken_as_it_is() {
    let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(original.path().join("f"), b"old").unwrap();
    let source = Restless { on_open: |at| fs::write(at, b"grown").unwrap(), ..Restless::new(original.path()) };
    let sink = LocalSink::open(copy.path(), Planting::exact(), &Silent).unwrap();
    let done = transfer(&source, &Filter::everything(), &sink, 1, &Silent).unwrap();
    assert!(done.changed.is_empty() && done.failed.is_empty());
    assert_eq!(fs::read(copy.path().join("f")).unwrap(), b"grown");
}

#[test]
fn whoever_watches_is_told_of_every_byte_and_every_name() {
    let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(original.path().join("d")).unwrap();
    for (name, len) in [("a", 10), ("d/b", 3_000_000)] {
        fs::write(original.path().join(name), vec![1; len]).unwrap();
    }
    let (bytes, names) = (AtomicU64::new(0), AtomicU64::new(0));
    let observer = |event: &Event| match event {
        Event::Progress(more) => drop(bytes.fetch_add(*more, Ordering::Relaxed)),
        Event::FileDone { .. } => drop(names.fetch_add(1, Ordering::Relaxed)),
        other => panic!("{other:?}"),
    };
    let (source, everything) = (LocalTree::open(original.path()).unwrap(), Filter::everything());
    let sink = LocalSink::open(copy.path(), Planting::exact(), &Silent).unwrap();
    let done = transfer(&source, &everything, &sink, 2, &observer).unwrap();
    assert_eq!((done.bytes, done.entries), (3_000_010, 4));
    assert_eq!((bytes.swap(0, Ordering::Relaxed), names.swap(0, Ordering::Relaxed)), (3_000_010, 4));
    let copied = LocalTree::open(copy.path()).unwrap();
    assert_eq!(compare(&source, &copied, &everything, &Comparison::default(), &observer), []);
    assert_eq!((bytes.into_inner(), names.into_inner()), (3_000_010, 4));
}

/// A sink whose disk is full.
struct Full;

impl Sink for Full {
    fn put(&self, entry: &Entry, _: Option<&mut dyn Content>) -> Result<(), TreeError> {
        match entry.len() {
            0 => Ok(()),
            _ => Err(TreeError::on("writing", &entry.path)(io::Error::from(io::ErrorKind::StorageFull))),
        }
    }

    fn seal(&self) -> Result<(), TreeError> {
        panic!("there is nothing to seal")
    }
}

/// A sink that fails as no sink should.
struct Panicking;

impl Sink for Panicking {
    fn put(&self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<(), TreeError> {
        assert!(content.is_none(), "this sink cannot make {}", entry.path);
        Ok(())
    }

    fn seal(&self) -> Result<(), TreeError> {
        Ok(())
    }
}

#[test]
#[should_panic(expected = "a scoped thread panicked")]
fn a_panic_in_a_sink_leaves_nobody_waiting() {
    let original = tempfile::tempdir().unwrap();
    for number in 0..200 {
        fs::write(original.path().join(number.to_string()), b"x").unwrap();
    }
    fs::hard_link(original.path().join("0"), original.path().join("link")).unwrap();
    let source = LocalTree::open(original.path()).unwrap();
    let _ = transfer(&source, &Filter::everything(), &Panicking, 2, &Silent);
}

#[test]
fn what_cannot_be_made_ends_the_transfer() {
    let original = tempfile::tempdir().unwrap();
    for number in 0..100 {
        fs::write(original.path().join(number.to_string()), b"x").unwrap();
    }
    let source = LocalTree::open(original.path()).unwrap();
    let error = transfer(&source, &Filter::everything(), &Full, 2, &Silent).unwrap_err();
    assert!(error.is_full());
}
