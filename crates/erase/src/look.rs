//! What one name stands for, as far as it matters before it is destroyed.

use std::os::fd::AsFd;

use rustix::{
    fs::{self, AtFlags, FileType, Statx, StatxAttributes, StatxFlags},
    io,
};

use crate::{Kind, Target};

/// What was seen of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) kind: Kind,
    pub(crate) links: u32,
    /// What it occupies, holes not counted.
    pub(crate) occupied: u64,
    pub(crate) len: u64,
    pub(crate) owner: u32,
    pub(crate) mode: u16,
    /// Immutable or append-only.
    pub(crate) flagged: bool,
    /// Something is mounted on it.
    pub(crate) mounted: bool,
}

impl Look {
    /// At `name` in `dir`, without following a link.
    pub(crate) fn at<F: AsFd>(dir: F, name: &[u8]) -> io::Result<Self> {
        fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).map(|statx| Self::of_statx(&statx))
    }

    /// At what is open.
    pub(crate) fn of<F: AsFd>(file: F) -> io::Result<Self> {
        fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map(|statx| Self::of_statx(&statx))
    }

    /// Whether it is what was listed.
    pub(crate) fn is(&self, target: &Target) -> bool {
        (self.dev, self.ino, self.kind) == (target.dev, target.ino, target.kind)
    }

    fn of_statx(statx: &Statx) -> Self {
        let kind = match FileType::from_raw_mode(statx.stx_mode.into()) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            _ => Kind::Other,
        };
        let has = |flag| statx.stx_attributes.contains(flag);
        Self {
            dev: fs::makedev(statx.stx_dev_major, statx.stx_dev_minor),
            ino: statx.stx_ino,
            kind,
            links: statx.stx_nlink,
            occupied: statx.stx_blocks.saturating_mul(512),
            len: statx.stx_size,
            owner: statx.stx_uid,
            mode: statx.stx_mode,
            flagged: has(StatxAttributes::IMMUTABLE) || has(StatxAttributes::APPEND),
            mounted: has(StatxAttributes::MOUNT_ROOT),
        }
    }
}

/// A path below the root.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        b"" => name.to_vec(),
        _ => [directory, b"/", name].concat(),
    }
}
