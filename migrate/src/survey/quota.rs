//! What quotas leave, by owner: a file of the copy counts for whom it belongs to, like the original.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use rustix::fs::{Mode, OFlags};

use super::{Refusal, estimate::existing, sizes::Demand, tally::Tally};

/// `Q_GETQUOTA`, `USRQUOTA`, `GRPQUOTA` (linux/quota.h).
const Q_GETQUOTA: u32 = 0x0080_0007;
const USRQUOTA: u32 = 0;
const GRPQUOTA: u32 = 1;
/// quotactl_fd(2), on every architecture but alpha.
const SYS_QUOTACTL_FD: libc::c_long = 443;
/// Quotas count bytes in blocks of 1024.
const BLOCK: u64 = 1024;

/// Quotas that would be exceeded where `target` is or will be.
pub(super) fn refusals(target: &Path, tally: &Tally) -> Vec<Refusal> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(dir) = rustix::fs::open(existing(target), flags, Mode::empty()) else { return Vec::new() };
    let users = tally.by_user.iter().map(|(id, demand)| ("user", USRQUOTA, *id, *demand));
    let groups = tally.by_group.iter().map(|(id, demand)| ("group", GRPQUOTA, *id, *demand));
    let mut refusals = Vec::new();
    for (word, kind, id, demand) in users.chain(groups) {
        let Ok(limits) = ask(&dir, kind, id) else { continue };
        let refused = limits.exceeded_by(demand).into_iter().map(|(what, allowed, need)| Refusal::Quota {
            whose: format!("{word} {id}"),
            path: target.to_owned(),
            what,
            allowed,
            need,
        });
        refusals.extend(refused);
    }
    refusals
}

/// What somebody has, and may have; 0 is no limit.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    most_bytes: u64,
    bytes: u64,
    most_inodes: u64,
    inodes: u64,
}

impl Limits {
    fn exceeded_by(&self, demand: Demand) -> Vec<(&'static str, u64, u64)> {
        let left = |most: u64, has: u64| if most == 0 { u64::MAX } else { most.saturating_sub(has) };
        let kinds = [
            ("bytes", left(self.most_bytes, self.bytes), demand.bytes),
            ("files", left(self.most_inodes, self.inodes), demand.inodes),
        ];
        kinds.into_iter().filter(|(_, allowed, need)| need > allowed).collect()
    }
}

/// Fails where there are no quotas.
fn ask(dir: &OwnedFd, kind: u32, id: u32) -> io::Result<Limits> {
    let mut found = libc::dqblk {
        dqb_bhardlimit: 0,
        dqb_bsoftlimit: 0,
        dqb_curspace: 0,
        dqb_ihardlimit: 0,
        dqb_isoftlimit: 0,
        dqb_curinodes: 0,
        dqb_btime: 0,
        dqb_itime: 0,
        dqb_valid: 0,
    };
    let command = Q_GETQUOTA << 8 | kind;
    // SAFETY: the descriptor is open, and this command fills one `struct dqblk`, which `found` is.
    let done = unsafe { libc::syscall(SYS_QUOTACTL_FD, dir.as_raw_fd(), command, id, std::ptr::from_mut(&mut found)) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Limits {
        most_bytes: found.dqb_bhardlimit.saturating_mul(BLOCK),
        bytes: found.dqb_curspace,
        most_inodes: found.dqb_ihardlimit,
        inodes: found.dqb_curinodes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_limited_and_not_enough_is_told() {
        let limits = Limits { most_bytes: 1000, bytes: 900, most_inodes: 0, inodes: 7 };
        assert_eq!(limits.exceeded_by(Demand { bytes: 100, inodes: 1 << 40 }), []);
        assert_eq!(limits.exceeded_by(Demand { bytes: 101, inodes: 1 }), [("bytes", 100, 101)]);
    }
}
