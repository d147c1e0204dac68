//! Who uses the data now, and what the file system below is good for.

use std::{os::fd::BorrowedFd, path::Path};

use strongroom_workload::{Hold, Holder, MountLine, holders};

use super::{Caution, Examples, Refusal, SurveyRequest};
use crate::{Direction, MigrateError};

/// File systems that write to new blocks.
const COPY_ON_WRITE: [&str; 4] = ["btrfs", "zfs", "bcachefs", "nilfs2"];
/// File systems that overwrite in place, and can share blocks.
const SHARING: [&str; 2] = ["xfs", "ocfs2"];

/// What is held is in the way of a migration if it is the kernel's or a mount, and worth knowing otherwise: programs that
/// belong to a service will be stopped.
pub(super) fn add(
    request: &SurveyRequest<'_>,
    root: BorrowedFd<'_>,
    refusals: &mut Vec<Refusal>,
    warnings: &mut Vec<Caution>,
) -> Result<(), MigrateError> {
    if request.direction == Direction::Decrypt {
        return Ok(());
    }
    let sightings = holders(root)?;
    let mut found = Found::default();
    sightings.holders.iter().for_each(|holder| found.sort_in(holder, request.service_pids));
    refusals.extend(found.refusals());
    warnings.extend(found.unlinked.some().map(|files| Caution::Unlinked { files }));
    if !found.strangers.is_empty() {
        warnings.push(Caution::Held { who: found.strangers });
    }
    // What root cannot look at are the kernel's, or a container's that shows more than it lets in: no news, and no help.
    if !sightings.unseen.is_empty() && !rustix::process::geteuid().is_root() {
        warnings.push(Caution::Unseen { count: sightings.unseen.len() as u64 });
    }
    let mount = MountLine::of(root).ok().flatten();
    warnings.extend(mount.into_iter().filter_map(|mount| of_file_system(mount.kind)));
    Ok(())
}

fn of_file_system(kind: String) -> Option<Caution> {
    if COPY_ON_WRITE.contains(&kind.as_str()) {
        return Some(Caution::CopyOnWrite { kind });
    }
    SHARING.contains(&kind.as_str()).then_some(Caution::Reflinks { kind })
}

#[derive(Default)]
struct Found {
    elsewhere: Examples,
    within: Examples,
    swap: Examples,
    loops: Examples,
    unlinked: Examples,
    strangers: Vec<String>,
}

impl Found {
    fn sort_in(&mut self, holder: &Holder, service_pids: &[u32]) {
        let path = holder.hold.path().as_os_str().as_encoded_bytes();
        let is_service = service_pids.contains(&holder.pid);
        match &holder.hold {
            Hold::Mount { upon: true, at, .. } => self.within.add(seen_by(at, holder).as_bytes()),
            // Of a service that is stopped, and starts with the mount.
            Hold::Mount { .. } if is_service => {}
            Hold::Mount { at, .. } => self.elsewhere.add(seen_by(at, holder).as_bytes()),
            Hold::Swap { .. } => self.swap.add(path),
            Hold::Loop { .. } if is_service => {}
            Hold::Loop { .. } => self.loops.add(path),
            _ => {
                if path.ends_with(b" (deleted)") {
                    self.unlinked.add(path);
                }
                if !is_service {
                    self.stranger(holder);
                }
            }
        }
    }

    /// A process is named once, by what it does worst.
    fn stranger(&mut self, holder: &Holder) {
        const MOST: usize = 20;
        let begin = format!("{} (process {}", holder.command, holder.pid);
        if self.strangers.len() < MOST && !self.strangers.iter().any(|known| known.starts_with(&begin)) {
            self.strangers.push(holder.to_string());
        }
    }

    fn refusals(&mut self) -> Vec<Refusal> {
        let take = std::mem::take::<Examples>;
        let found = [
            take(&mut self.elsewhere).some().map(|places| Refusal::MountedElsewhere { places }),
            take(&mut self.within).some().map(|places| Refusal::MountedWithin { places }),
            take(&mut self.swap).some().map(|files| Refusal::Swap { files }),
            take(&mut self.loops).some().map(|files| Refusal::Loop { files }),
        ];
        found.into_iter().flatten().collect()
    }
}

fn seen_by(at: &Path, holder: &Holder) -> String {
    format!("{} (as {}, process {}, sees it)", at.display(), holder.command, holder.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Swapping to a file would be felt by the whole machine, so this is not tried on it.
    #[test]
    fn a_swap_file_is_refused() {
        let hold = Hold::Swap { path: "swap".into() };
        let holder = Holder { pid: 0, uid: 0, command: "the kernel".into(), hold };
        let mut found = Found::default();
        found.sort_in(&holder, &[]);
        assert_eq!(found.refusals(), [Refusal::Swap { files: Examples::of("swap") }]);
        assert!(found.strangers.is_empty());
    }
}
