//! What a POSIX tree does, in clear and without any disk: the model that a vault is compared with.

use std::collections::BTreeMap;

use strongroom_vault::{Kind, RenameMode, XattrMode};

use crate::op::{Op, Place, SLOTS, names, xattr_names};
use crate::random::bytes;

/// Why an operation is refused, as far as a program can tell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Failure {
    NotFound,
    Exists,
    NotADirectory,
    IsADirectory,
    NotEmpty,
    NameTooLong,
    InvalidArgument,
    NotPermitted,
    NoAttribute,
    Unsupported,
    NoSpace,
    /// Stored data do not authenticate.
    Damaged(String),
    /// The process was killed on the way.
    Killed,
    Other(String),
}

/// What an operation answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Answer {
    Done,
    Bytes(Vec<u8>),
    Names(Vec<Vec<u8>>),
    /// Kind, permissions and, of a file or link, size and links.
    Attr(Kind, u32, Option<(u64, u32)>),
}

/// What a program can see of one name.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its type.
    pub kind: Kind,
    /// Its permissions.
    pub permissions: u32,
    /// Its links; 0 for directories, where they say nothing.
    pub links: u32,
    /// The first path of the same file.
    pub first: Vec<u8>,
    /// What is in the file, or where the link points to.
    pub content: Vec<u8>,
    /// Its extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// When its content changed, if that was set and holds still.
    pub mtime: Option<i64>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start: Vec<u8> = self.content.iter().take(4).copied().collect();
        write!(
            f,
            "{:?} {:o} links {} len {} {start:x?}..",
            self.kind,
            self.permissions,
            self.links,
            self.content.len()
        )?;
        write!(f, " xattrs {} mtime {:?}", self.xattrs.len(), self.mtime)
    }
}

/// A whole tree by its paths; the root is the empty path.
pub type Snapshot = BTreeMap<Vec<u8>, Entry>;

#[derive(Clone)]
struct Node {
    kind: Kind,
    permissions: u32,
    links: u32,
    content: Vec<u8>,
    entries: BTreeMap<Vec<u8>, usize>,
    parent: usize,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    mtime: Option<i64>,
}

/// The model.
#[derive(Clone)]
pub struct ReferenceTree {
    nodes: BTreeMap<usize, Node>,
    next: usize,
    kept: [Option<usize>; SLOTS],
}

const ROOT: usize = 0;

impl Default for ReferenceTree {
    fn default() -> Self {
        let root = Node::new(Kind::Directory, 0o755);
        ReferenceTree { nodes: BTreeMap::from([(ROOT, Node { links: 1, ..root })]), next: 1, kept: [None; SLOTS] }
    }
}

impl Node {
    fn new(kind: Kind, permissions: u32) -> Self {
        Node {
            kind,
            permissions,
            links: 0,
            content: Vec::new(),
            entries: BTreeMap::new(),
            parent: ROOT,
            xattrs: BTreeMap::new(),
            mtime: None,
        }
    }

    fn takes_xattrs(&self) -> bool {
        matches!(self.kind, Kind::File | Kind::Directory)
    }
}

type Result<T = Answer> = std::result::Result<T, Failure>;

/// The target that a symlink of this length is given.
pub(crate) fn link_target(len: usize) -> Vec<u8> {
    (0..len).map(|i| b'a' + (i % 26) as u8).collect()
}

impl ReferenceTree {
    /// Performs an operation.
    pub fn run(&mut self, op: &Op) -> Result {
        for dir in op
            .named_places()
            .into_iter()
            .filter_map(|place| self.parent(place).ok())
            .map(|(dir, _)| dir)
            .collect::<Vec<_>>()
        {
            self.node_by(dir).mtime = None; // even if it fails: a vault may have made and removed a side file
        }
        match op {
            Op::Create { at, permissions } => self.make(at, Node::new(Kind::File, *permissions)),
            Op::Mkdir { at, permissions } => self.make(at, Node::new(Kind::Directory, *permissions)),
            Op::Mkfifo { at } => self.make(at, Node::new(Kind::Fifo, 0o600)),
            Op::Symlink { at, len } => {
                self.make(at, Node { content: link_target(*len), ..Node::new(Kind::Symlink, 0o777) })
            }
            Op::ReadLink { at } => match self.node(at)? {
                Node { kind: Kind::Symlink, content, .. } => Ok(Answer::Bytes(content.clone())),
                _ => Err(Failure::InvalidArgument),
            },
            Op::Write { at, offset, len, seed } => self.write(at, *offset, &bytes(*seed, *len)),
            Op::Read { at, offset, len } => {
                let content = &self.file(at, Failure::IsADirectory)?.content;
                let start = content.len().min(*offset as usize);
                Ok(Answer::Bytes(content[start..content.len().min(start + len)].to_vec()))
            }
            Op::Truncate { at, size } => self.truncate(at, *size),
            Op::Allocate { at, offset, len, keep_size } => {
                let file = self.file(at, Failure::InvalidArgument)?;
                if *len == 0 {
                    return Err(Failure::InvalidArgument);
                }
                file.mtime = None;
                let end = (offset + len) as usize;
                if !keep_size && end > file.content.len() {
                    file.content.resize(end, 0);
                }
                Ok(Answer::Done)
            }
            Op::Rename { from, to, mode } => self.rename(from, to, *mode),
            Op::Link { from, to } => self.link(from, to),
            Op::Unlink { at } => {
                let (dir, name) = self.parent(at)?;
                let there = self.find(dir, &name)?;
                if self.nodes[&there].kind == Kind::Directory {
                    return Err(Failure::IsADirectory);
                }
                self.set(dir, &name, None);
                Ok(Answer::Done)
            }
            Op::Rmdir { at } => {
                let (dir, name) = self.parent(at)?;
                let there = self.find(dir, &name)?;
                let node = &self.nodes[&there];
                if node.kind != Kind::Directory {
                    return Err(Failure::NotADirectory);
                }
                if !node.entries.is_empty() {
                    return Err(Failure::NotEmpty);
                }
                self.set(dir, &name, None);
                Ok(Answer::Done)
            }
            Op::Chmod { at, permissions } => {
                let node = self.node_mut(at)?;
                if node.kind == Kind::Symlink {
                    return Err(Failure::Unsupported);
                }
                node.permissions = *permissions;
                Ok(node.attr())
            }
            Op::SetTime { at, seconds } => {
                let node = self.node_mut(at)?;
                node.mtime = Some(*seconds);
                Ok(node.attr())
            }
            Op::SetXattr { at, name, len, mode } => self.set_xattr(at, *name, *len, *mode),
            Op::Xattr { at, name } => {
                let value = self.node(at)?.xattrs.get(&xattr_names()[*name]);
                value.map(|value| Answer::Bytes(value.clone())).ok_or(Failure::NoAttribute)
            }
            Op::RemoveXattr { at, name } => {
                let node = self.node_mut(at)?;
                if !node.takes_xattrs() {
                    return Err(Failure::NotPermitted);
                }
                node.xattrs.remove(&xattr_names()[*name]).map(|_| Answer::Done).ok_or(Failure::NoAttribute)
            }
            Op::List { at } => {
                let node = self.node(at)?;
                if node.kind != Kind::Directory {
                    return Err(Failure::NotADirectory);
                }
                if node.links == 0 {
                    return Err(Failure::NotFound);
                }
                Ok(Answer::Names(node.entries.keys().cloned().collect()))
            }
            Op::Sync { at, .. } | Op::SyncDir { at } => {
                let node = self.node(at)?;
                if matches!(op, Op::SyncDir { .. }) && node.kind != Kind::Directory {
                    return Err(Failure::NotADirectory);
                }
                Ok(Answer::Done)
            }
            Op::SyncAll => Ok(Answer::Done),
            Op::Keep { slot, at } => {
                let found = self.resolve(at);
                self.keep(*slot, found.as_ref().ok().copied());
                found.map(|_| Answer::Done)
            }
            Op::Release { slot } => {
                self.keep(*slot, None);
                Ok(Answer::Done)
            }
            Op::Remount => {
                for slot in 0..SLOTS {
                    self.keep(slot, None);
                }
                Ok(Answer::Done)
            }
        }
    }

    /// The operation with every picked place made definite, as the tree is now.
    pub fn settle(&self, op: &Op) -> Op {
        op.map_places(|place| match place.pick {
            None => place.clone(),
            Some(pick) => {
                let mut names = self.pick(usize::from(pick), place.names.is_empty());
                names.extend(&place.names);
                Place { base: place.base, names, pick: None }
            }
        })
    }

    /// The path of something that exists, or of a directory.
    fn pick(&self, pick: usize, anything: bool) -> Vec<usize> {
        let mut candidates = Vec::new();
        let mut ahead = vec![(ROOT, Vec::new())];
        while let Some((id, path)) = ahead.pop() {
            let node = &self.nodes[&id];
            for (name, child) in &node.entries {
                let name = names().iter().position(|known| known == name).expect("all names are from the pool");
                ahead.push((*child, [path.as_slice(), &[name]].concat()));
            }
            if if anything { id != ROOT } else { node.kind == Kind::Directory } {
                candidates.push(path);
            }
        }
        if candidates.is_empty() { vec![0] } else { candidates.swap_remove(pick % candidates.len()) }
    }

    /// The tree as it is.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        let mut firsts: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        self.add_to(&mut snapshot, &mut firsts, Vec::new(), ROOT);
        snapshot
    }

    fn add_to(&self, snapshot: &mut Snapshot, firsts: &mut BTreeMap<usize, Vec<u8>>, path: Vec<u8>, id: usize) {
        let node = &self.nodes[&id];
        let entry = Entry {
            kind: node.kind,
            permissions: node.permissions,
            links: if node.kind == Kind::Directory { 0 } else { node.links },
            first: firsts.entry(id).or_insert_with(|| path.clone()).clone(),
            content: node.content.clone(),
            xattrs: node.xattrs.clone(),
            mtime: node.mtime,
        };
        snapshot.insert(path.clone(), entry);
        for (name, child) in &node.entries {
            self.add_to(snapshot, firsts, [path.as_slice(), b"/", name].concat(), *child);
        }
    }

    fn resolve(&self, at: &Place) -> Result<usize> {
        let mut id = match at.base {
            None => ROOT,
            Some(slot) => self.kept[slot].ok_or(Failure::NotFound)?,
        };
        for name in &at.names {
            id = self.find(id, &names()[*name])?;
        }
        Ok(id)
    }

    /// The directory and the name that a path ends in.
    fn parent(&self, at: &Place) -> Result<(usize, Vec<u8>)> {
        let (last, before) = at.names.split_last().expect("a place for a name has one");
        let dir = self.resolve(&Place { names: before.to_vec(), ..at.clone() })?;
        if self.nodes[&dir].kind != Kind::Directory {
            return Err(Failure::NotADirectory);
        }
        Ok((dir, names()[*last].clone()))
    }

    fn find(&self, dir: usize, name: &[u8]) -> Result<usize> {
        let dir = &self.nodes[&dir];
        if dir.kind != Kind::Directory {
            return Err(Failure::NotADirectory);
        }
        dir.entries.get(name).copied().ok_or(Failure::NotFound)
    }

    fn node(&self, at: &Place) -> Result<&Node> {
        Ok(&self.nodes[&self.resolve(at)?])
    }

    fn node_mut(&mut self, at: &Place) -> Result<&mut Node> {
        let id = self.resolve(at)?;
        Ok(self.nodes.get_mut(&id).expect("a path leads to a node"))
    }

    fn file(&mut self, at: &Place, otherwise: Failure) -> Result<&mut Node> {
        let node = self.node_mut(at)?;
        if node.kind == Kind::File { Ok(node) } else { Err(otherwise) }
    }

    fn make(&mut self, at: &Place, mut node: Node) -> Result {
        let (dir, name) = self.parent(at)?;
        let parent = self.nodes.get_mut(&dir).expect("a path leads to a node");
        if parent.entries.contains_key(&name) {
            return Err(Failure::Exists);
        }
        if parent.links == 0 {
            return Err(Failure::NotFound);
        }
        node.parent = dir;
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        self.set(dir, &name, Some(id));
        Ok(self.nodes[&id].attr())
    }

    /// Changes one entry; what nothing leads to any more goes.
    fn set(&mut self, dir: usize, name: &[u8], target: Option<usize>) {
        let parent = self.nodes.get_mut(&dir).expect("the caller found it");
        parent.mtime = None;
        let before = match target {
            Some(target) => parent.entries.insert(name.to_vec(), target),
            None => parent.entries.remove(name),
        };
        if let Some(target) = target {
            let node = self.nodes.get_mut(&target).expect("the caller found it");
            node.links += 1;
            node.parent = dir;
        }
        if let Some(before) = before {
            self.nodes.get_mut(&before).expect("entries lead to nodes").links -= 1;
            self.drop_unused(before);
        }
    }

    /// Changes where an entry leads to without counting links.
    fn put(&mut self, dir: usize, name: &[u8], target: usize) {
        let parent = self.node_by(dir);
        parent.mtime = None;
        parent.entries.insert(name.to_vec(), target);
        self.node_by(target).parent = dir;
    }

    fn node_by(&mut self, id: usize) -> &mut Node {
        self.nodes.get_mut(&id).expect("the caller found it")
    }

    fn drop_unused(&mut self, id: usize) {
        if self.nodes[&id].links == 0 && !self.kept.contains(&Some(id)) {
            self.nodes.remove(&id);
        }
    }

    fn keep(&mut self, slot: usize, id: Option<usize>) {
        if let Some(before) = std::mem::replace(&mut self.kept[slot], id) {
            self.drop_unused(before);
        }
    }

    fn write(&mut self, at: &Place, offset: u64, data: &[u8]) -> Result {
        let file = self.file(at, Failure::IsADirectory)?;
        if !data.is_empty() {
            let end = offset as usize + data.len();
            if end > file.content.len() {
                file.content.resize(end, 0);
            }
            file.content[offset as usize..end].copy_from_slice(data);
            file.mtime = None;
        }
        Ok(Answer::Done)
    }

    fn truncate(&mut self, at: &Place, size: u64) -> Result {
        let node = self.node_mut(at)?;
        match node.kind {
            Kind::File => {}
            Kind::Directory => return Err(Failure::IsADirectory),
            _ => return Err(Failure::InvalidArgument),
        }
        node.content.resize(size as usize, 0);
        node.mtime = None;
        Ok(node.attr())
    }

    fn set_xattr(&mut self, at: &Place, name: usize, len: usize, mode: XattrMode) -> Result {
        let node = self.node_mut(at)?;
        if !node.takes_xattrs() {
            return Err(Failure::NotPermitted);
        }
        let name = xattr_names()[name].clone();
        match (mode, node.xattrs.contains_key(&name)) {
            (XattrMode::Create, true) => return Err(Failure::Exists),
            (XattrMode::Replace, false) => return Err(Failure::NoAttribute),
            _ => {}
        }
        node.xattrs.insert(name, bytes(len as u64, len));
        Ok(Answer::Done)
    }

    fn link(&mut self, from: &Place, to: &Place) -> Result {
        let id = self.resolve(from)?;
        let (dir, name) = self.parent(to)?;
        if self.nodes[&dir].entries.contains_key(&name) {
            return Err(Failure::Exists);
        }
        // As vfs_link() does: first whether something can be made there at all.
        if self.nodes[&dir].links == 0 {
            return Err(Failure::NotFound);
        }
        let node = &self.nodes[&id];
        if node.kind == Kind::Directory {
            return Err(Failure::NotPermitted);
        }
        if node.links == 0 {
            return Err(Failure::NotFound);
        }
        self.set(dir, &name, Some(id));
        Ok(self.nodes[&id].attr())
    }

    fn is_inside(&self, mut id: usize, ancestor: usize) -> bool {
        while id != ancestor && id != ROOT {
            match self.nodes.get(&id) {
                Some(node) if node.links > 0 => id = node.parent,
                _ => return false,
            }
        }
        id == ancestor
    }

    fn rename(&mut self, from: &Place, to: &Place, mode: RenameMode) -> Result {
        let (dir, name) = self.parent(from)?;
        let (new_dir, new_name) = self.parent(to)?;
        let moved = self.find(dir, &name)?;
        let there = self.find(new_dir, &new_name).ok();
        let exchange = mode == RenameMode::Exchange;
        match (mode, there) {
            (RenameMode::Exchange, None) => return Err(Failure::NotFound),
            (RenameMode::NoReplace, Some(_)) => return Err(Failure::Exists),
            _ => {}
        }
        if self.is_inside(new_dir, moved) {
            return Err(Failure::InvalidArgument);
        }
        if there.is_some_and(|there| self.is_inside(dir, there)) {
            return Err(if exchange { Failure::InvalidArgument } else { Failure::NotEmpty });
        }
        if there == Some(moved) {
            return Ok(Answer::Done);
        }
        if self.nodes[&new_dir].links == 0 {
            return Err(Failure::NotFound);
        }
        let is_dir = |id: usize| self.nodes[&id].kind == Kind::Directory;
        if let (false, Some(there)) = (exchange, there) {
            match (is_dir(moved), is_dir(there)) {
                (true, false) => return Err(Failure::NotADirectory),
                (false, true) => return Err(Failure::IsADirectory),
                (true, true) if !self.nodes[&there].entries.is_empty() => return Err(Failure::NotEmpty),
                _ => {}
            }
        }
        match there {
            Some(there) if exchange => {
                self.put(new_dir, &new_name, moved);
                self.put(dir, &name, there);
            }
            _ => {
                self.set(new_dir, &new_name, Some(moved));
                self.set(dir, &name, None);
                self.node_by(moved).parent = new_dir;
            }
        }
        Ok(Answer::Done)
    }
}

impl Node {
    fn attr(&self) -> Answer {
        let size = match self.kind {
            Kind::Directory | Kind::Fifo => None,
            _ => Some((self.content.len() as u64, self.links)),
        };
        Answer::Attr(self.kind, self.permissions, size)
    }
}
