//! What a restore does not do, whatever it is told, and what it does not do unless it is told.

use std::path::PathBuf;

use strongroom_tree::RelPath;

use super::{
    Mode, RestorePlan,
    plan::{Change, Looking, Unit},
    target::Target,
};
use crate::{BackupError, chain::Chain, create::available, words};

/// Why it may not be done, if it may not.
pub(crate) fn refusal(plan: &RestorePlan) -> Option<BackupError> {
    let touched = plan.replaced.count + plan.removed.count;
    if plan.mode != Mode::Refuse || touched == 0 {
        return None;
    }
    let first = plan.replaced.sample.first().or(plan.removed.sample.first()).cloned().unwrap_or_default();
    let why = format!("{touched} entries are there already and would be replaced or removed, such as {first}");
    Some(BackupError::Refused { target: plan.target.clone(), why })
}

/// Where the archives are within the target, if they are.
pub(super) fn place_within(chain: &Chain, target: &Target) -> Option<RelPath> {
    let place = chain.path().canonicalize().ok()?;
    let inner = place.parent()?.strip_prefix(&target.path).ok()?;
    RelPath::parse(inner.as_os_str().as_encoded_bytes()).ok()
}

impl Looking<'_> {
    /// What is mounted within something that is moved would move along, and be taken for old data.
    pub(super) fn refuse_mounts(&self) -> Result<(), BackupError> {
        for mount in self.target.mounts_below() {
            let inner = mount.strip_prefix(&self.target.path).expect("it is below");
            let is_hit = |unit: &Unit| unit.how != Change::Place && inner.starts_with(unit.path.as_path());
            if self.work.units.iter().any(is_hit) {
                let why = format!("{} is mounted within what would be replaced: unmount it first", words::text(&mount));
                return Err(BackupError::Refused { target: self.target.path.clone(), why });
            }
        }
        Ok(())
    }

    /// A restore that takes the archives away, perhaps those that it reads from, would be the last.
    pub(super) fn refuse_archives(&self) -> Result<(), BackupError> {
        let Some(keep) = &self.keep else { return Ok(()) };
        let is_hit =
            |unit: &Unit| unit.how != Change::Place && (keep.is_within(&unit.path) || unit.path.is_within(keep));
        if !self.work.units.iter().any(is_hit) {
            return Ok(());
        }
        let why = format!("the archives are in {keep}, which would be replaced: name another target, or other paths");
        Err(BackupError::Refused { target: self.target.path.clone(), why })
    }

    pub(super) fn check_room(&mut self) -> Result<(), BackupError> {
        let mut at: PathBuf = self.target.path.clone();
        while !at.is_dir() && at.pop() {}
        self.plan.available = available(&at)?;
        if self.plan.available < self.room {
            return Err(BackupError::Space { at, needed: self.room, available: self.plan.available });
        }
        Ok(())
    }
}
