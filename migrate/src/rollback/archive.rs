//! Going back to an archive: what it lacks, compared with what was frozen.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path};

use strongroom_durable::PathError;
use strongroom_tree::{Change, Depth, Filter, LocalTree, delta};

use crate::{Carrying, MigrateError, Migration};

/// Makes a directory for its owner alone.
pub(super) fn make_private(path: &Path) -> Result<(), MigrateError> {
    Ok(DirBuilder::new().mode(0o700).create(path).map_err(PathError::on("making the directory", path))?)
}

impl Migration<'_> {
    /// In what the restored tree differs from what was frozen at the cut-over: an archive is older than that. `None` if
    /// nothing is known of the freeze any more.
    pub(super) fn missing_in_archive(&mut self, restored: &Path) -> Option<Carrying> {
        let (workers, observer) = (self.host.workers(), self.observer.clone());
        let tree = LocalTree::open(restored).ok()?;
        let manifest = self.manifest().ok()?;
        if manifest.is_empty() {
            return None;
        }
        let found = delta(&tree, &Filter::everything(), manifest, Depth::All, workers, &*observer);
        let mut carrying = Carrying::default();
        for change in &found.changes {
            let path = &change.entry().path;
            match change {
                Change::New(_) => carrying.new.add(path),
                Change::Gone(_) => carrying.gone.add(path),
                Change::Dressed(_) => carrying.dressed.add(path),
                Change::Links(_) => carrying.linked.add(path),
                Change::Content(_) | Change::Kind(_) => carrying.changed.add(path),
            }
        }
        found.failed.iter().for_each(|error| carrying.unreadable.add(error));
        Some(carrying)
    }
}
