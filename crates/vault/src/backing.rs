//! The system calls on ciphertext, behind a trait: [`RealBacking`](crate::RealBacking) asks the kernel, `testkit::SimBacking` is a disk in
//! memory whose power can be cut. Nothing here knows of encryption.

use rustix::io::Errno;

use crate::attr::{Kind, Owner, SetTime, StatFs, Timestamp};

/// What the backing operations give: the errno, kept as it came.
pub type Sys<T> = Result<T, Errno>;

/// stat(2) of a ciphertext object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Device.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Hard links.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node.
    pub rdev: u64,
    /// Bytes of ciphertext.
    pub size: u64,
    /// 512-byte units taken.
    pub blocks: u64,
    /// Preferred I/O size.
    pub block_size: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
}

/// An entry of a ciphertext directory; `.` and `..` are not listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// Name on disk.
    pub name: Vec<u8>,
    /// Inode number.
    pub ino: u64,
    /// Type, if the file system tells it.
    pub kind: Option<Kind>,
}

/// How to open a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading.
    Read,
    /// For reading and writing.
    ReadWrite,
}

/// How rename treats what stands at the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameMode {
    /// Replaces it.
    Replace,
    /// Refuses if it exists.
    NoReplace,
    /// Swaps the two.
    Exchange,
    /// Replaces it and leaves a whiteout (overlayfs) at the old name.
    Whiteout,
    /// Refuses if it exists; leaves a whiteout at the old name.
    NoReplaceWhiteout,
}

/// How setxattr treats an attribute that exists, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrMode {
    /// Creates or replaces.
    Any,
    /// Refuses if it exists.
    Create,
    /// Refuses if it does not exist.
    Replace,
}

/// Which object of the backing store an attribute operation is about. Symbolic links are never followed.
pub enum Target<'a, B: Backing + ?Sized> {
    /// The entry of this name.
    Entry(&'a B::Dir, &'a [u8]),
    /// The directory itself.
    Dir(&'a B::Dir),
    /// The open regular file.
    File(&'a B::File),
    /// An object held by [`Backing::hold`], perhaps without any name left.
    Held(&'a B::Held),
}

impl<B: Backing + ?Sized> Clone for Target<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backing + ?Sized> Copy for Target<'_, B> {}

/// A file system that holds ciphertext. No method follows a symbolic link in the last component, and names are single
/// components. What an operation changed survives a power cut only after the fitting `sync`.
pub trait Backing: Send + Sync + 'static {
    /// A directory.
    type Dir: Send + Sync;
    /// An open regular file.
    type File: Send + Sync;
    /// A reference that keeps an object alive without opening it (O_PATH).
    type Held: Send + Sync;

    /// The root directory of the vault.
    fn root(&self) -> Sys<Self::Dir>;
    /// Opens a directory entry as a directory.
    fn open_dir(&self, at: &Self::Dir, name: &[u8]) -> Sys<Self::Dir>;
    /// Opens a directory that is [held](Backing::hold).
    fn open_held_dir(&self, held: &Self::Held) -> Sys<Self::Dir>;
    /// Opens a regular file. ENXIO, ELOOP or EISDIR where it is none.
    fn open(&self, at: &Self::Dir, name: &[u8], mode: OpenMode) -> Sys<Self::File>;
    /// Opens a regular file that is held.
    fn open_held(&self, held: &Self::Held, mode: OpenMode) -> Sys<Self::File>;
    /// Opens a regular file once more, perhaps without any name left.
    fn reopen(&self, file: &Self::File, mode: OpenMode) -> Sys<Self::File>;
    /// Keeps an object alive whatever happens to its name.
    fn hold(&self, at: &Self::Dir, name: &[u8]) -> Sys<Self::Held>;

    /// Makes a regular file and opens it for reading and writing; EEXIST if there is one. The umask does not apply.
    fn create(&self, at: &Self::Dir, name: &[u8], permissions: u32, owner: Option<Owner>) -> Sys<Self::File>;
    /// Makes a directory.
    fn make_dir(&self, at: &Self::Dir, name: &[u8], permissions: u32, owner: Option<Owner>) -> Sys<()>;
    /// Makes a fifo, socket, device node or (unopened) regular file.
    fn make_node(&self, at: &Self::Dir, name: &[u8], mode: u32, rdev: u64, owner: Option<Owner>) -> Sys<()>;
    /// Makes a symbolic link.
    fn make_symlink(&self, at: &Self::Dir, name: &[u8], target: &[u8], owner: Option<Owner>) -> Sys<()>;
    /// Makes a hard link.
    fn link(&self, target: Target<'_, Self>, new_at: &Self::Dir, new_name: &[u8]) -> Sys<()>;
    /// Renames.
    fn rename(&self, at: &Self::Dir, name: &[u8], new_at: &Self::Dir, new_name: &[u8], mode: RenameMode) -> Sys<()>;
    /// Removes a name that is no directory's.
    fn unlink(&self, at: &Self::Dir, name: &[u8]) -> Sys<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, at: &Self::Dir, name: &[u8]) -> Sys<()>;
    /// Lists a directory.
    fn list(&self, dir: &Self::Dir, each: &mut dyn FnMut(RawEntry)) -> Sys<()>;
    /// Where a symbolic link points to.
    fn read_link(&self, target: Target<'_, Self>) -> Sys<Vec<u8>>;

    /// Reads a whole small file (directory IVs, long names), of at most `limit` bytes (more: EOVERFLOW).
    fn read_small(&self, at: &Self::Dir, name: &[u8], limit: usize) -> Sys<Vec<u8>>;
    /// Makes (or with `replace` overwrites) a small file of mode 0444 in one write, durable only after [`Backing::sync_entry`].
    fn write_small(&self, at: &Self::Dir, name: &[u8], content: &[u8], replace: bool) -> Sys<()>;

    /// stat(2).
    fn stat(&self, target: Target<'_, Self>) -> Sys<Stat>;
    /// chmod(2); EOPNOTSUPP on a symbolic link.
    fn set_permissions(&self, target: Target<'_, Self>, permissions: u32) -> Sys<()>;
    /// chown(2).
    fn set_owner(&self, target: Target<'_, Self>, uid: Option<u32>, gid: Option<u32>) -> Sys<()>;
    /// utimensat(2).
    fn set_times(&self, target: Target<'_, Self>, atime: Option<SetTime>, mtime: Option<SetTime>) -> Sys<()>;
    /// statfs(2) of the whole.
    fn stat_fs(&self) -> Sys<StatFs>;

    /// Value of an extended attribute, as stored.
    fn xattr(&self, target: Target<'_, Self>, name: &[u8]) -> Sys<Vec<u8>>;
    /// Sets an extended attribute.
    fn set_xattr(&self, target: Target<'_, Self>, name: &[u8], value: &[u8], mode: XattrMode) -> Sys<()>;
    /// Removes an extended attribute.
    fn remove_xattr(&self, target: Target<'_, Self>, name: &[u8]) -> Sys<()>;
    /// Names of all extended attributes.
    fn list_xattrs(&self, target: Target<'_, Self>) -> Sys<Vec<Vec<u8>>>;

    /// Reads until `out` is full or the file ends.
    fn read_at(&self, file: &Self::File, offset: u64, out: &mut [u8]) -> Sys<usize>;
    /// Writes all of `data`, or fails (with a part perhaps written).
    fn write_at(&self, file: &Self::File, offset: u64, data: &[u8]) -> Sys<()>;
    /// ftruncate(2).
    fn set_len(&self, file: &Self::File, len: u64) -> Sys<()>;
    /// Takes disk space for a range without changing the size. EOPNOTSUPP where the file system cannot.
    fn reserve(&self, file: &Self::File, offset: u64, len: u64) -> Sys<()>;
    /// First offset at or after `offset` that may hold data; ENXIO at the end.
    fn seek_data(&self, file: &Self::File, offset: u64) -> Sys<u64>;
    /// First offset at or after `offset` that is in a hole; the end counts as one.
    fn seek_hole(&self, file: &Self::File, offset: u64) -> Sys<u64>;

    /// fsync(2) or fdatasync(2).
    fn sync(&self, file: &Self::File, data_only: bool) -> Sys<()>;
    /// Makes what was written to the range reach the disk before any later change of the file's size does. Weaker and
    /// cheaper than `sync`.
    fn order(&self, file: &Self::File, offset: u64, len: u64) -> Sys<()>;
    /// fsync(2) of a directory: its names survive a power cut.
    fn sync_dir(&self, dir: &Self::Dir) -> Sys<()>;
    /// Makes the content of a small file survive a power cut; not its name.
    fn sync_entry(&self, at: &Self::Dir, name: &[u8]) -> Sys<()>;
    /// syncfs(2).
    fn sync_all(&self) -> Sys<()>;
}
