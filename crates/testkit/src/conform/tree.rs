//! What everything relies on in a [`Source`] and a [`Sink`], asked of two ends of one tree.

use std::io;

use strongroom_event::Silent;
use strongroom_tree::{
    Comparison, Entry, Filter, Kind, Meta, RelPath, Sink, Source, Stamp, Timestamp, Xattr, compare, transfer,
};

use crate::{Dice, MemContent, MemTree, bytes};

/// An empty tree: where to put things in, and where they come out.
pub type Ends<'a> = (&'a dyn Sink, &'a dyn Source);

/// Runs every case with an empty tree of its own, which `with` makes.
pub fn tree(with: impl Fn(&dyn Fn(Ends<'_>))) {
    with(&source);
    with(&sink);
    with(&links);
    with(&contents);
    with(&holes);
    with(&filters);
    with(&what_is_no_file_is_not_opened);
    for seed in 0..4 {
        with(&|ends| any_tree_comes_out_as_it_went_in(ends, seed));
    }
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

fn entry(path: RelPath, kind: Kind) -> Entry {
    let mode = if kind == Kind::Directory { 0o750 } else { 0o640 };
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let mtime = Timestamp { seconds: 1_234_567_890, nanoseconds: 123_456_789 };
    let meta = Meta { mode, uid, gid, mtime, ..Meta::default() };
    Entry { path, kind, meta, stamp: Stamp::default() }
}

fn put(sink: &dyn Sink, name: &str, kind: Kind) {
    sink.put(&entry(path(name), kind), None).unwrap();
}

fn put_file(sink: &dyn Sink, name: &str, content: &[u8]) {
    let mut content = MemContent::new(content);
    let file = entry(path(name), Kind::File { len: content.bytes().len() as u64 });
    sink.put(&file, Some(&mut content)).unwrap();
}

fn walked(source: &dyn Source, filter: &Filter) -> Vec<Entry> {
    source.entries(filter).map(Result::unwrap).collect()
}

fn names(source: &dyn Source) -> Vec<RelPath> {
    walked(source, &Filter::everything()).into_iter().map(|entry| entry.path).collect()
}

fn find(source: &dyn Source, name: &str) -> Entry {
    walked(source, &Filter::everything()).into_iter().find(|entry| entry.path == path(name)).unwrap()
}

/// Everything is given once, parents first, siblings by their bytes, with all that it was put with.
pub fn source((sink, source): Ends<'_>) {
    put(sink, "b", Kind::Directory);
    put(sink, "b!", Kind::Directory);
    put_file(sink, "b/file", b"x");
    put_file(sink, "B", b"");
    put(sink, "b/fifo", Kind::Fifo);
    put(sink, "b/link", Kind::Symlink { target: b"../nowhere".to_vec() });
    let odd = [RelPath::parse(b"\xff\n").unwrap(), RelPath::parse(&[b'n'; 255]).unwrap()];
    for path in &odd {
        sink.put(&entry(path.clone(), Kind::Directory), None).unwrap();
    }
    let attributed = {
        let mut attributed = entry(path("b/attributed"), Kind::File { len: 0 });
        attributed.meta.mode = 0o400;
        attributed.meta.xattrs = ["user.a", "user.b"].map(|name| xattr(name, b"\x00\xff")).into();
        attributed
    };
    sink.put(&attributed, None).unwrap();
    sink.seal().unwrap();
    let [undecodable, long] = odd;
    let order = ["", "B", "b", "b/attributed", "b/fifo", "b/file", "b/link", "b!"]
        .map(path)
        .into_iter()
        .chain([long, undecodable]);
    assert_eq!(names(source), order.collect::<Vec<_>>());
    assert_eq!(names(source), names(source), "a second walk gives the same");
    assert_eq!(find(source, "b/link").kind, Kind::Symlink { target: b"../nowhere".to_vec() });
    assert_eq!(find(source, "b/fifo").kind, Kind::Fifo);
    assert_eq!(find(source, "b/file").kind, Kind::File { len: 1 });
    let found = find(source, "b/attributed").meta;
    assert_eq!((found.mode, found.mtime, found.xattrs), (0o400, attributed.meta.mtime, attributed.meta.xattrs));
}

fn xattr(name: &str, value: &[u8]) -> Xattr {
    Xattr { name: name.into(), value: value.to_vec() }
}

/// Nothing half made is left, and directories end up as they were put, whatever came into them.
pub fn sink((sink, source): Ends<'_>) {
    let mut dir = entry(path("d"), Kind::Directory);
    dir.meta.mode = 0o555;
    dir.meta.xattrs = vec![xattr("user.of-a-directory", b"yes")];
    sink.put(&dir, None).unwrap();
    put_file(sink, "d/file", b"old");
    let kind_of = |result: Result<(), strongroom_tree::TreeError>| result.unwrap_err().source.kind();
    let orphan = entry(path("missing/file"), Kind::File { len: 0 });
    assert_eq!(kind_of(sink.put(&orphan, None)), io::ErrorKind::NotFound);
    sink.put(&entry(path("d/file/below"), Kind::Directory), None).unwrap_err();
    let short = entry(path("d/short"), Kind::File { len: 10 });
    assert_eq!(kind_of(sink.put(&short, Some(&mut MemContent::new(b"only 6")))), io::ErrorKind::UnexpectedEof);
    sink.put(&short, None).unwrap_err();
    let cut = entry(path("d/cut"), Kind::File { len: 4 });
    sink.put(&cut, Some(&mut MemContent::new(b"grown since"))).unwrap();
    sink.seal().unwrap();
    assert_eq!(names(source), ["", "d", "d/cut", "d/file"].map(path));
    assert_eq!(read_all(source, "d/file"), b"old");
    assert_eq!(read_all(source, "d/cut"), b"grow");
    let found = find(source, "d").meta;
    assert_eq!((found.mode, found.mtime, found.xattrs), (0o555, dir.meta.mtime, dir.meta.xattrs));
}

/// One file with several names is a file where it is met first, and a link to that elsewhere.
pub fn links((sink, source): Ends<'_>) {
    put(sink, "d", Kind::Directory);
    put_file(sink, "d/z", b"one file");
    put(sink, "a", Kind::Link { to: path("d/z") });
    put(sink, "d/b", Kind::Link { to: path("a") });
    sink.put(&entry(path("c"), Kind::Link { to: path("missing") }), None).unwrap_err();
    sink.put(&entry(path("c"), Kind::Link { to: RelPath::root() }), None).unwrap_err();
    sink.seal().unwrap();
    assert_eq!(find(source, "a").kind, Kind::File { len: 8 });
    for name in ["d/b", "d/z"] {
        assert_eq!(find(source, name).kind, Kind::Link { to: path("a") }, "{name}");
        assert_eq!(read_all(source, name), b"one file");
    }
    let filter = Filter::everything().without([path("a")]);
    let given = walked(source, &filter);
    let kinds: Vec<_> = given[2..].iter().map(|entry| entry.kind.clone()).collect();
    assert_eq!(kinds, [Kind::File { len: 8 }, Kind::Link { to: path("d/b") }], "a link is to a name that was given");
}

/// Content is read as it was written, from anywhere, at any length.
pub fn contents((sink, source): Ends<'_>) {
    for len in [0, 1, 4095, 4096, 4097, (1 << 20) + 3] {
        let name = len.to_string();
        let content = bytes(len as u64, len);
        put_file(sink, &name, &content);
        assert_eq!(read_all(source, &name), content, "{len} bytes");
        let mut opened = source.open(&path(&name)).unwrap();
        assert_eq!(opened.look().unwrap().len, len as u64);
        assert_eq!(opened.look().unwrap(), opened.look().unwrap(), "nobody wrote to it");
        for at in [0, len / 2, len.saturating_sub(1), len, len + 10] {
            let mut out = vec![0xaa; 5000];
            let read = opened.read_at(at as u64, &mut out).unwrap();
            let wanted = &content[at.min(len)..(at + 5000).min(len).max(at.min(len))];
            assert_eq!(&out[..read], wanted, "{len} bytes from {at}");
        }
        assert_eq!(opened.data_from(len as u64).unwrap(), None);
    }
}

/// What is said to be a hole reads as zeros, and what is not zero is said to be data.
pub fn holes((sink, source): Ends<'_>) {
    let len = 3 << 20;
    let pieces: [(usize, &[u8]); 3] = [(0, b"first"), (1 << 20, &[7; 5000]), ((2 << 20) + 100, b"odd place")];
    let mut sparse = MemContent::sparse(len, &pieces);
    sink.put(&entry(path("sparse"), Kind::File { len: len as u64 }), Some(&mut sparse)).unwrap();
    let mut nothing = MemContent::sparse(len, &[]);
    sink.put(&entry(path("nothing"), Kind::File { len: len as u64 }), Some(&mut nothing)).unwrap();
    sink.seal().unwrap();
    for (name, content) in [("sparse", sparse), ("nothing", nothing)] {
        assert!(read_all(source, name) == content.bytes(), "{name}");
        let mut opened = source.open(&path(name)).unwrap();
        let (mut at, mut data) = (0, vec![0; len]);
        while let Some(run) = opened.data_from(at).unwrap() {
            assert!(run.start >= at && run.start < run.end && run.end <= len as u64, "{run:?} from {at}");
            let piece = run.start as usize..run.end as usize;
            opened.read_at(run.start, &mut data[piece]).unwrap();
            at = run.end;
        }
        assert!(data == content.bytes(), "{name}, only what is data");
    }
}

fn filters((sink, source): Ends<'_>) {
    for dir in ["keep", "leave", "leave/inner"] {
        put(sink, dir, Kind::Directory);
    }
    put_file(sink, "keep/a.tmp", b"x");
    put_file(sink, "keep/b", b"x");
    let filter = Filter::everything().exclude(["*.tmp", "/leave/"]).unwrap();
    let given: Vec<_> = walked(source, &filter).into_iter().map(|entry| entry.path).collect();
    assert_eq!(given, ["", "keep", "keep/b"].map(path));
}

fn what_is_no_file_is_not_opened((sink, source): Ends<'_>) {
    put(sink, "d", Kind::Directory);
    put(sink, "fifo", Kind::Fifo);
    put_file(sink, "file", b"x");
    put(sink, "link", Kind::Symlink { target: b"file".to_vec() });
    put(sink, "dirlink", Kind::Symlink { target: b"d".to_vec() });
    put_file(sink, "d/inner", b"x");
    for name in ["", "d", "fifo", "link", "dirlink/inner", "file/below"] {
        assert!(source.open(&path(name)).is_err(), "{name}");
    }
    let vanished = source.open(&path("gone")).err().unwrap();
    assert!(vanished.is_vanished(), "{vanished}");
    assert!(source.open(&path("d/inner")).is_ok());
}

/// A generated tree, transferred and compared.
fn any_tree_comes_out_as_it_went_in((sink, source): Ends<'_>, seed: u64) {
    let original = generated(seed);
    let done = transfer(&original, &Filter::everything(), sink, 3, &Silent).unwrap();
    assert!(done.failed.is_empty() && done.changed.is_empty(), "{done:?}");
    let differences = compare(&original, source, &Filter::everything(), &Comparison::default(), &Silent);
    assert_eq!(differences, [], "seed {seed}");
}

fn generated(seed: u64) -> MemTree {
    let (tree, mut dice) = (MemTree::new(), Dice::new(seed));
    let mut root = entry(RelPath::root(), Kind::Directory);
    root.meta.mode = 0o700;
    tree.put(&root, None).unwrap();
    let (mut dirs, mut files) = (vec![RelPath::root()], Vec::new());
    for number in 0..60_u64 {
        let parent = &dirs[dice.below(dirs.len())];
        let name = format!("{}{number}", ["n", "N", "name with spaces ", "\u{e4}"][dice.below(4)]);
        let path = parent.join(name.as_bytes()).unwrap();
        let kind = match dice.below(10) {
            0..3 => Kind::Directory,
            3 => Kind::Symlink { target: name.into_bytes() },
            4 => Kind::Fifo,
            5 if !files.is_empty() => Kind::Link { to: RelPath::clone(&files[dice.below(files.len())]) },
            _ => Kind::File { len: [0, 10, 4096, 100_000][dice.below(4)] },
        };
        let mut entry = entry(path.clone(), kind);
        entry.meta.mtime.nanoseconds = dice.below(1_000_000_000) as u32;
        // A directory that cannot be searched hides what is in it from all but root.
        entry.meta.mode = if entry.is_dir() { [0o700, 0o3755][dice.below(2)] } else { [0o600, 0o754][dice.below(2)] };
        match &entry.kind {
            Kind::Directory => dirs.push(path),
            Kind::File { len } => {
                files.push(path);
                if dice.below(3) == 0 {
                    entry.meta.xattrs = vec![xattr("user.number", &number.to_le_bytes())];
                }
                tree.put(&entry, Some(&mut MemContent::new(bytes(number, *len as usize)))).unwrap();
                continue;
            }
            _ => {}
        }
        tree.put(&entry, None).unwrap();
    }
    tree
}

fn read_all(source: &dyn Source, name: &str) -> Vec<u8> {
    let mut content = source.open(&path(name)).unwrap();
    let mut out = vec![0xaa; content.look().unwrap().len as usize + 1];
    let len = content.read_at(0, &mut out).unwrap();
    out.truncate(len);
    out
}
