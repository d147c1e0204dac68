//! An open file: its descriptor, which is opened and closed behind the scenes, and what is known of its content.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::{Mutex, RwLock};
use rustix::io::Errno;
use strongroom_format::FileId;

use crate::attr::NodeId;
use crate::backing::{Backing, OpenMode, Stat, Sys, Target};
use crate::error::{Result, VaultError};
use crate::kept_time::KeptTime;
use crate::node::{Kept, Link, Node, Reach};
use crate::vault::Vault;

/// What is remembered of a regular file.
pub(crate) struct FileState<B: Backing> {
    descriptor: Mutex<Option<Descriptor<B>>>,
    /// The content lock: shared to read, exclusive to change.
    pub content: RwLock<Content>,
    /// The file id, which readers find out while they share the content lock.
    pub id: Mutex<KnownId>,
    /// Its time, where that is left to a cache.
    pub time: Mutex<KeptTime>,
}

/// What the holder of the content lock knows of the ciphertext.
#[derive(Default)]
pub(crate) struct Content {
    /// Bytes of ciphertext, and whether each of them has its place on the disk; `None` if it must be asked for.
    pub extent: Option<Extent>,
    /// The last block was seen to be as it should: no crash interrupted a truncation there.
    pub is_settled: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub len: u64,
    pub is_dense: bool,
}

impl Extent {
    pub fn of(stat: &Stat) -> Extent {
        Extent { len: stat.size, is_dense: stat.blocks * 512 >= stat.size }
    }
}

/// What is known of a file's header.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum KnownId {
    /// Nothing: it must be read.
    #[default]
    Unread,
    /// There is no content, hence no header.
    Empty,
    /// This is it.
    Known(FileId),
    /// The header is all zeros: a crash kept it from the disk while the size got there. Holes can be read, nothing else.
    Lost,
}

impl<B: Backing> Default for FileState<B> {
    fn default() -> Self {
        FileState {
            descriptor: Mutex::new(None),
            content: RwLock::new(Content::default()),
            id: Mutex::new(KnownId::Unread),
            time: Mutex::default(),
        }
    }
}

struct Descriptor<B: Backing> {
    file: Arc<B::File>,
    writable: bool,
    /// The permissions would not let us open the file a second time.
    is_only_chance: bool,
}

impl<B: Backing> FileState<B> {
    /// The descriptor, if one is open.
    pub fn descriptor(&self) -> Option<Arc<B::File>> {
        self.descriptor.lock().as_ref().map(|descriptor| descriptor.file.clone())
    }

    /// Notes that the file may be impossible to open again, so that its descriptor stays open.
    pub fn permissions_changed(&self, permissions: u32) {
        if let Some(open) = &mut *self.descriptor.lock() {
            open.is_only_chance = permissions & 0o600 != 0o600 && !rustix::process::geteuid().is_root();
        }
    }
}

/// How programs mean to use a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read it.
    Read,
    /// To write it.
    Write,
    /// Both.
    ReadWrite,
}

impl<B: Backing> Vault<B> {
    /// Sees whether a file can be opened, and truncates it if asked. Reading and writing go by node; nothing has to be
    /// closed.
    pub fn open(&self, node: NodeId, access: Access, truncate: bool) -> Result<()> {
        let node = self.node(node)?;
        if node.dir().is_some() {
            return Err(VaultError::IsADirectory);
        }
        let writes = access != Access::Read || truncate;
        if writes {
            self.writable()?;
        }
        self.open_file(&node, writes)?;
        if truncate {
            self.resize(&node, 0)?;
        }
        Ok(())
    }

    /// A descriptor of the file, the one that is open or a new one.
    pub(crate) fn open_file(&self, node: &Arc<Node<B>>, writable: bool) -> Result<Arc<B::File>> {
        let state = node.file().ok_or(VaultError::InvalidArgument)?;
        node.touch();
        if let Some(open) = &*state.descriptor.lock()
            && (open.writable || !writable)
        {
            return Ok(open.file.clone());
        }
        let mode = if writable { OpenMode::ReadWrite } else { OpenMode::Read };
        let file = self.open_anew(node, mode)?;
        Ok(self.keep_file(node, state, file, writable, false))
    }

    /// Keeps the descriptor of a file that was just made.
    pub(crate) fn keep_new_file(&self, node: &Arc<Node<B>>, file: B::File, permissions: u32) {
        if let Some(state) = node.file() {
            *state.id.lock() = KnownId::Empty;
            state.content.write().extent = (!self.is_shared()).then_some(Extent { len: 0, is_dense: true });
            self.keep_file(node, state, file, true, permissions & 0o600 != 0o600);
        }
    }

    fn keep_file(
        &self,
        node: &Arc<Node<B>>,
        state: &FileState<B>,
        file: B::File,
        writable: bool,
        is_only_chance: bool,
    ) -> Arc<B::File> {
        let file = Arc::new(file);
        let is_only_chance = is_only_chance && !rustix::process::geteuid().is_root();
        if self.is_shared() && !is_only_chance {
            return file;
        }
        let before = state.descriptor.lock().replace(Descriptor { file: file.clone(), writable, is_only_chance });
        if before.is_none() {
            self.open_files.opened(node, |oldest| {
                let Some(state) = oldest.file() else { return true };
                let mut descriptor = state.descriptor.lock();
                let may_close = descriptor.as_ref().is_none_or(|open| !open.is_only_chance);
                if may_close {
                    let closed = descriptor.take();
                    drop(descriptor);
                    drop(closed);
                }
                may_close
            });
        }
        file
    }

    fn open_anew(&self, node: &Arc<Node<B>>, mode: OpenMode) -> Result<B::File> {
        node.reaching(|reach| match reach {
            Reach::Kept(Kept::Object(held)) => Ok(self.backing.open_held(&held, mode)?),
            Reach::Kept(Kept::File(file)) => Ok(self.backing.reopen(&file, mode)?),
            Reach::Root | Reach::Nowhere => Err(VaultError::NotFound),
            Reach::Link(link) => self.open_link(node, &link, mode),
        })
    }

    fn open_link(&self, node: &Node<B>, link: &Link<B>, mode: OpenMode) -> Result<B::File> {
        let parent = self.dir_handle(&link.parent)?;
        let stored = self.stored_name(&link.parent, &parent, &link.name)?;
        let file = match self.backing.open(&parent.dir, stored.disk(), mode) {
            Err(Errno::ACCESS) if mode == OpenMode::ReadWrite => self.open_write_only(&parent.dir, stored.disk())?,
            result => result?,
        };
        if !node.is_at(&self.backing.stat(Target::File(&file))?) {
            return Err(VaultError::NotFound);
        }
        Ok(file)
    }

    /// Opens a file that its owner may write but not read. Changing part of a block means reading it, so the owner's
    /// read permission is given for a moment, as gocryptfs does.
    fn open_write_only(&self, dir: &B::Dir, name: &[u8]) -> Sys<B::File> {
        let entry = Target::Entry(dir, name);
        let permissions = self.backing.stat(entry)?.mode & 0o7777;
        if permissions & 0o600 != 0o200 {
            return Err(Errno::ACCESS);
        }
        self.backing.set_permissions(entry, permissions | 0o400)?;
        let file = self.backing.open(dir, name, OpenMode::ReadWrite);
        let restored = self.backing.set_permissions(entry, permissions);
        let file = file?;
        restored?;
        Ok(file)
    }

    /// Takes a name's last descriptor-less file by the hand before the name goes: programs may have it open, and with
    /// zero-message opens nobody told us.
    pub(crate) fn hold_if_last(
        &self,
        node: &Arc<Node<B>>,
        parent: &Arc<Node<B>>,
        name: &[u8],
        dir: &B::Dir,
        disk: &[u8],
    ) {
        if !node.depends_on(parent, name) {
            return;
        }
        if let Some(file) = node.file().and_then(|file| file.descriptor()) {
            node.keep(Kept::File(file));
        } else if let Ok(held) = self.backing.hold(dir, disk) {
            node.keep(Kept::Object(Arc::new(held)));
        }
    }
}

/// A guess whether the disk has room, so that a preallocation (fallocate) need not precede every write that extends a
/// file. Where the guess is wrong, a failed write is undone.
#[derive(Default)]
pub(crate) struct Space {
    credit: AtomicI64,
}

/// Never more than this on trust.
const MOST_CREDIT: u64 = 64 << 20;
/// A disk with less room than this gets none.
const TIGHT: u64 = 512 << 20;

impl<B: Backing> Vault<B> {
    /// Whether `len` more bytes surely fit.
    pub(crate) fn has_room(&self, len: u64) -> bool {
        let len = len as i64;
        if self.space.credit.fetch_sub(len, Ordering::Relaxed) >= len {
            return true;
        }
        let free = self.backing.stat_fs().map_or(0, |fs| fs.blocks_available.saturating_mul(fs.fragment_size));
        let credit = if free < TIGHT { 0 } else { (free / 8).min(MOST_CREDIT) as i64 };
        self.space.credit.store(credit - len, Ordering::Relaxed);
        credit >= len
    }
}
