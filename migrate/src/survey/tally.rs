//! What was seen, counted.

use std::collections::{BTreeMap, HashMap};

use rustix::fs::{Statx, StatxAttributes};
use serde::Serialize;
use strongroom_tree::Xattr;

use super::{Examples, scan::file_type, sizes::Demand};

/// Longest path that a symbolic link in a vault can lead to, on a file system without a limit of its own.
pub(super) const LONGEST_TARGET: u64 = 3039;
/// Longest name of an extended attribute in a vault.
pub(super) const LONGEST_XATTR_NAME: usize = 175;

pub(super) const CAPABILITY: &[u8] = b"security.capability";
const LABELS: [&[u8]; 2] = [b"security.selinux", b"security.SMACK64"];

/// How much there is of what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Regular files, each once.
    pub files: u64,
    /// Directories, the root among them.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files.
    pub links: u64,
    /// Named pipes.
    pub fifos: u64,
    /// Sockets, which are not copied.
    pub sockets: u64,
    /// Device nodes.
    pub devices: u64,
    /// Bytes of content, holes included.
    pub bytes: u64,
    /// Bytes that the content takes where it is.
    pub allocated: u64,
    /// The size of the largest file.
    pub largest: u64,
    /// Files with holes.
    pub sparse: u64,
    /// Entries with extended attributes.
    pub with_xattrs: u64,
    /// Length of the longest name.
    pub longest_name: u64,
    /// Length of the longest path.
    pub longest_path: u64,
    /// Length of all paths together.
    pub path_bytes: u64,
}

/// An entry with its attributes, to be tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub xattrs: Vec<Xattr>,
}

impl Sample {
    fn size(&self) -> usize {
        self.xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len()).sum()
    }
}

/// What was seen of kinds that a vault may refuse: enough to try one of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    pub(super) fifos: bool,
    pub(super) links: bool,
    pub(super) char_device: Option<u64>,
    pub(super) block_device: Option<u64>,
    pub(super) longest_name: Vec<u8>,
    pub(super) longest_target: usize,
    pub(super) largest_xattrs: BTreeMap<u32, Sample>,
    pub(super) xattr_names: BTreeMap<(u32, Vec<u8>), Sample>,
    pub(super) set_id: bool,
}

/// Names of attributes that are tried one by one; a tree that has more of them is tried with the first.
const NAMES_TRIED: usize = 64;

/// What was seen.
#[derive(Default)]
pub(super) struct Tally {
    pub counts: Counts,
    pub kinds: Kinds,
    pub needed: Demand,
    pub by_user: HashMap<u32, Demand>,
    pub by_group: HashMap<u32, Demand>,
    pub owners: HashMap<(u32, u32), Examples>,
    pub links_outside: Examples,
    pub mounted_within: Examples,
    pub casefold: Examples,
    pub unreadable: Examples,
    pub sockets: Examples,
    pub fifos: Examples,
    pub devices: Examples,
    pub long_targets: Examples,
    pub flags: Examples,
    pub encrypted: Examples,
    pub verity: Examples,
    pub dax: Examples,
    pub compressed: Examples,
    pub set_id: Examples,
    pub capabilities: Examples,
    pub labels: Examples,
    /// Attributes on what is no file and no directory, by name.
    pub xattrs_on_special: BTreeMap<Vec<u8>, Examples>,
    /// Attributes whose names are too long.
    pub long_xattrs: BTreeMap<Vec<u8>, Examples>,
    /// All attributes by name, for those that are dropped.
    pub xattrs: BTreeMap<Vec<u8>, Examples>,
}

/// One thing seen.
pub(super) struct Seen<'a> {
    pub path: &'a [u8],
    pub stat: &'a Statx,
    /// Another name of something seen already.
    pub is_known: bool,
    pub demand: Demand,
    /// Longest path that a symbolic link can lead to where it will be stored.
    pub longest_target: u64,
}

impl Tally {
    pub fn entries(&self) -> u64 {
        self.counts.entries()
    }

    pub fn see(&mut self, seen: &Seen<'_>) {
        self.measure(seen.path);
        if seen.is_known {
            self.counts.links += 1;
            self.kinds.links = true;
            return;
        }
        let Seen { path, stat, demand, .. } = *seen;
        self.count(path, stat, seen.longest_target);
        self.note_attributes(path, stat);
        let owner = (stat.stx_uid, stat.stx_gid);
        self.owners.entry(owner).or_default().add(path);
        self.demand(demand, Some(owner));
    }

    pub fn demand(&mut self, demand: Demand, owner: Option<(u32, u32)>) {
        self.needed += demand;
        if let Some((uid, gid)) = owner {
            *self.by_user.entry(uid).or_default() += demand;
            *self.by_group.entry(gid).or_default() += demand;
        }
    }

    fn measure(&mut self, path: &[u8]) {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let counts = &mut self.counts;
        counts.path_bytes += path.len() as u64;
        counts.longest_path = counts.longest_path.max(path.len() as u64);
        counts.longest_name = counts.longest_name.max(name.len() as u64);
        if name.len() > self.kinds.longest_name.len() {
            self.kinds.longest_name = name.to_vec();
        }
    }

    fn count(&mut self, path: &[u8], stat: &Statx, longest_target: u64) {
        let (counts, kinds) = (&mut self.counts, &mut self.kinds);
        let rdev = rustix::fs::makedev(stat.stx_rdev_major, stat.stx_rdev_minor);
        match file_type(stat) {
            libc::S_IFREG => {
                counts.files += 1;
                counts.bytes += stat.stx_size;
                counts.allocated += stat.stx_blocks * 512;
                counts.largest = counts.largest.max(stat.stx_size);
                if stat.stx_mode & 0o6000 != 0 {
                    self.set_id.add(path);
                    kinds.set_id = true;
                }
            }
            libc::S_IFDIR => counts.directories += 1,
            libc::S_IFLNK => {
                counts.symlinks += 1;
                kinds.longest_target = kinds.longest_target.max(stat.stx_size as usize);
                if stat.stx_size > longest_target {
                    self.long_targets.add(path);
                }
            }
            libc::S_IFIFO => {
                counts.fifos += 1;
                kinds.fifos = true;
                self.fifos.add(path);
            }
            libc::S_IFSOCK => {
                counts.sockets += 1;
                self.sockets.add(path);
            }
            other => {
                counts.devices += 1;
                self.devices.add(path);
                match other {
                    libc::S_IFBLK => kinds.block_device = Some(rdev),
                    _ => kinds.char_device = Some(rdev),
                }
            }
        }
    }

    fn note_attributes(&mut self, path: &[u8], stat: &Statx) {
        let has = |attributes| stat.stx_attributes.intersects(attributes);
        let noted = [
            (StatxAttributes::IMMUTABLE | StatxAttributes::APPEND, &mut self.flags),
            (StatxAttributes::ENCRYPTED, &mut self.encrypted),
            (StatxAttributes::VERITY, &mut self.verity),
            (StatxAttributes::DAX, &mut self.dax),
            (StatxAttributes::COMPRESSED, &mut self.compressed),
        ];
        for (attributes, examples) in noted {
            if has(attributes) {
                examples.add(path);
            }
        }
    }

    pub fn see_xattrs(&mut self, path: &[u8], file_type: u32, xattrs: Vec<Xattr>) {
        if xattrs.is_empty() {
            return;
        }
        self.counts.with_xattrs += 1;
        let is_special = !matches!(file_type, libc::S_IFREG | libc::S_IFDIR);
        for xattr in &xattrs {
            let name = xattr.name.as_slice();
            self.xattrs.entry(name.to_vec()).or_default().add(path);
            if is_special {
                self.xattrs_on_special.entry(name.to_vec()).or_default().add(path);
            } else if name.len() > LONGEST_XATTR_NAME {
                self.long_xattrs.entry(name.to_vec()).or_default().add(path);
            }
            match name {
                CAPABILITY => self.capabilities.add(path),
                _ if LABELS.contains(&name) => self.labels.add(path),
                _ => {}
            }
        }
        if !is_special {
            self.kinds.keep(file_type, xattrs);
        }
    }

    pub fn merge(&mut self, other: Tally) {
        self.counts.merge(&other.counts);
        self.kinds.merge(other.kinds);
        self.needed += other.needed;
        other.by_user.into_iter().for_each(|(uid, demand)| *self.by_user.entry(uid).or_default() += demand);
        other.by_group.into_iter().for_each(|(gid, demand)| *self.by_group.entry(gid).or_default() += demand);
        other.owners.into_iter().for_each(|(owner, some)| self.owners.entry(owner).or_default().merge(some));
        let pairs = [
            (&mut self.links_outside, other.links_outside),
            (&mut self.mounted_within, other.mounted_within),
            (&mut self.casefold, other.casefold),
            (&mut self.unreadable, other.unreadable),
            (&mut self.sockets, other.sockets),
            (&mut self.fifos, other.fifos),
            (&mut self.devices, other.devices),
            (&mut self.long_targets, other.long_targets),
            (&mut self.flags, other.flags),
            (&mut self.encrypted, other.encrypted),
            (&mut self.verity, other.verity),
            (&mut self.dax, other.dax),
            (&mut self.compressed, other.compressed),
            (&mut self.set_id, other.set_id),
            (&mut self.capabilities, other.capabilities),
            (&mut self.labels, other.labels),
        ];
        pairs.into_iter().for_each(|(ours, theirs)| ours.merge(theirs));
        let maps = [
            (&mut self.xattrs_on_special, other.xattrs_on_special),
            (&mut self.long_xattrs, other.long_xattrs),
            (&mut self.xattrs, other.xattrs),
        ];
        for (ours, theirs) in maps {
            theirs.into_iter().for_each(|(name, some)| ours.entry(name).or_default().merge(some));
        }
    }
}

impl Counts {
    /// Everything with a name.
    pub fn entries(&self) -> u64 {
        self.files + self.directories + self.symlinks + self.links + self.fifos + self.sockets + self.devices
    }

    fn merge(&mut self, other: &Counts) {
        self.files += other.files;
        self.directories += other.directories;
        self.symlinks += other.symlinks;
        self.links += other.links;
        self.fifos += other.fifos;
        self.sockets += other.sockets;
        self.devices += other.devices;
        self.bytes += other.bytes;
        self.allocated += other.allocated;
        self.largest = self.largest.max(other.largest);
        self.sparse += other.sparse;
        self.with_xattrs += other.with_xattrs;
        self.longest_name = self.longest_name.max(other.longest_name);
        self.longest_path = self.longest_path.max(other.longest_path);
        self.path_bytes += other.path_bytes;
    }
}

impl Kinds {
    /// Keeps the largest set of attributes, and one of each name.
    fn keep(&mut self, file_type: u32, xattrs: Vec<Xattr>) {
        for xattr in &xattrs {
            let key = (file_type, xattr.name.clone());
            let is_larger = |kept: &Sample| kept.size() < xattr.name.len() + xattr.value.len();
            let is_wanted = match self.xattr_names.get(&key) {
                Some(kept) => is_larger(kept),
                None => self.xattr_names.len() < NAMES_TRIED,
            };
            if is_wanted {
                self.xattr_names.insert(key, Sample { xattrs: vec![xattr.clone()] });
            }
        }
        let sample = Sample { xattrs };
        let largest = self.largest_xattrs.entry(file_type).or_default();
        if sample.size() > largest.size() {
            *largest = sample;
        }
    }

    fn merge(&mut self, other: Kinds) {
        self.fifos |= other.fifos;
        self.links |= other.links;
        self.char_device = self.char_device.or(other.char_device);
        self.block_device = self.block_device.or(other.block_device);
        if other.longest_name.len() > self.longest_name.len() {
            self.longest_name = other.longest_name;
        }
        self.longest_target = self.longest_target.max(other.longest_target);
        self.set_id |= other.set_id;
        for ((file_type, _), sample) in other.xattr_names {
            self.keep(file_type, sample.xattrs);
        }
        for (file_type, sample) in other.largest_xattrs {
            self.keep(file_type, sample.xattrs);
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

    use super::*;

    /// Few kernels can make such files.
    #[test]
    fn sealed_and_directly_mapped_files_are_known_by_their_attributes() {
        let mut stat = statx(CWD, "/proc/self/status", AtFlags::empty(), StatxFlags::BASIC_STATS).unwrap();
        stat.stx_attributes = StatxAttributes::VERITY | StatxAttributes::DAX;
        let mut tally = Tally::default();
        tally.see(&Seen { path: b"file", stat: &stat, is_known: false, demand: Demand::default(), longest_target: 0 });
        assert_eq!((tally.verity.count, tally.dax.count, tally.encrypted.count), (1, 1, 0));
    }
}
