//! What can be said against a migration without looking at a single file: where the data are, and everything else that it
//! needs.

use std::{
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use rustix::fs::{
    Access, AtFlags, CWD, OFlags, StatVfsMountFlags, StatxAttributes, StatxFlags, access, statvfs, statx,
};
use strongroom_workload::MountLine;

use super::{Caution, Refusal, SurveyRequest, estimate::existing, target};
use crate::{Direction, fence};

/// What a system is started with. What has one of them in it, or is in it, is not one service's data.
const OF_THE_SYSTEM: [&str; 13] = [
    "/etc",
    "/usr",
    "/boot",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/sys",
    "/dev",
    "/var/lib/dpkg",
    "/var/lib/rpm",
];

/// File systems that others can change. FUSE has its own refusal.
const NETWORK: [&str; 16] = [
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "coda", "ncpfs", "lustre", "gfs2", "ocfs2", "beegfs",
    "gpfs", "pvfs2",
];

/// File systems that do not outlive a restart, or not in every case.
const FLEETING: [&str; 4] = ["tmpfs", "ramfs", "overlay", "devtmpfs"];

/// Those that are in memory, and surely gone with it.
const IN_MEMORY: [&str; 3] = ["tmpfs", "ramfs", "devtmpfs"];

pub(super) fn refusals(request: &SurveyRequest<'_>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let data = request.data;
    if !is_directory(data) {
        refusals.push(Refusal::NotADirectory { data: data.to_owned() });
    }
    refusals.extend(of_the_system(data));
    refusals.extend(
        request
            .home
            .filter(|home| is_or_holds(data, home))
            .map(|home| Refusal::HomeDirectory { data: data.to_owned(), home: home.to_owned() }),
    );
    refusals.extend(of_ours(request));
    refusals.extend(one_within_the_other(request));
    refusals.extend(file_systems(request));
    refusals.extend(the_vault(request));
    refusals.extend(set_aside(request));
    refusals.extend(where_to_write(request));
    refusals.extend(mounting(request));
    refusals.extend(others(request));
    refusals
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Whether `path` is `what`, or `what` is in it.
fn is_or_holds(path: &Path, what: &Path) -> bool {
    what.starts_with(path) || canonical(what).starts_with(path)
}

/// As far as it exists, without symbolic links.
fn canonical(path: &Path) -> PathBuf {
    let there = existing(path);
    let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
    let real = fs::canonicalize(there).unwrap_or_else(|_| there.to_owned());
    if rest.as_os_str().is_empty() { real } else { real.join(rest) }
}

fn of_the_system(data: &Path) -> Option<Refusal> {
    let is_one = |system: &str| data.starts_with(system) || is_or_holds(data, Path::new(system));
    let system = if data == Path::new("/") { "/" } else { OF_THE_SYSTEM.into_iter().find(|system| is_one(system))? };
    Some(Refusal::SystemDirectory { data: data.to_owned(), path: system.into() })
}

/// Everything that must be reachable while the data are not.
fn of_ours(request: &SurveyRequest<'_>) -> Vec<Refusal> {
    let data = request.data;
    let mut ours = vec![("the state directory", request.state_dir), ("the private mount point", request.stage)];
    ours.extend(request.program.map(|program| ("the program", program)));
    ours.extend(request.backup.map(|backup| ("the backup", backup)));
    let mut refusals: Vec<_> = (ours.into_iter())
        .filter(|(_, path)| is_or_holds(data, path))
        .map(|(what, path)| Refusal::HoldsOurs { data: data.to_owned(), what, path: path.to_owned() })
        .collect();
    let holders = [Some(("vault", request.vault)), request.backup.map(|backup| ("backup", backup))];
    for (_, holder) in holders.into_iter().flatten().filter(|(_, holder)| is_or_holds(holder, request.state_dir)) {
        let (what, path) = ("the state directory", request.state_dir.to_owned());
        refusals.push(Refusal::HoldsOurs { data: holder.to_owned(), what, path });
    }
    refusals
}

fn one_within_the_other(request: &SurveyRequest<'_>) -> Option<Refusal> {
    let (vault, data) = (canonical(request.vault), canonical(request.data));
    let is_within = vault.starts_with(&data) || data.starts_with(&vault);
    is_within.then_some(Refusal::VaultWithin { vault, data })
}

fn file_systems(request: &SurveyRequest<'_>) -> Vec<Refusal> {
    let data = request.data;
    let mut refusals = Vec::new();
    let Some(mount) = mount_of(data) else { return refusals };
    if request.direction == Direction::Encrypt {
        if is_mount_point(data) {
            refusals.push(Refusal::MountPoint { data: data.to_owned(), kind: mount.kind.clone() });
        }
        refusals.extend(encrypted(data, &mount));
    }
    let places = [Some(data), Some(target(request)), request.backup];
    for place in places.into_iter().flatten() {
        let Some(mount) = mount_of(existing(place)) else { continue };
        if is_network(&mount.kind) {
            refusals.push(Refusal::Network { path: place.to_owned(), kind: mount.kind });
        }
        if is_read_only(existing(place)) {
            refusals.push(Refusal::ReadOnly { path: place.to_owned() });
        }
    }
    let source = if request.direction == Direction::Encrypt { data } else { request.vault };
    refusals.extend(less_kept(source, target(request)));
    refusals.extend(state_not_kept(request.state_dir));
    refusals
}

/// A copy in memory of what is not: once the originals are erased, a restart would take all there is.
fn less_kept(source: &Path, copy: &Path) -> Option<Refusal> {
    let kind = lasts_less(source, copy)?;
    Some(Refusal::CopyNotKept { path: copy.to_owned(), kind })
}

/// The type of the file system in memory that `copy` is on, or would be, if `source` is on another one.
pub(crate) fn lasts_less(source: &Path, copy: &Path) -> Option<String> {
    let copy = existing(copy);
    let kind = in_memory(copy)?;
    (device(existing(source)) != device(copy)).then_some(kind)
}

/// An archive that is gone with the next restart may be wanted, for one that is shipped elsewhere at once; but not unawares.
pub(super) fn warnings(request: &SurveyRequest<'_>) -> Option<Caution> {
    let backup = request.backup?;
    Some(Caution::BackupNotKept { path: backup.to_owned(), kind: in_memory(existing(backup))? })
}

fn in_memory(path: &Path) -> Option<String> {
    mount_of(path).map(|mount| mount.kind).filter(|kind| IN_MEMORY.contains(&kind.as_str()))
}

fn is_network(kind: &str) -> bool {
    NETWORK.contains(&kind)
}

/// The state directory's file system, if it does not keep what is written.
fn state_not_kept(state_dir: &Path) -> Option<Refusal> {
    let kind = mount_of(existing(state_dir))?.kind;
    let is_bad = FLEETING.contains(&kind.as_str()) || is_network(&kind) || kind.starts_with("fuse");
    is_bad.then(|| Refusal::StateNotKept { path: state_dir.to_owned(), kind })
}

fn encrypted(data: &Path, mount: &MountLine) -> Option<Refusal> {
    let by = |by: String| Some(Refusal::Encrypted { data: data.to_owned(), by });
    if mount.kind == "ecryptfs" {
        return by("it is on ecryptfs".into());
    }
    if mount.kind == "fuse" || mount.kind.starts_with("fuse.") {
        return by(format!("it is on {}, a file system of a program", mount.kind));
    }
    for above in data.ancestors() {
        for (name, what) in [("gocryptfs.conf", "a vault"), (".encfs6.xml", "EncFS"), ("cryfs.config", "CryFS")] {
            if above.join(name).is_file() {
                return by(format!("{} is ciphertext of {what}", above.display()));
            }
        }
    }
    None
}

fn is_mount_point(path: &Path) -> bool {
    statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO)
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|room| room.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// The mount that a directory is on.
pub(super) fn mount_of(path: &Path) -> Option<MountLine> {
    MountLine::of(super::open(path).ok()?.as_fd()).ok().flatten()
}

fn the_vault(request: &SurveyRequest<'_>) -> Option<Refusal> {
    if request.direction == Direction::Decrypt {
        return None;
    }
    let is_free = match fs::read_dir(request.vault) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    (!is_free).then(|| Refusal::VaultExists { vault: request.vault.to_owned() })
}

/// Whether two names in the parent directory can change places.
fn set_aside(request: &SurveyRequest<'_>) -> Vec<Refusal> {
    let (data, aside) = (request.data, request.aside);
    let refused = |why: String| Refusal::Aside { aside: aside.to_owned(), why };
    let mut refusals = Vec::new();
    if data.parent() != aside.parent() {
        match (device(existing(data)), aside.parent().and_then(|parent| device(existing(parent)))) {
            (Some(here), Some(there)) if here == there => {}
            _ => refusals.push(refused("that is another file system".into())),
        }
    }
    match fs::symlink_metadata(aside) {
        Err(_) => {}
        Ok(_) if fs::read_dir(aside).is_ok_and(|mut entries| entries.next().is_none()) => {}
        Ok(_) => refusals.push(refused("something is there".into())),
    }
    if request.direction == Direction::Encrypt
        && is_directory(data)
        && let Some(why) = fence::why_not_ours(data)
    {
        let path = data.to_owned();
        refusals.push(Refusal::NotWritable { what: "the directory", path, why: why.into() });
    }
    refusals
}

fn device(path: &Path) -> Option<u64> {
    Some(rustix::fs::stat(path).ok()?.st_dev)
}

/// Whether what will be made can be.
fn where_to_write(request: &SurveyRequest<'_>) -> Vec<Refusal> {
    let places = [
        (request.direction == Direction::Encrypt).then_some(("the vault", request.vault)),
        request.backup.map(|backup| ("the backup", backup)),
        Some(("the state directory", request.state_dir)),
    ];
    let refused = places.into_iter().flatten().filter_map(|(what, path)| {
        let there = existing(path);
        // What is read-only, or no directory, has a refusal already.
        let errno = access(there, Access::WRITE_OK | Access::EXEC_OK).err()?;
        let why = format!("{} cannot be written to ({errno})", there.display());
        (there.is_dir() && !is_read_only(there)).then(|| Refusal::NotWritable { what, path: path.to_owned(), why })
    });
    refused.collect()
}

fn mounting(request: &SurveyRequest<'_>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let fuse = &request.fuse;
    let is_root = rustix::process::geteuid().is_root();
    let opened = rustix::fs::open(fuse.device, OFlags::RDWR | OFlags::CLOEXEC, rustix::fs::Mode::empty());
    // fusermount3, which is set-user-id, opens it as the user all the same.
    if let Err(errno) = opened {
        refusals.push(Refusal::NoFuse { device: fuse.device.to_owned(), why: errno.to_string() });
    }
    if !is_root && !fuse.has_fusermount {
        refusals.push(Refusal::NoFusermount);
    }
    if !is_root && request.serves_others && !allows_others(fuse.conf) {
        refusals.push(Refusal::NotForOthers { conf: fuse.conf.to_owned() });
    }
    refusals
}

fn allows_others(conf: &Path) -> bool {
    let text = fs::read_to_string(conf).unwrap_or_default();
    text.lines().any(|line| line.trim() == "user_allow_other")
}

fn others(request: &SurveyRequest<'_>) -> Option<Refusal> {
    let data = canonical(request.data);
    let is_near = |other: &&PathBuf| {
        let other = canonical(other);
        other.starts_with(&data) || data.starts_with(&other)
    };
    let other = request.open.iter().find(is_near)?;
    Some(Refusal::AlreadyMigrating { data: request.data.to_owned(), other: other.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_other_machines_are_told_from_disks() {
        assert!(["nfs4", "cifs", "9p", "ceph"].into_iter().all(is_network));
        assert!(!["ext4", "xfs", "btrfs", "tmpfs"].into_iter().any(is_network));
    }
}
