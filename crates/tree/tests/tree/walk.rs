//! What a walk of a directory gives.

use std::{
    fs::{self, File},
    os::unix::{ffi::OsStrExt, fs::MetadataExt, fs::PermissionsExt, fs::symlink, net::UnixListener},
    path::Path,
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use strongroom_tree::{Content, Crossing, Entry, Filter, Kind, LocalTree, RelPath, Source, Timestamp};

use crate::sample::{Mount, find, is_root, path, walked};

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| String::from_utf8(entry.path.as_bytes().to_vec()).unwrap()).collect()
}

fn mkfifo(at: &Path) {
    assert!(Command::new("mkfifo").arg(at).status().unwrap().success());
}

#[test]
fn parents_come_first_and_siblings_by_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a!", "a/b/c", "B", "\u{e4}"] {
        fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("a/b.txt"), b"").unwrap();
    let tree = LocalTree::open(dir.path()).unwrap();
    let entries = walked(&tree);
    assert_eq!(names(&entries), ["", "B", "a", "a/b", "a/b/c", "a/b.txt", "a!", "\u{e4}"]);
    assert!(entries.is_sorted_by(|a, b| a.path < b.path));
}

#[test]
fn everything_about_a_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("file");
    fs::write(&at, b"12345").unwrap();
    fs::set_permissions(&at, fs::Permissions::from_mode(0o4751)).unwrap();
    let time = UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    File::options().write(true).open(&at).unwrap().set_modified(time).unwrap();
    rustix::fs::setxattr(&at, "user.colour", b"blue", rustix::fs::XattrFlags::empty()).unwrap();
    let entry = find(&LocalTree::open(dir.path()).unwrap(), "file");
    let stat = fs::metadata(&at).unwrap();
    assert_eq!(entry.kind, Kind::File { len: 5 });
    assert_eq!((entry.meta.mode, entry.meta.uid, entry.meta.gid), (0o4751, stat.uid(), stat.gid()));
    assert_eq!(entry.meta.mtime, Timestamp { seconds: 1_000_000_000, nanoseconds: 123_456_789 });
    assert_eq!((entry.stamp.dev, entry.stamp.ino, entry.stamp.links), (stat.dev(), stat.ino(), 1));
    let xattr = entry.meta.xattrs.iter().find(|xattr| xattr.name == b"user.colour").unwrap();
    assert_eq!(xattr.value, b"blue");
}

#[test]
fn the_owner_has_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let entry = find(&LocalTree::open(dir.path()).unwrap(), "");
    let told = Command::new("id").args(["-un", &entry.meta.uid.to_string()]).output().unwrap();
    assert_eq!(entry.meta.user.as_deref().unwrap(), String::from_utf8(told.stdout).unwrap().trim());
}

#[test]
fn access_lists_are_extended_attributes() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let set = |args: &[&str]| {
        assert!(Command::new("setfacl").args(args).arg(dir.path().join("d")).status().unwrap().success());
    };
    set(&["-m", "u:12345:rwx"]);
    set(&["-d", "-m", "u:12345:r-x"]);
    let entry = find(&LocalTree::open(dir.path()).unwrap(), "d");
    let names: Vec<_> = entry.meta.xattrs.iter().map(|xattr| xattr.name.as_slice()).collect();
    assert!(names.contains(&&b"system.posix_acl_access"[..]) && names.contains(&&b"system.posix_acl_default"[..]));
    assert!(names.is_sorted());
}

#[test]
fn each_kind_is_told_and_none_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    mkfifo(&dir.path().join("fifo"));
    symlink("nowhere/at all", dir.path().join("link")).unwrap();
    let _listener = UnixListener::bind(dir.path().join("socket")).unwrap();
    let tree = LocalTree::open(dir.path()).unwrap();
    assert_eq!(find(&tree, "fifo").kind, Kind::Fifo);
    assert_eq!(find(&tree, "link").kind, Kind::Symlink { target: b"nowhere/at all".to_vec() });
    assert_eq!(find(&tree, "socket").kind, Kind::Socket);
    assert!(tree.open(&path("fifo")).is_err() && tree.open(&path("link")).is_err());
}

#[test]
fn names_need_not_be_text() {
    let dir = tempfile::tempdir().unwrap();
    let odd = b"\xff\n \x01'\"";
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(odd)), b"x").unwrap();
    let tree = LocalTree::open(dir.path()).unwrap();
    assert_eq!(walked(&tree)[1].path.as_bytes(), odd);
    assert!(tree.open(&RelPath::parse(odd).unwrap()).is_ok());
}

#[test]
fn the_names_of_one_file_are_links_to_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("d")).unwrap();
    fs::write(at("d/one"), b"x").unwrap();
    fs::hard_link(at("d/one"), at("a")).unwrap();
    fs::hard_link(at("d/one"), at("z")).unwrap();
    symlink("a", at("s")).unwrap();
    assert!(Command::new("ln").arg("-P").arg(at("s")).arg(at("t")).status().unwrap().success());
    let tree = LocalTree::open(dir.path()).unwrap();
    let kind = |name: &str| find(&tree, name).kind;
    assert_eq!(kind("a"), Kind::File { len: 1 });
    assert_eq!(kind("d/one"), Kind::Link { to: path("a") });
    assert_eq!(kind("z"), Kind::Link { to: path("a") });
    assert_eq!(kind("t"), Kind::Link { to: path("s") });
}

#[test]
fn a_link_is_to_a_name_that_was_given() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), b"x").unwrap();
    for name in ["b", "c"] {
        fs::hard_link(dir.path().join("a"), dir.path().join(name)).unwrap();
    }
    let tree = LocalTree::open(dir.path()).unwrap();
    let filter = Filter::everything().without([path("a")]);
    let kinds: Vec<_> = tree.entries(&filter).skip(1).map(|entry| entry.unwrap().kind).collect();
    assert_eq!(kinds, [Kind::File { len: 1 }, Kind::Link { to: path("b") }]);
}

#[test]
fn what_is_left_out_is_not_even_entered() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("out/in")).unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    let tree = LocalTree::open(dir.path()).unwrap();
    let filter = Filter::everything().exclude(["/out"]).unwrap();
    let entries: Vec<_> = tree.entries(&filter).map(Result::unwrap).collect();
    assert_eq!(names(&entries), ["", "in"]);
}

/// Longer than a path that the kernel takes, and deeper than the descriptors that are kept.
pub fn deep(dir: &Path, depth: usize) {
    let mut at = File::open(dir).unwrap();
    for _ in 0..depth {
        rustix::fs::mkdirat(&at, "deep-deep-deep", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::RDONLY;
        for name in ["a", "z"] {
            let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
            rustix::fs::openat(&at, name, flags, rustix::fs::Mode::RUSR).unwrap();
        }
        at = rustix::fs::openat(&at, "deep-deep-deep", flags, rustix::fs::Mode::empty()).unwrap().into();
    }
}

#[test]
fn a_tree_may_be_deeper_than_descriptors_and_paths_go() {
    const DEPTH: usize = 1500;
    let dir = tempfile::tempdir().unwrap();
    deep(dir.path(), DEPTH);
    let tree = LocalTree::open(dir.path()).unwrap();
    let mut most_open = 0;
    let filter = Filter::everything();
    let counting = tree.entries(&filter).inspect(|_| {
        most_open = most_open.max(fs::read_dir("/proc/self/fd").unwrap().count());
    });
    let entries: Vec<_> = counting.map(Result::unwrap).collect();
    // Other tests may run in the same process.
    assert!(most_open < 1000, "{most_open} descriptors were open at once");
    assert_eq!(entries.len(), 1 + 3 * DEPTH);
    assert!(entries.is_sorted_by(|a, b| a.path < b.path));
    let deepest = entries.iter().rfind(|entry| entry.path.name() == Some(b"a")).unwrap();
    assert!(deepest.path.as_bytes().len() > 8000);
    assert!(tree.open(&deepest.path).is_ok());
}

#[test]
fn a_directory_that_cannot_be_listed_does_not_end_the_walk() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b", "b/in", "c"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let tree = LocalTree::open(dir.path()).unwrap();
    let filter = Filter::everything();
    let mut told = Vec::new();
    for entry in tree.entries(&filter) {
        // Between being given and being listed, it goes.
        if entry.as_ref().is_ok_and(|entry| entry.path == path("b")) {
            fs::remove_dir_all(dir.path().join("b")).unwrap();
        }
        told.push(entry.map(|entry| entry.path).map_err(|error| (error.path.clone(), error.is_vanished())));
    }
    let expected = [Ok(path("")), Ok(path("a")), Ok(path("b")), Err((path("b"), true)), Ok(path("c"))];
    assert_eq!(told, expected);
}

#[test]
fn a_directory_that_was_exchanged_for_another_is_not_entered() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("b/mine")).unwrap();
    let other = tempfile::tempdir().unwrap();
    fs::create_dir_all(other.path().join("b/secret")).unwrap();
    let tree = LocalTree::open(dir.path()).unwrap();
    let filter = Filter::everything();
    let mut told = Vec::new();
    for entry in tree.entries(&filter) {
        if entry.as_ref().is_ok_and(|entry| entry.path == path("b")) {
            fs::rename(dir.path().join("b"), other.path().join("moved")).unwrap();
            fs::rename(other.path().join("b"), dir.path().join("b")).unwrap();
        }
        told.push(entry.map(|entry| entry.path).map_err(|error| error.path));
    }
    assert_eq!(told, [Ok(path("")), Ok(path("b")), Err(path("b"))]);
}

#[test]
fn holes_are_told_from_data() {
    let dir = tempfile::tempdir().unwrap();
    let file = File::create(dir.path().join("sparse")).unwrap();
    file.set_len(100 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 50 << 20).unwrap();
    fs::write(dir.path().join("dense"), b"all data").unwrap();
    let tree = LocalTree::open(dir.path()).unwrap();
    let mut sparse = tree.open(&path("sparse")).unwrap();
    let run = sparse.data_from(0).unwrap().unwrap();
    assert!(run.contains(&(50 << 20)) && run.end - run.start <= 1 << 20, "{run:?}");
    assert_eq!(sparse.data_from(run.end).unwrap(), None);
    let mut dense = tree.open(&path("dense")).unwrap();
    assert_eq!(dense.data_from(0).unwrap(), Some(0..8));
    assert_eq!(dense.data_from(8).unwrap(), None);
}

#[test]
fn reading_fills_the_buffer_or_ends_the_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), b"0123456789").unwrap();
    let tree = LocalTree::open(dir.path()).unwrap();
    let mut content = tree.open(&path("f")).unwrap();
    let mut out = [0; 8];
    assert_eq!((content.read_at(0, &mut out).unwrap(), &out), (8, b"01234567"));
    assert_eq!((content.read_at(8, &mut out).unwrap(), &out[..2]), (2, &b"89"[..]));
    assert_eq!(content.read_at(10, &mut out).unwrap(), 0);
}

#[test]
fn a_look_differs_once_the_file_was_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("f");
    fs::write(&at, b"old").unwrap();
    File::options().write(true).open(&at).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let tree = LocalTree::open(dir.path()).unwrap();
    let mut content = tree.open(&path("f")).unwrap();
    let before = content.look().unwrap();
    assert_eq!(before, content.look().unwrap());
    fs::write(&at, b"new").unwrap();
    assert_ne!(before, content.look().unwrap());
}

#[test]
fn reading_does_not_count_as_access() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("f");
    fs::write(&at, b"x").unwrap();
    // Older than the last change, so that relatime would note the next access.
    let times = fs::FileTimes::new().set_accessed(UNIX_EPOCH + Duration::from_secs(1));
    File::options().write(true).open(&at).unwrap().set_times(times).unwrap();
    let tree = LocalTree::open(dir.path()).unwrap();
    tree.open(&path("f")).unwrap().read_at(0, &mut [0]).unwrap();
    assert_eq!(fs::metadata(&at).unwrap().atime(), 1);
}

#[test]
fn what_is_mounted_below_is_given_as_an_empty_directory() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mounted = dir.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    let _mount = Mount::tmpfs(&mounted, c"");
    fs::write(mounted.join("inside"), b"x").unwrap();
    let staying = LocalTree::open(dir.path()).unwrap();
    assert_eq!(names(&walked(&staying)), ["", "mounted"]);
    assert_eq!(staying.mount_points(), [path("mounted")]);
    let crossing = LocalTree::open_with(dir.path(), Crossing::Cross).unwrap();
    assert_eq!(names(&walked(&crossing)), ["", "mounted", "mounted/inside"]);
    let within = LocalTree::open(&mounted).unwrap();
    assert_eq!(names(&walked(&within)), ["", "inside"], "the root itself may be a mount point");
}

#[test]
fn content_is_read_by_several_threads_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..8 {
        fs::write(dir.path().join(format!("{number}")), vec![number; 1000]).unwrap();
    }
    let tree = LocalTree::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for number in 0..8u8 {
            let tree = &tree;
            scope.spawn(move || {
                let mut content: Box<dyn Content> = tree.open(&path(&number.to_string())).unwrap();
                let mut out = [0; 1000];
                content.read_at(0, &mut out).unwrap();
                assert_eq!(out, [number; 1000]);
            });
        }
    });
}
