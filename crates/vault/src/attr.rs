//! What stat(2) tells of a file, with the sizes of the plaintext.

/// A file in the vault. The number is the backing inode number, so it is stable from mount to mount;
/// the root is always [`NodeId::ROOT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The root directory.
    pub const ROOT: NodeId = NodeId(1);
}

/// A point in time: seconds since 1970, which may be negative, and 0..10^9 nanoseconds after them.
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
    /// The kind that the type bits of a mode stand for.
    pub fn of_mode(mode: u32) -> Kind {
        match mode & libc::S_IFMT {
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFLNK => Kind::Symlink,
            libc::S_IFIFO => Kind::Fifo,
            libc::S_IFSOCK => Kind::Socket,
            libc::S_IFCHR => Kind::CharDevice,
            libc::S_IFBLK => Kind::BlockDevice,
            _ => Kind::File,
        }
    }

    /// The type bits of a mode that stand for the kind.
    pub fn mode_bits(self) -> u32 {
        match self {
            Kind::Directory => libc::S_IFDIR,
            Kind::Symlink => libc::S_IFLNK,
            Kind::Fifo => libc::S_IFIFO,
            Kind::Socket => libc::S_IFSOCK,
            Kind::CharDevice => libc::S_IFCHR,
            Kind::BlockDevice => libc::S_IFBLK,
            Kind::File => libc::S_IFREG,
        }
    }
}

/// The attributes of a file, as stat(2) gives them. `size` is that of the plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// The file.
    pub node: NodeId,
    /// Bytes of plaintext; of a symlink, the length of its target.
    pub size: u64,
    /// 512-byte units that the ciphertext takes.
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

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The time of the call.
    Now,
    /// This time.
    To(Timestamp),
}

/// What setattr is to change; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// Permission bits (07777).
    pub permissions: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Bytes of plaintext: truncates, or grows with a hole.
    pub size: Option<u64>,
    /// Access time.
    pub atime: Option<SetTime>,
    /// Modification time.
    pub mtime: Option<SetTime>,
    /// Clears setuid, and setgid of a group-executable file: the caller changed content without CAP_FSETID.
    pub clear_setid: bool,
}

/// Who makes a file. The new file belongs to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Their user.
    pub uid: u32,
    /// Their group.
    pub gid: u32,
}

/// How a file is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creation {
    /// Permission bits asked for, before `umask`.
    pub permissions: u32,
    /// The caller's umask; ignored where the directory has a default ACL, as POSIX.1e wants. 0 if the caller applied it.
    pub umask: u32,
    /// Whose it is to be; `None` for whoever runs this process. A setgid directory passes its own group on.
    pub owner: Option<Owner>,
}

/// What statfs(2) tells, of the file system that holds the ciphertext.
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
    /// Longest name that can be stored.
    pub name_max: u64,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Plaintext name; `.` and `..` are not listed.
    pub name: Vec<u8>,
    /// Inode number.
    pub node: NodeId,
    /// Type.
    pub kind: Kind,
}
