//! How much room is needed on which file system, for what, and how much there is.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use rustix::fs::{fstatvfs, stat, statfs, statvfs};
use serde::Serialize;

use super::{Refusal, SurveyRequest, sizes::Demand, tally::Tally, target};

/// What room is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The copy: the vault, or, decrypting, the plaintext.
    Copy,
    /// The archive of the plaintext.
    Backup,
    /// Journal and manifest.
    State,
}

/// What is needed of one file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// The first of the places on it.
    pub path: PathBuf,
    /// For what.
    pub roles: Vec<Role>,
    /// Bytes needed, with a reserve.
    pub bytes: u64,
    /// Bytes that there are.
    pub available: u64,
    /// Inodes needed.
    pub inodes: u64,
    /// Inodes that there are; `None` where they are made as needed.
    pub inodes_available: Option<u64>,
}

/// How much room it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Bytes of the copy.
    pub copy_bytes: u64,
    /// Inodes of the copy.
    pub copy_inodes: u64,
    /// Bytes of the archive, at most.
    pub backup_bytes: u64,
    /// Bytes of journal and manifest.
    pub state_bytes: u64,
    /// By file system: places on the same one are added up.
    pub needs: Vec<Need>,
}

/// An entry in journal and manifest, besides its path.
const STATE_ENTRY: u64 = 400;
/// An entry in an archive: a header of tar, perhaps two, a line in the index.
const BACKUP_ENTRY: u64 = 2048;
/// Things of fixed size: configuration, headers, the file system's own blocks.
const CONSTANT: u64 = 256 << 10;
const MOST_RESERVE: u64 = 1 << 30;
const LEAST_RESERVE: u64 = 1 << 20;

impl Estimate {
    pub(super) fn of(request: &SurveyRequest<'_>, tally: &Tally) -> Self {
        let counts = &tally.counts;
        let entries = counts.entries();
        let inodes = tally.needed.inodes + 1;
        let made = inodes.saturating_mul(inode_size(target(request)));
        let written = tally.needed.bytes.saturating_add(request.growth);
        let copy = Demand { bytes: written.saturating_add(made).saturating_add(CONSTANT), inodes };
        // What does not compress, with seals.
        let backup =
            counts.allocated + counts.allocated / 1000 + entries * BACKUP_ENTRY + counts.path_bytes * 3 + CONSTANT;
        let state = entries * STATE_ENTRY + counts.path_bytes * 2 + CONSTANT;
        let mut wanted = vec![(Role::Copy, target(request), copy)];
        if let Some(place) = request.backup {
            wanted.push((Role::Backup, place, Demand { bytes: backup, inodes: 4 }));
        }
        wanted.push((Role::State, request.state_dir, Demand { bytes: state, inodes: 16 }));
        Self {
            copy_bytes: copy.bytes,
            copy_inodes: copy.inodes,
            backup_bytes: request.backup.map_or(0, |_| backup),
            state_bytes: state,
            needs: added_up(&wanted),
        }
    }

    pub(super) fn refusals(&self) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for need in &self.needs {
            let (path, roles) = (need.path.clone(), roles(&need.roles));
            if need.bytes > need.available {
                let (need, available) = (need.bytes, need.available);
                refusals.push(Refusal::NoRoom { path: path.clone(), roles: roles.clone(), need, available });
            }
            if let Some(available) = need.inodes_available.filter(|&available| need.inodes > available) {
                refusals.push(Refusal::NoInodes { path, roles, need: need.inodes, available });
            }
        }
        refusals
    }
}

/// One need for each file system, with a reserve: a disk is not to be filled to the last block.
fn added_up(wanted: &[(Role, &Path, Demand)]) -> Vec<Need> {
    let mut needs: BTreeMap<u64, Need> = BTreeMap::new();
    for &(role, path, demand) in wanted {
        let place = existing(path);
        let (Ok(found), Ok(room)) = (stat(place), statvfs(place)) else { continue };
        let need = needs.entry(found.st_dev).or_insert_with(|| Need {
            path: path.to_owned(),
            roles: Vec::new(),
            bytes: 0,
            available: room.f_bavail.saturating_mul(room.f_frsize),
            inodes: 0,
            inodes_available: (room.f_files > 0).then_some(room.f_favail),
        });
        need.roles.push(role);
        need.bytes += demand.bytes;
        need.inodes += demand.inodes;
    }
    let mut needs: Vec<_> = needs.into_values().collect();
    needs.iter_mut().for_each(|need| need.bytes += (need.bytes / 20).clamp(LEAST_RESERVE, MOST_RESERVE));
    needs.sort_by(|a, b| a.roles.cmp(&b.roles));
    needs
}

/// The block size of the file system that `path` is or will be on.
pub(super) fn block_size(path: &Path) -> u64 {
    let open = super::open(existing(path));
    let size = open.ok().and_then(|dir| fstatvfs(dir).ok()).map_or(4096, |room| room.f_frsize);
    size.clamp(512, 1 << 20)
}

/// The longest path that a symbolic link can lead to on the file system that `path` is or will be on. Others than these have
/// the limit that the kernel has; what a single one of them does not hold is found when it is tried.
pub(super) fn longest_link(path: &Path) -> u64 {
    const EXT: u64 = 0xEF53;
    const MOST: u64 = 4095;
    match statfs(existing(path)).map(|found| found.f_type as u64) {
        Ok(XFS) => 1023,
        // It has to fit into a block, with a null byte at its end.
        Ok(EXT) => MOST.min(block_size(path) - 1),
        Ok(_) | Err(_) => MOST,
    }
}

const XFS: u64 = 0x5846_5342;

/// What an inode takes of the room for content. ext4 has set its inodes aside when it was made; others make them as
/// needed, XFS of 512 bytes in chunks with an index, btrfs with names and all, and everything twice.
fn inode_size(path: &Path) -> u64 {
    const BTRFS: u64 = 0x9123_683E;
    match statfs(existing(path)).map(|found| found.f_type as u64) {
        Ok(XFS) => 540,
        Ok(BTRFS) => 2048,
        Ok(_) | Err(_) => 0,
    }
}

/// `path`, or the nearest directory above it that exists.
pub(super) fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"))
}

fn roles(roles: &[Role]) -> String {
    roles.iter().map(Role::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Copy => "the copy",
            Role::Backup => "the backup",
            Role::State => "journal and manifest",
        })
    }
}
