//! Makes a file system's journal wrap, so that what it held of names and small contents is written over.

use std::{
    fs as std_fs,
    os::fd::BorrowedFd,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use strongroom_event::{Event, Observer};

use super::Workshop;
use crate::{EraseError, judge::mount_of, sys};

const NAME: &str = ".strongroom-scrub-journal";

/// So many files are made and removed in a round, with names as long as they can be.
const FILES: usize = 4000;
const LONGEST_NAME: usize = 255;

/// How long a journal is at most, as mkfs.ext4 makes it.
const LONGEST_JOURNAL: u64 = 1 << 30;

/// What a round brings into the journal of ext4 at least, each time in a commit of its own: the blocks of the directory with
/// the new names, and those without them. Inodes and bitmaps are not counted.
const A_ROUND: u64 = 2 * FILES as u64 * (LONGEST_NAME as u64 + 9);

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
    let journal = match length(dir) {
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
    let mut written = 0;
    while written < target {
        if stop.load(Ordering::Relaxed) {
            return Err(EraseError::Stopped);
        }
        round(&workshop)?;
        let now = match (before, logged()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => written + A_ROUND,
        };
        observer.observe(&Event::Progress(now - written));
        written = now;
    }
    workshop.close()?;
    Ok(Some(Churned { journal, written }))
}

/// Many files come, and go.
fn round(workshop: &Workshop<'_>) -> Result<(), EraseError> {
    for number in 0..FILES {
        let name = format!("{number:0LONGEST_NAME$}");
        workshop.create(&name, OFlags::empty()).map_err(EraseError::at("making", name.as_bytes()))?;
    }
    workshop.sync()?;
    workshop.clear()?;
    workshop.sync()
}

/// How long the journal is, if the file system tells what is where.
fn length(dir: BorrowedFd<'_>) -> Option<u64> {
    let mut length = 0;
    sys::fsmap(dir, |owned| length += if owned.is_log() { owned.length } else { 0 }).ok()?;
    Some(length)
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
