//! What a transport asks of a file system: a request in, a reply out, synchronously, from many threads at once.
//!
//! Transports (see [`transport`](crate::transport)) turn kernel messages into these calls; [`Adapter`](crate::Adapter)
//! answers them from a vault. Neither knows of the other, so a new transport changes nothing above.

use std::time::Duration;

pub use strongroom_vault::{Attr, Kind, NodeId, RenameMode, SetAttr, StatFs, XattrMode};

use crate::errno::Errno;

/// What operations give.
pub type Reply<T> = Result<T, Errno>;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// User, as the file system sees it (fsuid).
    pub uid: u32,
    /// Group (fsgid).
    pub gid: u32,
    /// Thread that asks; 0 if the kernel itself does.
    pub pid: u32,
}

/// What a file system wants of the transport and of the kernel behind it. A kernel that lacks a feature goes without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The kernel collects writes in its page cache, and owns size and times of open files.
    pub writeback: bool,
    /// Opens are not asked for at all: I/O goes by node, and new files are made by `make_node` or `create` alike.
    pub zero_message_opens: bool,
    /// File content is not cached.
    pub direct_io: bool,
    /// Directory listings and link targets may be cached, as nobody else changes the ciphertext.
    pub alone: bool,
    /// How long attributes hold.
    pub attr_valid: Duration,
    /// How long names hold, also the absence of a name.
    pub entry_valid: Duration,
    /// POSIX ACLs are enforced; the umask comes with the request instead of being applied before.
    pub posix_acl: bool,
    /// Largest write, and read, in one request.
    pub max_write: u32,
}

/// A file to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Making {
    /// Who makes it.
    pub caller: Caller,
    /// Permission bits (07777).
    pub permissions: u32,
    /// The umask still to be applied; 0 if the kernel did.
    pub umask: u32,
}

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Data will be read.
    pub read: bool,
    /// Data will be written.
    pub write: bool,
    /// Existing content goes.
    pub truncate: bool,
}

/// What lseek looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// The next data at or after the offset.
    Data,
    /// The next hole at or after the offset.
    Hole,
}

/// Whether a directory sink took an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Room {
    /// It did.
    Taken,
    /// There was no room; the entry was not taken.
    Full,
}

/// Where a directory listing goes. `next` is the offset to go on from after this entry.
pub trait DirectorySink {
    /// Adds an entry by name, inode and type only. In a listing with attributes the kernel gives back one lookup of its
    /// node, but for `.` and `..`.
    fn entry(&mut self, name: &[u8], node: NodeId, kind: Kind, next: u64) -> Room;
    /// Adds an entry with its attributes; if taken, the kernel holds one lookup more of its node.
    fn entry_with_attr(&mut self, name: &[u8], attr: &Attr, next: u64) -> Room;
}

/// A file system as the kernel wants it. A handler must not rely on any lock being held over its reply: transports
/// answer after it returned, and the next request may come from another thread at once.
pub trait Operations: Send + Sync + 'static {
    /// What the file system wants.
    fn settings(&self) -> Settings;

    /// Looks a name up and counts one lookup of its node. `None` is an absence that may be remembered.
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Reply<Option<Attr>>;
    /// Gives back so many lookups of a node.
    fn forget(&self, node: NodeId, lookups: u64);
    /// Attributes of a node.
    fn attr(&self, node: NodeId) -> Reply<Attr>;
    /// Changes attributes. A change of nothing asks for setuid and setgid to be dropped before a write.
    fn set_attr(&self, caller: Caller, node: NodeId, set: &SetAttr) -> Reply<Attr>;
    /// Where a symbolic link points to.
    fn read_link(&self, node: NodeId) -> Reply<Vec<u8>>;

    /// Makes a regular file, and counts one lookup, as all that make one do.
    fn create(&self, parent: NodeId, name: &[u8], making: &Making) -> Reply<Attr>;
    /// Makes a fifo, socket, device node or regular file.
    fn make_node(&self, parent: NodeId, name: &[u8], kind: Kind, rdev: u64, making: &Making) -> Reply<Attr>;
    /// Makes a directory.
    fn make_dir(&self, parent: NodeId, name: &[u8], making: &Making) -> Reply<Attr>;
    /// Makes a symbolic link.
    fn make_symlink(&self, parent: NodeId, name: &[u8], target: &[u8], caller: Caller) -> Reply<Attr>;
    /// Makes a hard link.
    fn link(&self, node: NodeId, new_parent: NodeId, new_name: &[u8]) -> Reply<Attr>;
    /// Removes a name that is no directory's.
    fn unlink(&self, parent: NodeId, name: &[u8]) -> Reply<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, parent: NodeId, name: &[u8]) -> Reply<()>;
    /// Renames.
    fn rename(&self, parent: NodeId, name: &[u8], new_parent: NodeId, new_name: &[u8], mode: RenameMode) -> Reply<()>;

    /// Checks that a file can be opened. I/O goes by node.
    fn open(&self, node: NodeId, opening: Opening) -> Reply<()>;
    /// An open of the file has ended. Not told of those that were not asked for.
    fn close(&self, _node: NodeId) {}
    /// Fills `out` from `offset`; less only at the end of the file.
    fn read(&self, node: NodeId, offset: u64, out: &mut [u8]) -> Reply<usize>;
    /// Writes all of `data`. With `clear_setid` the caller may not keep setuid and setgid.
    fn write(&self, node: NodeId, offset: u64, data: &[u8], clear_setid: bool) -> Reply<usize>;
    /// Makes a file's content survive a power cut, and its attributes unless `data_only`.
    fn sync(&self, node: NodeId, data_only: bool) -> Reply<()>;
    /// Reserves space; `mode` as in fallocate(2).
    fn allocate(&self, node: NodeId, offset: u64, len: u64, mode: i32) -> Reply<()>;
    /// Finds data or a hole.
    fn seek(&self, node: NodeId, offset: u64, what: Seek) -> Reply<u64>;

    /// Opens a directory for listing; the number goes to `read_dir` and, in the end, to `close_dir`.
    fn open_dir(&self, node: NodeId) -> Reply<u64>;
    /// Lists from `offset`, 0 being the beginning, until the sink is full.
    fn read_dir(&self, handle: u64, offset: u64, sink: &mut dyn DirectorySink) -> Reply<()>;
    /// Lists with attributes.
    fn read_dir_plus(&self, handle: u64, offset: u64, sink: &mut dyn DirectorySink) -> Reply<()>;
    /// Ends a listing.
    fn close_dir(&self, handle: u64);
    /// Makes the names in a directory survive a power cut.
    fn sync_dir(&self, node: NodeId, data_only: bool) -> Reply<()>;

    /// Space and inodes.
    fn stat_fs(&self) -> Reply<StatFs>;
    /// Value of an extended attribute.
    fn xattr(&self, node: NodeId, name: &[u8]) -> Reply<Vec<u8>>;
    /// Sets an extended attribute.
    fn set_xattr(&self, caller: Caller, node: NodeId, name: &[u8], value: &[u8], mode: XattrMode) -> Reply<()>;
    /// Removes an extended attribute.
    fn remove_xattr(&self, node: NodeId, name: &[u8]) -> Reply<()>;
    /// Names of the extended attributes, each ended by a NUL.
    fn list_xattrs(&self, node: NodeId) -> Reply<Vec<u8>>;

    /// The kernel let go of the file system; no request follows.
    fn ended(&self) {}
}
