//! An unencrypted pass-through file system over the same operations, transport and settings as a mounted vault: what is
//! left of this machine's speed when only FUSE is in the way. `scripts/bench` measures vaults against it.
//!
//! `passthrough SOURCE MOUNTPOINT [OPTIONS]`, in the foreground, until it is unmounted or gets SIGTERM. It does what
//! benchmarks do; it is not a file system to keep data in (no extended attributes, removed files only while their
//! descriptor is cached).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RawDir, RenameFlags, SeekFrom, Stat, Timestamps, Uid};
use rustix::io::Errno as SysErrno;
use strongroom_event::Silent;
use strongroom_mount::operations::{
    Attr, Caller, DirectorySink, Kind, Making, NodeId, Opening, Operations, RenameMode, Reply, Room, Seek, SetAttr,
    Settings, StatFs, XattrMode,
};
use strongroom_mount::{Errno, MountOptions, Mountpoint, Session, Termination, harden};
use strongroom_vault::{DirEntry, SetTime, Timestamp};

const CACHED_FILES: usize = 4096;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [source, mountpoint, list @ ..] = &arguments[..] else { return Err("SOURCE MOUNTPOINT [OPTIONS]".into()) };
    let mut options = MountOptions::default();
    if let Some(list) = list.first() {
        options.apply(list, &mut |_, _| false)?;
    }
    harden();
    let source = Path::new(source).canonicalize()?;
    let mountpoint = Mountpoint::check(Path::new(mountpoint), &source, options.nonempty)?;
    let operations = Arc::new(PassThrough::open(&source, &options)?);
    let termination = Termination::catch()?;
    let mut session = Session::mount(operations, &mountpoint, &source, &options, Arc::new(Silent))?;
    session.unmount_on(termination)?;
    session.wait()?;
    Ok(())
}

struct PassThrough {
    settings: Settings,
    root_device: (u64, u64),
    root: OwnedFd,
    nodes: RwLock<HashMap<u64, Arc<Node>>>,
    cached_files: Mutex<Vec<Arc<Node>>>,
    listings: RwLock<HashMap<u64, Arc<Listing>>>,
    next_listing: AtomicU64,
}

/// A file in use: found by its descriptor, or by a name in a directory that is in use.
struct Node {
    id: u64,
    lookups: AtomicU64,
    link: Mutex<Option<(Arc<Node>, Vec<u8>)>>,
    descriptor: RwLock<Option<Arc<OwnedFd>>>,
}

struct Listing {
    node: Arc<Node>,
    entries: Mutex<Option<Arc<Vec<DirEntry>>>>,
}

impl PassThrough {
    fn open(source: &Path, options: &MountOptions) -> Result<Self, SysErrno> {
        let root = rustix::fs::open(source, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let stat = rustix::fs::fstat(&root)?;
        let root_node = Node {
            id: NodeId::ROOT.0,
            lookups: AtomicU64::new(1),
            link: Mutex::new(None),
            descriptor: RwLock::new(Some(Arc::new(root.try_clone().map_err(|_| SysErrno::MFILE)?))),
        };
        Ok(PassThrough {
            // The very settings of a vault, or it would be no measure for one. There are no ACLs here.
            settings: Settings { posix_acl: false, ..Settings::of(options) },
            root_device: (stat.st_dev, stat.st_ino),
            root,
            nodes: RwLock::new(HashMap::from([(NodeId::ROOT.0, Arc::new(root_node))])),
            cached_files: Mutex::default(),
            listings: RwLock::default(),
            next_listing: AtomicU64::new(1),
        })
    }

    fn node(&self, id: NodeId) -> Reply<Arc<Node>> {
        self.nodes.read().get(&id.0).cloned().ok_or(Errno(libc::ESTALE))
    }

    fn number(&self, stat: &Stat) -> u64 {
        if (stat.st_dev, stat.st_ino) == self.root_device { NodeId::ROOT.0 } else { stat.st_ino }
    }

    /// The directory of a node, which stays open.
    fn dir(&self, id: NodeId) -> Reply<(Arc<Node>, Arc<OwnedFd>)> {
        let node = self.node(id)?;
        let descriptor = self.descriptor(&node, OFlags::DIRECTORY)?;
        Ok((node, descriptor))
    }

    fn file(&self, id: NodeId) -> Reply<Arc<OwnedFd>> {
        self.descriptor(&*self.node(id)?, OFlags::RDWR)
    }

    fn descriptor(&self, node: &Node, flags: OFlags) -> Reply<Arc<OwnedFd>> {
        if let Some(descriptor) = &*node.descriptor.read() {
            return Ok(descriptor.clone());
        }
        let (parent, name) = node.link.lock().clone().ok_or(Errno(libc::ESTALE))?;
        let dir = self.descriptor(&parent, OFlags::DIRECTORY)?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&dir, &name[..], flags, Mode::empty());
        let descriptor = match opened {
            Err(SysErrno::ACCESS | SysErrno::ROFS | SysErrno::TXTBSY) if flags.contains(OFlags::RDWR) => {
                rustix::fs::openat(&dir, &name[..], flags - OFlags::RDWR, Mode::empty())
            }
            done => done,
        }?;
        let descriptor = Arc::new(descriptor);
        *node.descriptor.write() = Some(descriptor.clone());
        if flags.contains(OFlags::RDWR) {
            self.remember(node);
        }
        Ok(descriptor)
    }

    fn remember(&self, node: &Node) {
        let mut cached = self.cached_files.lock();
        if cached.len() >= CACHED_FILES {
            for old in cached.drain(..CACHED_FILES / 4).filter(|old| old.link.lock().is_some()) {
                *old.descriptor.write() = None;
            }
        }
        if let Some(node) = self.nodes.read().get(&node.id) {
            cached.push(node.clone());
        }
    }

    fn stat(&self, node: &Node) -> Reply<Stat> {
        if let Some(descriptor) = &*node.descriptor.read() {
            return Ok(rustix::fs::fstat(descriptor)?);
        }
        let (parent, name) = node.link.lock().clone().ok_or(Errno(libc::ESTALE))?;
        let dir = self.descriptor(&parent, OFlags::DIRECTORY)?;
        Ok(rustix::fs::statat(&dir, &name[..], AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// The node of an entry, with one lookup more.
    fn enter(&self, parent: &Arc<Node>, name: &[u8], stat: &Stat, descriptor: Option<OwnedFd>) -> Attr {
        let id = self.number(stat);
        let mut nodes = self.nodes.write();
        let node = nodes.entry(id).or_insert_with(|| {
            let link = Mutex::new(None);
            Arc::new(Node { id, lookups: AtomicU64::new(0), link, descriptor: RwLock::new(None) })
        });
        node.lookups.fetch_add(1, Ordering::Relaxed);
        *node.link.lock() = Some((parent.clone(), name.to_vec()));
        let node = node.clone();
        drop(nodes);
        if let Some(descriptor) = descriptor {
            *node.descriptor.write() = Some(Arc::new(descriptor));
            self.remember(&node);
        }
        attr(id, stat)
    }

    fn look(&self, parent: &Arc<Node>, dir: &OwnedFd, name: &[u8]) -> Reply<Attr> {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(self.enter(parent, name, &stat, None))
    }

    fn read_entries(&self, node: &Node) -> Reply<Vec<DirEntry>> {
        let dir = self.descriptor(node, OFlags::DIRECTORY)?;
        let fresh = rustix::fs::openat(&dir, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut buffer = Vec::with_capacity(1 << 16);
        let mut raw = RawDir::new(fresh, buffer.spare_capacity_mut());
        let mut entries = Vec::new();
        while let Some(entry) = raw.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let kind = Kind::of_mode(entry.file_type().as_raw_mode());
                entries.push(DirEntry { name: name.to_vec(), node: NodeId(entry.ino()), kind });
            }
        }
        Ok(entries)
    }

    fn entries(&self, handle: u64, offset: u64) -> Reply<(Arc<Listing>, Arc<Vec<DirEntry>>)> {
        let listing = self.listings.read().get(&handle).cloned().ok_or(Errno(libc::EBADF))?;
        let mut entries = listing.entries.lock();
        if offset == 0 || entries.is_none() {
            *entries = Some(Arc::new(self.read_entries(&listing.node)?));
        }
        let snapshot = entries.clone().expect("just read");
        drop(entries);
        Ok((listing, snapshot))
    }
}

fn attr(id: u64, stat: &Stat) -> Attr {
    let time = |seconds, nanoseconds: u64| Timestamp { seconds, nanoseconds: nanoseconds as u32 };
    Attr {
        node: NodeId(id),
        size: stat.st_size as u64,
        blocks: stat.st_blocks as u64,
        atime: time(stat.st_atime, stat.st_atime_nsec),
        mtime: time(stat.st_mtime, stat.st_mtime_nsec),
        ctime: time(stat.st_ctime, stat.st_ctime_nsec),
        kind: Kind::of_mode(stat.st_mode),
        permissions: stat.st_mode & 0o7777,
        links: stat.st_nlink as u32,
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: stat.st_rdev,
        block_size: 4096,
    }
}

fn mode(making: &Making) -> Mode {
    Mode::from_raw_mode(making.permissions & !making.umask)
}

fn timespec(time: Option<SetTime>) -> rustix::fs::Timespec {
    match time {
        None => rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        Some(SetTime::Now) => rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        Some(SetTime::To(to)) => rustix::fs::Timespec { tv_sec: to.seconds, tv_nsec: to.nanoseconds.into() },
    }
}

impl Operations for PassThrough {
    fn settings(&self) -> Settings {
        self.settings
    }

    fn lookup(&self, parent: NodeId, name: &[u8]) -> Reply<Option<Attr>> {
        let (parent, dir) = self.dir(parent)?;
        match self.look(&parent, &dir, name) {
            Ok(attr) => Ok(Some(attr)),
            Err(Errno(libc::ENOENT)) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn forget(&self, node: NodeId, lookups: u64) {
        let mut nodes = self.nodes.write();
        let Some(known) = nodes.get(&node.0) else { return };
        if node != NodeId::ROOT && known.lookups.fetch_sub(lookups, Ordering::Relaxed) == lookups {
            nodes.remove(&node.0);
        }
    }

    fn attr(&self, node: NodeId) -> Reply<Attr> {
        Ok(attr(node.0, &self.stat(&*self.node(node)?)?))
    }

    fn set_attr(&self, _: Caller, id: NodeId, set: &SetAttr) -> Reply<Attr> {
        let node = self.node(id)?;
        if let Some(size) = set.size {
            rustix::fs::ftruncate(self.file(id)?, size)?;
        }
        let (dir, name) = match &*node.link.lock() {
            Some((parent, name)) => (self.descriptor(parent, OFlags::DIRECTORY)?, name.clone()),
            None => (Arc::new(self.root.try_clone().map_err(|_| Errno(libc::EMFILE))?), b".".to_vec()),
        };
        if set.uid.is_some() || set.gid.is_some() {
            let (uid, gid) = (set.uid.map(Uid::from_raw), set.gid.map(Gid::from_raw));
            rustix::fs::chownat(&dir, &name[..], uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if let Some(permissions) = set.permissions {
            rustix::fs::chmodat(&dir, &name[..], Mode::from_raw_mode(permissions), AtFlags::empty())?;
        }
        if set.atime.is_some() || set.mtime.is_some() {
            let times = Timestamps { last_access: timespec(set.atime), last_modification: timespec(set.mtime) };
            let descriptor = node.descriptor.read().clone();
            match descriptor {
                Some(descriptor) => rustix::fs::futimens(&descriptor, &times)?,
                None => rustix::fs::utimensat(&dir, &name[..], &times, AtFlags::SYMLINK_NOFOLLOW)?,
            }
        }
        self.attr(id)
    }

    fn read_link(&self, node: NodeId) -> Reply<Vec<u8>> {
        let (parent, name) = self.node(node)?.link.lock().clone().ok_or(Errno(libc::ESTALE))?;
        let dir = self.descriptor(&parent, OFlags::DIRECTORY)?;
        Ok(rustix::fs::readlinkat(&dir, &name[..], Vec::new())?.into_bytes())
    }

    fn create(&self, parent: NodeId, name: &[u8], making: &Making) -> Reply<Attr> {
        let (parent, dir) = self.dir(parent)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = rustix::fs::openat(&dir, name, flags, mode(making))?;
        let stat = rustix::fs::fstat(&descriptor)?;
        Ok(self.enter(&parent, name, &stat, Some(descriptor)))
    }

    fn make_node(&self, parent: NodeId, name: &[u8], kind: Kind, rdev: u64, making: &Making) -> Reply<Attr> {
        if kind == Kind::File {
            return self.create(parent, name, making);
        }
        let (parent, dir) = self.dir(parent)?;
        rustix::fs::mknodat(&dir, name, FileType::from_raw_mode(kind.mode_bits()), mode(making), rdev)?;
        self.look(&parent, &dir, name)
    }

    fn make_dir(&self, parent: NodeId, name: &[u8], making: &Making) -> Reply<Attr> {
        let (parent, dir) = self.dir(parent)?;
        rustix::fs::mkdirat(&dir, name, mode(making))?;
        self.look(&parent, &dir, name)
    }

    fn make_symlink(&self, parent: NodeId, name: &[u8], target: &[u8], _: Caller) -> Reply<Attr> {
        let (parent, dir) = self.dir(parent)?;
        rustix::fs::symlinkat(OsStr::from_bytes(target), &dir, name)?;
        self.look(&parent, &dir, name)
    }

    fn link(&self, node: NodeId, new_parent: NodeId, new_name: &[u8]) -> Reply<Attr> {
        let (old_parent, old_name) = self.node(node)?.link.lock().clone().ok_or(Errno(libc::ESTALE))?;
        let old_dir = self.descriptor(&old_parent, OFlags::DIRECTORY)?;
        let (new_parent, new_dir) = self.dir(new_parent)?;
        rustix::fs::linkat(&old_dir, &old_name[..], &new_dir, new_name, AtFlags::empty())?;
        self.look(&new_parent, &new_dir, new_name)
    }

    fn unlink(&self, parent: NodeId, name: &[u8]) -> Reply<()> {
        let (_, dir) = self.dir(parent)?;
        Ok(rustix::fs::unlinkat(&dir, name, AtFlags::empty())?)
    }

    fn remove_dir(&self, parent: NodeId, name: &[u8]) -> Reply<()> {
        let (_, dir) = self.dir(parent)?;
        Ok(rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR)?)
    }

    fn rename(&self, parent: NodeId, name: &[u8], new_parent: NodeId, new_name: &[u8], mode: RenameMode) -> Reply<()> {
        let flags = match mode {
            RenameMode::Replace => RenameFlags::empty(),
            RenameMode::NoReplace => RenameFlags::NOREPLACE,
            _ => return Err(Errno(libc::EINVAL)),
        };
        let (_, dir) = self.dir(parent)?;
        let (new_parent, new_dir) = self.dir(new_parent)?;
        let moved = self.number(&rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?);
        rustix::fs::renameat_with(&dir, name, &new_dir, new_name, flags)?;
        if let Some(node) = self.nodes.read().get(&moved) {
            *node.link.lock() = Some((new_parent, new_name.to_vec()));
        }
        Ok(())
    }

    fn open(&self, node: NodeId, opening: Opening) -> Reply<()> {
        let file = self.file(node)?;
        if opening.truncate {
            rustix::fs::ftruncate(file, 0)?;
        }
        Ok(())
    }

    fn read(&self, node: NodeId, offset: u64, out: &mut [u8]) -> Reply<usize> {
        let file = self.file(node)?;
        let mut done = 0;
        while done < out.len() {
            match rustix::io::pread(file.as_fd(), &mut out[done..], offset + done as u64)? {
                0 => break,
                len => done += len,
            }
        }
        Ok(done)
    }

    fn write(&self, node: NodeId, offset: u64, data: &[u8], _: bool) -> Reply<usize> {
        Ok(rustix::io::pwrite(self.file(node)?.as_fd(), data, offset)?)
    }

    fn sync(&self, node: NodeId, data_only: bool) -> Reply<()> {
        let file = self.file(node)?;
        let synced = if data_only { rustix::fs::fdatasync(file) } else { rustix::fs::fsync(file) };
        Ok(synced?)
    }

    fn allocate(&self, node: NodeId, offset: u64, len: u64, mode: i32) -> Reply<()> {
        let flags = rustix::fs::FallocateFlags::from_bits_retain(mode as u32);
        Ok(rustix::fs::fallocate(self.file(node)?, flags, offset, len)?)
    }

    fn seek(&self, node: NodeId, offset: u64, what: Seek) -> Reply<u64> {
        let from = match what {
            Seek::Data => SeekFrom::Data(offset),
            Seek::Hole => SeekFrom::Hole(offset),
        };
        Ok(rustix::fs::seek(self.file(node)?, from)?)
    }

    fn open_dir(&self, node: NodeId) -> Reply<u64> {
        let handle = self.next_listing.fetch_add(1, Ordering::Relaxed);
        let listing = Listing { node: self.node(node)?, entries: Mutex::new(None) };
        self.listings.write().insert(handle, Arc::new(listing));
        Ok(handle)
    }

    fn read_dir(&self, handle: u64, offset: u64, sink: &mut dyn DirectorySink) -> Reply<()> {
        let (_, entries) = self.entries(handle, offset)?;
        for (next, entry) in (offset + 1..).zip(entries.iter().skip(offset as usize)) {
            if sink.entry(&entry.name, entry.node, entry.kind, next) == Room::Full {
                break;
            }
        }
        Ok(())
    }

    fn read_dir_plus(&self, handle: u64, offset: u64, sink: &mut dyn DirectorySink) -> Reply<()> {
        let (listing, entries) = self.entries(handle, offset)?;
        let dir = self.descriptor(&listing.node, OFlags::DIRECTORY)?;
        for (next, entry) in (offset + 1..).zip(entries.iter().skip(offset as usize)) {
            let Ok(attr) = self.look(&listing.node, &dir, &entry.name) else { continue };
            if sink.entry_with_attr(&entry.name, &attr, next) == Room::Full {
                self.forget(attr.node, 1);
                break;
            }
        }
        Ok(())
    }

    fn close_dir(&self, handle: u64) {
        self.listings.write().remove(&handle);
    }

    fn sync_dir(&self, node: NodeId, _: bool) -> Reply<()> {
        let (_, dir) = self.dir(node)?;
        Ok(rustix::fs::fsync(&dir)?)
    }

    fn stat_fs(&self) -> Reply<StatFs> {
        let stat = rustix::fs::fstatvfs(&self.root)?;
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

    fn xattr(&self, _: NodeId, _: &[u8]) -> Reply<Vec<u8>> {
        Err(Errno(libc::ENODATA))
    }

    fn set_xattr(&self, _: Caller, _: NodeId, _: &[u8], _: &[u8], _: XattrMode) -> Reply<()> {
        Err(Errno(libc::EOPNOTSUPP))
    }

    fn remove_xattr(&self, _: NodeId, _: &[u8]) -> Reply<()> {
        Err(Errno(libc::EOPNOTSUPP))
    }

    fn list_xattrs(&self, _: NodeId) -> Reply<Vec<u8>> {
        Ok(Vec::new())
    }
}
