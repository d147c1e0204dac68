//! fuser's types from and to ours.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo, RenameFlags, ReplyDirectory, ReplyDirectoryPlus, TimeOrNow, WriteFlags};
use strongroom_vault::{SetTime, Timestamp};

use super::GENERATION;
use crate::errno::Errno;
use crate::operations::{Attr, DirectorySink, Kind, NodeId, RenameMode, Room};

pub(super) fn node(ino: INodeNo) -> NodeId {
    NodeId(ino.0)
}

pub(super) fn fail(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno.0)
}

pub(super) fn kill_setid(flags: WriteFlags) -> bool {
    flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID)
}

pub(super) fn rename_mode(flags: RenameFlags) -> Option<RenameMode> {
    const NOREPLACE: u32 = libc::RENAME_NOREPLACE;
    const EXCHANGE: u32 = libc::RENAME_EXCHANGE;
    const WHITEOUT: u32 = libc::RENAME_WHITEOUT;
    const NOREPLACE_WHITEOUT: u32 = NOREPLACE | WHITEOUT;
    match flags.bits() {
        0 => Some(RenameMode::Replace),
        NOREPLACE => Some(RenameMode::NoReplace),
        EXCHANGE => Some(RenameMode::Exchange),
        WHITEOUT => Some(RenameMode::Whiteout),
        NOREPLACE_WHITEOUT => Some(RenameMode::NoReplaceWhiteout),
        _ => None,
    }
}

pub(super) fn set_time(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(time) => SetTime::To(timestamp(time)),
    }
}

/// The seconds and nanoseconds that the kernel sent. Before 1970 fuser 0.18.0 takes the nanoseconds for a distance into
/// the past like the seconds (`UNIX_EPOCH - Duration::new(-seconds, nanoseconds)`), so they are read back the same way.
pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Timestamp { seconds: after.as_secs() as i64, nanoseconds: after.subsec_nanos() },
        Err(error) => {
            let before = error.duration();
            Timestamp { seconds: (before.as_secs() as i64).wrapping_neg(), nanoseconds: before.subsec_nanos() }
        }
    }
}

/// The true time, which fuser sends on as it is.
fn system_time(time: Timestamp) -> SystemTime {
    let seconds = Duration::from_secs(time.seconds.unsigned_abs());
    let whole = if time.seconds < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    // Out of range only beyond 292 billion years.
    whole.map_or(UNIX_EPOCH, |whole| whole + Duration::from_nanos(time.nanoseconds.into()))
}

pub(super) fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharDevice => FileType::CharDevice,
        Kind::BlockDevice => FileType::BlockDevice,
    }
}

pub(super) fn file_attr(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.node.0),
        size: attr.size,
        blocks: attr.blocks,
        atime: system_time(attr.atime),
        mtime: system_time(attr.mtime),
        ctime: system_time(attr.ctime),
        crtime: UNIX_EPOCH,
        kind: file_type(attr.kind),
        perm: (attr.permissions & 0o7777) as u16,
        nlink: attr.links,
        uid: attr.uid,
        gid: attr.gid,
        // The kernel takes the 32-bit form, which is what stat(2)'s has in its lower half.
        rdev: attr.rdev as u32,
        blksize: attr.block_size,
        flags: 0,
    }
}

/// Attributes where none are looked at.
pub(super) fn no_attr() -> FileAttr {
    bare_attr(NodeId(0), Kind::File)
}

fn bare_attr(node: NodeId, kind: Kind) -> FileAttr {
    FileAttr {
        ino: INodeNo(node.0),
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: file_type(kind),
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}

pub(super) struct Names(pub ReplyDirectory);

impl DirectorySink for Names {
    fn entry(&mut self, name: &[u8], node: NodeId, kind: Kind, next: u64) -> Room {
        room(self.0.add(INodeNo(node.0), next, file_type(kind), OsStr::from_bytes(name)))
    }

    fn entry_with_attr(&mut self, name: &[u8], attr: &Attr, next: u64) -> Room {
        self.entry(name, attr.node, attr.kind, next)
    }
}

pub(super) struct NamesWithAttrs {
    pub reply: ReplyDirectoryPlus,
    pub valid: Duration,
}

impl DirectorySink for NamesWithAttrs {
    /// For `.` and `..`, of which the kernel takes no more than the name and the inode number, and for what has no
    /// attributes. The kernel lists the entry, finds a size in them that cannot be, makes no node of it and gives the
    /// lookup back. (Node 0 is meant for that, but fuser would tell the same for the inode number, which is not listed.)
    fn entry(&mut self, name: &[u8], node: NodeId, kind: Kind, next: u64) -> Room {
        let attr = FileAttr { size: u64::MAX, ..bare_attr(node, kind) };
        room(self.reply.add(INodeNo(node.0), next, OsStr::from_bytes(name), &Duration::ZERO, &attr, GENERATION))
    }

    fn entry_with_attr(&mut self, name: &[u8], attr: &Attr, next: u64) -> Room {
        let node = INodeNo(attr.node.0);
        room(self.reply.add(node, next, OsStr::from_bytes(name), &self.valid, &file_attr(attr), GENERATION))
    }
}

fn room(full: bool) -> Room {
    if full { Room::Full } else { Room::Taken }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_come_back_from_what_fuser_makes_of_them() {
        for (seconds, nanoseconds) in [(-1, 1), (-1, 999_999_999), (-2, 800_000_000), (-5, 0), (0, 7), (9, 999_999_999)]
        {
            let as_fuser_does = match seconds {
                0.. => UNIX_EPOCH + Duration::new(seconds as u64, nanoseconds),
                _ => UNIX_EPOCH - Duration::new(-seconds as u64, nanoseconds),
            };
            assert_eq!(timestamp(as_fuser_does), Timestamp { seconds, nanoseconds });
        }
    }

    #[test]
    fn a_time_before_1970_is_told_as_the_true_one() {
        let time = system_time(Timestamp { seconds: -2, nanoseconds: 800_000_000 });
        assert_eq!(UNIX_EPOCH.duration_since(time).unwrap(), Duration::from_millis(1200));
    }

    #[test]
    fn unknown_rename_flags_are_refused() {
        assert_eq!(rename_mode(RenameFlags::from_bits_retain(1 << 5)), None);
        let both = RenameFlags::RENAME_NOREPLACE | RenameFlags::RENAME_EXCHANGE;
        assert_eq!(rename_mode(both), None);
    }
}
