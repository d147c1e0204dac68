//! Comparing the two trees, all of them, whenever somebody wants to know.

use serde::Serialize;
use strongroom_tree::{Comparison, Difference, Filter, LocalTree, What, compare};

use super::{kept::kept, sides::Readable, world::AtPath};
use crate::{Direction, Host, MigrateError, Migration, Place, State};

/// What a full comparison found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How far the migration is.
    pub state: State,
    /// Whether services may have written to one of the two since they were equal, so that differences are to be expected.
    pub is_live: bool,
    /// In what the trees differ: the original first, the copy second.
    pub differences: Vec<String>,
    /// What is no doing of services: what does not decrypt, or cannot be read, or was changed among the originals.
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

/// What of a comparison is a fault even where services write meanwhile: what cannot be read.
pub fn unreadable(differences: &[Difference]) -> Vec<String> {
    let unreadable = differences.iter().filter(|found| matches!(found.what, What::Unreadable(..)));
    unreadable.map(ToString::to_string).collect()
}

/// In what the originals that are kept aside are not what they were when they were copied, if they are not. Nothing is read
/// of the vault.
pub fn change_aside(place: &Place, host: &dyn Host) -> Result<Option<String>, MigrateError> {
    Migration::open(place, host)?.change_aside()
}

impl Migration<'_> {
    fn change_aside(&mut self) -> Result<Option<String>, MigrateError> {
        let history = self.history();
        // Trying to carry changes back, and undoing it, touches them, too.
        if self.plan.direction == Direction::Decrypt || !history.is_committed() || history.was_to_go_back() {
            return Ok(None);
        }
        self.phase("looking at the originals");
        let change = self.change_in_original()?;
        Ok(change.map(|what| format!("the original at {} was changed: {what}", self.plan.aside.display())))
    }

    pub(crate) fn verify_all(&mut self) -> Result<Verification, MigrateError> {
        if self.state() < State::Copied || self.history().is_erasing() {
            return Err(MigrateError::NotNow { state: self.state(), verb: "verified" });
        }
        let differences = self.compare_all()?;
        self.phase("decrypting");
        let mut damaged = self.vault()?.check()?;
        damaged.extend(unreadable(&differences));
        damaged.extend(self.change_aside()?);
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
