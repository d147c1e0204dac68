//! Each way in which two trees can differ is told, and no other.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use strongroom_event::Silent;
use strongroom_tree::{
    Comparison, Content, Difference, Entry, Filter, LocalSink, LocalTree, Planting, RelPath, Side, Source, Timestamp,
    TreeError, What, compare, transfer,
};

use crate::sample::{fill, path, set_time, set_xattr};

fn copied(original: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let source = LocalTree::open(original).unwrap();
    let sink = LocalSink::open(copy.path(), Planting::exact(), &Silent).unwrap();
    transfer(&source, &Filter::everything(), &sink, 1, &Silent).unwrap();
    copy
}

fn differences(first: &Path, second: &Path, comparison: &Comparison) -> Vec<Difference> {
    let (first, second) = (LocalTree::open(first).unwrap(), LocalTree::open(second).unwrap());
    compare(&first, &second, &Filter::everything(), comparison, &Silent)
}

/// Changes a copy, leaving the times of directories alone, and gives what is told of it.
fn told(change: impl FnOnce(&Path)) -> Vec<(String, What)> {
    let original = tempfile::tempdir().unwrap();
    fill(original.path());
    let copy = copied(original.path());
    change(copy.path());
    for dir in ["", "dir", "dir/sub"] {
        let time = fs::metadata(original.path().join(dir)).unwrap().modified().unwrap();
        set_time(&copy.path().join(dir), time);
    }
    let found = differences(original.path(), copy.path(), &Comparison::default());
    found.into_iter().map(|found| (found.path.to_string(), found.what)).collect()
}

fn one(name: &str, what: What) -> Vec<(String, What)> {
    vec![(name.to_owned(), what)]
}

fn set_same_time(at: &Path, change: impl FnOnce()) {
    let time = fs::metadata(at).unwrap().modified().unwrap();
    change();
    set_time(at, time);
}

#[test]
fn equal_trees_do_not_differ() {
    assert_eq!(told(|_| {}), []);
}

#[test]
fn one_byte_is_found_though_times_and_length_are_the_same() {
    let changed = told(|copy| {
        let at = copy.join("dir/sub/large");
        set_same_time(&at, || {
            File::options().write(true).open(&at).unwrap().write_all_at(b"\xee", 2_900_001).unwrap();
        });
    });
    assert_eq!(changed, one("dir/sub/large", What::Content(2_900_001)));
}

#[test]
fn data_in_a_hole_is_found() {
    let changed = told(|copy| {
        let at = copy.join("sparse");
        set_same_time(&at, || {
            File::options().write(true).open(&at).unwrap().write_all_at(b"\x01", 30 << 20).unwrap();
        });
    });
    assert_eq!(changed, one("sparse", What::Content(30 << 20)));
}

#[test]
fn lengths_differ() {
    let changed = told(|copy| {
        let at = copy.join("dir/file");
        set_same_time(&at, || File::options().write(true).open(&at).unwrap().set_len(3).unwrap());
    });
    assert_eq!(changed, one("dir/file", What::Length(7, 3)));
}

#[test]
fn what_only_one_has_is_told_of_either() {
    let changed = told(|copy| {
        fs::remove_file(copy.join("fifo")).unwrap();
        fs::write(copy.join("dir/more"), b"").unwrap();
    });
    let expected = [("dir/more", What::OnlyIn(Side::Second)), ("fifo", What::OnlyIn(Side::First))];
    assert_eq!(changed, expected.map(|(name, what)| (name.to_owned(), what)));
}

#[test]
fn kinds_and_targets_differ() {
    let changed = told(|copy| {
        fs::remove_file(copy.join("fifo")).unwrap();
        fs::write(copy.join("fifo"), b"").unwrap();
        fs::remove_file(copy.join("dir/dangling")).unwrap();
        symlink("/elsewhere", copy.join("dir/dangling")).unwrap();
    });
    assert!(changed.contains(&("fifo".to_owned(), What::Kind)), "{changed:?}");
    assert!(changed.contains(&("dir/dangling".to_owned(), What::Target)), "{changed:?}");
}

#[test]
fn a_file_of_its_own_is_no_link() {
    let changed = told(|copy| {
        let name = copy.join("other name");
        fs::rename(&name, copy.join("tmp")).unwrap();
        fs::copy(copy.join("tmp"), &name).unwrap();
        fs::remove_file(copy.join("tmp")).unwrap();
    });
    assert_eq!(changed, one("other name", What::Links));
}

#[test]
fn modes_times_and_attributes_differ() {
    let changed = told(|copy| {
        fs::set_permissions(copy.join("dir/sub/large"), fs::Permissions::from_mode(0o600)).unwrap();
        set_time(&copy.join("headed"), UNIX_EPOCH + Duration::new(7, 8));
        set_xattr(&copy.join("dir/file"), "user.comment", b"another");
        set_xattr(&copy.join("dir/file"), "user.more", b"");
    });
    assert!(matches!(&changed[3], (name, What::Time(_, Timestamp { seconds: 7, nanoseconds: 8 })) if name == "headed"));
    let expected = [
        ("dir/file", What::Xattr(b"user.comment".to_vec())),
        ("dir/file", What::Xattr(b"user.more".to_vec())),
        ("dir/sub/large", What::Mode(0o644, 0o600)),
    ];
    assert_eq!(changed[..3], expected.map(|(name, what)| (name.to_owned(), what)));
}

#[test]
fn what_is_not_asked_for_is_not_compared() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (dir, text) in [(&first, "one"), (&second, "two")] {
        fs::write(dir.path().join("f"), text).unwrap();
    }
    fs::set_permissions(second.path().join("f"), fs::Permissions::from_mode(0o600)).unwrap();
    let nothing = Comparison { content: false, modes: false, times: false, ..Comparison::default() };
    assert_eq!(differences(first.path(), second.path(), &nothing), []);
}

#[test]
fn holes_are_compared_only_where_asked() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    File::create(first.path().join("f")).unwrap().set_len(1 << 20).unwrap();
    fs::write(second.path().join("f"), vec![0; 1 << 20]).unwrap();
    let bytes_only = Comparison { times: false, ..Comparison::default() };
    assert_eq!(differences(first.path(), second.path(), &bytes_only), []);
    let with_holes = Comparison { holes: true, ..bytes_only };
    let expected = [Difference { path: path("f"), what: What::Holes(Side::First) }];
    assert_eq!(differences(first.path(), second.path(), &with_holes), expected);
}

/// A tree of which parts cannot be walked.
struct Partly<'a>(&'a LocalTree, &'a [&'a str]);

impl Source for Partly<'_> {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        let hidden = |at: &RelPath| self.1.iter().map(|name| path(name)).find(|name| at.is_within(name));
        let entries = self.0.entries(filter).filter_map(move |entry| match entry {
            Ok(entry) => match hidden(&entry.path) {
                None => Some(Ok(entry)),
                Some(name) if name == entry.path => {
                    Some(Err(TreeError::on("looking at", &name)(rustix::io::Errno::IO)))
                }
                Some(_) => None,
            },
            error => Some(error),
        });
        Box::new(entries)
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        self.0.open(path)
    }
}

#[test]
fn what_cannot_be_read_in_one_tree_is_not_said_to_be_missing_there() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&first, &second] {
        for name in ["a/in/deep", "b", "c/in", "d"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
    }
    fs::create_dir(first.path().join("e")).unwrap();
    let (first, second) = (LocalTree::open(first.path()).unwrap(), LocalTree::open(second.path()).unwrap());
    let partly = Partly(&second, &["a", "b", "c/in"]);
    let names_only = Comparison { times: false, ..Comparison::default() };
    let found = compare(&first, &partly, &Filter::everything(), &names_only, &Silent);
    let told: Vec<_> = found.iter().map(ToString::to_string).collect();
    let unreadable = |name| format!("{name}: the second cannot be read: Input/output error (os error 5)");
    assert_eq!(told, [unreadable("a"), unreadable("b"), unreadable("c/in"), "e: only in the first".into()]);
}

#[test]
fn it_stops_when_there_is_enough() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for number in 0..50 {
        fs::write(first.path().join(format!("{number:02}")), b"").unwrap();
    }
    let few = Comparison { most: 3, times: false, ..Comparison::default() };
    let found = differences(first.path(), second.path(), &few);
    assert_eq!(found.iter().map(|found| found.path.to_string()).collect::<Vec<_>>(), ["00", "01", "02"]);
}
