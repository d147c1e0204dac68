//! What a mirror relies on in a [`Replica`], asked of an empty one.

use strongroom_tree::{Entry, Filter, Kind, Meta, RelPath, Replica, Stamp, Timestamp, Xattr};

use crate::{MemContent, bytes};

/// Runs every case with an empty replica of its own, which `with` makes.
pub fn replica(with: impl Fn(&dyn Fn(&dyn Replica))) {
    with(&what_is_put_replaces_what_is_there);
    with(&a_name_that_is_replaced_leaves_the_others_as_they_are);
    with(&a_link_may_be_put_where_it_is);
    with(&a_directory_keeps_what_is_in_it);
    with(&what_is_removed_is_gone_with_all_that_is_in_it);
    with(&nothing_there_is_removed_well);
    with(&the_root_is_emptied);
    with(&what_is_dressed_has_that_and_nothing_else);
    with(&what_is_removed_can_be_made_again);
    with(&a_failed_put_leaves_no_half);
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

fn entry(name: &str, kind: Kind) -> Entry {
    let mode = if kind == Kind::Directory { 0o750 } else { 0o640 };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mtime = Timestamp { seconds: -1_234, nanoseconds: 123_456_789 };
    let meta = Meta { mode, uid, gid, mtime, ..Meta::default() };
    Entry { path: path(name), kind, meta, stamp: Stamp::default() }
}

fn put(replica: &dyn Replica, name: &str, kind: Kind) {
    replica.put(&entry(name, kind), None).unwrap();
}

fn put_file(replica: &dyn Replica, name: &str, content: &[u8]) {
    let file = entry(name, Kind::File { len: content.len() as u64 });
    replica.put(&file, Some(&mut MemContent::new(content))).unwrap();
}

fn link(replica: &dyn Replica, name: &str, to: &str) {
    put(replica, name, Kind::Link { to: path(to) });
}

fn walked(replica: &dyn Replica) -> Vec<Entry> {
    replica.entries(&Filter::everything()).map(Result::unwrap).collect()
}

fn names(replica: &dyn Replica) -> Vec<String> {
    walked(replica).iter().skip(1).map(|entry| String::from_utf8(entry.path.as_bytes().to_vec()).unwrap()).collect()
}

fn find(replica: &dyn Replica, name: &str) -> Entry {
    walked(replica).into_iter().find(|entry| entry.path == path(name)).unwrap()
}

fn read(replica: &dyn Replica, name: &str) -> Vec<u8> {
    let mut content = replica.open(&path(name)).unwrap();
    let mut out = vec![0xaa; content.look().unwrap().len as usize + 1];
    let len = content.read_at(0, &mut out).unwrap();
    out.truncate(len);
    out
}

fn kinds() -> [Kind; 4] {
    [Kind::Directory, Kind::File { len: 0 }, Kind::Symlink { target: b"somewhere".to_vec() }, Kind::Fifo]
}

fn what_is_put_replaces_what_is_there(replica: &dyn Replica) {
    put(replica, "d", Kind::Directory);
    for first in kinds() {
        for second in kinds() {
            let _ = replica.remove(&path("d/x"));
            put(replica, "d/x", first.clone());
            if first == Kind::Directory {
                put_file(replica, "d/x/below", b"in it");
            }
            put(replica, "d/x", second.clone());
            assert_eq!(find(replica, "d/x").kind, second, "in place of {first:?}");
            let stays = first == Kind::Directory && second == Kind::Directory;
            assert_eq!(names(replica).len(), if stays { 3 } else { 2 }, "{first:?} then {second:?}");
        }
    }
    for content in [&b"old, and longer than what comes"[..], b"new", &bytes(1, 70_000), b""] {
        put_file(replica, "d/file", content);
        assert_eq!(read(replica, "d/file"), content);
    }
}

fn a_name_that_is_replaced_leaves_the_others_as_they_are(replica: &dyn Replica) {
    put(replica, "d", Kind::Directory);
    put_file(replica, "a", b"old");
    link(replica, "b", "a");
    link(replica, "d/c", "a");
    put_file(replica, "a", b"new");
    assert_eq!(read(replica, "b"), b"old");
    assert_eq!(find(replica, "d/c").kind, Kind::Link { to: path("b") });
    link(replica, "b", "a");
    link(replica, "d/c", "a");
    assert_eq!(read(replica, "d/c"), b"new");
    assert_eq!((find(replica, "b").kind, find(replica, "a").stamp.links), (Kind::Link { to: path("a") }, 3));
    replica.remove(&path("a")).unwrap();
    assert_eq!((read(replica, "b"), find(replica, "b").stamp.links), (b"new".to_vec(), 2));
}

fn a_link_may_be_put_where_it_is(replica: &dyn Replica) {
    put_file(replica, "a", b"one file");
    for _ in 0..3 {
        link(replica, "b", "a");
    }
    assert_eq!(find(replica, "a").stamp.links, 2);
    assert_eq!(names(replica), ["a", "b"], "nothing is left beside");
    put(replica, "p", Kind::Fifo);
    link(replica, "q", "p");
    link(replica, "q", "p");
    assert_eq!(find(replica, "q").kind, Kind::Link { to: path("p") });
    link(replica, "q", "a");
    assert_eq!(find(replica, "q").kind, Kind::Link { to: path("a") });
}

fn a_directory_keeps_what_is_in_it(replica: &dyn Replica) {
    put(replica, "d", Kind::Directory);
    put_file(replica, "d/file", b"stays");
    put(replica, "d", Kind::Directory);
    assert_eq!(read(replica, "d/file"), b"stays");
}

fn what_is_removed_is_gone_with_all_that_is_in_it(replica: &dyn Replica) {
    for dir in ["d", "d/e", "d/e/f", "d!"] {
        put(replica, dir, Kind::Directory);
        put_file(replica, &format!("{dir}/file"), b"x");
    }
    put(replica, "d/e/pipe", Kind::Fifo);
    put(replica, "d/e/soft", Kind::Symlink { target: b"/".to_vec() });
    let long = format!("d/e/{}", "n".repeat(255));
    put_file(replica, &long, b"x");
    replica.remove(&path("d/e")).unwrap();
    assert_eq!(names(replica), ["d", "d/file", "d!", "d!/file"]);
    replica.remove(&path("d")).unwrap();
    replica.remove(&path("d!/file")).unwrap();
    assert_eq!(names(replica), ["d!"]);
}

fn nothing_there_is_removed_well(replica: &dyn Replica) {
    put_file(replica, "file", b"x");
    for absent in ["nothing", "nothing/below", "file/below"] {
        replica.remove(&path(absent)).unwrap();
    }
    assert_eq!(names(replica), ["file"]);
}

fn the_root_is_emptied(replica: &dyn Replica) {
    put(replica, "d", Kind::Directory);
    put_file(replica, "d/file", b"x");
    put_file(replica, "file", b"x");
    replica.remove(&RelPath::root()).unwrap();
    assert_eq!(names(replica), [""; 0]);
    put_file(replica, "file", b"again");
    assert_eq!(read(replica, "file"), b"again");
}

fn what_is_dressed_has_that_and_nothing_else(replica: &dyn Replica) {
    let xattr = |name: &str, value: &[u8]| Xattr { name: name.into(), value: value.to_vec() };
    let dress = |name: &str, change: &dyn Fn(&mut Meta)| {
        let mut entry = find(replica, name);
        change(&mut entry.meta);
        replica.dress(&entry).unwrap();
        let mut found = find(replica, name).meta;
        (found.user, found.group) = (entry.meta.user.clone(), entry.meta.group.clone());
        assert_eq!(found, entry.meta, "{name}");
    };
    put(replica, "d", Kind::Directory);
    put(replica, "pipe", Kind::Fifo);
    put(replica, "soft", Kind::Symlink { target: b"nowhere".to_vec() });
    put_file(replica, "d/file", b"content");
    link(replica, "other", "d/file");
    for name in ["d/file", "d", ""] {
        dress(name, &|meta| meta.xattrs = vec![xattr("user.a", b"1"), xattr("user.b", b"2")]);
        dress(name, &|meta| meta.xattrs = vec![xattr("user.b", b"two"), xattr("user.c", b"")]);
        dress(name, &|meta| meta.xattrs.clear());
        dress(name, &|meta| meta.mode = 0o711);
    }
    for name in ["d/file", "pipe", "soft", "d"] {
        for (seconds, nanoseconds) in [(-5_000_000_000, 1), (4_500_000_000, 999_999_999), (0, 0)] {
            // What the file system itself can hold is another matter.
            if (-2_000_000_000..15_000_000_000).contains(&seconds) {
                dress(name, &|meta| meta.mtime = Timestamp { seconds, nanoseconds });
            }
        }
    }
    dress("pipe", &|meta| meta.mode = 0o604);
    assert_eq!(read(replica, "other"), b"content");
    let missing = entry("missing", Kind::File { len: 0 });
    assert!(replica.dress(&missing).unwrap_err().is_vanished());
}

fn what_is_removed_can_be_made_again(replica: &dyn Replica) {
    for round in 0..3_u8 {
        put(replica, "d", Kind::Directory);
        put(replica, "d/e", Kind::Directory);
        put_file(replica, "d/e/file", &[round]);
        assert_eq!(read(replica, "d/e/file"), [round]);
        match round {
            0 => replica.remove(&path("d")).unwrap(),
            _ => put(replica, "d", Kind::Fifo),
        }
    }
    replica.sync().unwrap();
}

fn a_failed_put_leaves_no_half(replica: &dyn Replica) {
    let short = entry("file", Kind::File { len: 100_000 });
    for _ in 0..2 {
        replica.put(&short, Some(&mut MemContent::new(b"only a few"))).unwrap_err();
        assert!(walked(replica).iter().all(|found| found.path != short.path || found.len() != 10));
        let _ = replica.remove(&short.path);
        put_file(replica, "file", b"whole");
    }
    assert_eq!(read(replica, "file"), b"whole");
}
