//! Whether a file that somebody uses is in a tree, told by device and inode.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, OFlags};
use strongroom_durable::Beneath;

use super::{
    Hold, Holder, MountLine,
    listing::{LISTING, is_mount_point, list},
};
use crate::WorkloadError;

const DELETED: &[u8] = b" (deleted)";

/// A tree, and all by which it is known.
pub(super) struct Tree {
    beneath: Beneath,
    /// Where it is now, for us.
    path: PathBuf,
    dev: u64,
    ino: u64,
    /// The mount through which we see it.
    pub mount: MountLine,
    /// Where it lies in its file system.
    pub within: PathBuf,
}

/// A file that is used, as far as the kernel shows it.
#[derive(Clone, Debug)]
pub(super) struct Used {
    /// stat(2)'s device, or the file system's.
    pub dev: u64,
    /// Its inode number.
    pub ino: u64,
    /// Where the kernel says it is.
    pub shown: PathBuf,
}

/// Uses of files that may be in the tree.
#[derive(Default)]
pub(super) struct Sought(Vec<(Used, Holder)>);

impl Tree {
    pub fn of(root: BorrowedFd<'_>) -> Result<Self, WorkloadError> {
        let number = root.as_raw_fd();
        let link = format!("/proc/self/fd/{number}");
        let path = fs::read_link(&link).map_err(WorkloadError::on("reading", &link))?;
        let stat = rustix::fs::fstat(root).map_err(WorkloadError::on("looking at", &path))?;
        let place = MountLine::of(root)?.and_then(|mount| mount.within(&path).map(|within| (mount, within)));
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "/proc/self/mountinfo does not have it");
        let (mount, within) = place.ok_or_else(unknown).map_err(WorkloadError::on("finding the mount of", &path))?;
        let held = root.try_clone_to_owned().map_err(WorkloadError::on("holding", &path))?;
        Ok(Self { beneath: Beneath::new(held), path, dev: stat.st_dev, ino: stat.st_ino, mount, within })
    }

    /// Whether a file of this device may be in it. The kernel shows the file system's own number in some places, which on
    /// btrfs is another than stat(2)'s.
    pub fn may_have(&self, dev: u64) -> bool {
        let (major, minor) = self.mount.device;
        dev == self.dev || dev == rustix::fs::makedev(major, minor)
    }

    /// Its path in the tree, if it still is where it is shown to be.
    fn at_its_place(&self, used: &Used) -> Option<PathBuf> {
        if used.ino == self.ino {
            return Some(PathBuf::new());
        }
        let below = used.shown.strip_prefix(&self.path).ok()?;
        let bytes = below.as_os_str().as_bytes();
        match self.ino_of(bytes) {
            Some(ino) if ino == used.ino => Some(below.to_owned()),
            // Unlinked: there is nothing left but the name it had.
            _ => bytes.ends_with(DELETED).then(|| below.to_owned()),
        }
    }

    fn ino_of(&self, path: &[u8]) -> Option<u64> {
        let file = self.beneath.open(path, OFlags::PATH | OFlags::NOFOLLOW).ok()?;
        Some(rustix::fs::fstat(file).ok()?.st_ino)
    }

    /// Whether it is surely elsewhere: it is where it is shown to be, and has no other name.
    fn is_elsewhere(&self, used: &Used) -> bool {
        let Ok(found) = fs::symlink_metadata(&used.shown) else { return false };
        self.may_have(found.dev()) && found.ino() == used.ino && (found.is_dir() || found.nlink() == 1)
    }

    /// Paths in the tree of those inodes that are in it.
    fn find(&self, wanted: &HashMap<u64, Option<PathBuf>>) -> HashMap<u64, PathBuf> {
        let mut found = HashMap::new();
        let mut ahead = vec![PathBuf::new()];
        let mut buffer = Vec::with_capacity(32 << 10);
        while let Some(directory) = ahead.pop() {
            // Gone, or not ours to see: then we cannot tell.
            let Ok(dir) = self.beneath.open(directory.as_os_str().as_bytes(), LISTING) else { continue };
            let _ = list(dir.as_fd(), &mut buffer, |name, ino, kind| {
                let path = || directory.join(OsStr::from_bytes(name.to_bytes()));
                if wanted.contains_key(&ino) {
                    found.entry(ino).or_insert_with(path);
                }
                if kind.is_ok_and(|kind| kind == FileType::Directory) && !is_mount_point(dir.as_fd(), name) {
                    ahead.push(path());
                }
                found.len() < wanted.len()
            });
        }
        found
    }
}

impl Sought {
    /// Somebody uses a file that may be in the tree. The path in `holder` is filled in later.
    pub fn add(&mut self, used: Used, holder: Holder) {
        self.0.push((used, holder));
    }

    /// Those that are in the tree. If it `is_mounted_elsewhere`, a path outside says nothing.
    pub fn settle(self, tree: &Tree, is_mounted_elsewhere: bool) -> Vec<Holder> {
        let mut places: HashMap<u64, Option<PathBuf>> = HashMap::new();
        for (used, _) in &self.0 {
            let place = places.entry(used.ino).or_default();
            if place.is_none() {
                *place = tree.at_its_place(used);
            }
        }
        let is_open = |used: &Used| places.get(&used.ino).is_some_and(Option::is_none);
        let wanted: HashMap<_, _> = (self.0.iter())
            .filter(|(used, _)| is_open(used) && (is_mounted_elsewhere || !tree.is_elsewhere(used)))
            .map(|(used, _)| (used.ino, None))
            .collect();
        if !wanted.is_empty() {
            let found = tree.find(&wanted).into_iter().map(|(ino, path)| (ino, Some(path)));
            places.extend(found);
        }
        let settled = self.0.into_iter().filter_map(|(used, holder)| {
            let path = places.get(&used.ino)?.clone()?;
            Some(Holder { hold: holder.hold.with_path(path), ..holder })
        });
        without_known_locks(settled.collect())
    }
}

/// Who has a file open is not named for its locks too.
fn without_known_locks(holders: Vec<Holder>) -> Vec<Holder> {
    let is_lock = |holder: &Holder| matches!(holder.hold, Hold::Lock { .. });
    let mut known: BTreeMap<u32, Vec<&Path>> = BTreeMap::new();
    for holder in holders.iter().filter(|holder| !is_lock(holder)) {
        known.entry(holder.pid).or_default().push(holder.hold.path());
    }
    let is_known = |holder: &Holder| known.get(&holder.pid).is_some_and(|paths| paths.contains(&holder.hold.path()));
    let keep: Vec<bool> = holders.iter().map(|holder| !is_lock(holder) || !is_known(holder)).collect();
    let mut keep = keep.into_iter();
    holders.into_iter().filter(|_| keep.next().unwrap_or(true)).collect()
}
