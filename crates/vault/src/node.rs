//! The files the kernel knows by number, and where in the tree each one is found.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::attr::{Kind, NodeId};
use crate::backing::{Backing, Stat, Target};
use crate::directory::DirState;
use crate::error::{Result, VaultError};
use crate::open_file::FileState;

/// A file that somebody has looked up, or that is the parent of one.
pub(crate) struct Node<B: Backing> {
    pub id: NodeId,
    pub kind: Kind,
    /// The backing inode, to see that a path still leads to this file.
    pub dev: u64,
    pub ino: u64,
    place: Mutex<Place<B>>,
    /// Changes of place: those under way and those that ever began, see [`MOVE`].
    moves: AtomicU64,
    /// Set on use, cleared by the search for descriptors to close.
    pub recently_used: AtomicBool,
    pub state: State<B>,
}

/// What a kind of file needs to remember.
pub(crate) enum State<B: Backing> {
    File(FileState<B>),
    Dir(DirState<B>),
    Other,
}

/// Where the file is found: under each known name, or by a reference taken before its last known name went.
struct Place<B: Backing> {
    links: Vec<Link<B>>,
    kept: Option<Kept<B>>,
}

/// What keeps a file within reach, and its number from being used again, when its last known name is gone.
pub(crate) enum Kept<B: Backing> {
    Object(Arc<B::Held>),
    File(Arc<B::File>),
}

impl<B: Backing> Clone for Kept<B> {
    fn clone(&self) -> Self {
        match self {
            Kept::Object(held) => Kept::Object(held.clone()),
            Kept::File(file) => Kept::File(file.clone()),
        }
    }
}

impl<B: Backing> Kept<B> {
    pub fn target(&self) -> Target<'_, B> {
        match self {
            Kept::Object(held) => Target::Held(&**held),
            Kept::File(file) => Target::File(&**file),
        }
    }
}

/// One name of a file. A child keeps its parent's node alive, never the other way round.
pub(crate) struct Link<B: Backing> {
    pub parent: Arc<Node<B>>,
    pub name: Box<[u8]>,
}

impl<B: Backing> Clone for Link<B> {
    fn clone(&self) -> Self {
        Link { parent: self.parent.clone(), name: self.name.clone() }
    }
}

impl<B: Backing> Link<B> {
    fn is(&self, parent: &Arc<Node<B>>, name: &[u8]) -> bool {
        Arc::ptr_eq(&self.parent, parent) && *self.name == *name
    }
}

/// [`Node::moves`] counts the moves under way in its lower half, those that ever began in its upper half.
const MOVE: u64 = 1 << 32;

/// While this lives, a file's names are changing.
pub(crate) struct Moving<'n>(&'n AtomicU64);

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How to reach a file.
pub(crate) enum Reach<B: Backing> {
    Link(Link<B>),
    Kept(Kept<B>),
    Root,
    Nowhere,
}

/// The last child of a directory takes the directory with it, and so on up. Not by recursion: a tree may be deeper than
/// the stack.
impl<B: Backing> Drop for Node<B> {
    fn drop(&mut self) {
        let mut links = std::mem::take(&mut self.place.get_mut().links);
        while let Some(link) = links.pop() {
            if let Some(mut parent) = Arc::into_inner(link.parent) {
                links.append(&mut parent.place.get_mut().links);
            }
        }
    }
}

impl<B: Backing> Node<B> {
    pub fn new(id: NodeId, stat: &Stat) -> Self {
        let kind = Kind::of_mode(stat.mode);
        let state = match kind {
            Kind::File => State::File(FileState::default()),
            Kind::Directory => State::Dir(DirState::default()),
            _ => State::Other,
        };
        let place = Mutex::new(Place { links: Vec::new(), kept: None });
        Node {
            id,
            kind,
            dev: stat.dev,
            ino: stat.ino,
            place,
            moves: AtomicU64::new(0),
            recently_used: AtomicBool::new(false),
            state,
        }
    }

    pub fn is_at(&self, stat: &Stat) -> bool {
        (self.dev, self.ino) == (stat.dev, stat.ino)
    }

    pub fn add_link(&self, parent: &Arc<Node<B>>, name: &[u8]) {
        let mut place = self.place.lock();
        if self.kind == Kind::Directory {
            place.links.clear(); // a directory has one name; another one is where it went
        } else if let Some(known) = place.links.iter().position(|link| link.is(parent, name)) {
            place.links.swap_remove(known);
        }
        place.links.push(Link { parent: parent.clone(), name: name.into() });
    }

    pub fn remove_link(&self, parent: &Arc<Node<B>>, name: &[u8]) {
        self.place.lock().links.retain(|link| !link.is(parent, name));
    }

    pub fn has_link(&self, parent: &Arc<Node<B>>, name: &[u8]) -> bool {
        self.place.lock().links.iter().any(|link| link.is(parent, name))
    }

    /// Whether the file would be out of reach without this name.
    pub fn depends_on(&self, parent: &Arc<Node<B>>, name: &[u8]) -> bool {
        let place = self.place.lock();
        place.kept.is_none() && place.links.iter().all(|link| link.is(parent, name))
    }

    pub fn keep(&self, kept: Kept<B>) {
        self.place.lock().kept = Some(kept);
    }

    /// Says that the file's names are about to change, until the guard is dropped.
    pub fn begin_move(&self) -> Moving<'_> {
        self.moves.fetch_add(MOVE + 1, Ordering::AcqRel);
        Moving(&self.moves)
    }

    /// Reaches the file by `attempt`, and once more if that failed because the file was just being renamed or removed:
    /// under its old name there may be nothing, or something of another kind.
    pub fn reaching<T>(&self, attempt: impl Fn(Reach<B>) -> Result<T>) -> Result<T> {
        const PATIENCE: u32 = 10_000;
        for _ in 0..PATIENCE {
            let before = self.moves.load(Ordering::Acquire);
            let result = attempt(self.reach());
            let moved = !before.is_multiple_of(MOVE) || self.moves.load(Ordering::Acquire) != before;
            if !moved || result.is_ok() {
                return result;
            }
            std::thread::yield_now();
        }
        Err(VaultError::NotFound)
    }

    /// The newest known name; failing that, the reference.
    pub fn reach(&self) -> Reach<B> {
        let place = self.place.lock();
        match (place.links.last(), &place.kept) {
            (Some(link), _) => Reach::Link(link.clone()),
            (None, Some(kept)) => Reach::Kept(kept.clone()),
            (None, None) if self.id == NodeId::ROOT => Reach::Root,
            (None, None) => Reach::Nowhere,
        }
    }

    /// The node of the directory that the file is in, and its name there.
    pub fn link(&self) -> Option<Link<B>> {
        self.place.lock().links.last().cloned()
    }

    /// All known names.
    pub fn links(&self) -> Vec<Link<B>> {
        self.place.lock().links.clone()
    }

    pub fn file(&self) -> Option<&FileState<B>> {
        match &self.state {
            State::File(file) => Some(file),
            _ => None,
        }
    }

    pub fn dir(&self) -> Option<&DirState<B>> {
        match &self.state {
            State::Dir(dir) => Some(dir),
            _ => None,
        }
    }

    pub fn touch(&self) {
        if !self.recently_used.load(Ordering::Relaxed) {
            self.recently_used.store(true, Ordering::Relaxed);
        }
    }

    /// The plaintext path, with `/` at its head.
    pub fn path(&self) -> Vec<u8> {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        let mut link = self.link();
        while let Some(Link { parent, name }) = link {
            names.push(name);
            link = parent.link();
        }
        if names.is_empty() && self.id != NodeId::ROOT {
            return b"(removed)".to_vec();
        }
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        path
    }
}

/// Inode numbers are spread well enough as they are.
#[derive(Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are hashed")
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

pub(crate) type NumberMap<V> = HashMap<u64, V, BuildHasherDefault<NumberHasher>>;

const SHARDS: usize = 64;

/// All nodes in use. A node stays as long as somebody has looked it up more often than forgotten, or a child is there.
pub(crate) struct NodeTable<B: Backing> {
    root: Arc<Node<B>>,
    shards: Vec<Mutex<Shard<B>>>,
    devices: Mutex<HashMap<u64, u64>>,
}

struct Shard<B: Backing> {
    nodes: NumberMap<Counted<B>>,
    /// Entries without lookups that something else still used when they were forgotten.
    lingering: usize,
}

struct Counted<B: Backing> {
    node: Arc<Node<B>>,
    lookups: u64,
}

impl<B: Backing> NodeTable<B> {
    pub fn new(root: &Stat) -> Self {
        let root = Arc::new(Node::new(NodeId::ROOT, root));
        let shards =
            (0..SHARDS).map(|_| Mutex::new(Shard { nodes: NumberMap::default(), lingering: 0 })).collect::<Vec<_>>();
        NodeTable { root, shards, devices: Mutex::new(HashMap::new()) }
    }

    pub fn root(&self) -> &Arc<Node<B>> {
        &self.root
    }

    fn shard(&self, id: NodeId) -> &Mutex<Shard<B>> {
        &self.shards[id.0 as usize % SHARDS]
    }

    /// The number by which the file is known: its inode number on the root's device, a number above 2^48 on another.
    pub fn id_of(&self, dev: u64, ino: u64) -> NodeId {
        if dev == self.root.dev {
            match ino {
                _ if ino == self.root.ino => return NodeId::ROOT,
                2..0x1_0000_0000_0000 => return NodeId(ino),
                _ => {}
            }
        }
        let mut devices = self.devices.lock();
        let next = devices.len() as u64 + 1;
        let number = *devices.entry(dev).or_insert(next);
        NodeId(((number & 0x7fff) << 48) ^ (ino & 0xffff_ffff_ffff) ^ ((ino >> 48) << 32) | (1 << 63))
    }

    pub fn get(&self, id: NodeId) -> Option<Arc<Node<B>>> {
        if id == NodeId::ROOT {
            return Some(self.root.clone());
        }
        self.shard(id).lock().nodes.get(&id.0).map(|counted| counted.node.clone())
    }

    /// The node of the file that was found, made if it is new, with one more lookup counted.
    /// The caller keeps others from changing names in `parent`.
    pub fn intern(&self, stat: &Stat, parent: &Arc<Node<B>>, name: &[u8]) -> Arc<Node<B>> {
        let (node, _) = self.count_found(stat);
        if node.id != NodeId::ROOT && !node.has_link(parent, name) {
            node.add_link(parent, name);
        }
        node
    }

    /// The node of the file that was found, with one more lookup counted, and whether it is new. Its name is not noted.
    pub fn count_found(&self, stat: &Stat) -> (Arc<Node<B>>, bool) {
        let id = self.id_of(stat.dev, stat.ino);
        if id == NodeId::ROOT {
            return (self.root.clone(), false);
        }
        let mut shard = self.shard(id).lock();
        let mut is_new = false;
        let counted = shard.nodes.entry(id.0).or_insert_with(|| {
            is_new = true;
            Counted { node: Arc::new(Node::new(id, stat)), lookups: 0 }
        });
        if counted.node.kind != Kind::of_mode(stat.mode) {
            // The number came back as another file behind our back.
            counted.node = Arc::new(Node::new(id, stat));
            is_new = true;
        }
        counted.lookups += 1;
        (counted.node.clone(), is_new)
    }

    /// The node of a file that was just made: whatever had its number before is no more.
    pub fn intern_new(&self, stat: &Stat, parent: &Arc<Node<B>>, name: &[u8]) -> Arc<Node<B>> {
        let id = self.id_of(stat.dev, stat.ino);
        let node = Arc::new(Node::new(id, stat));
        node.add_link(parent, name);
        let mut shard = self.shard(id).lock();
        let lookups = shard.nodes.get(&id.0).map_or(0, |counted| counted.lookups) + 1;
        let before = shard.nodes.insert(id.0, Counted { node: node.clone(), lookups });
        drop(shard);
        drop(before);
        node
    }

    /// Counts another lookup of a node in use.
    pub fn count(&self, node: &Arc<Node<B>>) {
        if node.id == NodeId::ROOT {
            return;
        }
        let mut shard = self.shard(node.id).lock();
        shard.nodes.entry(node.id.0).or_insert_with(|| Counted { node: node.clone(), lookups: 0 }).lookups += 1;
    }

    pub fn forget(&self, id: NodeId, lookups: u64) {
        if id == NodeId::ROOT {
            return;
        }
        let mut shard = self.shard(id).lock();
        let Some(counted) = shard.nodes.get_mut(&id.0) else { return };
        counted.lookups = counted.lookups.saturating_sub(lookups);
        if counted.lookups > 0 {
            return;
        }
        let mut dropped = Vec::new();
        if Arc::strong_count(&counted.node) == 1 {
            dropped.extend(shard.nodes.remove(&id.0));
        } else {
            shard.lingering += 1;
            if shard.lingering > 64 + shard.nodes.len() / 2 {
                shard.lingering = 0;
                let gone = |_: &u64, c: &mut Counted<B>| c.lookups == 0 && Arc::strong_count(&c.node) == 1;
                dropped.extend(shard.nodes.extract_if(gone).map(|(_, counted)| counted));
            }
        }
        drop(shard);
        self.release_parents(dropped);
    }

    /// Drops nodes outside of any lock, and then the parents that only they kept.
    fn release_parents(&self, mut dropped: Vec<Counted<B>>) {
        while let Some(Counted { node, .. }) = dropped.pop() {
            let parents: Vec<NodeId> = node.place.lock().links.iter().map(|link| link.parent.id).collect();
            drop(node);
            for id in parents.into_iter().filter(|id| *id != NodeId::ROOT) {
                let mut shard = self.shard(id).lock();
                let unused = |c: &Counted<B>| c.lookups == 0 && Arc::strong_count(&c.node) == 1;
                if shard.nodes.get(&id.0).is_some_and(unused) {
                    dropped.extend(shard.nodes.remove(&id.0));
                }
            }
        }
    }

    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().nodes.len()).sum()
    }
}
