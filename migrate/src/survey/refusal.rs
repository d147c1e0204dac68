//! Why a directory is not migrated: each reason by name, in one sentence, with what to do about it.

use std::path::PathBuf;

use serde::Serialize;

use super::Examples;

/// Why a directory is not migrated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "refusal")]
#[non_exhaustive]
pub enum Refusal {
    /// It is no directory.
    #[error("{} is no directory", data.display())]
    NotADirectory {
        /// What was named.
        data: PathBuf,
    },
    /// The system needs it to start.
    #[error("{} belongs to the system: it is, or is in, or has in it {}", data.display(), path.display())]
    SystemDirectory {
        /// What was named.
        data: PathBuf,
        /// The directory of the system.
        path: PathBuf,
    },
    /// The home of whoever runs this.
    #[error("{} is, or has in it, your home directory {}", data.display(), home.display())]
    HomeDirectory {
        /// What was named.
        data: PathBuf,
        /// The home.
        home: PathBuf,
    },
    /// This program, or what it needs meanwhile, is in it.
    #[error("{what} {} is in {}", path.display(), data.display())]
    HoldsOurs {
        /// What was named.
        data: PathBuf,
        /// What of ours: "the program", "the state directory" and so on.
        what: &'static str,
        /// Where that is.
        path: PathBuf,
    },
    /// It is a mount point.
    #[error("{} is a mount point of {kind}, which cannot change places with another directory", data.display())]
    MountPoint {
        /// What was named.
        data: PathBuf,
        /// The file system's type.
        kind: String,
    },
    /// Something is mounted in it.
    #[error("something is mounted in it, or it has subvolumes: {places}")]
    MountedWithin {
        /// Where.
        places: Examples,
    },
    /// It, or something in it, is mounted elsewhere.
    #[error("it is mounted elsewhere too, where programs would go on with the plaintext: {places}")]
    MountedElsewhere {
        /// Where, and for which process.
        places: Examples,
    },
    /// Vault and data are one within the other.
    #[error("the vault {} and the data {} are one within the other", vault.display(), data.display())]
    VaultWithin {
        /// The vault.
        vault: PathBuf,
        /// The data.
        data: PathBuf,
    },
    /// There is something where the vault is to be.
    #[error("{} exists already, and is not an empty directory", vault.display())]
    VaultExists {
        /// The vault.
        vault: PathBuf,
    },
    /// It is encrypted already.
    #[error("{} is encrypted already: {by}", data.display())]
    Encrypted {
        /// What was named.
        data: PathBuf,
        /// By what.
        by: String,
    },
    /// It is on a file system of another machine.
    #[error("{} is on {kind}, which other machines can change", path.display())]
    Network {
        /// The data, the vault or the backup.
        path: PathBuf,
        /// The file system's type.
        kind: String,
    },
    /// Nothing can be written there.
    #[error("{} is on a file system that is mounted read-only", path.display())]
    ReadOnly {
        /// What.
        path: PathBuf,
    },
    /// Names in it are the same whether in capitals or not.
    #[error("directories that do not tell capitals from small letters cannot be had in a vault: {directories}")]
    Casefold {
        /// Which.
        directories: Examples,
    },
    /// Device nodes.
    #[error("there are device nodes, which are of no use on the mount: {nodes}")]
    Devices {
        /// Which.
        nodes: Examples,
    },
    /// A symbolic link leads to a path that is too long for the vault, on the file system that it is to lie on.
    #[error("symbolic links lead to paths of more than {most} bytes, the most that can be stored there: {links}")]
    LinkTooLong {
        /// Longest that can be stored.
        most: usize,
        /// Which.
        links: Examples,
    },
    /// An extended attribute that a vault does not hold.
    #[error("the extended attribute {name} cannot be kept in a vault ({why}): {files}")]
    Xattr {
        /// Its name.
        name: String,
        /// Why not.
        why: &'static str,
        /// Whose.
        files: Examples,
    },
    /// Programs with capabilities, and a mount that knows none.
    #[error("programs with file capabilities would lose them on a mount without set-id: {files}")]
    Capabilities {
        /// Which.
        files: Examples,
    },
    /// The kernel swaps to a file in it.
    #[error("the kernel swaps to a file in it: {files}")]
    Swap {
        /// Which.
        files: Examples,
    },
    /// A loop device has a file in it.
    #[error("a loop device is on a file in it: {files}")]
    Loop {
        /// Which.
        files: Examples,
    },
    /// Memory of its own, that is mapped directly.
    #[error("files are mapped without a page cache (DAX), which a vault cannot do: {files}")]
    Dax {
        /// Which.
        files: Examples,
    },
    /// Sealed by fs-verity.
    #[error("files are sealed by fs-verity, and would not be in a vault: {files}")]
    Verity {
        /// Which.
        files: Examples,
    },
    /// Immutable or append-only.
    #[error("files are immutable or append-only, which cannot be kept in a vault: {files}")]
    Flags {
        /// Which.
        files: Examples,
    },
    /// What cannot be read.
    #[error("files cannot be read: {files}")]
    Unreadable {
        /// Which, and why.
        files: Examples,
    },
    /// Whoever runs this cannot give them to their owners.
    #[error("only root can keep the owners of files that are not yours: {files}")]
    Owners {
        /// Which.
        files: Examples,
    },
    /// The limit of somebody's quota.
    #[error("the quota of {whose} on {} allows {allowed} more {what}, and {need} are needed", path.display())]
    Quota {
        /// "user 1000", "group 100".
        whose: String,
        /// Where.
        path: PathBuf,
        /// "bytes" or "files".
        what: &'static str,
        /// How much is allowed still.
        allowed: u64,
        /// How much is needed.
        need: u64,
    },
    /// Too little room.
    #[error("{} has room for {available} bytes, and {need} are needed, for {roles}", path.display())]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// For what.
        roles: String,
        /// How much is needed.
        need: u64,
        /// How much there is.
        available: u64,
    },
    /// Too few inodes.
    #[error("{} has room for {available} more files, and {need} are needed, for {roles}", path.display())]
    NoInodes {
        /// Where.
        path: PathBuf,
        /// For what.
        roles: String,
        /// How many are needed.
        need: u64,
        /// How many there are.
        available: u64,
    },
    /// The kernel cannot mount it.
    #[error("this kernel does not mount file systems of programs: {} cannot be opened ({why})", device.display())]
    NoFuse {
        /// /dev/fuse.
        device: PathBuf,
        /// Why.
        why: String,
    },
    /// A user needs a program to mount it.
    #[error("fusermount3, by which a user mounts, is not installed")]
    NoFusermount,
    /// Others may not use a user's mount.
    #[error("services run as other users, and {} does not let them use what you mount", conf.display())]
    NotForOthers {
        /// /etc/fuse.conf.
        conf: PathBuf,
    },
    /// Something would have to be made or renamed where it cannot.
    #[error("{what} {} cannot be made or renamed: {why}", path.display())]
    NotWritable {
        /// What.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The original could not be set aside.
    #[error("the original would be set aside at {}, but {why}", aside.display())]
    Aside {
        /// Where to.
        aside: PathBuf,
        /// Why not.
        why: String,
    },
    /// Another migration is not finished.
    #[error("a migration of {} is not finished, and {} is the same, in it, or around it", other.display(), data.display())]
    AlreadyMigrating {
        /// What was named.
        data: PathBuf,
        /// What is being migrated.
        other: PathBuf,
    },
    /// The journal would not survive.
    #[error("the state directory {} is on {kind}, where the journal may not survive a restart", path.display())]
    StateNotKept {
        /// Where.
        path: PathBuf,
        /// The file system's type.
        kind: String,
    },
    /// The copy would not survive, and is to be all there is.
    #[error("{} is on {kind}, which is gone with the next restart, and the original is not", path.display())]
    CopyNotKept {
        /// Where the copy is to lie.
        path: PathBuf,
        /// The file system's type.
        kind: String,
    },
    /// The health checks fail already.
    #[error("the services are not healthy, before anything was done: {why}")]
    Unwell {
        /// What was seen.
        why: String,
    },
    /// The vault was tried, and does not hold it.
    #[error("the vault does not keep {what}: {why}")]
    NotKept {
        /// What was tried.
        what: String,
        /// What came of it.
        why: String,
    },
}

impl Refusal {
    /// Whether it is the wrong directory, whatever is in it.
    pub(super) fn is_of_the_path(&self) -> bool {
        use Refusal::*;
        let (wrong, foreign) = (
            matches!(self, NotADirectory { .. } | SystemDirectory { .. } | HomeDirectory { .. } | HoldsOurs { .. }),
            matches!(self, MountPoint { .. } | VaultWithin { .. } | Encrypted { .. } | Network { .. }),
        );
        wrong || foreign
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Refusal::NotADirectory { .. } => "name the directory that the services use",
            Refusal::SystemDirectory { .. } => {
                "migrate the directory of one service, or encrypt the disk below the system"
            }
            Refusal::HomeDirectory { .. } => "migrate a directory in it; a whole home is for fscrypt or systemd-homed",
            Refusal::HoldsOurs { .. } => "put it elsewhere: it is needed while the data are not there",
            Refusal::MountPoint { .. } => "migrate a directory in it, or move the data one directory down first",
            Refusal::MountedWithin { .. } => "unmount it, or migrate what is mounted by itself",
            Refusal::MountedElsewhere { .. } => {
                "stop the container or unit that mounts it, or name it with --service so that it is stopped and started"
            }
            Refusal::VaultWithin { .. } => "put the vault beside the data with --vault",
            Refusal::VaultExists { .. } => "name another place with --vault, or remove what is there",
            Refusal::Encrypted { .. } => {
                "there is nothing to do; to move it to a vault, migrate where its plaintext lies"
            }
            Refusal::Network { .. } => "move it to a local file system first, or migrate it on the server",
            Refusal::ReadOnly { .. } => "mount it read-write first",
            Refusal::Casefold { .. } => "copy the directory to one without the flag (chattr -F), and see what collides",
            Refusal::Devices { .. } => "remove them, or accept them with --accept devices",
            Refusal::LinkTooLong { .. } => {
                "make the links shorter, or relative; or put the vault on another file system with --vault (ext4 of 4 KiB blocks \
             holds 3039 bytes, XFS 735)"
            }
            Refusal::Xattr { .. } => "leave it behind with --drop-xattr NAME",
            Refusal::Capabilities { .. } => {
                "keep programs out of the data, or leave the capabilities behind with --drop-xattr security.capability"
            }
            Refusal::Swap { .. } => "swapoff the file, and keep it elsewhere",
            Refusal::Loop { .. } => "detach the loop device with losetup -d, or name the service that uses it",
            Refusal::Dax { .. } => "mount without DAX, or take the flag off (xfs_io -c 'chattr -x')",
            Refusal::Verity { .. } => "copy the files, which takes the seal off, or keep them elsewhere",
            Refusal::Flags { .. } => "clear the flags with chattr -i -a, or accept that with --accept clear-flags",
            Refusal::Unreadable { .. } => "run it as root, or give yourself permission to read them",
            Refusal::Owners { .. } => "run it as root, or make them yours first",
            Refusal::Quota { .. } => "have the quota raised, or put the vault elsewhere with --vault",
            Refusal::NoRoom { .. } => "make room, or put the vault or the backup elsewhere with --vault or --backup-to",
            Refusal::NoInodes { .. } => "remove files, or put the vault on a file system made with more inodes",
            Refusal::NoFuse { .. } => "load the module (modprobe fuse), or give the container /dev/fuse",
            Refusal::NoFusermount => "install the package fuse3, or run it as root",
            Refusal::NotForOthers { .. } => "add the line user_allow_other to /etc/fuse.conf, or run it as root",
            Refusal::NotWritable { .. } => "run it as somebody who may, or name another place",
            Refusal::Aside { .. } => "see what is there, and move it away",
            Refusal::AlreadyMigrating { .. } => "finish that first: strongroom migrate status",
            Refusal::StateNotKept { .. } => "name a directory on a local disk with --state-dir",
            Refusal::CopyNotKept { .. } => "put the vault on a disk, with --vault",
            Refusal::Unwell { .. } => "see to the services, or correct what --health or the configuration asks for",
            Refusal::NotKept { .. } => "leave it out of the data, or keep this directory as it is",
        }
    }
}
