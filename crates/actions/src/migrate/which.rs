//! Which migration is meant.

use std::path::{Path, PathBuf};

use strongroom_migrate::{Found, MigrateError, find};

use super::World;
use crate::ActionError;

/// The migrations of this machine's state directory, or those of `dir`, the oldest first.
pub(super) fn all(world: &World, dir: Option<&Path>) -> Result<Vec<Found>, ActionError> {
    Ok(find(&world.state_dir, dir)?)
}

/// The one that is meant: that of `dir` which is not over, or the last one of it; without `dir`, the only one that is not
/// over.
pub(super) fn one(world: &World, dir: Option<&Path>) -> Result<Found, ActionError> {
    let mut found = all(world, dir)?;
    let last = found.last().cloned();
    found.retain(|each| !each.is_over());
    let none = || MigrateError::NoMigration { path: dir.unwrap_or(&world.state_dir).to_owned() };
    match (found.len(), dir) {
        (0, Some(_)) => last.ok_or_else(|| none().into()),
        (0, None) => Err(none().into()),
        (1, _) => Ok(found.remove(0)),
        _ => Err(ActionError::WhichMigration(found.iter().map(data).collect())),
    }
}

fn data(found: &Found) -> PathBuf {
    found.plan.data.clone()
}
