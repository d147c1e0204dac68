//! The encrypted view of a plaintext directory as the kernel wants it. Nothing can be changed through it.
//!
//! Others change the plaintext, so the kernel may keep names and attributes for a second only, as with gocryptfs, and each
//! open begins with fresh pages: what is read after an open is what was there at the open, or later.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use strongroom_reverse::{Listing, View};

use crate::adapter::{NOT_LOOKED_UP, after_dots};
use crate::errno::Errno;
use crate::operations::{
    Attr, Caller, DirectorySink, Kind, Making, NodeId, Opening, Operations, RenameMode, Reply, Room, Seek, SetAttr,
    Settings, StatFs, XattrMode,
};
use crate::options::MountOptions;

/// How long the kernel may remember what others may change.
const REMEMBERED: Duration = Duration::from_secs(1);
/// The number of what has no node, which no node has.
const NOBODY: NodeId = NodeId(u64::MAX);
const READ_ONLY: Errno = Errno(libc::EROFS);

/// The operations of a mounted view.
pub struct ReverseAdapter {
    view: Arc<View>,
    settings: Settings,
    xattrs: bool,
    force_owner: Option<(u32, u32)>,
    listings: RwLock<HashMap<u64, Arc<Open>>>,
    next_listing: AtomicU64,
}

/// An open directory. What it lists is read at its beginning, and read anew when a program rewinds it.
struct Open {
    node: NodeId,
    listing: Mutex<Option<Arc<Listing>>>,
}

impl ReverseAdapter {
    /// The operations of `view`.
    pub fn new(view: Arc<View>, options: &MountOptions) -> Self {
        let valid = if options.shared_storage { Duration::ZERO } else { REMEMBERED };
        let settings = Settings {
            writeback: false,
            // Opens and closes tell when the plaintext's descriptor is needed, and the first one which name gives a file
            // its vectors.
            zero_message_opens: false,
            alone: false,
            attr_valid: valid,
            entry_valid: valid,
            ..Settings::of(options)
        };
        ReverseAdapter {
            view,
            settings,
            xattrs: !options.no_xattr,
            force_owner: options.force_owner,
            listings: RwLock::default(),
            next_listing: AtomicU64::new(1),
        }
    }

    fn open(&self, handle: u64) -> Reply<Arc<Open>> {
        self.listings.read().get(&handle).cloned().ok_or(Errno(libc::EBADF))
    }

    fn listing(&self, open: &Open, offset: u64) -> Reply<Arc<Listing>> {
        let mut listing = open.listing.lock();
        match &*listing {
            Some(listing) if offset > 0 => Ok(listing.clone()),
            _ => {
                let read = Arc::new(self.view.open_dir(inner(open.node))?);
                *listing = Some(read.clone());
                Ok(read)
            }
        }
    }

    fn shown(&self, attr: &strongroom_reverse::Attr) -> Attr {
        let (uid, gid) = self.force_owner.unwrap_or((attr.uid, attr.gid));
        Attr {
            node: outer(attr.node),
            size: attr.size,
            blocks: attr.blocks,
            atime: time(attr.atime),
            mtime: time(attr.mtime),
            ctime: time(attr.ctime),
            kind: kind(attr.kind),
            permissions: attr.permissions,
            links: attr.links,
            uid,
            gid,
            rdev: attr.rdev,
            block_size: attr.block_size,
        }
    }

    /// Refuses all of them with `no_xattr`: the kernel remembers that and stops asking.
    fn xattrs_exist(&self) -> Reply<()> {
        if self.xattrs { Ok(()) } else { Err(Errno(libc::ENOSYS)) }
    }
}

impl Operations for ReverseAdapter {
    fn settings(&self) -> Settings {
        self.settings
    }

    fn lookup(&self, parent: NodeId, name: &[u8]) -> Reply<Option<Attr>> {
        match self.view.lookup(inner(parent), name).map_err(Errno::from) {
            Ok(attr) => Ok(Some(self.shown(&attr))),
            Err(Errno(libc::ENOENT)) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn forget(&self, node: NodeId, lookups: u64) {
        self.view.forget(inner(node), lookups);
    }

    fn attr(&self, node: NodeId) -> Reply<Attr> {
        Ok(self.shown(&self.view.attr(inner(node))?))
    }

    fn set_attr(&self, _: Caller, _: NodeId, _: &SetAttr) -> Reply<Attr> {
        Err(READ_ONLY)
    }

    fn read_link(&self, node: NodeId) -> Reply<Vec<u8>> {
        Ok(self.view.read_link(inner(node))?)
    }

    fn create(&self, _: NodeId, _: &[u8], _: &Making) -> Reply<Attr> {
        Err(READ_ONLY)
    }

    fn make_node(&self, _: NodeId, _: &[u8], _: Kind, _: u64, _: &Making) -> Reply<Attr> {
        Err(READ_ONLY)
    }

    fn make_dir(&self, _: NodeId, _: &[u8], _: &Making) -> Reply<Attr> {
        Err(READ_ONLY)
    }

    fn make_symlink(&self, _: NodeId, _: &[u8], _: &[u8], _: Caller) -> Reply<Attr> {
        Err(READ_ONLY)
    }

    fn link(&self, _: NodeId, _: NodeId, _: &[u8]) -> Reply<Attr> {
        Err(READ_ONLY)
    }

    fn unlink(&self, _: NodeId, _: &[u8]) -> Reply<()> {
        Err(READ_ONLY)
    }

    fn remove_dir(&self, _: NodeId, _: &[u8]) -> Reply<()> {
        Err(READ_ONLY)
    }

    fn rename(&self, _: NodeId, _: &[u8], _: NodeId, _: &[u8], _: RenameMode) -> Reply<()> {
        Err(READ_ONLY)
    }

    fn open(&self, node: NodeId, opening: Opening) -> Reply<()> {
        if opening.write || opening.truncate {
            return Err(READ_ONLY);
        }
        Ok(self.view.open(inner(node))?)
    }

    fn close(&self, node: NodeId) {
        self.view.close(inner(node));
    }

    fn read(&self, node: NodeId, offset: u64, out: &mut [u8]) -> Reply<usize> {
        Ok(self.view.read(inner(node), offset, out)?)
    }

    fn write(&self, _: NodeId, _: u64, _: &[u8], _: bool) -> Reply<usize> {
        Err(READ_ONLY)
    }

    fn sync(&self, _: NodeId, _: bool) -> Reply<()> {
        Ok(())
    }

    fn allocate(&self, _: NodeId, _: u64, _: u64, _: i32) -> Reply<()> {
        Err(READ_ONLY)
    }

    fn seek(&self, node: NodeId, offset: u64, what: Seek) -> Reply<u64> {
        Ok(match what {
            Seek::Data => self.view.seek_data(inner(node), offset)?,
            Seek::Hole => self.view.seek_hole(inner(node), offset)?,
        })
    }

    fn open_dir(&self, node: NodeId) -> Reply<u64> {
        let handle = self.next_listing.fetch_add(1, Ordering::Relaxed);
        self.listings.write().insert(handle, Arc::new(Open { node, listing: Mutex::new(None) }));
        Ok(handle)
    }

    fn read_dir(&self, handle: u64, offset: u64, sink: &mut dyn DirectorySink) -> Reply<()> {
        let open = self.open(handle)?;
        let listing = self.listing(&open, offset)?;
        let Some((from, first)) = after_dots(open.node, offset, sink) else { return Ok(()) };
        for (next, entry) in (first..).zip(listing.entries().iter().skip(from)) {
            if sink.entry(&entry.name, outer(entry.node), kind(entry.kind), next) == Room::Full {
                break;
            }
        }
        Ok(())
    }

    fn read_dir_plus(&self, handle: u64, offset: u64, sink: &mut dyn DirectorySink) -> Reply<()> {
        let open = self.open(handle)?;
        let listing = self.listing(&open, offset)?;
        let Some((from, first)) = after_dots(open.node, offset, sink) else { return Ok(()) };
        for (next, entry) in (first..).zip(listing.entries().iter().skip(from)) {
            // What cannot be looked at is listed all the same, as it is there; whoever looks is told why. And a file with
            // several names is looked up by the one that is used, as it gets its vectors from the first.
            let room = match self.view.entry_attr(&listing, entry) {
                Ok(attr) => {
                    let room = match attr.links > 1 && attr.kind != strongroom_reverse::Kind::Directory {
                        true => sink.entry(&entry.name, outer(attr.node), kind(attr.kind), next),
                        false => sink.entry_with_attr(&entry.name, &self.shown(&attr), next),
                    };
                    if room == Room::Full {
                        self.view.forget(attr.node, 1);
                    }
                    room
                }
                Err(_) => sink.entry(&entry.name, NOBODY, kind(entry.kind), next),
            };
            if room == Room::Full {
                break;
            }
        }
        Ok(())
    }

    fn close_dir(&self, handle: u64) {
        self.listings.write().remove(&handle);
    }

    fn sync_dir(&self, _: NodeId, _: bool) -> Reply<()> {
        Ok(())
    }

    fn stat_fs(&self) -> Reply<StatFs> {
        let found = self.view.stat_fs()?;
        Ok(StatFs {
            fragment_size: found.fragment_size,
            block_size: found.block_size,
            blocks: found.blocks,
            blocks_free: found.blocks_free,
            blocks_available: found.blocks_available,
            files: found.files,
            files_free: found.files_free,
            name_max: found.name_max,
        })
    }

    fn xattr(&self, node: NodeId, name: &[u8]) -> Reply<Vec<u8>> {
        self.xattrs_exist()?;
        if NOT_LOOKED_UP.contains(&name) || name == b"security.capability" {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        Ok(self.view.xattr(inner(node), name)?)
    }

    fn set_xattr(&self, _: Caller, _: NodeId, _: &[u8], _: &[u8], _: XattrMode) -> Reply<()> {
        Err(READ_ONLY)
    }

    fn remove_xattr(&self, _: NodeId, _: &[u8]) -> Reply<()> {
        Err(READ_ONLY)
    }

    fn list_xattrs(&self, node: NodeId) -> Reply<Vec<u8>> {
        self.xattrs_exist()?;
        let names = self.view.list_xattrs(inner(node))?;
        Ok(names.into_iter().flat_map(|name| name.into_iter().chain([0])).collect())
    }
}

fn inner(node: NodeId) -> strongroom_reverse::NodeId {
    strongroom_reverse::NodeId(node.0)
}

fn outer(node: strongroom_reverse::NodeId) -> NodeId {
    NodeId(node.0)
}

fn time(time: strongroom_reverse::Timestamp) -> strongroom_vault::Timestamp {
    strongroom_vault::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

fn kind(kind: strongroom_reverse::Kind) -> Kind {
    use strongroom_reverse::Kind as Theirs;
    match kind {
        Theirs::File => Kind::File,
        Theirs::Directory => Kind::Directory,
        Theirs::Symlink => Kind::Symlink,
        Theirs::Fifo => Kind::Fifo,
        Theirs::Socket => Kind::Socket,
        Theirs::CharDevice => Kind::CharDevice,
        Theirs::BlockDevice => Kind::BlockDevice,
    }
}
