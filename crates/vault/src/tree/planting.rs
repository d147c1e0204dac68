//! Making entries in a vault, in place of what is there.

use std::io;

use strongroom_tree::{CannotHold, Content, Entry, Kind, Meta, RelPath, TreeError, pour};

use super::{DEFAULT_ACCESS_LIST, Dir, Held, VaultTree, io_error};
use crate::attr::{self, Attr, Creation, NodeId, SetAttr, SetTime};
use crate::backing::{Backing, XattrMode};
use crate::error::VaultError;

/// Whatever is made is for this process alone until it is whole.
const PRIVATE: Creation = Creation { permissions: 0o600, umask: 0, owner: None };
const PRIVATE_DIR: Creation = Creation { permissions: 0o700, umask: 0, owner: None };

const SET_ID: u32 = 0o6000;
const ACCESS_LIST: &[u8] = b"system.posix_acl_access";

impl<B: Backing> VaultTree<B> {
    pub(super) fn plant(&self, entry: &Entry, content: Option<&mut dyn Content>) -> io::Result<()> {
        let (Some(parent), Some(name)) = (entry.path.parent(), entry.path.name()) else {
            return self.take_root(entry);
        };
        let dir = self.dir(&parent).map_err(io_error)?;
        let made = match self.make(&dir, name, entry) {
            // Nothing is there, mostly, and finding that out costs nothing.
            Err(VaultError::Exists) => match self.make_way(&dir, name, entry)? {
                Some(kept) => Ok(kept),
                None => self.make(&dir, name, entry),
            },
            made => made,
        };
        let made = made.map_err(|error| refused(error, entry))?;
        let node = Held { vault: self.vault.clone(), node: made.node };
        let whole = match &entry.kind {
            Kind::Directory => {
                self.unsealed.lock().insert(entry.path.clone(), entry.clone());
                return Ok(());
            }
            // It has all that the first name was given.
            Kind::Link { .. } => return Ok(()),
            Kind::File { len } => self.fill(node.node, *len, content),
            _ => Ok(()),
        };
        let whole = whole.and_then(|()| self.strip_inherited(&dir, node.node, entry));
        let whole = whole.and_then(|()| self.dress_node(node.node, entry));
        whole.inspect_err(|_| {
            // What failed first is what counts; if this fails too, the tree is no tree to keep.
            let _ = self.vault.unlink(dir.held.node, name);
        })
    }

    fn take_root(&self, entry: &Entry) -> io::Result<()> {
        if !entry.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.unsealed.lock().insert(entry.path.clone(), entry.clone());
        Ok(())
    }

    /// Removes what stands where `entry` is to be; unless it can stay, which is a directory, or the same link.
    fn make_way(&self, dir: &Dir<B>, name: &[u8], entry: &Entry) -> io::Result<Option<Attr>> {
        let (there, attr) = self.child(dir.held.node, name).map_err(io_error)?;
        let stays = match &entry.kind {
            Kind::Directory => attr.kind == attr::Kind::Directory,
            Kind::Link { to } => self.linked(to).map_err(io_error)?.node == attr.node,
            _ => false,
        };
        if stays {
            // The count goes on with what is returned.
            std::mem::forget(there);
            return Ok(Some(attr));
        }
        drop(there);
        self.remove_below(dir.held.node, name).map_err(io_error)?;
        self.forget_within(&entry.path);
        Ok(None)
    }

    fn make(&self, dir: &Dir<B>, name: &[u8], entry: &Entry) -> Result<Attr, VaultError> {
        let (vault, at) = (&self.vault, dir.held.node);
        let node = |kind, device| vault.make_node(at, name, kind, device, &PRIVATE);
        match &entry.kind {
            Kind::Directory => vault.make_dir(at, name, &PRIVATE_DIR),
            Kind::File { .. } => vault.create(at, name, &PRIVATE),
            Kind::Link { to } => vault.link(self.linked(to)?.node, at, name),
            Kind::Symlink { target } => vault.make_symlink(at, name, target, &PRIVATE),
            Kind::Fifo => node(attr::Kind::Fifo, 0),
            Kind::Socket => node(attr::Kind::Socket, 0),
            Kind::CharDevice { rdev } => node(attr::Kind::CharDevice, *rdev),
            Kind::BlockDevice { rdev } => node(attr::Kind::BlockDevice, *rdev),
        }
    }

    /// The file that a link is another name of.
    fn linked(&self, to: &RelPath) -> Result<Held<B>, VaultError> {
        let (Some(parent), Some(name)) = (to.parent(), to.name()) else { return Err(VaultError::IsADirectory) };
        Ok(self.child(self.dir(&parent)?.held.node, name)?.0)
    }

    /// Writes the `len` bytes of `content`, with holes where it has holes.
    fn fill(&self, node: NodeId, len: u64, content: Option<&mut dyn Content>) -> io::Result<()> {
        let content = match content {
            Some(content) => content,
            None if len == 0 => return Ok(()),
            None => return Err(io::Error::other("it came without content")),
        };
        let too_long = |error| match error {
            VaultError::TooLarge => CannotHold::Length { len }.into(),
            VaultError::Backing(error) if error.raw_os_error() == Some(libc::EFBIG) => {
                CannotHold::Length { len }.into()
            }
            error => io_error(error),
        };
        let write = |at, data: &[u8]| self.vault.write(node, at, data).map(drop).map_err(too_long);
        if pour(content, len, write)? {
            self.vault.set_attr(node, &SetAttr { size: Some(len), ..SetAttr::default() }).map_err(too_long)?;
        }
        Ok(())
    }

    /// Takes away the access list that a new node has from its directory and not from its original.
    fn strip_inherited(&self, dir: &Dir<B>, node: NodeId, entry: &Entry) -> io::Result<()> {
        if !dir.passes_on || matches!(entry.kind, Kind::Symlink { .. }) {
            return Ok(());
        }
        self.strip(node, &entry.meta, |name| name == ACCESS_LIST || name == DEFAULT_ACCESS_LIST)
    }

    /// Takes those attributes that `may_go` says away, but for those that are wanted.
    pub(super) fn strip(&self, node: NodeId, wanted: &Meta, may_go: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let present = match self.vault.list_xattrs(node) {
            Err(VaultError::Unsupported) => return Ok(()),
            present => present.map_err(io_error)?,
        };
        for name in present {
            if may_go(&name) && !wanted.xattrs.iter().any(|xattr| xattr.name == name) {
                match self.vault.remove_xattr(node, &name) {
                    Err(VaultError::NoAttribute) => {}
                    removed => removed.map_err(io_error)?,
                }
            }
        }
        Ok(())
    }

    /// Gives a node all that `entry` has: the owner first, for chown(2) takes setuid away; times last.
    pub(super) fn dress_node(&self, node: NodeId, entry: &Entry) -> io::Result<()> {
        let meta = &entry.meta;
        let is_root = rustix::process::geteuid().is_root();
        let mut set = SetAttr::default();
        (set.uid, set.gid) = (is_root.then_some(meta.uid), is_root.then_some(meta.gid));
        if !meta.xattrs.is_empty() {
            self.vault.set_attr(node, &std::mem::take(&mut set)).map_err(io_error)?;
        }
        for xattr in &meta.xattrs {
            let set = self.vault.set_xattr(node, &xattr.name, &xattr.value, XattrMode::Any);
            set.map_err(|error| self.refused_xattr(error, &xattr.name))?;
        }
        // Somebody else's program that runs as its owner would run as me, now that it is mine.
        let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let mode =
            if is_root || entry.is_dir() || (meta.uid, meta.gid) == me { meta.mode } else { meta.mode & !SET_ID };
        let time = attr::Timestamp { seconds: meta.mtime.seconds, nanoseconds: meta.mtime.nanoseconds };
        set.permissions = (!matches!(entry.kind, Kind::Symlink { .. })).then_some(mode);
        set.mtime = Some(SetTime::To(time));
        self.vault.set_attr(node, &set).map(drop).map_err(io_error)
    }

    /// What it means that an extended attribute could not be set. One that is too long is told like a disk that is full.
    fn refused_xattr(&self, error: VaultError, name: &[u8]) -> io::Error {
        const SOME: u64 = 1 << 20;
        let has_room = || {
            let stat = self.vault.stat_fs();
            stat.is_ok_and(|fs| fs.blocks_available.saturating_mul(fs.fragment_size) > SOME)
        };
        let cannot = || CannotHold::Xattr { name: name.to_vec(), why: error.to_string() }.into();
        match &error {
            VaultError::Unsupported | VaultError::InvalidArgument | VaultError::NameTooLong => cannot(),
            VaultError::Backing(io) => match io.raw_os_error() {
                Some(libc::ENOSPC) if !has_room() => io_error(error),
                Some(libc::EPERM | libc::ERANGE | libc::E2BIG | libc::ENOSPC | libc::EINVAL) => cannot(),
                _ => io_error(error),
            },
            _ => io_error(error),
        }
    }

    /// Dresses the directories, the deepest first, and puts everything on the disk.
    pub(super) fn seal_all(&self) -> Result<(), TreeError> {
        let dirs = std::mem::take(&mut *self.unsealed.lock());
        let mut sealed = Ok(());
        for (path, entry) in dirs.iter().rev() {
            let dressed = self.dir(path).map_err(io_error).and_then(|dir| self.dress_node(dir.held.node, entry));
            sealed = sealed.and(dressed.map_err(TreeError::on("sealing", path)));
        }
        let synced = self.vault.sync_all().map_err(io_error);
        synced.map_err(TreeError::on("writing to disk", &RelPath::root())).and(sealed)
    }
}

/// What it means that an entry could not be made.
fn refused(error: VaultError, entry: &Entry) -> io::Error {
    /// No file system takes a name of so many bytes, so that it must have been the target.
    const LONG: usize = 1024;
    match (&error, &entry.kind) {
        (VaultError::NameTooLong, Kind::Symlink { target }) if target.len() > LONG => {
            CannotHold::Target { len: target.len() }.into()
        }
        (VaultError::NameTooLong | VaultError::InvalidName | VaultError::Reserved, _) => CannotHold::Name.into(),
        (VaultError::Backing(io), kind) if io.raw_os_error() == Some(libc::EPERM) => match kind {
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => CannotHold::Kind("a device node").into(),
            Kind::Fifo => CannotHold::Kind("a named pipe").into(),
            Kind::Socket => CannotHold::Kind("a socket").into(),
            Kind::Symlink { .. } => CannotHold::Kind("a symbolic link").into(),
            Kind::Link { .. } => CannotHold::Kind("another name of a file").into(),
            _ => io_error(error),
        },
        _ => io_error(error),
    }
}
