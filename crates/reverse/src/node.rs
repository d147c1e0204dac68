//! The files that the kernel knows by number.
//!
//! A node is a *path of the view*, since that is what its vectors follow from, and it stays that for as long as the kernel
//! knows it: what is renamed in the plaintext comes back as another node, or pages of the two would mix. Only a file with
//! several names is one node under all of them, as it must look like one file.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rustix::fs::Stat;
use strongroom_format::{DirIv, FileVectors};

use crate::attr::{Kind, NodeId};
use crate::numbers::Numbers;
use crate::read::OpenFile;

/// A file that somebody has looked up, or that is the parent of one.
pub(crate) struct Node {
    pub id: NodeId,
    /// The plaintext's inode. Of a virtual file, that of what it tells of.
    pub dev: u64,
    pub ino: u64,
    pub what: What,
    /// Where it is found; `None` for the root. The latest of several names, as an earlier one may be gone.
    place: Mutex<Option<Arc<Place>>>,
}

/// What a node is, and what that kind needs to remember.
pub(crate) enum What {
    File(FileState),
    Dir(DirState),
    Symlink,
    /// A fifo, a socket, a device.
    Special,
    /// `gocryptfs.conf`, shown as it is.
    Conf,
    /// `gocryptfs.diriv` of the parent.
    DirIv,
    /// The file that holds the encoded form of a long name.
    LongName(Box<[u8]>),
}

#[derive(Default)]
pub(crate) struct FileState {
    pub vectors: OnceLock<FileVectors>,
    pub open: Mutex<Opened>,
}

/// The plaintext's descriptor, as long as the kernel has the file open.
#[derive(Default)]
pub(crate) struct Opened {
    pub count: u64,
    pub file: Option<Arc<OpenFile>>,
}

pub(crate) struct DirState {
    /// What its names are encrypted with.
    pub iv: DirIv,
    /// On another device than the root.
    pub is_foreign: bool,
    /// The plaintext names behind hashes that were asked for or listed.
    pub long_names: Mutex<LongNames>,
}

/// Plaintext names by the hashes that stand for them.
pub(crate) type LongNames = HashMap<Box<[u8]>, Box<[u8]>>;

/// One name of a node. A child keeps its parent's node alive, never the other way round.
pub(crate) struct Place {
    pub parent: Arc<Node>,
    /// As shown in the view.
    pub cipher: Box<[u8]>,
    /// In the plaintext. Of a long name's file, the name of the object that it belongs to; of a directory IV, nothing.
    pub plain: Box<[u8]>,
}

impl Node {
    pub fn root(stat: &Stat, iv: DirIv) -> Arc<Node> {
        let state = DirState { iv, is_foreign: false, long_names: Mutex::default() };
        Arc::new(Node {
            id: NodeId::ROOT,
            dev: stat.st_dev,
            ino: stat.st_ino,
            what: What::Dir(state),
            place: Mutex::new(None),
        })
    }

    pub fn place(&self) -> Option<Arc<Place>> {
        self.place.lock().clone()
    }

    pub fn is_at(&self, stat: &Stat) -> bool {
        (self.dev, self.ino) == (stat.st_dev, stat.st_ino)
    }

    pub fn dir(&self) -> Option<&DirState> {
        match &self.what {
            What::Dir(state) => Some(state),
            _ => None,
        }
    }

    /// Where it is in the view.
    pub fn cipher_path(&self) -> Vec<u8> {
        self.path(|place| &place.cipher)
    }

    /// Where it is in the plaintext.
    pub fn plain_path(&self) -> Vec<u8> {
        self.path(|place| &place.plain)
    }

    fn path(&self, name: impl Fn(&Place) -> &[u8]) -> Vec<u8> {
        let mut places = Vec::new();
        let mut next = self.place();
        while let Some(place) = next {
            next = place.parent.place();
            places.push(place);
        }
        let names: Vec<_> = places.iter().rev().map(|place| name(place)).collect();
        names.join(&b'/')
    }
}

/// The last child of a directory takes the directory with it, and so on up. Not by recursion: a tree may be deeper than the
/// stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut next = self.place.get_mut().take();
        while let Some(place) = next {
            let Some(place) = Arc::into_inner(place) else { return };
            let Some(mut parent) = Arc::into_inner(place.parent) else { return };
            next = parent.place.get_mut().take();
        }
    }
}

/// All nodes in use.
pub(crate) struct Nodes {
    pub root: Arc<Node>,
    pub numbers: Numbers,
    table: Mutex<Table>,
    /// Numbers for what cannot have its own.
    next_spare: AtomicU64,
    hasher: RandomState,
}

#[derive(Default)]
struct Table {
    nodes: HashMap<u64, Counted>,
    by_path: HashMap<u64, u64>,
}

struct Counted {
    node: Arc<Node>,
    lookups: u64,
    /// Its keys in `by_path`.
    keys: Vec<u64>,
}

/// From here up numbers are spare ones.
const SPARE: u64 = 1 << 63;

impl Nodes {
    pub fn new(root: Arc<Node>) -> Self {
        let numbers = Numbers::new(root.dev, root.ino);
        let table = Mutex::default();
        Nodes { root, numbers, table, next_spare: AtomicU64::new(SPARE), hasher: RandomState::new() }
    }

    pub fn get(&self, id: NodeId) -> Option<Arc<Node>> {
        if id == NodeId::ROOT {
            return Some(self.root.clone());
        }
        self.table.lock().nodes.get(&id.0).map(|counted| counted.node.clone())
    }

    /// The node of what was found at `place`, with one more lookup counted. `number` is the one that it should have, and
    /// `what` makes its state if it is new.
    pub fn intern(
        &self,
        stat: &Stat,
        place: Place,
        number: u64,
        form: Form,
        what: impl FnOnce(&Place) -> What,
    ) -> Arc<Node> {
        let key = self.key(&place);
        let mut table = self.table.lock();
        let of_path = table.by_path.get(&key).copied();
        if let Some(known) = of_path.and_then(|id| table.nodes.get_mut(&id)).filter(|known| known.is(stat, form)) {
            let has_several_names = known.keys.len() > 1 || has_several_names(stat);
            if has_several_names || known.is_child_of(&place.parent) {
                return known.found_again(has_several_names.then_some(place));
            }
        }
        let mut id = number;
        if let Some(taken) = table.nodes.get_mut(&number) {
            if has_several_names(stat) && taken.is(stat, form) {
                taken.keys.push(key);
                let node = taken.found_again(Some(place));
                table.by_path.insert(key, number);
                return node;
            }
            // Another path of the view has it still: this was renamed, or the number came back as another file.
            id = self.next_spare.fetch_add(1, Ordering::Relaxed);
        }
        let what = what(&place);
        let place = Mutex::new(Some(Arc::new(place)));
        let node = Arc::new(Node { id: NodeId(id), dev: stat.st_dev, ino: stat.st_ino, what, place });
        table.nodes.insert(id, Counted { node: node.clone(), lookups: 1, keys: vec![key] });
        table.by_path.insert(key, id);
        node
    }

    /// Gives back so many lookups.
    pub fn forget(&self, id: NodeId, lookups: u64) {
        let mut table = self.table.lock();
        let Some(counted) = table.nodes.get_mut(&id.0) else { return };
        counted.lookups = counted.lookups.saturating_sub(lookups);
        if counted.lookups > 0 {
            return;
        }
        let gone = table.nodes.remove(&id.0);
        for key in gone.iter().flat_map(|counted| &counted.keys) {
            if table.by_path.get(key) == Some(&id.0) {
                table.by_path.remove(key);
            }
        }
        // Its parents may go with it, which is not to be waited for.
        drop(table);
        drop(gone);
    }

    /// Stands for the path. Should two have the same, the inode tells them apart.
    fn key(&self, place: &Place) -> u64 {
        let mut hash = self.hasher.build_hasher();
        place.parent.id.hash(&mut hash);
        place.cipher.hash(&mut hash);
        hash.finish()
    }
}

impl Counted {
    fn is(&self, stat: &Stat, form: Form) -> bool {
        self.node.is_at(stat) && self.node.what.form() == form
    }

    /// Numbers of directories come back, so the same number does not mean the same path.
    fn is_child_of(&self, parent: &Arc<Node>) -> bool {
        let place = self.node.place();
        let of = place.as_ref().map(|place| &place.parent);
        of.is_some_and(|of| Arc::ptr_eq(of, parent) || of.cipher_path() == parent.cipher_path())
    }

    fn found_again(&mut self, at: Option<Place>) -> Arc<Node> {
        self.lookups += 1;
        if let Some(place) = at {
            *self.node.place.lock() = Some(Arc::new(place));
        }
        self.node.clone()
    }
}

fn has_several_names(stat: &Stat) -> bool {
    stat.st_nlink > 1 && Kind::of_stat(stat) != Kind::Directory
}

/// What there is in a view, by what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    File,
    Dir,
    Symlink,
    Special,
    Conf,
    DirIv,
    LongName,
}

impl Form {
    /// What a plaintext file becomes.
    pub fn of(kind: Kind) -> Form {
        match kind {
            Kind::File => Form::File,
            Kind::Directory => Form::Dir,
            Kind::Symlink => Form::Symlink,
            Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => Form::Special,
        }
    }
}

impl What {
    fn form(&self) -> Form {
        match self {
            What::File(_) => Form::File,
            What::Dir(_) => Form::Dir,
            What::Symlink => Form::Symlink,
            What::Special => Form::Special,
            What::Conf => Form::Conf,
            What::DirIv => Form::DirIv,
            What::LongName(_) => Form::LongName,
        }
    }
}
