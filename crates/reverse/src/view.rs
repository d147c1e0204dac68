//! The view, lookup, and what all operations share.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, FileType, Stat, StatVfs, fstat, fstatvfs, readlinkat, statat};
use strongroom_durable::{Beneath, PASSING};
use strongroom_event::{Event, Observer};
use strongroom_format::{CONF_NAME, Ciphers, Classified, DirIv, FileVectors, REVERSE_CONF_NAME};

use crate::attr::{Attr, Kind, NodeId, StatFs};
use crate::error::{Result, ViewError};
use crate::exclude::Exclusions;
use crate::node::{DirState, FileState, Form, Node, Nodes, Place, What};
use crate::numbers::Of;

/// How a view is to be made.
#[derive(Default)]
pub struct ViewOptions {
    /// What is left out.
    pub exclude: Exclusions,
    /// Directories on other devices than the root's are shown without what is in them.
    pub one_file_system: bool,
    /// The file that is shown as `gocryptfs.conf` in the root, in place of the root's `.gocryptfs.reverse.conf`. Not
    /// followed if it is a symbolic link. If `None`, the configuration is elsewhere: nothing is shown, and a file of that
    /// name is a file like any other.
    pub conf: Option<PathBuf>,
}

/// The read-only encrypted view of a plaintext directory. Shared by threads.
pub struct View {
    pub(crate) beneath: Beneath,
    pub(crate) ciphers: Ciphers,
    pub(crate) options: ViewOptions,
    pub(crate) nodes: Nodes,
    pub(crate) observer: Arc<dyn Observer>,
    /// The vectors of files with several names: those of the name that was opened first, for all of them.
    pub(crate) linked: Mutex<HashMap<(u64, u64), FileVectors>>,
    pub(crate) collision_told: AtomicBool,
}

impl View {
    /// The view of the directory `root`. The ciphers must be those of a configuration with AES-SIV.
    pub fn new(root: OwnedFd, ciphers: Ciphers, options: ViewOptions, observer: Arc<dyn Observer>) -> Result<Self> {
        if ciphers.content.algorithm() != strongroom_format::Algorithm::AesSiv {
            return Err(ViewError::Unsupported);
        }
        let stat = fstat(&root)?;
        if Kind::of_stat(&stat) != Kind::Directory {
            return Err(ViewError::NotADirectory);
        }
        let iv = dir_iv(&ciphers, b"");
        Ok(View {
            beneath: Beneath::new(root),
            ciphers,
            options,
            nodes: Nodes::new(Node::root(&stat, iv)),
            observer,
            linked: Mutex::default(),
            collision_told: AtomicBool::new(false),
        })
    }

    /// Finds an entry of a directory, and counts one lookup of its node.
    pub fn lookup(&self, parent: NodeId, name: &[u8]) -> Result<Attr> {
        let parent = self.node(parent)?;
        let dir = parent.dir().ok_or(ViewError::NotADirectory)?;
        if self.ciphers.names.uses_dir_iv() && name == strongroom_format::DIR_IV_NAME.as_bytes() {
            return self.found_dir_iv(&parent);
        }
        if self.is_cut_off(dir) {
            return Err(ViewError::NotFound);
        }
        match self.ciphers.names.classify(name, parent.id == NodeId::ROOT) {
            Classified::Reserved if self.options.conf.is_some() => self.found_conf(&parent),
            Classified::LongNameFile => self.found_long_name(&parent, dir, name),
            _ => {
                let plain = self.plain_name(&parent, dir, name)?;
                let handle = self.open_dir_to_look(&parent)?;
                self.found(&parent, &handle, name, &plain)
            }
        }
    }

    /// Gives back so many lookups of a node.
    pub fn forget(&self, node: NodeId, lookups: u64) {
        self.nodes.forget(node, lookups);
    }

    /// stat(2).
    pub fn attr(&self, node: NodeId) -> Result<Attr> {
        let node = self.node(node)?;
        let Some(place) = node.place() else {
            return self.to_attr(&node, &fstat(&self.beneath)?, 0);
        };
        match &node.what {
            What::Conf => Ok(self.conf_attr(&node, &self.stat_conf()?)),
            What::DirIv => {
                let stat = fstat(self.open_dir_to_look(&place.parent)?)?;
                Ok(virtual_attr(&node, &stat, DirIv::LEN))
            }
            What::LongName(content) => {
                let handle = self.open_dir_to_look(&place.parent)?;
                Ok(virtual_attr(&node, &stat_in(&handle, &place.plain)?, content.len()))
            }
            What::File(state) if let Some(file) = state.open.lock().file.clone() => {
                self.to_attr(&node, &fstat(&file.plain)?, 0)
            }
            _ => {
                let handle = self.open_dir_to_look(&place.parent)?;
                let stat = stat_in(&handle, &place.plain)?;
                if !node.is_at(&stat) {
                    return Err(ViewError::Stale);
                }
                self.to_attr(&node, &stat, self.link_len(&node, &handle, &place)?)
            }
        }
    }

    /// Where a symbolic link points to.
    pub fn read_link(&self, node: NodeId) -> Result<Vec<u8>> {
        let node = self.node(node)?;
        let place = node.place().filter(|_| matches!(node.what, What::Symlink)).ok_or(ViewError::InvalidArgument)?;
        self.sealed_link(&node, &self.open_dir_to_look(&place.parent)?, &place)
    }

    /// Space and inodes.
    pub fn stat_fs(&self) -> Result<StatFs> {
        let stat: StatVfs = fstatvfs(&self.beneath)?;
        Ok(StatFs {
            fragment_size: stat.f_frsize,
            block_size: stat.f_bsize,
            blocks: stat.f_blocks,
            blocks_free: stat.f_bfree,
            blocks_available: stat.f_bavail,
            files: stat.f_files,
            files_free: stat.f_ffree,
            name_max: stat.f_namemax,
        })
    }

    pub(crate) fn node(&self, id: NodeId) -> Result<Arc<Node>> {
        self.nodes.get(id).ok_or(ViewError::Stale)
    }

    /// Whether a directory is shown without what is in it.
    pub(crate) fn is_cut_off(&self, dir: &DirState) -> bool {
        self.options.one_file_system && dir.is_foreign
    }

    pub(crate) fn open_dir_to_look(&self, dir: &Node) -> Result<OwnedFd> {
        Ok(self.beneath.open(&dir.plain_path(), PASSING)?)
    }

    pub(crate) fn refuse_excluded(&self, parent: &Node, plain: &[u8]) -> Result<()> {
        match self.is_excluded(&parent.plain_path(), plain) {
            true => Err(ViewError::Excluded),
            false => Ok(()),
        }
    }

    pub(crate) fn is_excluded(&self, dir: &[u8], plain: &[u8]) -> bool {
        // Without it, nobody could open what is backed up.
        let is_conf = dir.is_empty() && plain == REVERSE_CONF_NAME.as_bytes() && self.options.conf.is_some();
        !is_conf && !self.options.exclude.is_empty() && self.options.exclude.exclude(&join(dir, plain))
    }

    /// The node and attributes of the plaintext's `plain` in the directory `handle`, shown as `cipher`.
    pub(crate) fn found(&self, parent: &Arc<Node>, handle: &OwnedFd, cipher: &[u8], plain: &[u8]) -> Result<Attr> {
        self.refuse_excluded(parent, plain)?;
        let stat = stat_in(handle, plain)?;
        let kind = Kind::of_stat(&stat);
        let place = Place { parent: parent.clone(), cipher: cipher.into(), plain: plain.into() };
        let number = self.nodes.numbers.of(stat.st_dev, stat.st_ino, Of::Plain);
        let node = self.nodes.intern(&stat, place, number, Form::of(kind), |place| self.state_of(kind, &stat, place));
        let len = node.place().map_or(Ok(0), |place| self.link_len(&node, handle, &place));
        len.and_then(|len| self.to_attr(&node, &stat, len)).inspect_err(|_| self.nodes.forget(node.id, 1))
    }

    fn state_of(&self, kind: Kind, stat: &Stat, place: &Place) -> What {
        match Form::of(kind) {
            Form::File => What::File(FileState::default()),
            Form::Symlink => What::Symlink,
            Form::Dir => What::Dir(DirState {
                iv: dir_iv(&self.ciphers, &join(&place.parent.cipher_path(), &place.cipher)),
                is_foreign: stat.st_dev != self.nodes.root.dev,
                long_names: Mutex::default(),
            }),
            _ => What::Special,
        }
    }

    pub(crate) fn found_dir_iv(&self, parent: &Arc<Node>) -> Result<Attr> {
        let stat = fstat(self.open_dir_to_look(parent)?)?;
        let name = strongroom_format::DIR_IV_NAME.as_bytes();
        let place = Place { parent: parent.clone(), cipher: name.into(), plain: [].into() };
        let number = self.nodes.numbers.of(stat.st_dev, stat.st_ino, Of::DirIv);
        let node = self.nodes.intern(&stat, place, number, Form::DirIv, |_| What::DirIv);
        Ok(virtual_attr(&node, &stat, DirIv::LEN))
    }

    fn found_long_name(&self, parent: &Arc<Node>, dir: &DirState, name: &[u8]) -> Result<Attr> {
        let object = name.strip_suffix(b".name").ok_or(ViewError::NotFound)?;
        let plain = self.plain_name(parent, dir, object)?;
        self.found_long_name_of(parent, dir, &self.open_dir_to_look(parent)?, name, &plain)
    }

    pub(crate) fn found_long_name_of(
        &self,
        parent: &Arc<Node>,
        dir: &DirState,
        handle: &OwnedFd,
        name: &[u8],
        plain: &[u8],
    ) -> Result<Attr> {
        self.refuse_excluded(parent, plain)?;
        let stored = self.ciphers.names.encrypt(&dir.iv, plain).map_err(|_| ViewError::NotFound)?;
        let (_, content) = stored.name_file().ok_or(ViewError::NotFound)?;
        let stat = stat_in(handle, plain)?;
        let place = Place { parent: parent.clone(), cipher: name.into(), plain: plain.into() };
        let number = self.nodes.numbers.of(stat.st_dev, stat.st_ino, Of::LongName);
        // Of a file with several long names each has a file of its own, so none of these has several names.
        let mut alone = stat;
        alone.st_nlink = 1;
        let node = self.nodes.intern(&alone, place, number, Form::LongName, |_| What::LongName(content.into()));
        Ok(virtual_attr(&node, &stat, content.len()))
    }

    pub(crate) fn found_conf(&self, parent: &Arc<Node>) -> Result<Attr> {
        let stat = self.stat_conf()?;
        let place = Place {
            parent: parent.clone(),
            cipher: CONF_NAME.as_bytes().into(),
            plain: REVERSE_CONF_NAME.as_bytes().into(),
        };
        let number = self.nodes.numbers.of(stat.st_dev, stat.st_ino, Of::Plain);
        let node = self.nodes.intern(&stat, place, number, Form::Conf, |_| What::Conf);
        Ok(self.conf_attr(&node, &stat))
    }

    fn stat_conf(&self) -> Result<Stat> {
        let path = self.options.conf.as_ref().ok_or(ViewError::NotFound)?;
        Ok(statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn conf_attr(&self, node: &Node, stat: &Stat) -> Attr {
        Attr::new(node.id, stat, stat.st_size as u64)
    }

    /// The attributes of what the plaintext's `stat` is told; `link_len` counts for a symbolic link only.
    fn to_attr(&self, node: &Node, stat: &Stat, link_len: u64) -> Result<Attr> {
        let size = match Kind::of_stat(stat) {
            Kind::File => self.ciphers.content.geometry().cipher_size(stat.st_size as u64),
            Kind::Symlink => link_len,
            _ => stat.st_size as u64,
        };
        Ok(Attr::new(node.id, stat, size))
    }

    fn link_len(&self, node: &Node, dir: &OwnedFd, place: &Place) -> Result<u64> {
        match node.what {
            What::Symlink => match self.sealed_link(node, dir, place) {
                Ok(target) => Ok(target.len() as u64),
                // It is shown, and cannot be read.
                Err(ViewError::NameTooLong) => Ok(0),
                Err(error) => Err(error),
            },
            _ => Ok(0),
        }
    }

    fn sealed_link(&self, node: &Node, dir: &OwnedFd, place: &Place) -> Result<Vec<u8>> {
        let target = readlinkat(dir, &*place.plain, Vec::new())?;
        let sealed = self.ciphers.content.seal_view_symlink(&node.cipher_path(), target.as_bytes());
        match sealed.len() > libc::PATH_MAX as usize {
            true => Err(ViewError::NameTooLong),
            false => Ok(sealed),
        }
    }

    pub(crate) fn warn_of_collision(&self) {
        if !self.collision_told.swap(true, Ordering::Relaxed) {
            self.observer.observe(&Event::Warning(format!(
                "{REVERSE_CONF_NAME} is shown as {CONF_NAME}, where there is another file of that name, which cannot be \
                 reached: rename it"
            )));
        }
    }
}

/// What the names in the directory at `path` in the view are encrypted with.
pub(crate) fn dir_iv(ciphers: &Ciphers, path: &[u8]) -> DirIv {
    match ciphers.names.uses_dir_iv() {
        true => DirIv::in_view(path),
        false => DirIv::ZERO,
    }
}

pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match dir.is_empty() {
        true => name.to_vec(),
        false => [dir, b"/", name].concat(),
    }
}

pub(crate) fn stat_in(dir: &OwnedFd, name: &[u8]) -> Result<Stat> {
    Ok(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// A virtual file looks like what it tells of, but that it can be read by all and has one name.
fn virtual_attr(node: &Node, of: &Stat, len: usize) -> Attr {
    let mut attr = Attr::new(node.id, of, len as u64);
    attr.kind = Kind::of(FileType::RegularFile);
    attr.permissions = 0o444;
    attr.links = 1;
    attr
}
