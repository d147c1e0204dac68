//! Makes a file system's journal wrap, so that what it held of names and small contents is written over.

use std::{
    fs as std_fs,
    os::fd::BorrowedFd,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{self, OFlags, XattrFlags};
use serde::{Deserialize, Serialize};
use strongroom_event::{Event, Observer};

use super::Workshop;
use crate::{EraseError, erase::proc_path, journal::journal_of, judge::mount_of, noise::Noise};

const NAME: &str = ".strongroom-scrub-journal";

/// So many files are made and removed in a round, with names as long as they can be.
const FILES: usize = 4000;
const LONGEST_NAME: usize = 255;

/// And on ext4 so many of them get an attribute, which is changed so often. A value that fills most of a block has one of its
/// own, and a block that changes goes through the journal as a whole.
const BEARERS: usize = 2000;
const CHANGES: usize = 4;
const LONGEST_VALUE: usize = 3000;

/// How long a journal is at most, as mkfs.ext4 makes it.
const LONGEST_JOURNAL: u64 = 1 << 30;

/// What making or removing the files of a round brings into the journal of ext4 at least: the blocks of the directory. Inodes
/// and bitmaps are not counted.
const NAMES: u64 = FILES as u64 * (LONGEST_NAME as u64 + 9);

/// How a journal was made to wrap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Churned {
    /// How long the journal is, as far as the file system tells; else as long as it is at most by default.
    pub journal: u64,
    /// How much was written to it, at least.
    pub written: u64,
}

/// Makes and removes files in `dir` until twice the journal of its file system has been written. None where there is no
/// journal that this would reach.
pub fn scrub_journal(
    dir: BorrowedFd<'_>,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Option<Churned>, EraseError> {
    let mount = mount_of(dir)?;
    if !matches!(&mount.file_system[..], "ext3" | "ext4" | "xfs") {
        return Ok(None);
    }
    let extents = journal_of(&Path::new("/dev").join(mount.device_name()));
    let journal = match extents.map(|extents| extents.iter().map(|extent| extent.1).sum()) {
        Some(0) => return Ok(None),
        Some(length) => length,
        None => LONGEST_JOURNAL,
    };
    let target = journal.saturating_mul(2);
    let counter = (mount.file_system == "xfs").then(|| format!("/sys/fs/xfs/{}/stats/stats", mount.device_name()));
    let logged = || counter.as_ref().and_then(|path| blocks_logged(&std_fs::read_to_string(path).ok()?));
    let before = logged();
    observer.observe(&Event::Phase { name: "making the journal wrap", total: Some(target) });
    let workshop = Workshop::open(dir, NAME)?;
    let block = fs::fstatvfs(dir).map_or(1024, |stat| stat.f_bsize as usize);
    let value = if before.is_some() { 0 } else { LONGEST_VALUE.min(block / 4 * 3) };
    let mut noise = Noise::new();
    let mut written = 0;
    while written < target {
        if stop.load(Ordering::Relaxed) {
            return Err(EraseError::Stopped);
        }
        let counted = round(&workshop, value, &mut noise)?;
        let now = match (before, logged()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => written + counted,
        };
        observer.observe(&Event::Progress(now - written));
        written = now;
    }
    workshop.close()?;
    Ok(Some(Churned { journal, written }))
}

/// Many files come, change, and go. How much of that goes through a journal of blocks, at least.
fn round(workshop: &Workshop<'_>, value: usize, noise: &mut Noise) -> Result<u64, EraseError> {
    let mut bearers = Vec::with_capacity(BEARERS);
    let mut counted = 0;
    for number in 0..FILES {
        let name = format!("{number:0LONGEST_NAME$}").into_bytes();
        let file = workshop.create(&name, OFlags::empty()).map_err(EraseError::at("making", &name))?;
        drop(file);
        bearers.extend((number < BEARERS).then_some(name));
    }
    workshop.sync()?;
    counted += NAMES;
    for _ in 0..if value > 0 { CHANGES } else { 0 } {
        counted += change(workshop, &bearers, value, noise);
        workshop.sync()?;
    }
    workshop.clear()?;
    workshop.sync()?;
    Ok(counted + NAMES)
}

/// Gives each of `names` an attribute of another value. How much room the values take, where the file system has such.
fn change(workshop: &Workshop<'_>, names: &[Vec<u8>], value: usize, noise: &mut Noise) -> u64 {
    let mut changed = 0;
    for name in names {
        let path = [proc_path(&workshop.dir).as_bytes(), b"/", name].concat();
        // Without attributes, or without room for them, names alone do it, more slowly.
        match fs::setxattr(&path, c"user.strongroom", noise.next(value), XattrFlags::empty()) {
            Ok(()) => changed += value as u64,
            Err(_) => break,
        }
    }
    changed
}

/// How many bytes XFS has logged, from its line `log WRITES BLOCKS …`, in blocks of 512 bytes.
fn blocks_logged(stats: &str) -> Option<u64> {
    let line = stats.lines().find_map(|line| line.strip_prefix("log "))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xfs_logged_is_the_second_number_of_its_line() {
        let stats = "extent_alloc 1 2 3 4\nlog 23 1000 0 21 19\npush_ail 1 0 0\n";
        assert_eq!(blocks_logged(stats), Some(512_000));
        assert_eq!(blocks_logged("push_ail 1\n"), None);
    }
}
