//! How far apart two changes of a file must be to be told apart by its times.

use std::{os::fd::BorrowedFd, time::Duration};

use rustix::fs::fstatfs;

use crate::{Timestamp, entry::Stamp};

/// What is waited for where nothing better is known: FAT counts in twos of seconds, and the clock of a server is not ours.
pub(crate) const COARSE: Duration = Duration::from_secs(2);

/// The kernel stamps files by a clock that ticks a hundred times a second at least; some such ticks, with room to spare.
const FINE: Duration = Duration::from_millis(100);

/// File systems of this machine, by their magic numbers, that keep nanoseconds and are stamped by the kernel's own clock: ext4,
/// XFS, btrfs, tmpfs, F2FS, bcachefs.
const FINE_ONES: [i64; 6] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0xf2f5_2010, 0xca45_1a4e];

/// How far apart changes on the file system of `root` must be.
pub(crate) fn tick_of(root: BorrowedFd<'_>) -> Duration {
    #[allow(clippy::unnecessary_cast)] // Its type depends on the machine.
    let magic = fstatfs(root).map(|stat| stat.f_type as i64);
    if magic.is_ok_and(|magic| FINE_ONES.contains(&(magic & 0xffff_ffff))) { FINE } else { COARSE }
}

/// Whether a change that comes after `moment` might be stamped as `stamp` is. Whole seconds are of a file system that counts
/// in seconds, such as an old ext4 with small inodes.
pub(crate) fn is_racy(stamp: &Stamp, moment: Timestamp, tick: Duration) -> bool {
    let tick = if stamp.ctime.nanoseconds == 0 { COARSE.max(tick) } else { tick };
    stamp.ctime >= moment.earlier(tick)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn racy(ctime: (i64, u32), moment: (i64, u32), tick: Duration) -> bool {
        let at = |(seconds, nanoseconds)| Timestamp { seconds, nanoseconds };
        is_racy(&Stamp { ctime: at(ctime), ..Stamp::default() }, at(moment), tick)
    }

    #[test]
    fn what_changed_within_a_tick_is_racy() {
        assert!(racy((100, 950_000_000), (101, 0), FINE) && racy((102, 1), (101, 0), FINE));
        assert!(!racy((100, 850_000_000), (101, 0), FINE));
        assert!(racy((99, 5), (101, 0), COARSE) && !racy((98, 999_999_999), (101, 0), COARSE));
    }

    #[test]
    fn whole_seconds_are_taken_for_what_they_are() {
        assert!(racy((100, 0), (101, 500_000_000), FINE) && !racy((100, 1), (101, 500_000_000), FINE));
    }

    #[test]
    fn only_what_is_known_to_tick_fast_is_trusted() {
        let tick = |path| tick_of(std::os::fd::AsFd::as_fd(&std::fs::File::open(path).unwrap()));
        assert_eq!(tick("/proc"), COARSE);
        assert_eq!(tick("/dev/shm"), FINE);
    }
}
