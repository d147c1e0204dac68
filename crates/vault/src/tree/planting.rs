//! Making entries in a vault.

use std::io;

use strongroom_tree::{Content, Entry, Kind, RelPath, TreeError, pour};

use super::{Held, VaultTree, io_error};
use crate::attr::{self, Attr, Creation, NodeId, SetAttr, SetTime};
use crate::backing::{Backing, XattrMode};
use crate::error::VaultError;

/// Whatever is made is for this process alone until it is whole.
const PRIVATE: Creation = Creation { permissions: 0o600, umask: 0, owner: None };
const PRIVATE_DIR: Creation = Creation { permissions: 0o700, umask: 0, owner: None };

const SET_ID: u32 = 0o6000;

impl<B: Backing> VaultTree<B> {
    pub(super) fn plant(&self, entry: &Entry, content: Option<&mut dyn Content>) -> io::Result<()> {
        let (Some(parent), Some(name)) = (entry.path.parent(), entry.path.name()) else {
            return self.take_root(entry);
        };
        let dir = self.dir(&parent).map_err(io_error)?;
        let made = self.make(&dir, name, entry).map_err(io_error)?;
        let node = Held { vault: self.vault.clone(), node: made.node };
        let whole = match &entry.kind {
            Kind::Directory => {
                self.unsealed.lock().push(entry.clone());
                return Ok(());
            }
            // It has all that the first name was given.
            Kind::Link { .. } => return Ok(()),
            Kind::File { len } => self.fill(node.node, *len, content),
            _ => Ok(()),
        };
        let whole = whole.and_then(|()| self.dress(node.node, entry).map_err(io_error));
        whole.inspect_err(|_| {
            // What failed first is what counts; if this fails too, the tree is no tree to keep.
            let _ = self.vault.unlink(dir.node, name);
        })
    }

    fn take_root(&self, entry: &Entry) -> io::Result<()> {
        if !entry.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.unsealed.lock().push(entry.clone());
        Ok(())
    }

    fn make(&self, dir: &Held<B>, name: &[u8], entry: &Entry) -> Result<Attr, VaultError> {
        let (vault, node) = (&self.vault, |kind, device| self.vault.make_node(dir.node, name, kind, device, &PRIVATE));
        match &entry.kind {
            Kind::Directory => vault.make_dir(dir.node, name, &PRIVATE_DIR),
            Kind::File { .. } => vault.create(dir.node, name, &PRIVATE),
            Kind::Link { to } => self.link(to, dir, name),
            Kind::Symlink { target } => vault.make_symlink(dir.node, name, target, &PRIVATE),
            Kind::Fifo => node(attr::Kind::Fifo, 0),
            Kind::Socket => node(attr::Kind::Socket, 0),
            Kind::CharDevice { rdev } => node(attr::Kind::CharDevice, *rdev),
            Kind::BlockDevice { rdev } => node(attr::Kind::BlockDevice, *rdev),
        }
    }

    fn link(&self, to: &RelPath, dir: &Held<B>, name: &[u8]) -> Result<Attr, VaultError> {
        let (Some(to_parent), Some(to_name)) = (to.parent(), to.name()) else { return Err(VaultError::IsADirectory) };
        let (to, _) = self.child(&*self.dir(&to_parent)?, to_name)?;
        self.vault.link(to.node, dir.node, name)
    }

    /// Writes the `len` bytes of `content`, with holes where it has holes.
    fn fill(&self, node: NodeId, len: u64, content: Option<&mut dyn Content>) -> io::Result<()> {
        let content = match content {
            Some(content) => content,
            None if len == 0 => return Ok(()),
            None => return Err(io::Error::other("it came without content")),
        };
        let write = |at, data: &[u8]| self.vault.write(node, at, data).map(drop).map_err(io_error);
        if pour(content, len, write)? {
            self.vault.set_attr(node, &SetAttr { size: Some(len), ..SetAttr::default() }).map_err(io_error)?;
        }
        Ok(())
    }

    /// Gives a node all that `entry` has: the owner first, for chown(2) takes setuid away; times last.
    fn dress(&self, node: NodeId, entry: &Entry) -> Result<(), VaultError> {
        let meta = &entry.meta;
        let is_root = rustix::process::geteuid().is_root();
        let mut set = SetAttr::default();
        (set.uid, set.gid) = (is_root.then_some(meta.uid), is_root.then_some(meta.gid));
        if !meta.xattrs.is_empty() {
            self.vault.set_attr(node, &std::mem::take(&mut set))?;
        }
        for xattr in &meta.xattrs {
            self.vault.set_xattr(node, &xattr.name, &xattr.value, XattrMode::Any)?;
        }
        // Somebody else's program that runs as its owner would run as me, now that it is mine.
        let mode = if is_root || entry.is_dir() { meta.mode } else { meta.mode & !SET_ID };
        let time = attr::Timestamp { seconds: meta.mtime.seconds, nanoseconds: meta.mtime.nanoseconds };
        set.permissions = (!matches!(entry.kind, Kind::Symlink { .. })).then_some(mode);
        set.mtime = Some(SetTime::To(time));
        self.vault.set_attr(node, &set).map(drop)
    }

    /// Dresses the directories, the deepest first, and puts everything on the disk.
    pub(super) fn seal_all(&self) -> Result<(), TreeError> {
        let mut dirs = std::mem::take(&mut *self.unsealed.lock());
        dirs.sort_unstable_by(|a, b| b.path.cmp(&a.path));
        let mut sealed = Ok(());
        for entry in &dirs {
            let dressed = self.dir(&entry.path).and_then(|dir| self.dress(dir.node, entry));
            sealed = sealed.and(dressed.map_err(io_error).map_err(TreeError::on("sealing", &entry.path)));
        }
        let synced = self.vault.sync_all().map_err(io_error);
        synced.map_err(TreeError::on("writing to disk", &RelPath::root())).and(sealed)
    }
}
