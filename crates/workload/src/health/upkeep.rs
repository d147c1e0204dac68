//! Whether a service is up and stays up, and works on the files that it is meant to work on.

use std::{fs, io, path::PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};

use super::watch::Sight;
use crate::{Running, Service, Snapshot};

/// A service that is looked at again and again.
pub(super) struct Upkeep<'a> {
    service: &'a dyn Service,
    was: &'a Snapshot,
    /// The device on which it should hold files, if there is one.
    on_mount: Option<u64>,
    first: Option<Running>,
    /// What was seen of the files that it holds there.
    held: Option<String>,
}

impl<'a> Upkeep<'a> {
    pub(super) fn new(service: &'a dyn Service, was: &'a Snapshot, on_mount: Option<u64>) -> Self {
        Self { service, was, on_mount, first: None, held: None }
    }

    pub(super) fn ask(&mut self) -> Sight {
        let now = match self.service.state_of(self.was) {
            Ok(now) => now,
            Err(error) => return Sight::ill(error.to_string()),
        };
        if self.first.as_ref().is_some_and(|first| is_another(first, &now)) {
            (self.first, self.held) = (None, None);
            return Sight::ill(format!("it was restarted meanwhile: {}", now.detail));
        }
        self.look_for_files(&now);
        let (is_well, words) = self.judge(&now);
        self.first.get_or_insert(now);
        Sight { is_well, words }
    }

    fn look_for_files(&mut self, now: &Running) {
        let Some(device) = self.on_mount.filter(|_| self.held.is_none()) else { return };
        let found = now.pids.iter().find_map(|pid| Some((*pid, held_on(*pid, device)?)));
        self.held = found.map(|(pid, path)| format!("process {pid} holds {} on the mount", path.display()));
    }

    fn judge(&self, now: &Running) -> (bool, String) {
        let held = match (&self.held, self.on_mount, self.was.held()) {
            (Some(held), ..) => Ok(held.as_str()),
            (None, Some(_), Some(true)) if now.pids.is_empty() => Ok("its processes are not known"),
            (None, Some(_), Some(true)) => Err("none of its processes holds a file on the mount, as one did before"),
            (None, Some(_), Some(false)) => Ok("it holds no file on the mount, nor did it before"),
            (None, Some(_), None) => Ok("it holds no file on the mount just now"),
            (None, None, _) => Ok(""),
        };
        let words = [now.detail.as_str(), held.unwrap_or_else(|missing| missing)];
        let words: Vec<_> = words.into_iter().filter(|words| !words.is_empty()).collect();
        (now.is_active && held.is_ok(), words.join(", "))
    }
}

/// Whether it is not the same that ran then: its manager has counted a restart, or no process is left of those.
fn is_another(then: &Running, now: &Running) -> bool {
    let is_known = !then.pids.is_empty() && !now.pids.is_empty();
    then.restarts != now.restarts || (is_known && !then.pids.iter().any(|pid| now.pids.contains(pid)))
}

/// A file on that device that the process has open, mapped, or as its working directory.
fn held_on(pid: u32, device: u64) -> Option<PathBuf> {
    let opened = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut links = opened.chain([PathBuf::from(format!("/proc/{pid}/cwd"))]);
    let found = links.find(|link| device_of(link).is_ok_and(|found| found == device));
    found.and_then(|link| fs::read_link(link).ok()).or_else(|| mapped_on(pid, device))
}

/// Nobody is asked who serves the file: he may be slow, or gone.
fn device_of(link: &PathBuf) -> io::Result<u64> {
    let found = statx(CWD, link, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE)?;
    Ok(makedev(found.stx_dev_major, found.stx_dev_minor))
}

fn mapped_on(pid: u32, device: u64) -> Option<PathBuf> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (major, minor) = fields.nth(3)?.split_once(':')?;
        let found = makedev(u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
        // After the inode number, and padded to a column.
        (found == device).then(|| fields.skip(1).collect::<Vec<_>>().join(" ").into())
    })
}
