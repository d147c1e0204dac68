//! What the vault relies on in a [`Backing`].

use std::collections::BTreeMap;

use rustix::io::Errno;
use strongroom_vault::backing::{Sys, Target};
use strongroom_vault::{Backing, Kind, OpenMode, RenameMode, SetTime, Timestamp, XattrMode};

/// Runs every case on an empty directory of its own.
pub fn backing<B: Backing>(make: impl Fn() -> B) {
    new_files(&make());
    names_are_checked(&make());
    entries_that_are_no_files(&make());
    directories(&make());
    links_and_unlinking(&make());
    held_objects_outlive_their_names(&make());
    renames(&make());
    renames_of_directories(&make());
    renames_with_flags(&make());
    symbolic_links(&make());
    small_files(&make());
    reading_and_writing(&make());
    holes(&make());
    reserving(&make());
    permissions_and_owners(&make());
    times(&make());
    extended_attributes(&make());
    syncing(&make());
}

fn contents<B: Backing>(b: &B, dir: &B::Dir) -> BTreeMap<Vec<u8>, Kind> {
    let mut found = BTreeMap::new();
    b.list(dir, &mut |entry| {
        let stat = b.stat(Target::Entry(dir, &entry.name)).unwrap();
        assert_eq!(stat.ino, entry.ino, "a listing tells inode numbers");
        let kind = Kind::of_mode(stat.mode);
        assert!(entry.kind.is_none_or(|listed| listed == kind), "a listing tells kinds");
        found.insert(entry.name, kind);
    })
    .unwrap();
    found
}

fn list<B: Backing>(b: &B, dir: &B::Dir) -> Vec<Vec<u8>> {
    contents(b, dir).into_keys().collect()
}

fn make_file<B: Backing>(b: &B, dir: &B::Dir, name: &[u8], content: &[u8]) -> B::File {
    let file = b.create(dir, name, 0o644, None).unwrap();
    b.write_at(&file, 0, content).unwrap();
    file
}

fn make_dir<B: Backing>(b: &B, dir: &B::Dir, name: &[u8]) -> B::Dir {
    b.make_dir(dir, name, 0o755, None).unwrap();
    b.open_dir(dir, name).unwrap()
}

fn content<B: Backing>(b: &B, file: &B::File) -> Vec<u8> {
    let mut out = vec![0xaa; b.stat(Target::File(file)).unwrap().size as usize + 1];
    let len = b.read_at(file, 0, &mut out).unwrap();
    out.truncate(len);
    out
}

fn content_at<B: Backing>(b: &B, dir: &B::Dir, name: &[u8]) -> Vec<u8> {
    content(b, &b.open(dir, name, OpenMode::Read).unwrap())
}

fn links<B: Backing>(b: &B, file: &B::File) -> u32 {
    b.stat(Target::File(file)).unwrap().links
}

fn number<B: Backing>(b: &B, dir: &B::Dir, name: &[u8]) -> u64 {
    b.stat(Target::Entry(dir, name)).unwrap().ino
}

#[track_caller]
fn refuses<T>(result: Sys<T>, errno: Errno) {
    match result {
        Ok(_) => panic!("succeeded instead of {errno}"),
        Err(given) => assert_eq!(given, errno),
    }
}

fn new_files<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    assert!(list(b, &root).is_empty());
    refuses(b.open(&root, b"f", OpenMode::Read), Errno::NOENT);
    let file = b.create(&root, b"f", 0o640, None).unwrap();
    let stat = b.stat(Target::File(&file)).unwrap();
    assert_eq!((stat.mode, stat.size, stat.links), (libc::S_IFREG | 0o640, 0, 1));
    assert_eq!(b.stat(Target::Entry(&root, b"f")).unwrap(), stat);
    assert_eq!(stat.dev, b.stat(Target::Dir(&root)).unwrap().dev);
    refuses(b.create(&root, b"f", 0o640, None), Errno::EXIST);
    refuses(b.make_dir(&root, b"f", 0o700, None), Errno::EXIST);
    b.make_node(&root, b"g", libc::S_IFREG | 0o600, 0, None).unwrap();
    assert_eq!(contents(b, &root), BTreeMap::from([(b"f".to_vec(), Kind::File), (b"g".to_vec(), Kind::File)]));
    let reader = b.open(&root, b"g", OpenMode::Read).unwrap();
    refuses(b.write_at(&reader, 0, b"x"), Errno::BADF);
    refuses(b.set_len(&reader, 1), Errno::INVAL);
}

fn names_are_checked<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    refuses(b.create(&root, &[b'n'; 256], 0o600, None), Errno::NAMETOOLONG);
    refuses(b.open(&root, &[b'n'; 256], OpenMode::Read), Errno::NAMETOOLONG);
    drop(b.create(&root, &[0xff; 255], 0o600, None).unwrap());
    assert_eq!(list(b, &root), [vec![0xff; 255]]);
}

fn entries_that_are_no_files<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    b.make_node(&root, b"fifo", libc::S_IFIFO | 0o600, 0, None).unwrap();
    b.make_node(&root, b"socket", libc::S_IFSOCK | 0o600, 0, None).unwrap();
    b.make_symlink(&root, b"link", b"fifo", None).unwrap();
    make_dir(b, &root, b"dir");
    let kinds: Vec<Kind> = contents(b, &root).into_values().collect();
    assert_eq!(kinds, [Kind::Directory, Kind::Fifo, Kind::Symlink, Kind::Socket]);
    refuses(b.open(&root, b"dir", OpenMode::ReadWrite), Errno::ISDIR);
    refuses(b.open(&root, b"link", OpenMode::Read), Errno::LOOP);
    refuses(b.open(&root, b"socket", OpenMode::Read), Errno::NXIO);
    refuses(b.open_dir(&root, b"fifo"), Errno::NOTDIR);
    refuses(b.open_dir(&root, b"link"), Errno::NOTDIR);
    refuses(b.open_dir(&root, b"nothing"), Errno::NOENT);
}

fn directories<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    let dir = make_dir(b, &root, b"d");
    assert_eq!(b.stat(Target::Dir(&dir)).unwrap().mode, libc::S_IFDIR | 0o755);
    drop(make_file(b, &dir, b"f", b""));
    refuses(b.remove_dir(&root, b"d"), Errno::NOTEMPTY);
    refuses(b.unlink(&root, b"d"), Errno::ISDIR);
    refuses(b.remove_dir(&dir, b"f"), Errno::NOTDIR);
    refuses(b.remove_dir(&dir, b"none"), Errno::NOENT);
    b.unlink(&dir, b"f").unwrap();
    b.remove_dir(&root, b"d").unwrap();
    refuses(b.open_dir(&root, b"d"), Errno::NOENT);
    // Whoever still has it open can do nothing with it.
    refuses(b.list(&dir, &mut |_| ()), Errno::NOENT);
    refuses(b.create(&dir, b"f", 0o600, None), Errno::NOENT);
    refuses(b.make_dir(&dir, b"f", 0o700, None), Errno::NOENT);
}

fn links_and_unlinking<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    let dir = make_dir(b, &root, b"d");
    let file = make_file(b, &root, b"f", b"content");
    b.link(Target::Entry(&root, b"f"), &dir, b"second").unwrap();
    b.link(Target::File(&file), &dir, b"third").unwrap();
    assert_eq!(links(b, &file), 3);
    assert_eq!(number(b, &root, b"f"), number(b, &dir, b"third"));
    refuses(b.link(Target::Entry(&root, b"f"), &dir, b"second"), Errno::EXIST);
    refuses(b.link(Target::Entry(&root, b"d"), &dir, b"e"), Errno::PERM);
    refuses(b.link(Target::Entry(&root, b"none"), &dir, b"e"), Errno::NOENT);
    b.unlink(&root, b"f").unwrap();
    b.unlink(&dir, b"second").unwrap();
    assert_eq!(content_at(b, &dir, b"third"), b"content");
    b.unlink(&dir, b"third").unwrap();
    refuses(b.unlink(&dir, b"third"), Errno::NOENT);
    assert_eq!(links(b, &file), 0);
    assert_eq!(content(b, &file), b"content");
    b.write_at(&file, 7, b", still").unwrap();
    assert_eq!(content(b, &file), b"content, still");
    refuses(b.link(Target::File(&file), &root, b"back"), Errno::NOENT);
}

fn held_objects_outlive_their_names<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    drop(make_file(b, &root, b"f", b"content"));
    b.make_symlink(&root, b"link", b"target", None).unwrap();
    drop(make_dir(b, &root, b"d"));
    let (file, link, dir) =
        (b.hold(&root, b"f").unwrap(), b.hold(&root, b"link").unwrap(), b.hold(&root, b"d").unwrap());
    let number_before = b.stat(Target::Held(&file)).unwrap().ino;
    b.link(Target::Held(&file), &root, b"g").unwrap();
    b.unlink(&root, b"g").unwrap();
    b.unlink(&root, b"f").unwrap();
    b.unlink(&root, b"link").unwrap();
    b.remove_dir(&root, b"d").unwrap();
    for i in 0..20 {
        drop(make_file(b, &root, format!("other{i}").as_bytes(), b"other"));
        assert_ne!(number(b, &root, format!("other{i}").as_bytes()), number_before, "a held number is not given out");
    }
    let opened = b.open_held(&file, OpenMode::ReadWrite).unwrap();
    assert_eq!(content(b, &opened), b"content");
    b.write_at(&opened, 0, b"C").unwrap();
    assert_eq!(content(b, &b.open_held(&file, OpenMode::Read).unwrap()), b"Content");
    assert_eq!(b.read_link(Target::Held(&link)).unwrap(), b"target");
    refuses(b.list(&b.open_held_dir(&dir).unwrap(), &mut |_| ()), Errno::NOENT);
    b.set_permissions(Target::Held(&file), 0o600).unwrap();
    assert_eq!(b.stat(Target::Held(&file)).unwrap().mode & 0o7777, 0o600);
    refuses(b.link(Target::Held(&file), &root, b"back"), Errno::NOENT);
    refuses(b.open_held_dir(&file), Errno::NOTDIR);
}

fn renames<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    let dir = make_dir(b, &root, b"d");
    drop(make_file(b, &root, b"a", b"a"));
    let replaced = make_file(b, &dir, b"b", b"b");
    let mv = |from: (&B::Dir, &[u8]), to: (&B::Dir, &[u8])| b.rename(from.0, from.1, to.0, to.1, RenameMode::Replace);
    mv((&root, b"a"), (&dir, b"b")).unwrap();
    assert_eq!(content_at(b, &dir, b"b"), b"a");
    assert_eq!((links(b, &replaced), content(b, &replaced)), (0, b"b".to_vec()));
    refuses(mv((&root, b"a"), (&dir, b"b")), Errno::NOENT);
    mv((&dir, b"b"), (&root, b"c")).unwrap();
    assert_eq!(list(b, &root), [b"c", b"d"]);
    assert!(list(b, &dir).is_empty());
    // Two names of one file: nothing happens.
    b.link(Target::Entry(&root, b"c"), &root, b"e").unwrap();
    mv((&root, b"c"), (&root, b"e")).unwrap();
    mv((&root, b"c"), (&root, b"c")).unwrap();
    assert_eq!(list(b, &root), [b"c", b"d", b"e"]);
}

fn renames_of_directories<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    let (outer, other) = (make_dir(b, &root, b"outer"), make_dir(b, &root, b"other"));
    let inner = make_dir(b, &outer, b"inner");
    drop(make_file(b, &root, b"f", b""));
    let mv = |from: (&B::Dir, &[u8]), to: (&B::Dir, &[u8])| b.rename(from.0, from.1, to.0, to.1, RenameMode::Replace);
    refuses(mv((&root, b"f"), (&root, b"other")), Errno::ISDIR);
    refuses(mv((&root, b"other"), (&root, b"f")), Errno::NOTDIR);
    refuses(mv((&root, b"other"), (&root, b"outer")), Errno::NOTEMPTY);
    refuses(mv((&root, b"outer"), (&inner, b"x")), Errno::INVAL);
    refuses(mv((&root, b"outer"), (&outer, b"x")), Errno::INVAL);
    refuses(mv((&outer, b"inner"), (&root, b"outer")), Errno::NOTEMPTY);
    mv((&root, b"outer"), (&root, b"other")).unwrap();
    assert_eq!(list(b, &root), [b"f".to_vec(), b"other".to_vec()]);
    assert_eq!(list(b, &outer), [b"inner"]);
    assert_eq!(b.stat(Target::Dir(&other)).unwrap().links, 0);
    mv((&outer, b"inner"), (&root, b"inner")).unwrap();
    drop(make_file(b, &inner, b"g", b""));
    assert_eq!(list(b, &b.open_dir(&root, b"inner").unwrap()), [b"g"]);
    refuses(mv((&root, b"inner"), (&other, b"x")), Errno::NOENT);
}

fn renames_with_flags<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    let dir = make_dir(b, &root, b"d");
    drop(make_file(b, &root, b"a", b"a"));
    drop(make_file(b, &root, b"b", b"b"));
    let mv = |from: &[u8], to: &[u8], mode| b.rename(&root, from, &root, to, mode);
    refuses(mv(b"a", b"b", RenameMode::NoReplace), Errno::EXIST);
    refuses(mv(b"a", b"a", RenameMode::NoReplace), Errno::EXIST);
    refuses(mv(b"a", b"none", RenameMode::Exchange), Errno::NOENT);
    refuses(mv(b"none", b"a", RenameMode::Exchange), Errno::NOENT);
    mv(b"a", b"b", RenameMode::Exchange).unwrap();
    assert_eq!((content_at(b, &root, b"a"), content_at(b, &root, b"b")), (b"b".to_vec(), b"a".to_vec()));
    mv(b"a", b"d", RenameMode::Exchange).unwrap();
    assert_eq!(content_at(b, &root, b"d"), b"b");
    drop(make_file(b, &dir, b"f", b""));
    assert_eq!(list(b, &b.open_dir(&root, b"a").unwrap()), [b"f"]);
    refuses(b.rename(&root, b"a", &dir, b"f", RenameMode::Exchange), Errno::INVAL);
    refuses(b.rename(&dir, b"f", &root, b"a", RenameMode::Exchange), Errno::INVAL);
    mv(b"b", b"c", RenameMode::NoReplace).unwrap();
    assert_eq!(list(b, &root), [b"a", b"c", b"d"]);
    match mv(b"c", b"d", RenameMode::Whiteout) {
        Ok(()) => {
            assert_eq!(contents(b, &root)[b"c".as_slice()], Kind::CharDevice);
            assert_eq!(content_at(b, &root, b"d"), b"a");
            assert_eq!(b.stat(Target::Entry(&root, b"c")).unwrap().rdev, 0);
            refuses(mv(b"d", b"c", RenameMode::NoReplaceWhiteout), Errno::EXIST);
        }
        // Not every file system has whiteouts.
        Err(errno) => assert!(matches!(errno, Errno::INVAL | Errno::PERM), "{errno}"),
    }
}

fn symbolic_links<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    let longest = vec![b't'; 4095];
    b.make_symlink(&root, b"long", &longest, None).unwrap();
    b.make_symlink(&root, b"dangling", b"no/where", None).unwrap();
    assert_eq!(b.read_link(Target::Entry(&root, b"long")).unwrap(), longest);
    let stat = b.stat(Target::Entry(&root, b"dangling")).unwrap();
    assert_eq!((stat.size, Kind::of_mode(stat.mode)), (8, Kind::Symlink));
    refuses(b.make_symlink(&root, b"longer", &[b't'; 4096], None), Errno::NAMETOOLONG);
    refuses(b.make_symlink(&root, b"empty", b"", None), Errno::NOENT);
    refuses(b.make_symlink(&root, b"long", b"x", None), Errno::EXIST);
    drop(make_file(b, &root, b"f", b""));
    refuses(b.read_link(Target::Entry(&root, b"f")), Errno::INVAL);
    refuses(b.read_link(Target::Dir(&root)), Errno::INVAL);
    refuses(b.set_permissions(Target::Entry(&root, b"long"), 0o600), Errno::OPNOTSUPP);
    refuses(b.set_permissions(Target::Held(&b.hold(&root, b"long").unwrap()), 0o600), Errno::OPNOTSUPP);
    b.link(Target::Entry(&root, b"dangling"), &root, b"again").unwrap();
    assert_eq!(b.read_link(Target::Entry(&root, b"again")).unwrap(), b"no/where");
}

fn small_files<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    b.write_small(&root, b"s", b"sixteen bytes...", false).unwrap();
    assert_eq!(b.read_small(&root, b"s", 16).unwrap(), b"sixteen bytes...");
    refuses(b.read_small(&root, b"s", 15), Errno::OVERFLOW);
    refuses(b.read_small(&root, b"none", 15), Errno::NOENT);
    assert_eq!(b.stat(Target::Entry(&root, b"s")).unwrap().mode, libc::S_IFREG | 0o444);
    refuses(b.write_small(&root, b"s", b"x", false), Errno::EXIST);
    assert_eq!(b.read_small(&root, b"s", 16).unwrap(), b"sixteen bytes...");
    b.write_small(&root, b"s", b"other", true).unwrap();
    b.write_small(&root, b"new", b"", true).unwrap();
    assert_eq!(b.read_small(&root, b"s", 16).unwrap(), b"other");
    assert_eq!(b.read_small(&root, b"new", 0).unwrap(), b"");
    b.sync_entry(&root, b"s").unwrap();
    refuses(b.sync_entry(&root, b"none"), Errno::NOENT);
    make_dir(b, &root, b"d");
    b.make_symlink(&root, b"link", b"s", None).unwrap();
    refuses(b.read_small(&root, b"link", 16), Errno::LOOP);
}

fn reading_and_writing<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    let file = make_file(b, &root, b"f", b"0123456789");
    let mut out = [0xaa; 4];
    assert_eq!(b.read_at(&file, 8, &mut out).unwrap(), 2);
    assert_eq!(&out, b"89\xaa\xaa");
    assert_eq!(b.read_at(&file, 10, &mut out).unwrap(), 0);
    assert_eq!(b.read_at(&file, 1 << 40, &mut out).unwrap(), 0);
    b.write_at(&file, 4, b"four").unwrap();
    b.write_at(&file, 12, b"end").unwrap();
    b.write_at(&file, 1 << 20, b"").unwrap();
    assert_eq!(content(b, &file), b"0123four89\0\0end");
    b.set_len(&file, 6).unwrap();
    b.set_len(&file, 9).unwrap();
    assert_eq!(content(b, &file), b"0123fo\0\0\0");
    let large: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    b.write_at(&file, 5, &large).unwrap();
    assert!(content(b, &file)[5..] == large);
    b.set_len(&file, 0).unwrap();
    assert_eq!(content(b, &file), b"");
    refuses(b.write_at(&file, i64::MAX as u64, b"xx"), Errno::INVAL);
}

fn holes<B: Backing>(b: &B) {
    const MIB: u64 = 1 << 20;
    let root = b.root().unwrap();
    let file = b.create(&root, b"f", 0o600, None).unwrap();
    refuses(b.seek_data(&file, 0), Errno::NXIO);
    refuses(b.seek_hole(&file, 0), Errno::NXIO);
    b.write_at(&file, MIB, &[1; 4096]).unwrap();
    b.set_len(&file, 4 * MIB).unwrap();
    assert_eq!(b.seek_data(&file, 0).unwrap(), MIB);
    assert_eq!(b.seek_data(&file, MIB + 7).unwrap(), MIB + 7);
    assert_eq!(b.seek_hole(&file, 5).unwrap(), 5);
    assert_eq!(b.seek_hole(&file, MIB).unwrap(), MIB + 4096);
    refuses(b.seek_data(&file, MIB + 4096), Errno::NXIO);
    refuses(b.seek_hole(&file, 4 * MIB), Errno::NXIO);
    b.write_at(&file, 4 * MIB - 4096, &[1; 4096]).unwrap();
    assert_eq!(b.seek_hole(&file, 4 * MIB - 1).unwrap(), 4 * MIB);
    assert!(b.stat(Target::File(&file)).unwrap().blocks < 64, "holes take no space");
    let mut out = vec![0xaa; 8192];
    assert_eq!(b.read_at(&file, MIB - 4096, &mut out).unwrap(), 8192);
    assert!(out[..4096].iter().all(|byte| *byte == 0) && out[4096..].iter().all(|byte| *byte == 1));
    b.set_len(&file, MIB + 100).unwrap();
    b.set_len(&file, MIB + 4096).unwrap();
    assert_eq!(b.read_at(&file, MIB, &mut out).unwrap(), 4096);
    assert!(out[..100].iter().all(|byte| *byte == 1) && out[100..4096].iter().all(|byte| *byte == 0));
}

fn reserving<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    let file = make_file(b, &root, b"f", b"content");
    match b.reserve(&file, 0, 1 << 20) {
        Err(errno) => assert_eq!(errno, Errno::OPNOTSUPP),
        Ok(()) => {
            let stat = b.stat(Target::File(&file)).unwrap();
            assert_eq!(stat.size, 7);
            assert!(stat.blocks * 512 >= 1 << 20);
            assert_eq!(content(b, &file), b"content");
            b.set_len(&file, 10_000).unwrap();
            assert!(content(b, &file)[7..].iter().all(|byte| *byte == 0));
        }
    }
}

fn permissions_and_owners<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    let file = make_file(b, &root, b"f", b"");
    let dir = make_dir(b, &root, b"d");
    let mode = |target: Target<'_, B>| b.stat(target).unwrap().mode & 0o7777;
    b.set_permissions(Target::Entry(&root, b"f"), 0o4711).unwrap();
    assert_eq!(mode(Target::File(&file)), 0o4711);
    b.set_permissions(Target::File(&file), 0o600).unwrap();
    b.set_permissions(Target::Dir(&dir), 0o1777).unwrap();
    assert_eq!((mode(Target::Entry(&root, b"f")), mode(Target::Entry(&root, b"d"))), (0o600, 0o1777));
    let (uid, gid) = {
        let stat = b.stat(Target::File(&file)).unwrap();
        (stat.uid, stat.gid)
    };
    b.set_owner(Target::File(&file), Some(uid), None).unwrap();
    b.set_owner(Target::Entry(&root, b"f"), None, Some(gid)).unwrap();
    b.set_owner(Target::Dir(&dir), None, None).unwrap();
    if rustix::process::geteuid().is_root() {
        b.set_permissions(Target::File(&file), 0o6755).unwrap();
        b.set_owner(Target::File(&file), Some(1000), Some(2000)).unwrap();
        let stat = b.stat(Target::Entry(&root, b"f")).unwrap();
        assert_eq!((stat.uid, stat.gid, stat.mode & 0o7777), (1000, 2000, 0o755));
        b.set_owner(Target::Dir(&dir), None, Some(2000)).unwrap();
        b.set_permissions(Target::Dir(&dir), 0o2755).unwrap();
        b.make_dir(&dir, b"inner", 0o700, None).unwrap();
        drop(b.create(&dir, b"f", 0o600, None).unwrap());
        let inner = b.stat(Target::Entry(&dir, b"inner")).unwrap();
        assert_eq!((inner.gid, inner.mode & 0o7777), (2000, 0o2700));
        let inner = b.stat(Target::Entry(&dir, b"f")).unwrap();
        assert_eq!((inner.gid, inner.mode & 0o7777), (2000, 0o600));
    }
}

fn times<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    let file = make_file(b, &root, b"f", b"");
    b.make_symlink(&root, b"link", b"f", None).unwrap();
    let (old, odd) = (Timestamp { seconds: -5, nanoseconds: 999_999_999 }, Timestamp { seconds: 1, nanoseconds: 7 });
    b.set_times(Target::File(&file), Some(SetTime::To(old)), Some(SetTime::To(odd))).unwrap();
    let stat = b.stat(Target::Entry(&root, b"f")).unwrap();
    assert_eq!((stat.atime, stat.mtime), (old, odd));
    b.set_times(Target::Entry(&root, b"f"), None, Some(SetTime::To(old))).unwrap();
    b.set_times(Target::Entry(&root, b"link"), Some(SetTime::To(odd)), None).unwrap();
    b.set_times(Target::Dir(&root), None, Some(SetTime::To(odd))).unwrap();
    let stat = b.stat(Target::File(&file)).unwrap();
    assert_eq!((stat.atime, stat.mtime), (old, old));
    assert_eq!(b.stat(Target::Entry(&root, b"link")).unwrap().atime, odd);
    assert_eq!(b.stat(Target::Dir(&root)).unwrap().mtime, odd);
    b.set_times(Target::File(&file), None, Some(SetTime::Now)).unwrap();
    assert!(b.stat(Target::File(&file)).unwrap().mtime > odd);
    b.write_at(&file, 0, b"x").unwrap();
    assert!(b.stat(Target::File(&file)).unwrap().mtime > old);
}

fn extended_attributes<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    let file = make_file(b, &root, b"f", b"");
    let dir = make_dir(b, &root, b"d");
    b.make_symlink(&root, b"link", b"f", None).unwrap();
    let entry = Target::<B>::Entry(&root, b"f");
    if b.set_xattr(entry, b"user.a", b"1", XattrMode::Any) == Err(Errno::OPNOTSUPP) {
        return; // a file system without them
    }
    assert_eq!(b.xattr(Target::File(&file), b"user.a").unwrap(), b"1");
    refuses(b.set_xattr(entry, b"user.a", b"2", XattrMode::Create), Errno::EXIST);
    refuses(b.set_xattr(entry, b"user.b", b"2", XattrMode::Replace), Errno::NODATA);
    b.set_xattr(Target::File(&file), b"user.a", b"", XattrMode::Replace).unwrap();
    b.set_xattr(Target::Held(&b.hold(&root, b"f").unwrap()), b"user.b", &[0, 0xff], XattrMode::Create).unwrap();
    assert_eq!(b.xattr(entry, b"user.a").unwrap(), b"");
    assert_eq!(b.xattr(entry, b"user.b").unwrap(), [0, 0xff]);
    let mut names = b.list_xattrs(entry).unwrap();
    names.retain(|name| name.starts_with(b"user."));
    names.sort();
    assert_eq!(names, [b"user.a", b"user.b"]);
    b.remove_xattr(entry, b"user.a").unwrap();
    refuses(b.remove_xattr(entry, b"user.a"), Errno::NODATA);
    refuses(b.xattr(entry, b"user.a"), Errno::NODATA);
    b.set_xattr(Target::Dir(&dir), b"user.d", b"dir", XattrMode::Any).unwrap();
    assert_eq!(b.xattr(Target::Entry(&root, b"d"), b"user.d").unwrap(), b"dir");
    refuses(b.set_xattr(Target::Entry(&root, b"link"), b"user.a", b"1", XattrMode::Any), Errno::PERM);
    refuses(b.set_xattr(entry, &[b"user.".as_slice(), &[b'n'; 251]].concat(), b"1", XattrMode::Any), Errno::RANGE);
}

fn syncing<B: Backing>(b: &B) {
    let root = b.root().unwrap();
    let file = make_file(b, &root, b"f", b"content");
    b.order(&file, 0, 7).unwrap();
    b.sync(&file, true).unwrap();
    b.sync(&file, false).unwrap();
    b.sync_dir(&root).unwrap();
    b.sync_all().unwrap();
    assert_eq!(content(b, &file), b"content");
    let fs = b.stat_fs().unwrap();
    assert!(fs.blocks_available <= fs.blocks && fs.fragment_size > 0 && fs.name_max == 255);
}
