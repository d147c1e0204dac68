//! Comparing the two trees, all of them, whenever somebody wants to know.

use serde::Serialize;
use strongroom_tree::{Comparison, Difference, Filter, LocalTree, compare};

use super::{kept::kept, sides::Readable, world::AtPath};
use crate::{Host, MigrateError, Migration, Place, State};

/// What a full comparison found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How far the migration is.
    pub state: State,
    /// Whether services may have written to one of the two since they were equal, so that differences are to be expected.
    pub is_live: bool,
    /// In what the trees differ: the original first, the copy second.
    pub differences: Vec<String>,
    /// What does not decrypt.
    pub damaged: Vec<String>,
}

impl Verification {
    /// Whether nothing was found that should not be.
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty() && (self.is_live || self.differences.is_empty())
    }
}

/// Reads both trees, every byte of them, and has every block decrypted by other code. The migration is at rest meanwhile.
pub fn verify(place: &Place, host: &dyn Host) -> Result<Verification, MigrateError> {
    Migration::open(place, host)?.verify_all()
}

impl Migration<'_> {
    pub(crate) fn verify_all(&mut self) -> Result<Verification, MigrateError> {
        if self.state() < State::Copied || self.history().is_erasing() {
            return Err(MigrateError::NotNow { state: self.state(), verb: "verified" });
        }
        let differences = self.compare_all()?;
        self.phase("decrypting");
        let damaged = self.vault()?.check()?;
        let is_live = self.history().is_committed() || self.at_path()? == AtPath::Source;
        let differences = differences.iter().map(ToString::to_string).collect();
        Ok(Verification { state: self.state(), is_live, differences, damaged })
    }

    /// The original and a fresh look at the copy, every byte of both.
    pub(crate) fn compare_all(&mut self) -> Result<Vec<Difference>, MigrateError> {
        let source: Readable = self.source()?;
        let fresh = self.fresh_target()?;
        let (first, second) = (LocalTree::open(source.path())?, LocalTree::open(fresh.path())?);
        let first = kept(&first, &self.plan);
        self.phase("comparing");
        let comparison = Comparison { workers: self.host.workers(), plainly: true, ..Comparison::default() };
        let found = compare(&first, &second, &Filter::everything(), &comparison, &*self.observer);
        drop((first, second));
        fresh.end()?;
        source.end()?;
        Ok(found)
    }
}
