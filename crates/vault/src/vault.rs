//! The vault itself: what all operations share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use strongroom_crypto::Random;
use strongroom_event::{Event, Observer};
use strongroom_format::{Ciphers, Geometry};

use crate::attr::{Attr, Kind, NodeId, StatFs};
use crate::backing::{Backing, Stat, Target};
use crate::bad_name::NamePattern;
use crate::cache::Clock;
use crate::error::{Result, VaultError};
use crate::kept_time::KeptTimes;
use crate::node::{Node, NodeTable, Reach};
use crate::open_file::{FileState, Space};
use crate::real_backing::RealBacking;
use crate::unsynced::Unsynced;

/// How a vault is to behave.
#[derive(Clone, Copy, Debug)]
pub struct VaultOptions {
    /// Refuses every change, and heals nothing.
    pub read_only: bool,
    /// Others may change the ciphertext at the same time: no descriptor, IV, size or file id is remembered.
    pub shared: bool,
    /// Serves extended attributes.
    pub xattrs: bool,
    /// Serves POSIX ACLs, which are stored as they are.
    pub acl: bool,
    /// Hashes names that are too long for a directory. Without, they are refused, and those that are hashed not shown.
    pub long_names: bool,
    /// How many descriptors of files to keep open; half as many directories more. 0: as the process's limit allows.
    pub open_files: usize,
}

impl Default for VaultOptions {
    fn default() -> Self {
        VaultOptions { read_only: false, shared: false, xattrs: true, acl: false, long_names: true, open_files: 0 }
    }
}

/// An encrypted file system. Every method may be called from many threads at once: reads of one file run beside each
/// other, and so do writes to different files.
pub struct Vault<B: Backing = RealBacking> {
    pub(crate) backing: B,
    root: B::Dir,
    pub(crate) ciphers: Ciphers,
    pub(crate) geometry: Geometry,
    pub(crate) options: VaultOptions,
    /// Others may change the ciphertext, from the beginning or by now.
    shared: AtomicBool,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) nodes: NodeTable<B>,
    pub(crate) open_files: Clock<B>,
    pub(crate) open_dirs: Clock<B>,
    pub(crate) unsynced: Unsynced,
    pub(crate) times: KeptTimes<B>,
    pub(crate) space: Space,
    /// Which undecodable entries are shown.
    pub(crate) bad_names: Vec<NamePattern>,
    /// Written while a directory is without its IV; who finds none waits for this before he thinks it lost.
    pub(crate) making_dirs: RwLock<()>,
    /// Held by whoever locks the names of more than one directory, lest two of them wait for each other.
    pub(crate) moving: Mutex<()>,
    /// What was reported last, so that a program that tries again and again does not fill the log.
    reported: Mutex<Vec<(NodeId, String)>>,
}

const REMEMBERED_REPORTS: usize = 256;

impl<B: Backing> Vault<B> {
    /// A vault over `backing`, opened with `ciphers`.
    pub fn new(
        backing: B,
        mut ciphers: Ciphers,
        options: VaultOptions,
        observer: Arc<dyn Observer>,
        random: Arc<dyn Random>,
    ) -> Result<Self> {
        let root = backing.root()?;
        let stat = backing.stat(Target::Dir(&root))?;
        if !options.long_names {
            ciphers.names.hash_none();
        }
        let open_files = match options.open_files {
            0 => descriptor_budget(),
            asked => asked,
        };
        Ok(Vault {
            geometry: ciphers.content.geometry(),
            backing,
            root,
            ciphers,
            shared: AtomicBool::new(options.shared),
            options,
            random,
            observer,
            nodes: NodeTable::new(&stat),
            open_files: Clock::new(open_files),
            open_dirs: Clock::new(open_files / 2),
            unsynced: Unsynced::default(),
            times: KeptTimes::default(),
            space: Space::default(),
            bad_names: Vec::new(),
            making_dirs: RwLock::new(()),
            moving: Mutex::new(()),
            reported: Mutex::new(Vec::new()),
        })
    }

    /// Whether every change is refused.
    pub fn is_read_only(&self) -> bool {
        self.options.read_only
    }

    /// From now on others may change the ciphertext: what is remembered of it is not believed any more.
    pub fn share(&self) {
        self.shared.store(true, Ordering::Release);
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared.load(Ordering::Acquire)
    }

    /// Finds an entry of a directory, and counts one lookup of it.
    pub fn lookup(&self, parent: NodeId, name: &[u8]) -> Result<Attr> {
        let parent = self.node(parent)?;
        let handle = self.dir_handle(&parent)?;
        let stored = self.stored_name(&parent, &handle, name)?;
        let target = Target::Entry(&handle.dir, stored.disk());
        loop {
            let version = self.names_version(&parent);
            let stat = self.backing.stat(target)?;
            if stored.name_file().is_some() && self.nodes.get(self.nodes.id_of(stat.dev, stat.ino)).is_none() {
                self.heal_long_name(&parent, &handle, &stored, name);
            }
            let (node, is_new) = self.nodes.count_found(&stat);
            if node.id == NodeId::ROOT || node.has_link(&parent, name) {
                return Ok(self.to_attr(&node, &stat, target));
            }
            // Whoever renames or removes it must find the name noted; once they are done it must not be noted any more.
            if is_new {
                node.add_link(&parent, name);
                if version.is_some() && self.names_version(&parent) == version {
                    return Ok(self.to_attr(&node, &stat, target));
                }
            }
            let _names = self.lock_names(&parent)?;
            if self.backing.stat(target).is_ok_and(|stat| node.is_at(&stat)) {
                if !node.has_link(&parent, name) {
                    node.add_link(&parent, name);
                }
                return Ok(self.to_attr(&node, &stat, target));
            }
            node.remove_link(&parent, name);
            self.nodes.forget(node.id, 1);
        }
    }

    /// Takes back `lookups` counted lookups.
    pub fn forget(&self, node: NodeId, lookups: u64) {
        self.put_back_time_of(node);
        self.nodes.forget(node, lookups);
    }

    /// Attributes for a listing; like [`Vault::lookup`] of the entry.
    pub fn entry_attr(&self, dir: NodeId, entry: &crate::attr::DirEntry) -> Result<Attr> {
        self.lookup(dir, &entry.name)
    }

    /// The plaintext path of a node in use, for messages.
    pub fn path_of(&self, node: NodeId) -> Option<Vec<u8>> {
        self.nodes.get(node).map(|node| node.path())
    }

    /// How many nodes are in use besides the root.
    pub fn nodes_in_use(&self) -> usize {
        self.nodes.len()
    }

    /// statfs(2).
    pub fn stat_fs(&self) -> Result<StatFs> {
        let mut stat = self.backing.stat_fs()?;
        if !self.ciphers.names.is_plaintext() {
            stat.name_max = 255;
        }
        Ok(stat)
    }

    pub(crate) fn node(&self, id: NodeId) -> Result<Arc<Node<B>>> {
        self.nodes.get(id).ok_or(VaultError::NotFound)
    }

    pub(crate) fn writable(&self) -> Result<()> {
        if self.options.read_only { Err(VaultError::ReadOnly) } else { Ok(()) }
    }

    /// Calls `act` with the handiest way to reach the node's attributes.
    pub(crate) fn with_target<T>(&self, node: &Arc<Node<B>>, act: impl Fn(Target<'_, B>) -> Result<T>) -> Result<T> {
        if let Some(file) = node.file().and_then(|file| file.descriptor()) {
            return act(Target::File(&*file));
        }
        node.reaching(|reach| self.at_reach(reach, &act))
    }

    /// Like [`Vault::with_target`], for what must not happen to another file that gets the name meanwhile.
    pub(crate) fn with_own_target<T>(
        &self,
        node: &Arc<Node<B>>,
        act: impl Fn(Target<'_, B>) -> Result<T>,
    ) -> Result<T> {
        if let Some(file) = node.file().and_then(|file| file.descriptor()) {
            return act(Target::File(&*file));
        }
        node.reaching(|reach| {
            let parent = match &reach {
                Reach::Link(link) => Some(link.parent.clone()),
                _ => None,
            };
            let _names = parent.as_ref().map(|parent| self.lock_names(parent)).transpose()?;
            self.at_reach(reach, &|target| match self.backing.stat(target)? {
                stat if node.is_at(&stat) => act(target),
                _ => Err(VaultError::NotFound),
            })
        })
    }

    fn at_reach<T>(&self, reach: Reach<B>, act: &impl Fn(Target<'_, B>) -> Result<T>) -> Result<T> {
        match reach {
            Reach::Root => act(Target::Dir(&self.root)),
            Reach::Kept(kept) => act(kept.target()),
            Reach::Nowhere => Err(VaultError::NotFound),
            Reach::Link(link) => {
                let parent = self.dir_handle(&link.parent)?;
                let stored = self.stored_name(&link.parent, &parent, &link.name)?;
                act(Target::Entry(&parent.dir, stored.disk()))
            }
        }
    }

    pub(crate) fn to_attr(&self, node: &Node<B>, stat: &Stat, target: Target<'_, B>) -> Attr {
        let size = match node.kind {
            Kind::File => self.geometry.plain_size(stat.size),
            Kind::Symlink => self.link_len(stat, target),
            _ => stat.size,
        };
        Attr {
            node: node.id,
            size,
            blocks: stat.blocks,
            atime: stat.atime,
            mtime: node.file().and_then(FileState::kept_time).unwrap_or(stat.mtime),
            ctime: stat.ctime,
            kind: node.kind,
            permissions: stat.mode & 0o7777,
            links: stat.links,
            uid: stat.uid,
            gid: stat.gid,
            rdev: stat.rdev,
            block_size: 4096,
        }
    }

    fn link_len(&self, stat: &Stat, target: Target<'_, B>) -> u64 {
        if self.ciphers.names.is_plaintext() {
            return stat.size;
        }
        let stored = self.backing.read_link(target).unwrap_or_default();
        self.ciphers.content.open_symlink(&stored).map_or(0, |link| link.len() as u64)
    }

    /// Tells the observer of damage, once.
    pub(crate) fn report(&self, node: &Node<B>, what: String) {
        let mut reported = self.reported.lock();
        if reported.iter().any(|(id, said)| *id == node.id && *said == what) {
            return;
        }
        if reported.len() == REMEMBERED_REPORTS {
            reported.remove(0);
        }
        reported.push((node.id, what.clone()));
        drop(reported);
        self.observer.observe(&Event::Damaged { path: node.path(), what });
    }

    pub(crate) fn corrupt(&self, node: &Node<B>, what: String) -> VaultError {
        self.report(node, what.clone());
        VaultError::Corrupt { path: node.path(), what }
    }
}

/// Half of the descriptors that this process may open.
fn descriptor_budget() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 16);
    (limit / 2).clamp(32, 1 << 15) as usize
}
