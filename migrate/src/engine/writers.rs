//! Who can still write: while services run, so that their files are read again; behind the fence, so that nobody is left.

use std::{collections::HashSet, fs::File, os::fd::AsFd, path::Path, time::Duration};

use rustix::fs::{Mode, OFlags};
use strongroom_durable::PathError;
use strongroom_tree::Entry;
use strongroom_workload::{Asked, Busy, Hold, Holder, WorkloadError, holders, lease_probe};

use crate::{MigrateError, Migration, survey::of_others};

/// Who may change files without their times telling.
#[derive(Default)]
pub(crate) struct Writers {
    /// Files that somebody has open or mapped for writing, by device and inode.
    files: HashSet<(u64, u64)>,
}

impl Writers {
    pub(crate) fn has(&self, entry: &Entry) -> bool {
        self.files.contains(&(entry.stamp.dev, entry.stamp.ino))
    }
}

impl Migration<'_> {
    /// Who can write to files below `root`.
    pub(crate) fn writers(&self, root: &Path) -> Result<Writers, MigrateError> {
        sync_file_system(root)?;
        let dir = open_dir(root)?;
        let probed = lease_probe(dir.as_fd(), Asked::Writers, self.host.workers(), self.host.stop());
        let probed = probed.map_err(|error| self.stopped_or(error))?;
        if probed.has_leases && probed.undecided.is_empty() {
            return Ok(Writers { files: probed.busy.into_iter().map(|busy| (busy.dev, busy.ino)).collect() });
        }
        // Where the kernel does not say who can write, whoever is seen to have it open counts.
        let mut files: HashSet<_> = probed.busy.into_iter().map(|busy| (busy.dev, busy.ino)).collect();
        let seen = holders(dir.as_fd())?;
        for holder in seen.holders.iter().filter(|holder| holder.hold.can_write()) {
            if let Ok(stat) = rustix::fs::lstat(root.join(holder.hold.path())) {
                files.insert((stat.st_dev, stat.st_ino));
            }
        }
        Ok(Writers { files })
    }

    /// Whoever could still change the tree at `root`, or go on using it as if it were the truth.
    pub(crate) fn refuse_holders(&self, root: &Path) -> Result<(), MigrateError> {
        let dir = open_dir(root)?;
        let dir = dir.as_fd();
        let probed = lease_probe(dir, Asked::Writers, self.host.workers(), self.host.stop());
        let probed = probed.map_err(|error| self.stopped_or(error))?;
        let seen = holders(dir)?;
        let can_do_harm = |hold: &Hold| match hold {
            // By a directory everything below it can be reached.
            Hold::Fd { path, writable } => *writable || root.join(path).is_dir(),
            Hold::Cwd { .. } | Hold::Root { .. } | Hold::Mount { .. } | Hold::Lock { .. } => true,
            other => other.can_write(),
        };
        let harmful = seen.holders.iter().filter(|holder| can_do_harm(&holder.hold));
        let mut who: Vec<String> = harmful.map(ToString::to_string).collect();
        if !probed.busy.is_empty() && who.is_empty() {
            let name = |busy: &Busy| format!("somebody who cannot be named, and can write {}", busy.path.display());
            who.extend(probed.busy.iter().map(name));
        }
        if !seen.unseen.is_empty() {
            let unseen = of_others(seen.unseen.len() as u64);
            self.warn(&format!("{unseen} could not be looked at, and may use the data"));
        }
        if !probed.undecided.is_empty() {
            let undecided = probed.undecided.len();
            self.warn(&format!("of {undecided} files of others it cannot be asked who has them open"));
        }
        if !probed.has_leases {
            self.warn("this file system has no leases: only what /proc shows tells who can still write");
        }
        if who.is_empty() { Ok(()) } else { Err(MigrateError::Held { path: self.plan.data.clone(), who }) }
    }

    /// Before any service is stopped: who would keep the path from being shut, and belongs to no service. Where it is not
    /// known which processes are a service's, nobody can be told from it, and that is found out later.
    pub(crate) fn refuse_strangers(&self) -> Result<(), MigrateError> {
        let mut of_services = Vec::new();
        for service in self.host.services(&self.plan)? {
            let now = service.state()?;
            if now.is_active && now.pids.is_empty() {
                return Ok(());
            }
            of_services.extend(now.pids);
        }
        // Many look at the data for a moment only.
        let mut who = Vec::new();
        for look in 0..LOOKS {
            if look > 0 {
                self.host.wait(BETWEEN_LOOKS);
            }
            who = self.strangers(&of_services)?;
            if who.is_empty() || self.host.is_to_stop() {
                return Ok(self.host.mounter().refuse_copies(&self.plan, &of_services)?);
            }
        }
        Err(MigrateError::Held { path: self.plan.data.clone(), who })
    }

    fn stopped_or(&self, error: WorkloadError) -> MigrateError {
        match error {
            WorkloadError::Stopped => MigrateError::Stopped { state: self.state() },
            error => error.into(),
        }
    }

    fn strangers(&self, of_services: &[u32]) -> Result<Vec<String>, MigrateError> {
        let dir = open_dir(&self.plan.data)?;
        let seen = holders(dir.as_fd())?;
        let is_strange =
            |holder: &&Holder| !matches!(holder.hold, Hold::Mount { .. }) && !descends_from(holder.pid, of_services);
        Ok(seen.holders.iter().filter(is_strange).map(ToString::to_string).collect())
    }
}

/// How often it is looked who uses the data, before somebody counts who is no service.
const LOOKS: u32 = 4;
/// And how long one has to go away in between.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Whether a process is one of those, or was started by one.
fn descends_from(pid: u32, ancestors: &[u32]) -> bool {
    const DEEPEST: usize = 64;
    let parent = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything.
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    std::iter::successors(Some(pid), parent).take(DEEPEST).any(|pid| ancestors.contains(&pid))
}

fn open_dir(path: &Path) -> Result<File, MigrateError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(PathError::on("opening", path))?;
    Ok(opened.into())
}

/// Pages that programs wrote to are on the disk: writing to them once more changes the times of their files once more.
pub(crate) fn sync_file_system(path: &Path) -> Result<(), MigrateError> {
    Ok(rustix::fs::syncfs(open_dir(path)?).map_err(PathError::on("writing to disk the file system of", path))?)
}
