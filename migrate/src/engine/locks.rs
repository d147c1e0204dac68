//! Who may touch a migration, and its data: one process at a time, by whatever name it reaches them.
//!
//! flock(2) is on the inode, so that aliases by symbolic links and bind mounts meet in one lock.

use std::path::Path;

use strongroom_durable::DirLock;

use crate::{Direction, Identity, MigrateError, Place, Plan};

/// The locks of a migration. Given back when dropped, and by the kernel when the process ends.
pub(crate) struct Locks {
    _state: DirLock,
    _data: Option<DirLock>,
}

impl Locks {
    pub(crate) fn of(place: &Place, plan: &Plan) -> Result<Self, MigrateError> {
        let state = DirLock::exclusive(place.dir())?;
        Ok(Self { _state: state, _data: data(plan)? })
    }
}

/// The lock on the original, wherever it is now. It may be gone for good: then there is nothing left to protect. Of a mount
/// there is none: it could not be unmounted while somebody has its root open, and the vault below it is locked by whoever
/// serves it.
pub(crate) fn data(plan: &Plan) -> Result<Option<DirLock>, MigrateError> {
    if plan.direction == Direction::Decrypt {
        return Ok(None);
    }
    [&plan.data, &plan.aside].into_iter().find(|path| is_original(path, plan)).map(|path| lock(path)).transpose()
}

pub(crate) fn lock(path: &Path) -> Result<DirLock, MigrateError> {
    Ok(DirLock::exclusive(path)?)
}

fn is_original(path: &Path, plan: &Plan) -> bool {
    Identity::of(path).is_ok_and(|found| found.is(&plan.original))
}
