//! A tree in memory: the double of whatever files flow out of or into.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;

use parking_lot::Mutex;
use strongroom_tree::{Content, Entry, Filter, Kind, Look, Meta, RelPath, Sink, Source, Stamp, Timestamp, TreeError};

/// A tree in memory.
#[derive(Default)]
pub struct MemTree(Mutex<Nodes>);

#[derive(Default)]
struct Nodes {
    names: BTreeMap<RelPath, u64>,
    nodes: HashMap<u64, Node>,
}

#[derive(Clone)]
struct Node {
    kind: Kind,
    meta: Meta,
    content: Vec<u8>,
}

impl MemTree {
    /// A tree with nothing but a root, of mode 0755 and without an owner.
    pub fn new() -> Self {
        let meta = Meta { mode: 0o755, ..Meta::default() };
        let root = Node { kind: Kind::Directory, meta, content: Vec::new() };
        let nodes = Nodes { names: [(RelPath::root(), 1)].into(), nodes: [(1, root)].into() };
        Self(Mutex::new(nodes))
    }
}

impl Nodes {
    fn entry(&self, path: &RelPath, met: &mut HashMap<u64, RelPath>) -> Entry {
        let ino = self.names[path];
        let node = &self.nodes[&ino];
        let kind = match met.get(&ino) {
            Some(to) => Kind::Link { to: to.clone() },
            None => node.kind.clone(),
        };
        met.entry(ino).or_insert_with(|| path.clone());
        Entry { path: path.clone(), kind, meta: node.meta.clone(), stamp: self.stamp(ino) }
    }

    fn stamp(&self, ino: u64) -> Stamp {
        let links = self.names.values().filter(|other| **other == ino).count() as u64;
        Stamp { ino, links, ..Stamp::default() }
    }

    fn put(&mut self, entry: &Entry, content: Vec<u8>) -> io::Result<()> {
        let Some(parent) = entry.path.parent() else {
            self.nodes.entry(1).and_modify(|root| root.meta = entry.meta.clone());
            return Ok(());
        };
        let parent = self.names.get(&parent).ok_or(io::ErrorKind::NotFound)?;
        if self.nodes[parent].kind != Kind::Directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if self.names.contains_key(&entry.path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let ino = match &entry.kind {
            Kind::Link { to } => *self.names.get(to).ok_or(io::ErrorKind::NotFound)?,
            _ => self.nodes.len() as u64 + 1,
        };
        if matches!(entry.kind, Kind::Link { .. }) && self.nodes[&ino].kind == Kind::Directory {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.names.insert(entry.path.clone(), ino);
        let node = || Node { kind: entry.kind.clone(), meta: entry.meta.clone(), content };
        self.nodes.entry(ino).or_insert_with(node);
        Ok(())
    }
}

impl Source for MemTree {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        let nodes = self.0.lock();
        let mut met = HashMap::new();
        let is_dir = |ino: &u64| nodes.nodes[ino].kind == Kind::Directory;
        let given = nodes.names.iter().filter(|(path, ino)| filter.passes_path(path, is_dir(ino)));
        let entries: Vec<_> = given.map(|(path, _)| Ok(nodes.entry(path, &mut met))).collect();
        Box::new(entries.into_iter())
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        let nodes = self.0.lock();
        let opened = nodes.names.get(path).ok_or(io::ErrorKind::NotFound).and_then(|ino| match &nodes.nodes[ino] {
            node if matches!(node.kind, Kind::File { .. }) => Ok(MemContent {
                bytes: node.content.clone(),
                mtime: node.meta.mtime,
                stamp: nodes.stamp(*ino),
                runs: None,
            }),
            _ => Err(io::ErrorKind::InvalidInput),
        });
        Ok(Box::new(opened.map_err(TreeError::on("opening", path))?))
    }
}

impl Sink for MemTree {
    fn put(&self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<(), TreeError> {
        let making = || TreeError::on("making", &entry.path);
        let bytes = match (&entry.kind, content) {
            (Kind::File { len: 0 }, None) => Vec::new(),
            (Kind::File { len }, Some(content)) => read(content, *len).map_err(making())?,
            (Kind::File { .. }, None) => return Err(making()(io::Error::other("it came without content"))),
            _ => Vec::new(),
        };
        self.0.lock().put(entry, bytes).map_err(making())
    }

    fn seal(&self) -> Result<(), TreeError> {
        Ok(())
    }
}

fn read(content: &mut dyn Content, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len as usize];
    match content.read_at(0, &mut bytes)? {
        read if read as u64 == len => Ok(bytes),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Content in memory.
#[derive(Clone, Debug, Default)]
pub struct MemContent {
    bytes: Vec<u8>,
    mtime: Timestamp,
    stamp: Stamp,
    /// Where there are data; `None` if it cannot tell.
    runs: Option<Vec<Range<u64>>>,
}

impl MemContent {
    /// These bytes, without holes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), ..Self::default() }
    }

    /// A file of `len` bytes that is all hole but for `pieces`, each at its offset, which are in order.
    pub fn sparse(len: usize, pieces: &[(usize, &[u8])]) -> Self {
        let mut bytes = vec![0; len];
        for (at, piece) in pieces {
            bytes[*at..*at + piece.len()].copy_from_slice(piece);
        }
        let runs = pieces.iter().map(|(at, piece)| *at as u64..(at + piece.len()) as u64).collect();
        Self { bytes, runs: Some(runs), ..Self::default() }
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Content for MemContent {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.bytes.len().min(offset as usize)..];
        let len = rest.len().min(out.len());
        out[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        let len = self.bytes.len() as u64;
        let Some(runs) = &self.runs else { return Ok((from < len).then_some(from..len)) };
        Ok(runs.iter().find(|run| run.end > from).map(|run| run.start.max(from)..run.end))
    }

    fn look(&mut self) -> io::Result<Look> {
        Ok(Look { len: self.bytes.len() as u64, mtime: self.mtime, stamp: self.stamp })
    }
}
