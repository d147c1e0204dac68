//! One thing in a tree, and all that is to be kept of it.

use std::{sync::Arc, time::Duration};

use crate::RelPath;

/// A point in time: seconds since 1970, which may be negative, and 0..10^9 nanoseconds after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Nanoseconds after `seconds`.
    pub nanoseconds: u32,
}

impl Timestamp {
    pub(crate) fn earlier(self, by: Duration) -> Self {
        let (borrow, nanoseconds) = match self.nanoseconds.checked_sub(by.subsec_nanos()) {
            Some(nanoseconds) => (0, nanoseconds),
            None => (1, self.nanoseconds + 1_000_000_000 - by.subsec_nanos()),
        };
        let seconds = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        Self { seconds: self.seconds.saturating_sub(seconds).saturating_sub(borrow), nanoseconds }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file of so many bytes; the first name under which the walk met it.
    File {
        /// Its size.
        len: u64,
    },
    /// Another name of the regular file (or other non-directory) at `to`, which the walk met before.
    Link {
        /// The name under which it was met first.
        to: RelPath,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as it stands there.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket. Nothing can keep one; it is seen and said.
    Socket,
    /// A character device.
    CharDevice {
        /// Device number as stat(2) encodes it.
        rdev: u64,
    },
    /// A block device.
    BlockDevice {
        /// Device number as stat(2) encodes it.
        rdev: u64,
    },
}

/// An extended attribute. POSIX ACLs are `system.posix_acl_access` and `system.posix_acl_default`, file capabilities
/// `security.capability`, each as the kernel gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xattr {
    /// The name with its namespace, such as `user.comment`.
    pub name: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// What a copy has in common with its original, besides content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, setuid, setgid and sticky (07777).
    pub mode: u32,
    /// Owner by number.
    pub uid: u32,
    /// Group by number.
    pub gid: u32,
    /// Owner by name, if the machine that was walked has one for the number.
    pub user: Option<Arc<str>>,
    /// Group by name, likewise.
    pub group: Option<Arc<str>>,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Extended attributes, by name.
    pub xattrs: Vec<Xattr>,
}

/// What tells one state of a file from another, where it lies now. A copy does not have it in common with its original.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The device it is on.
    pub dev: u64,
    /// Its inode number.
    pub ino: u64,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// Number of names.
    pub links: u64,
    /// 512-byte units that it takes.
    pub blocks: u64,
}

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: RelPath,
    /// What it is.
    pub kind: Kind,
    /// What a copy of it has too.
    pub meta: Meta,
    /// What only this one has.
    pub stamp: Stamp,
}

impl Entry {
    /// Bytes of content: the size of a file, nothing for everything else.
    pub fn len(&self) -> u64 {
        if let Kind::File { len } = self.kind { len } else { 0 }
    }

    /// Whether it has no content.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Directory
    }
}
