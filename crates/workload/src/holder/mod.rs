//! Who uses a tree: whether anybody does is asked of the kernel ([`lease_probe`]), and who it is of /proc ([`holders`]).
//!
//! The first decides and cannot name; the second names and may miss somebody: a descriptor in flight in a socket, a thread
//! with a table of its own, a process of somebody else's, a mount namespace that no process is in.

mod kernel;
mod lease;
mod listing;
mod mounts;
mod process;
mod tree;

use std::{
    fmt,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
};

use serde::Serialize;
use strongroom_event::PathText;

use crate::WorkloadError;
pub use lease::{Asked, Busy, Probed, Undecided, lease_probe};
pub use mounts::{MountLine, mounts_of};
use tree::{Sought, Tree};

/// How something is used. Paths are relative to the root of the tree, and empty for the root itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// An open descriptor.
    Fd {
        /// Of what.
        path: PathBuf,
        /// Whether it can be written through.
        writable: bool,
    },
    /// A working directory.
    Cwd {
        /// Which.
        path: PathBuf,
    },
    /// A root directory.
    Root {
        /// Which.
        path: PathBuf,
    },
    /// A program that runs.
    Exe {
        /// Which.
        path: PathBuf,
    },
    /// A mapping into memory.
    Map {
        /// Of what.
        path: PathBuf,
        /// Whether what is stored in it reaches the file.
        shared_writable: bool,
    },
    /// The tree, or something in it, is mounted somewhere else; or something is mounted in it.
    Mount {
        /// Which mount namespace: the number of /proc/PID/ns/mnt.
        namespace: u64,
        /// Where, as that namespace sees it.
        at: PathBuf,
        /// What of the tree is mounted there, or mounted upon.
        path: PathBuf,
        /// Whether something is mounted upon it, and not it somewhere else.
        upon: bool,
    },
    /// The file behind a loop device.
    Loop {
        /// The device.
        device: PathBuf,
        /// The file.
        path: PathBuf,
    },
    /// A swap file.
    Swap {
        /// Which.
        path: PathBuf,
    },
    /// A lock on a file, held by somebody who does not seem to have it open.
    Lock {
        /// Which.
        path: PathBuf,
    },
}

/// Somebody who uses something of a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Holder {
    /// The process; 0 is the kernel.
    pub pid: u32,
    /// Whose it is.
    pub uid: u32,
    /// Its name, as the kernel keeps it.
    pub command: String,
    /// What it uses, and how.
    pub hold: Hold,
}

/// A process that could not be looked into: another user's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unseen {
    /// The process.
    pub pid: u32,
    /// Whose it is.
    pub uid: u32,
    /// Its name.
    pub command: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sightings {
    /// Who uses what; by process, each use once.
    pub holders: Vec<Holder>,
    /// Processes that may use something, for all we can see.
    pub unseen: Vec<Unseen>,
}

/// Who uses the directory `root` (a descriptor of any kind) or something in it, as far as /proc and /sys tell. This process
/// itself is left out. Files are told by device and inode, so other names of them, bind mounts and other mount namespaces
/// make no difference; a file that was unlinked is told by where it was.
pub fn holders(root: BorrowedFd<'_>) -> Result<Sightings, WorkloadError> {
    let tree = Tree::of(root)?;
    let mut sought = Sought::default();
    let unseen = process::collect(&tree, &mut sought)?;
    kernel::collect(&tree, &mut sought);
    let mut holders = mounts::collect(&tree);
    holders.extend(sought.settle(&tree, !holders.is_empty()));
    holders.sort();
    holders.dedup();
    Ok(Sightings { holders, unseen })
}

impl Hold {
    /// What of the tree is used.
    pub fn path(&self) -> &Path {
        match self {
            Hold::Fd { path, .. }
            | Hold::Cwd { path }
            | Hold::Root { path }
            | Hold::Exe { path }
            | Hold::Map { path, .. }
            | Hold::Mount { path, .. }
            | Hold::Loop { path, .. }
            | Hold::Swap { path }
            | Hold::Lock { path } => path,
        }
    }

    /// Whether content can be changed by it.
    pub fn can_write(&self) -> bool {
        match self {
            Hold::Fd { writable, .. } => *writable,
            Hold::Map { shared_writable, .. } => *shared_writable,
            Hold::Loop { .. } | Hold::Swap { .. } => true,
            Hold::Cwd { .. } | Hold::Root { .. } | Hold::Exe { .. } | Hold::Mount { .. } | Hold::Lock { .. } => false,
        }
    }

    fn with_path(mut self, found: PathBuf) -> Self {
        match &mut self {
            Hold::Fd { path, .. }
            | Hold::Cwd { path }
            | Hold::Root { path }
            | Hold::Exe { path }
            | Hold::Map { path, .. }
            | Hold::Mount { path, .. }
            | Hold::Loop { path, .. }
            | Hold::Swap { path }
            | Hold::Lock { path } => *path = found,
        }
        self
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shown(self.path());
        match self {
            Hold::Fd { writable: true, .. } => write!(f, "has {path} open for writing"),
            Hold::Fd { writable: false, .. } => write!(f, "has {path} open for reading"),
            Hold::Cwd { .. } => write!(f, "works in {path}"),
            Hold::Root { .. } => write!(f, "has {path} as its root directory"),
            Hold::Exe { .. } => write!(f, "runs the program {path}"),
            Hold::Map { shared_writable: true, .. } => write!(f, "has {path} mapped, to be written"),
            Hold::Map { shared_writable: false, .. } => write!(f, "has {path} mapped"),
            Hold::Mount { at, upon: false, .. } => write!(f, "sees {path} mounted at {}", shown(at)),
            Hold::Mount { at, upon: true, .. } => write!(f, "sees something mounted on {path}, at {}", shown(at)),
            Hold::Loop { device, .. } => write!(f, "has {path} behind {}", shown(device)),
            Hold::Swap { .. } => write!(f, "swaps to {path}"),
            Hold::Lock { .. } => write!(f, "has {path} locked"),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => write!(f, "{} {}", self.command, self.hold),
            pid => write!(f, "{} (process {pid}, user {}) {}", self.command, self.uid, self.hold),
        }
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {}, user {})", self.command, self.pid, self.uid)
    }
}

fn shown(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() { "the directory itself".into() } else { PathText(bytes).to_string() }
}
