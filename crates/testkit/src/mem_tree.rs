//! A tree in memory: the double of whatever files flow out of or into, or that follows another.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;

use parking_lot::Mutex;
use strongroom_tree::{
    Content, Entry, Filter, Kind, Look, Meta, RelPath, Replica, Sink, Source, Stamp, Timestamp, TreeError,
};

/// A tree in memory, whose clock counts changes.
#[derive(Default)]
pub struct MemTree(Mutex<Nodes>);

#[derive(Default)]
struct Nodes {
    names: BTreeMap<RelPath, u64>,
    nodes: HashMap<u64, Node>,
    clock: i64,
    last: u64,
}

#[derive(Clone)]
struct Node {
    kind: Kind,
    meta: Meta,
    content: Vec<u8>,
    /// Counts what was done to it: the clock of this tree.
    ctime: i64,
}

impl MemTree {
    /// A tree with nothing but a root, of mode 0755 and without an owner.
    pub fn new() -> Self {
        let meta = Meta { mode: 0o755, ..Meta::default() };
        let root = Node { kind: Kind::Directory, meta, content: Vec::new(), ctime: 0 };
        let nodes = Nodes { names: [(RelPath::root(), 1)].into(), nodes: [(1, root)].into(), clock: 0, last: 1 };
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
        let ctime = Timestamp { seconds: self.nodes[&ino].ctime, nanoseconds: 0 };
        Stamp { ino, links, ctime, ..Stamp::default() }
    }

    fn put(&mut self, entry: &Entry, content: Vec<u8>) -> io::Result<()> {
        let Some(parent) = entry.path.parent() else { return self.dress(entry) };
        let parent = self.names.get(&parent).ok_or(io::ErrorKind::NotFound)?;
        if self.nodes[parent].kind != Kind::Directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let to = match &entry.kind {
            Kind::Link { to } => Some(*self.names.get(to).ok_or(io::ErrorKind::NotFound)?),
            _ => None,
        };
        if to.is_some_and(|to| self.nodes[&to].kind == Kind::Directory) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        match self.names.get(&entry.path).copied() {
            Some(there) if entry.is_dir() && self.nodes[&there].kind == Kind::Directory => return Ok(()),
            Some(there) if Some(there) == to => return Ok(()),
            Some(_) => self.remove(&entry.path),
            None => {}
        }
        let ino = to.unwrap_or(self.last + 1);
        self.last = self.last.max(ino);
        self.clock += 1;
        self.names.insert(entry.path.clone(), ino);
        let ctime = self.clock;
        let node = || Node { kind: entry.kind.clone(), meta: entry.meta.clone(), content, ctime };
        self.nodes.entry(ino).and_modify(|node| node.ctime = ctime).or_insert_with(node);
        Ok(())
    }

    /// Takes away what is at `path` and within; of the root, what is within.
    fn remove(&mut self, path: &RelPath) {
        self.clock += 1;
        let clock = self.clock;
        let within = |other: &RelPath| other.is_within(path) && !other.is_root();
        let gone: Vec<_> =
            self.names.iter().filter(|(other, _)| within(other)).map(|(at, ino)| (at.clone(), *ino)).collect();
        for (path, ino) in gone {
            self.names.remove(&path);
            match self.names.values().any(|other| *other == ino) {
                true => drop(self.nodes.entry(ino).and_modify(|node| node.ctime = clock)),
                false => drop(self.nodes.remove(&ino)),
            }
        }
    }

    fn dress(&mut self, entry: &Entry) -> io::Result<()> {
        self.clock += 1;
        let ino = self.names.get(&entry.path).ok_or(io::ErrorKind::NotFound)?;
        let node = self.nodes.get_mut(ino).expect("a name leads to a node");
        (node.meta, node.ctime) = (entry.meta.clone(), self.clock);
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

impl Replica for MemTree {
    fn remove(&self, path: &RelPath) -> Result<(), TreeError> {
        self.0.lock().remove(path);
        Ok(())
    }

    fn dress(&self, entry: &Entry) -> Result<(), TreeError> {
        self.0.lock().dress(entry).map_err(TreeError::on("dressing", &entry.path))
    }

    fn sync(&self) -> Result<(), TreeError> {
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
