//! What stat(2) tells of a file in the view, with the sizes of the ciphertext.

use rustix::fs::{FileType, Stat};

/// A file in the view.
///
/// The number is the plaintext's inode number wherever it can be, as programs that look for hard links, or for what has not
/// changed since, go by it; the root is always [`NodeId::ROOT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The root directory.
    pub const ROOT: NodeId = NodeId(1);
}

/// A point in time: seconds since 1970, which may be negative, and nanoseconds after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Nanoseconds after `seconds`.
    pub nanoseconds: u32,
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl Kind {
    pub(crate) fn of(kind: FileType) -> Kind {
        match kind {
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice => Kind::CharDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::RegularFile | FileType::Unknown => Kind::File,
        }
    }

    pub(crate) fn of_stat(stat: &Stat) -> Kind {
        Kind::of(FileType::from_raw_mode(stat.st_mode))
    }
}

/// The attributes of a file, as stat(2) gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// The file.
    pub node: NodeId,
    /// Bytes of ciphertext; of a symlink, the length of its encrypted target.
    pub size: u64,
    /// 512-byte units that the plaintext takes.
    pub blocks: u64,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// The type.
    pub kind: Kind,
    /// Permission bits, setuid, setgid and sticky (07777).
    pub permissions: u32,
    /// Number of hard links.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node, as stat(2) encodes it.
    pub rdev: u64,
    /// Preferred I/O size.
    pub block_size: u32,
}

impl Attr {
    /// What the plaintext's `stat` tells, under another number and with another size.
    pub(crate) fn new(node: NodeId, stat: &Stat, size: u64) -> Self {
        Attr {
            node,
            size,
            blocks: stat.st_blocks as u64,
            atime: Timestamp { seconds: stat.st_atime, nanoseconds: stat.st_atime_nsec as u32 },
            mtime: Timestamp { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 },
            ctime: Timestamp { seconds: stat.st_ctime, nanoseconds: stat.st_ctime_nsec as u32 },
            kind: Kind::of_stat(stat),
            permissions: stat.st_mode & 0o7777,
            links: stat.st_nlink as u32,
            uid: stat.st_uid,
            gid: stat.st_gid,
            rdev: stat.st_rdev,
            block_size: stat.st_blksize as u32,
        }
    }
}

/// What statfs(2) tells, of the file system that holds the plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// Fundamental block size.
    pub fragment_size: u64,
    /// Preferred I/O size.
    pub block_size: u64,
    /// Size in units of `fragment_size`.
    pub blocks: u64,
    /// Free blocks.
    pub blocks_free: u64,
    /// Free blocks for ordinary users.
    pub blocks_available: u64,
    /// Inodes.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Longest name.
    pub name_max: u64,
}
