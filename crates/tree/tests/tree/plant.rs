//! What is made in a directory, and what is not.

use std::{
    fs, io,
    ops::Range,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    process::Command,
    sync::Arc,
};

use strongroom_event::Silent;
use strongroom_tree::{
    Comparison, Content, Entry, Filter, Kind, LocalSink, LocalTree, Look, Lost, Owners, Planting, Sink, Stamp,
    Timestamp, Xattr, Xattrs, compare, transfer,
};

use crate::sample::{CAP_NET_RAW, Mount, fill, find, is_root, path, plain, run, set_xattr};

/// Content from memory.
struct Bytes(Vec<u8>);

impl Content for Bytes {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let rest = &self.0[self.0.len().min(offset as usize)..];
        let len = rest.len().min(out.len());
        out[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        let len = self.0.len() as u64;
        Ok((from < len).then_some(from..len))
    }

    fn look(&mut self) -> io::Result<Look> {
        Ok(Look { len: self.0.len() as u64, mtime: Timestamp::default(), stamp: Stamp::default() })
    }
}

const LIKE_ROOT: Planting = Planting { owners: Owners::ByNumber, set_id: true, devices: true, xattrs: Xattrs::Strict };

fn file(name: &str, len: u64) -> Entry {
    plain(name, Kind::File { len })
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What find(1) and getfattr(1) tell of a tree, independent of our own walk.
fn told_by_tools(dir: &Path) -> String {
    let output = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{program}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let format = "%p %y %m %U %G %T@ %n %l\\n";
    let found = output("find", &[".", "-printf", format]);
    let mut lines: Vec<_> = found.lines().collect();
    lines.sort_unstable();
    let attributes = output("getfattr", &["-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", "."]);
    let mut blocks: Vec<_> = attributes.split("\n\n").collect();
    blocks.sort_unstable();
    format!("{}\n{}", lines.join("\n"), blocks.join("\n\n"))
}

#[test]
fn a_copy_has_all_that_its_original_has() {
    let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(original.path());
    let source = LocalTree::open(original.path()).unwrap();
    let sink = LocalSink::open(copy.path(), Planting::exact(), &Silent).unwrap();
    let done = transfer(&source, &Filter::everything(), &sink, 3, &Silent).unwrap();
    assert!(done.failed.is_empty() && done.changed.is_empty(), "{done:?}");
    assert_eq!(told_by_tools(copy.path()), told_by_tools(original.path()));
    assert!(
        Command::new("diff")
            .args(["-r", "--no-dereference", "-x", "fifo", "-x", "null", "-x", "disk"])
            .args([original.path(), copy.path()])
            .status()
            .unwrap()
            .success()
    );
    let copied = LocalTree::open(copy.path()).unwrap();
    let exactly = Comparison { holes: true, ..Comparison::default() };
    assert_eq!(compare(&source, &copied, &Filter::everything(), &exactly, &Silent), []);
    assert!(fs::metadata(copy.path().join("sparse")).unwrap().blocks() < 1000);
    assert_eq!(sink.notes(), (vec![], 0));
}

#[test]
fn what_exists_is_neither_written_to_nor_replaced() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), b"old").unwrap();
    let sink = LocalSink::open(dir.path(), Planting::exact(), &Silent).unwrap();
    let error = sink.put(&file("f", 3), Some(&mut Bytes(b"new".to_vec()))).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
    for kind in [Kind::Directory, Kind::Fifo, Kind::Symlink { target: b"x".to_vec() }] {
        sink.put(&plain("f", kind), None).unwrap_err();
    }
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"old");
}

#[test]
fn nothing_is_made_through_a_link() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    symlink(outside.path(), dir.path().join("d")).unwrap();
    symlink(outside.path().join("new"), dir.path().join("f")).unwrap();
    fs::write(outside.path().join("secret"), b"x").unwrap();
    let sink = LocalSink::open(dir.path(), Planting::exact(), &Silent).unwrap();
    sink.put(&file("d/f", 1), Some(&mut Bytes(b"x".to_vec()))).unwrap_err();
    sink.put(&file("f", 1), Some(&mut Bytes(b"x".to_vec()))).unwrap_err();
    sink.put(&plain("d/dir", Kind::Directory), None).unwrap_err();
    sink.put(&plain("hard", Kind::Link { to: path("d/secret") }), None).unwrap_err();
    assert_eq!(names(outside.path()), ["secret"]);
    assert_eq!(names(dir.path()), ["d", "f"]);
}

#[test]
fn a_link_made_on_the_way_is_not_followed_later() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sink = LocalSink::open(dir.path(), Planting::exact(), &Silent).unwrap();
    let target = outside.path().to_str().unwrap().as_bytes().to_vec();
    sink.put(&plain("d", Kind::Symlink { target }), None).unwrap();
    sink.put(&file("d/f", 1), Some(&mut Bytes(b"x".to_vec()))).unwrap_err();
    sink.seal().unwrap();
    assert!(names(outside.path()).is_empty());
}

#[test]
fn a_file_whose_content_fails_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let sink = LocalSink::open(dir.path(), Planting::exact(), &Silent).unwrap();
    let error = sink.put(&file("short", 10), Some(&mut Bytes(b"only 6".to_vec()))).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::UnexpectedEof);
    sink.put(&file("without", 10), None).unwrap_err();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn content_beyond_the_length_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let sink = LocalSink::open(dir.path(), Planting::exact(), &Silent).unwrap();
    sink.put(&file("f", 4), Some(&mut Bytes(b"grown since".to_vec()))).unwrap();
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"grow");
}

#[test]
fn setuid_and_capabilities_are_given_only_where_allowed() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut program = file("program", 0);
    program.meta.mode = 0o6755;
    program.meta.xattrs = vec![Xattr { name: b"security.capability".to_vec(), value: CAP_NET_RAW.to_vec() }];
    let sink = LocalSink::open(dir.path(), Planting { set_id: false, ..LIKE_ROOT }, &Silent).unwrap();
    sink.put(&program, None).unwrap();
    let made = find(&LocalTree::open(dir.path()).unwrap(), "program");
    assert_eq!((made.meta.mode, made.meta.xattrs), (0o755, vec![]));
    assert_eq!(sink.notes().0.len(), 1);
    assert_eq!(sink.notes().0[0].lost, Lost::SetId);
}

#[test]
fn a_program_of_somebody_else_does_not_run_as_me() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = file("program", 0);
    (program.meta.mode, program.meta.uid) = (0o4755, 4242);
    let sink = LocalSink::open(dir.path(), Planting { owners: Owners::Mine, ..LIKE_ROOT }, &Silent).unwrap();
    sink.put(&program, None).unwrap();
    assert_eq!(find(&LocalTree::open(dir.path()).unwrap(), "program").meta.mode, 0o755);
}

#[test]
fn everything_becomes_mine_where_so_wanted_and_that_is_noted_once() {
    let dir = tempfile::tempdir().unwrap();
    let sink = LocalSink::open(dir.path(), Planting { owners: Owners::Mine, ..LIKE_ROOT }, &Silent).unwrap();
    for name in ["a", "b"] {
        let mut entry = file(name, 0);
        entry.meta.uid = 4242;
        sink.put(&entry, None).unwrap();
        assert_eq!(fs::metadata(dir.path().join(name)).unwrap().uid(), rustix::process::geteuid().as_raw());
    }
    let (notes, more) = sink.notes();
    assert_eq!((notes.len(), more), (1, 0));
    assert_eq!((&notes[0].path, &notes[0].lost), (&path("a"), &Lost::Owner));
}

#[test]
fn owners_by_name_are_those_of_this_machine_and_else_by_number() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut entry = file("f", 0);
    (entry.meta.uid, entry.meta.gid) = (4242, 4343);
    (entry.meta.user, entry.meta.group) = (Some(Arc::from("daemon")), Some(Arc::from("no such group")));
    let sink = LocalSink::open(dir.path(), Planting { owners: Owners::ByName, ..LIKE_ROOT }, &Silent).unwrap();
    sink.put(&entry, None).unwrap();
    let made = find(&LocalTree::open(dir.path()).unwrap(), "f").meta;
    assert_eq!((made.user.as_deref(), made.gid), (Some("daemon"), 4343));
    assert_ne!(made.uid, 4242);
}

#[test]
fn devices_are_made_only_where_allowed_and_sockets_never() {
    let dir = tempfile::tempdir().unwrap();
    let sink = LocalSink::open(dir.path(), Planting { devices: false, ..LIKE_ROOT }, &Silent).unwrap();
    sink.put(&plain("null", Kind::CharDevice { rdev: 0x103 }), None).unwrap();
    sink.put(&plain("socket", Kind::Socket), None).unwrap();
    assert!(names(dir.path()).is_empty());
    let lost: Vec<_> = sink.notes().0.into_iter().map(|note| note.lost).collect();
    assert_eq!(lost, [Lost::Device, Lost::Socket]);
}

#[test]
fn an_attribute_that_cannot_be_set_fails_the_entry_or_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let mut entry = file("f", 0);
    entry.meta.xattrs = vec![Xattr { name: b"nonsense.name".to_vec(), value: b"x".to_vec() }];
    let sink = LocalSink::open(dir.path(), LIKE_ROOT, &Silent).unwrap();
    let error = sink.put(&entry, None).unwrap_err();
    assert!(error.to_string().contains("nonsense.name"), "{error}");
    assert!(names(dir.path()).is_empty());
    let sink = LocalSink::open(dir.path(), Planting { xattrs: Xattrs::Noted, ..LIKE_ROOT }, &Silent).unwrap();
    sink.put(&entry, None).unwrap();
    assert!(matches!(&sink.notes().0[0].lost, Lost::Xattr { name, .. } if name == b"nonsense.name"));
}

#[test]
fn access_lists_are_not_inherited_from_where_things_are_made() {
    let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(original.path());
    run("setfacl", &["-d", "-m", "u:11111:rwx,m:rwx"], copy.path());
    let source = LocalTree::open(original.path()).unwrap();
    let sink = LocalSink::open(copy.path(), Planting::exact(), &Silent).unwrap();
    transfer(&source, &Filter::everything(), &sink, 1, &Silent).unwrap();
    let copied = LocalTree::open(copy.path()).unwrap();
    let all = Comparison::default();
    let differences = compare(&source, &copied, &Filter::everything(), &all, &Silent);
    assert_eq!(differences, []);
}

#[test]
fn directories_are_private_until_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let sink = LocalSink::open(dir.path(), Planting::exact(), &Silent).unwrap();
    let mut entry = plain("d", Kind::Directory);
    entry.meta.mode = 0o755;
    sink.put(&entry, None).unwrap();
    let mode = || fs::metadata(dir.path().join("d")).unwrap().mode() & 0o7777;
    assert_eq!(mode(), 0o700);
    sink.seal().unwrap();
    assert_eq!(mode(), 0o755);
}

#[test]
fn a_full_disk_is_said_and_leaves_no_half_file() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let _mount = Mount::tmpfs(dir.path(), c"size=1m");
    let sink = LocalSink::open(dir.path(), Planting::exact(), &Silent).unwrap();
    sink.put(&file("fits", 1000), Some(&mut Bytes(vec![1; 1000]))).unwrap();
    let error = sink.put(&file("large", 2 << 20), Some(&mut Bytes(vec![1; 2 << 20]))).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!(names(dir.path()), ["fits"]);
}

#[test]
fn the_deepest_of_trees_is_made_again() {
    let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    crate::walk::deep(original.path(), 400);
    let source = LocalTree::open(original.path()).unwrap();
    let sink = LocalSink::open(copy.path(), Planting::exact(), &Silent).unwrap();
    transfer(&source, &Filter::everything(), &sink, 2, &Silent).unwrap();
    let copied = LocalTree::open(copy.path()).unwrap();
    assert_eq!(compare(&source, &copied, &Filter::everything(), &Comparison::default(), &Silent), []);
}

#[test]
fn attributes_of_a_link_are_its_own() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("target"), b"").unwrap();
    set_xattr(&dir.path().join("target"), "trusted.a", b"of the target");
    let mut link = plain("link", Kind::Symlink { target: b"target".to_vec() });
    link.meta.xattrs = vec![Xattr { name: b"trusted.a".to_vec(), value: b"of the link".to_vec() }];
    let sink = LocalSink::open(dir.path(), LIKE_ROOT, &Silent).unwrap();
    sink.put(&link, None).unwrap();
    let tree = LocalTree::open(dir.path()).unwrap();
    assert_eq!(find(&tree, "link").meta.xattrs[0].value, b"of the link");
    assert_eq!(find(&tree, "target").meta.xattrs[0].value, b"of the target");
}
