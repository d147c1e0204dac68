//! Why a mount could not be made, or ended badly.

use std::io;
use std::path::PathBuf;

/// Why a vault could not be mounted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The mount point does not exist.
    #[error("the mount point {} does not exist", .0.display())]
    NoMountpoint(PathBuf),
    /// The mount point is not a directory.
    #[error("the mount point {} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// The mount point has entries, which the mount would hide.
    #[error("the mount point {} is not empty, and its files would be hidden", .0.display())]
    NotEmpty(PathBuf),
    /// The mount point is the cipher directory.
    #[error("the mount point {} is the cipher directory itself", .0.display())]
    IsCipherDir(PathBuf),
    /// The mount point is in the cipher directory.
    #[error("the mount point {} lies inside the cipher directory {}", mountpoint.display(), cipher_dir.display())]
    InsideCipherDir {
        /// The mount point.
        mountpoint: PathBuf,
        /// The cipher directory.
        cipher_dir: PathBuf,
    },
    /// The cipher directory is in the mount point and would be hidden by the mount.
    #[error("the mount point {} contains the cipher directory {}", mountpoint.display(), cipher_dir.display())]
    ContainsCipherDir {
        /// The mount point.
        mountpoint: PathBuf,
        /// The cipher directory.
        cipher_dir: PathBuf,
    },
    /// A mount that nobody serves any more is in the way.
    #[error("a dead mount is left at {} (\"Transport endpoint is not connected\")", .0.display())]
    DeadMount(PathBuf),
    /// The mount point cannot be looked at.
    #[error("cannot look at the mount point {}: {source}", path.display())]
    Unreadable {
        /// The mount point.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The mount point was given as a descriptor that is none of a mount.
    #[error("{} is no descriptor of /dev/fuse", .0.display())]
    NotADescriptor(PathBuf),
    /// Whoever made the mount lets everybody in and has nobody's permissions checked.
    #[error("the mount {} lets everybody in and checks nobody's permissions", .0.display())]
    Unchecked(PathBuf),
    /// /dev/fuse cannot be opened.
    #[error("cannot open /dev/fuse: {0}")]
    NoDevice(#[source] io::Error),
    /// mount(2) refused.
    #[error("the kernel refused to mount at {}: {source}", path.display())]
    Refused {
        /// The mount point.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An ordinary user mounts by fusermount3, which is not installed.
    #[error("fusermount3 cannot be run: {0}")]
    NoFusermount(#[source] io::Error),
    /// fusermount3 refused.
    #[error("fusermount3 refused to mount at {}: {message}", path.display())]
    FusermountRefused {
        /// The mount point.
        path: PathBuf,
        /// What it said.
        message: String,
    },
    /// allow_other is for root, or for whom /etc/fuse.conf allows it.
    #[error("allow_other is not allowed for ordinary users by /etc/fuse.conf")]
    AllowOtherForbidden,
    /// The handshake with the kernel failed.
    #[error("the handshake with the kernel failed: {0}")]
    Handshake(#[source] io::Error),
    /// The root of what is to be mounted cannot be read.
    #[error("cannot read the root of what is to be mounted at {}: {source}", path.display())]
    DoesNotAnswer {
        /// The mount point.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A thread could not be started, or reading from the kernel failed.
    #[error("serving the mount failed: {0}")]
    Serving(#[source] io::Error),
}

impl MountError {
    /// What the person at the terminal can do about it, where something can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            MountError::NoMountpoint(path) => Some(format!("Make it first: mkdir {}", path.display())),
            MountError::NotEmpty(_) => {
                Some("Choose an empty directory, or mount over its files with --nonempty.".into())
            }
            MountError::IsCipherDir(_) | MountError::InsideCipherDir { .. } | MountError::ContainsCipherDir { .. } => {
                Some("Choose a directory outside the cipher directory.".into())
            }
            MountError::Unchecked(_) => {
                Some("Mount with the option default_permissions, or without allow_other.".into())
            }
            MountError::DeadMount(path) => Some(format!("Clear it with: strongroom umount {}", path.display())),
            MountError::NoDevice(error) if error.kind() == io::ErrorKind::NotFound => {
                Some("The kernel has no FUSE: try \"modprobe fuse\"; in a container, pass /dev/fuse into it.".into())
            }
            MountError::NoFusermount(_) => {
                Some("Install the package \"fuse3\", or mount as root (in a container, with CAP_SYS_ADMIN).".into())
            }
            MountError::AllowOtherForbidden => {
                Some("Have the line \"user_allow_other\" added to /etc/fuse.conf, or mount as root.".into())
            }
            _ => None,
        }
    }
}

/// Why a mount could not be ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UmountError {
    /// Nothing is mounted there.
    #[error("nothing is mounted at {}", .0.display())]
    NotMounted(PathBuf),
    /// Something else is mounted there.
    #[error("{} is not a vault but a mount of type {kind} (from {source_name})", path.display())]
    NotOurs {
        /// The mount point.
        path: PathBuf,
        /// Type of the file system.
        kind: String,
        /// What it was mounted from.
        source_name: String,
    },
    /// Programs use it.
    #[error("{} is in use{}", path.display(), list_holders(holders))]
    Busy {
        /// The mount point.
        path: PathBuf,
        /// Who uses it, as far as /proc tells.
        holders: Vec<Holder>,
    },
    /// The kernel or fusermount3 refused.
    #[error("cannot unmount {}: {message}", path.display())]
    Refused {
        /// The mount point.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// /proc/self/mountinfo cannot be read.
    #[error("cannot read /proc/self/mountinfo: {0}")]
    NoMountInfo(#[source] io::Error),
    /// The path cannot be resolved.
    #[error("cannot look at {}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl UmountError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            UmountError::Busy { .. } => Some(
                "Close what is open there and leave the directory, or use --lazy to let it end with its last user."
                    .into(),
            ),
            UmountError::NotOurs { path, .. } => Some(format!("Use umount(8): umount {}", path.display())),
            _ => None,
        }
    }
}

/// A process that keeps a mount busy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Process.
    pub pid: u32,
    /// Name of its program.
    pub program: String,
}

fn list_holders(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return String::new();
    }
    let list: Vec<_> = holders.iter().map(|holder| format!("{} ({})", holder.program, holder.pid)).collect();
    format!(" by {}", list.join(", "))
}
