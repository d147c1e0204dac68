//! The walk of a vault: depth first, siblings by the bytes of their names in clear.

use std::collections::{HashMap, VecDeque};
use std::io;

use strongroom_event::PathText;
use strongroom_tree::{Entry, Filter, Kind, Meta, OwnerNames, RelPath, Stamp, Timestamp, TreeError, Xattr};

use super::{Held, VaultTree, io_error};
use crate::attr::{self, Attr, DirEntry, NodeId};
use crate::backing::Backing;
use crate::error::VaultError;

pub(super) struct Walk<'a, B: Backing> {
    tree: &'a VaultTree<B>,
    filter: &'a Filter,
    has_begun: bool,
    /// The directory that is to be listed next, given out already.
    entered: Option<(Held<B>, RelPath)>,
    stack: Vec<Level<B>>,
    /// What cannot be decoded in the directory on top of the stack.
    damaged: VecDeque<TreeError>,
    links: HashMap<NodeId, FirstName>,
    owners: OwnerNames,
}

/// The name under which a file with several was met first, and how many are still to come.
struct FirstName {
    path: RelPath,
    others: u32,
}

/// A directory whose entries are being given.
struct Level<B: Backing> {
    dir: Held<B>,
    path: RelPath,
    entries: std::vec::IntoIter<DirEntry>,
}

impl<'a, B: Backing> Walk<'a, B> {
    pub fn new(tree: &'a VaultTree<B>, filter: &'a Filter) -> Self {
        Self {
            tree,
            filter,
            has_begun: false,
            entered: None,
            stack: Vec::new(),
            damaged: VecDeque::new(),
            links: HashMap::new(),
            owners: OwnerNames::default(),
        }
    }

    fn root(&mut self) -> Result<Entry, TreeError> {
        let (root, path) = (self.tree.root(), RelPath::root());
        let looked = self.tree.vault.attr(NodeId::ROOT).and_then(|attr| self.entry(&path, &attr));
        let entry = looked.map_err(io_error).map_err(TreeError::on("looking at", &path))?;
        self.entered = Some((root, path));
        Ok(entry)
    }

    /// Lists the directory that was given out last and puts it on the stack.
    fn descend(&mut self, dir: Held<B>, path: RelPath) -> Result<(), TreeError> {
        let listed = self.tree.vault.open_dir(dir.node).map_err(io_error);
        let listed = listed.map_err(TreeError::on("listing", &path))?;
        let undecodable = |name: &Vec<u8>| {
            let what = format!("the stored name {} cannot be decoded", PathText(name));
            TreeError::on("decoding an entry of", &path)(io::Error::new(io::ErrorKind::InvalidData, what))
        };
        self.damaged.extend(listed.damaged().iter().map(undecodable));
        let mut entries = listed.entries().to_vec();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.stack.push(Level { dir, path, entries: entries.into_iter() });
        Ok(())
    }

    /// The next entry of the directory on top, `None` when there are no more; `Some(None)` if it is not to be given.
    fn visit(&mut self) -> Option<Option<Result<Entry, TreeError>>> {
        let level = self.stack.last_mut()?;
        let listed = level.entries.next()?;
        let path = match level.path.join(&listed.name) {
            Ok(path) => path,
            Err(error) => return Some(Some(Err(TreeError::on("naming an entry of", &level.path)(error)))),
        };
        let is_dir = listed.kind == attr::Kind::Directory;
        if !self.filter.passes_in_passing(&path, is_dir) {
            return Some(None);
        }
        let found = self.tree.child(level.dir.node, &listed.name);
        let looked = found.and_then(|(held, attr)| Ok((held, self.entry(&path, &attr)?)));
        Some(Some(match looked {
            Ok((held, entry)) => {
                if entry.is_dir() {
                    self.entered = Some((held, path));
                }
                Ok(entry)
            }
            Err(error) => Err(TreeError::on("looking at", &path)(io_error(error))),
        }))
    }

    fn entry(&mut self, path: &RelPath, attr: &Attr) -> Result<Entry, VaultError> {
        let kind = match self.known_name(attr) {
            Some(to) => Kind::Link { to },
            None => self.kind(attr)?,
        };
        let meta = Meta {
            mode: attr.permissions,
            uid: attr.uid,
            gid: attr.gid,
            user: self.owners.user(attr.uid),
            group: self.owners.group(attr.gid),
            mtime: timestamp(attr.mtime),
            xattrs: self.xattrs(attr.node)?,
        };
        if attr.links > 1 && attr.kind != attr::Kind::Directory && !matches!(kind, Kind::Link { .. }) {
            self.links.insert(attr.node, FirstName { path: path.clone(), others: attr.links - 1 });
        }
        Ok(Entry { path: path.clone(), kind, meta, stamp: stamp(attr) })
    }

    /// The name under which the same file was met before.
    fn known_name(&mut self, attr: &Attr) -> Option<RelPath> {
        if attr.links < 2 || attr.kind == attr::Kind::Directory {
            return None;
        }
        let first = self.links.get_mut(&attr.node)?;
        first.others -= 1;
        if first.others > 0 {
            return Some(first.path.clone());
        }
        self.links.remove(&attr.node).map(|first| first.path)
    }

    fn kind(&self, attr: &Attr) -> Result<Kind, VaultError> {
        Ok(match attr.kind {
            attr::Kind::File => Kind::File { len: attr.size },
            attr::Kind::Directory => Kind::Directory,
            attr::Kind::Symlink => Kind::Symlink { target: self.tree.vault.read_link(attr.node)? },
            attr::Kind::Fifo => Kind::Fifo,
            attr::Kind::Socket => Kind::Socket,
            attr::Kind::CharDevice => Kind::CharDevice { rdev: attr.rdev },
            attr::Kind::BlockDevice => Kind::BlockDevice { rdev: attr.rdev },
        })
    }

    fn xattrs(&self, node: NodeId) -> Result<Vec<Xattr>, VaultError> {
        let vault = &self.tree.vault;
        let names = match vault.list_xattrs(node) {
            Err(VaultError::Unsupported) => return Ok(Vec::new()),
            names => names?,
        };
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            match vault.xattr(node, &name) {
                Ok(value) => found.push(Xattr { name, value }),
                // Removed since.
                Err(VaultError::NoAttribute) => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

impl<B: Backing> Iterator for Walk<'_, B> {
    type Item = Result<Entry, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.has_begun {
            self.has_begun = true;
            return Some(self.root());
        }
        loop {
            if let Some((dir, path)) = self.entered.take()
                && let Err(error) = self.descend(dir, path)
            {
                return Some(Err(error));
            }
            if let Some(error) = self.damaged.pop_front() {
                return Some(Err(error));
            }
            match self.visit() {
                Some(Some(found)) => return Some(found),
                Some(None) => {}
                None => {
                    self.stack.pop()?;
                }
            }
        }
    }
}

pub(super) fn timestamp(time: attr::Timestamp) -> Timestamp {
    Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

/// The device is left out: it is that of the ciphertext, and changes from boot to boot.
pub(super) fn stamp(attr: &Attr) -> Stamp {
    Stamp { dev: 0, ino: attr.node.0, ctime: timestamp(attr.ctime), links: attr.links.into(), blocks: attr.blocks }
}
