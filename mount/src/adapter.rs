//! A vault as the kernel wants it: each operation is unpacked, handed to the vault, and its failure turned into a number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use strongroom_vault::{Access, Backing, Creation, Directory, Owner, RealBacking, Vault};

use crate::errno::Errno;
use crate::idle::validity;
use crate::operations::{
    Attr, Caller, DirectorySink, Kind, Making, NodeId, Opening, Operations, RenameMode, Reply, Room, Seek, SetAttr,
    Settings, StatFs, XattrMode,
};
use crate::options::MountOptions;

/// How long the kernel may remember names and attributes that nobody but this mount changes.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Largest request. The kernel takes no more than 256 pages unless root raised fs.fuse.max_pages_limit.
const MAX_WRITE: u32 = 1 << 20;

/// Attributes that the kernel and its security modules read all the time and a vault has no say in. They are answered
/// without a look, and not listed. The answer is "not supported", not "none": ls(1) then stops asking for each file. File
/// capabilities work with `suid` only, as on any mount that is nosuid.
pub(crate) const NOT_LOOKED_UP: &[&[u8]] =
    &[b"security.selinux", b"security.ima", b"security.evm", b"security.apparmor", b"security.SMACK64"];
const CAPABILITY: &[u8] = b"security.capability";
const ACCESS_ACL: &[u8] = b"system.posix_acl_access";

impl Settings {
    /// What a file system that is mounted with `options` wants, be it encrypted or not.
    pub fn of(options: &MountOptions) -> Settings {
        let alone = options.is_alone();
        let valid = if alone { validity(REMEMBERED, options.idle) } else { Duration::ZERO };
        Settings {
            writeback: alone && !options.direct_io && !options.read_only,
            zero_message_opens: alone && !options.direct_io,
            direct_io: options.direct_io,
            alone,
            attr_valid: valid,
            entry_valid: valid,
            posix_acl: options.acl,
            max_write: MAX_WRITE,
        }
    }
}

/// The operations of a mounted vault.
pub struct Adapter<B: Backing = RealBacking> {
    vault: Arc<Vault<B>>,
    settings: Settings,
    xattrs: bool,
    capabilities: bool,
    /// New files belong to whoever makes them.
    owners: bool,
    /// Whom everything is shown to belong to.
    shown_owner: Option<(u32, u32)>,
    listings: RwLock<HashMap<u64, Arc<Listing>>>,
    next_listing: AtomicU64,
}

/// An open directory. What it lists is read at its beginning, and read anew when a program rewinds it.
struct Listing {
    node: NodeId,
    entries: Mutex<Option<Arc<Directory>>>,
}

impl<B: Backing> Adapter<B> {
    /// The operations of `vault`, which must have been opened with the same options (read-only, shared, ACLs).
    pub fn new(vault: Arc<Vault<B>>, options: &MountOptions) -> Self {
        let settings = Settings::of(options);
        if settings.writeback {
            // Not only of writes that come from the cache (FUSE_WRITE_CACHE): with it the kernel keeps the times of all.
            vault.leave_times_to_the_cache();
        }
        Adapter {
            vault,
            settings,
            xattrs: !options.no_xattr,
            capabilities: options.suid,
            // Where all is shown as one user's, that user is not the one who owns the ciphertext, and may not be able to.
            owners: options.allow_other && options.force_owner.is_none() && rustix::process::geteuid().is_root(),
            shown_owner: options.force_owner,
            listings: RwLock::default(),
            next_listing: AtomicU64::new(1),
        }
    }

    fn creation(&self, making: &Making) -> Creation {
        Creation { permissions: making.permissions, umask: making.umask, owner: self.owner(making.caller) }
    }

    fn owner(&self, caller: Caller) -> Option<Owner> {
        self.owners.then_some(Owner { uid: caller.uid, gid: caller.gid })
    }

    /// As it is to be seen.
    fn shown(&self, attr: Attr) -> Attr {
        match self.shown_owner {
            Some((uid, gid)) => Attr { uid, gid, ..attr },
            None => attr,
        }
    }

    fn listing(&self, handle: u64) -> Reply<Arc<Listing>> {
        self.listings.read().get(&handle).cloned().ok_or(Errno(libc::EBADF))
    }

    /// The snapshot that a listing goes on with, or a new one from the beginning.
    fn entries(&self, listing: &Listing, offset: u64) -> Reply<Arc<Directory>> {
        let mut entries = listing.entries.lock();
        match &*entries {
            Some(snapshot) if offset > 0 => Ok(snapshot.clone()),
            _ => {
                let snapshot = Arc::new(self.vault.open_dir(listing.node)?);
                *entries = Some(snapshot.clone());
                Ok(snapshot)
            }
        }
    }

    /// Refuses all of them with `no_xattr`: the kernel remembers that and stops asking.
    fn xattrs_exist(&self) -> Reply<()> {
        if self.xattrs { Ok(()) } else { Err(Errno(libc::ENOSYS)) }
    }

    fn is_hidden(&self, name: &[u8]) -> bool {
        NOT_LOOKED_UP.contains(&name) || (name == CAPABILITY && !self.capabilities)
    }

    /// Who is not in a file's group must not make a setgid file of it by way of an ACL. fuser 0.18.0 does not pass on that
    /// the kernel wants this (FUSE_SETXATTR_ACL_KILL_SGID needs SETXATTR_EXT).
    fn drop_setgid_of_strangers(&self, caller: Caller, node: NodeId) -> Reply<()> {
        let attr = self.shown(self.vault.attr(node)?);
        let setgid = attr.permissions & libc::S_ISGID != 0;
        if !setgid || caller.uid == 0 || caller.gid == attr.gid || caller.is_in_group(attr.gid) {
            return Ok(());
        }
        let permissions = Some(attr.permissions & !libc::S_ISGID);
        self.vault.set_attr(node, &SetAttr { permissions, ..SetAttr::default() })?;
        Ok(())
    }
}

impl Caller {
    fn is_in_group(self, group: u32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let groups = status.lines().find_map(|line| line.strip_prefix("Groups:"));
        groups.is_some_and(|groups| groups.split_ascii_whitespace().any(|member| member.parse() == Ok(group)))
    }
}

impl<B: Backing> Operations for Adapter<B> {
    fn settings(&self) -> Settings {
        self.settings
    }

    fn lookup(&self, parent: NodeId, name: &[u8]) -> Reply<Option<Attr>> {
        match self.vault.lookup(parent, name).map_err(Errno::from) {
            Ok(attr) => Ok(Some(self.shown(attr))),
            Err(Errno(libc::ENOENT)) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn forget(&self, node: NodeId, lookups: u64) {
        self.vault.forget(node, lookups);
    }

    fn attr(&self, node: NodeId) -> Reply<Attr> {
        Ok(self.shown(self.vault.attr(node)?))
    }

    fn set_attr(&self, caller: Caller, node: NodeId, set: &SetAttr) -> Reply<Attr> {
        // A change of nothing is how the kernel asks for setuid and setgid to go before it writes for somebody without
        // CAP_FSETID; a change of size by such a one must do the same. Root is taken to have that capability.
        let nothing = *set == SetAttr::default();
        let truncated = set.size.is_some() && caller.uid != 0;
        let clear_setid = set.clear_setid || nothing || truncated;
        Ok(self.shown(self.vault.set_attr(node, &SetAttr { clear_setid, ..*set })?))
    }

    fn read_link(&self, node: NodeId) -> Reply<Vec<u8>> {
        Ok(self.vault.read_link(node)?)
    }

    fn create(&self, parent: NodeId, name: &[u8], making: &Making) -> Reply<Attr> {
        Ok(self.shown(self.vault.create(parent, name, &self.creation(making))?))
    }

    fn make_node(&self, parent: NodeId, name: &[u8], kind: Kind, rdev: u64, making: &Making) -> Reply<Attr> {
        match kind {
            // Files are made this way with zero-message opens; they will be written to next.
            Kind::File => self.create(parent, name, making),
            _ => Ok(self.shown(self.vault.make_node(parent, name, kind, rdev, &self.creation(making))?)),
        }
    }

    fn make_dir(&self, parent: NodeId, name: &[u8], making: &Making) -> Reply<Attr> {
        Ok(self.shown(self.vault.make_dir(parent, name, &self.creation(making))?))
    }

    fn make_symlink(&self, parent: NodeId, name: &[u8], target: &[u8], caller: Caller) -> Reply<Attr> {
        let creation = Creation { permissions: 0o777, umask: 0, owner: self.owner(caller) };
        Ok(self.shown(self.vault.make_symlink(parent, name, target, &creation)?))
    }

    fn link(&self, node: NodeId, new_parent: NodeId, new_name: &[u8]) -> Reply<Attr> {
        Ok(self.shown(self.vault.link(node, new_parent, new_name)?))
    }

    fn unlink(&self, parent: NodeId, name: &[u8]) -> Reply<()> {
        Ok(self.vault.unlink(parent, name)?)
    }

    fn remove_dir(&self, parent: NodeId, name: &[u8]) -> Reply<()> {
        Ok(self.vault.remove_dir(parent, name)?)
    }

    fn rename(&self, parent: NodeId, name: &[u8], new_parent: NodeId, new_name: &[u8], mode: RenameMode) -> Reply<()> {
        Ok(self.vault.rename(parent, name, new_parent, new_name, mode)?)
    }

    fn open(&self, node: NodeId, opening: Opening) -> Reply<()> {
        let access = match (opening.read, opening.write) {
            (_, false) => Access::Read,
            (false, true) => Access::Write,
            (true, true) => Access::ReadWrite,
        };
        Ok(self.vault.open(node, access, opening.truncate)?)
    }

    fn read(&self, node: NodeId, offset: u64, out: &mut [u8]) -> Reply<usize> {
        Ok(self.vault.read(node, offset, out)?)
    }

    fn write(&self, node: NodeId, offset: u64, data: &[u8], clear_setid: bool) -> Reply<usize> {
        if clear_setid {
            self.vault.set_attr(node, &SetAttr { clear_setid, ..SetAttr::default() })?;
        }
        Ok(self.vault.write(node, offset, data)?)
    }

    fn sync(&self, node: NodeId, data_only: bool) -> Reply<()> {
        Ok(self.vault.sync(node, data_only)?)
    }

    fn allocate(&self, node: NodeId, offset: u64, len: u64, mode: i32) -> Reply<()> {
        let keep_size = match mode {
            0 => false,
            libc::FALLOC_FL_KEEP_SIZE => true,
            _ => return Err(Errno(libc::EOPNOTSUPP)),
        };
        Ok(self.vault.allocate(node, offset, len, keep_size)?)
    }

    fn seek(&self, node: NodeId, offset: u64, what: Seek) -> Reply<u64> {
        Ok(match what {
            Seek::Data => self.vault.seek_data(node, offset)?,
            Seek::Hole => self.vault.seek_hole(node, offset)?,
        })
    }

    fn open_dir(&self, node: NodeId) -> Reply<u64> {
        // Who opens a directory only to reach or to sync it has no use for its entries: they are read when asked for.
        let handle = self.next_listing.fetch_add(1, Ordering::Relaxed);
        self.listings.write().insert(handle, Arc::new(Listing { node, entries: Mutex::new(None) }));
        Ok(handle)
    }

    fn read_dir(&self, handle: u64, offset: u64, sink: &mut dyn DirectorySink) -> Reply<()> {
        let listing = self.listing(handle)?;
        let snapshot = self.entries(&listing, offset)?;
        let Some((from, mut next)) = after_dots(listing.node, offset, sink) else { return Ok(()) };
        for entry in snapshot.entries().iter().skip(from) {
            if sink.entry(&entry.name, entry.node, entry.kind, next) == Room::Full {
                break;
            }
            next += 1;
        }
        Ok(())
    }

    fn read_dir_plus(&self, handle: u64, offset: u64, sink: &mut dyn DirectorySink) -> Reply<()> {
        let listing = self.listing(handle)?;
        let snapshot = self.entries(&listing, offset)?;
        let Some((from, first)) = after_dots(listing.node, offset, sink) else { return Ok(()) };
        for (next, entry) in (first..).zip(snapshot.entries().iter().skip(from)) {
            let attr = match self.vault.entry_attr(listing.node, entry).map_err(Errno::from) {
                Ok(attr) => self.shown(attr),
                // Removed since the snapshot.
                Err(Errno(libc::ENOENT)) => continue,
                // What was found so far goes out; if the next listing begins here, it fails.
                Err(_) if next > first => break,
                Err(errno) => return Err(errno),
            };
            if sink.entry_with_attr(&entry.name, &attr, next) == Room::Full {
                self.vault.forget(attr.node, 1);
                break;
            }
        }
        Ok(())
    }

    fn close_dir(&self, handle: u64) {
        self.listings.write().remove(&handle);
    }

    fn sync_dir(&self, node: NodeId, data_only: bool) -> Reply<()> {
        Ok(self.vault.sync_dir(node, data_only)?)
    }

    fn stat_fs(&self) -> Reply<StatFs> {
        Ok(self.vault.stat_fs()?)
    }

    fn xattr(&self, node: NodeId, name: &[u8]) -> Reply<Vec<u8>> {
        self.xattrs_exist()?;
        if self.is_hidden(name) {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        Ok(self.vault.xattr(node, name)?)
    }

    fn set_xattr(&self, caller: Caller, node: NodeId, name: &[u8], value: &[u8], mode: XattrMode) -> Reply<()> {
        self.xattrs_exist()?;
        self.vault.set_xattr(node, name, value, mode)?;
        if name == ACCESS_ACL {
            self.drop_setgid_of_strangers(caller, node)?;
        }
        Ok(())
    }

    fn remove_xattr(&self, node: NodeId, name: &[u8]) -> Reply<()> {
        self.xattrs_exist()?;
        Ok(self.vault.remove_xattr(node, name)?)
    }

    fn list_xattrs(&self, node: NodeId) -> Reply<Vec<u8>> {
        self.xattrs_exist()?;
        let mut list = Vec::new();
        for name in self.vault.list_xattrs(node)?.iter().filter(|name| !self.is_hidden(name)) {
            list.extend_from_slice(name);
            list.push(0);
        }
        Ok(list)
    }

    /// What programs wrote is with the vault by now; whoever unmounts may pull the plug or the disk next.
    fn ended(&self) {
        if !self.vault.is_read_only() {
            // Durability was promised to fsync, which reported its failures; there is nobody left to report this one to.
            let _ = self.vault.sync_all();
        }
    }
}

/// Lists `.` and `..` where the listing begins with them. Gives how many entries of the snapshot to skip and the offset after the
/// first that follows; `None` if there was no room even for the dots.
pub(crate) fn after_dots(node: NodeId, offset: u64, sink: &mut dyn DirectorySink) -> Option<(usize, u64)> {
    // The parent's number is not known here; the kernel answers stat("..") by itself.
    for (dot, name) in (0u64..).zip([&b"."[..], b".."]).skip(offset as usize) {
        if sink.entry(name, node, Kind::Directory, dot + 1) == Room::Full {
            return None;
        }
    }
    let from = offset.max(2);
    Some((usize::try_from(from - 2).ok()?, from + 1))
}
