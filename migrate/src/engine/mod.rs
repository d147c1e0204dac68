//! The machine that moves a directory: looks at what the journal and the world say, takes one step, records it, and looks
//! again. Killed anywhere and run again, it goes on.
//!
//! | file | what it knows |
//! |---|---|
//! | `facts` | what is recorded with each state |
//! | `begin` | how a migration comes to be, and who may touch it |

mod begin;
mod facts;
mod locks;

use std::{path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use strongroom_crypto::Key;
use strongroom_event::Observer;

use crate::{Host, Ledger, Mark, MigrateError, OpenVault, Place, Plan, State, ledger::Moment};

pub use begin::{Found, begin, find};
pub use facts::{CaughtUp, Finished, Frozen, Quiescing, Round, Side, Verified, Window};
pub(crate) use locks::Locks;

/// A migration that belongs to this process.
pub struct Migration<'h> {
    pub(crate) plan: Plan,
    pub(crate) place: Place,
    pub(crate) ledger: Ledger,
    pub(crate) host: &'h dyn Host,
    pub(crate) observer: Arc<dyn Observer>,
    /// Open from when it is needed first until the mount needs it.
    pub(crate) vault: Option<Box<dyn OpenVault>>,
    /// Known as soon as the vault was open once.
    pub(crate) journal_key: Option<Key<32>>,
    _locks: Locks,
}

/// Where a run ended well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How far it is.
    pub state: State,
    /// For how long each service was down, and on which side it is now.
    pub windows: Vec<Window>,
}

impl<'h> Migration<'h> {
    /// The migration of `place`, for this process alone.
    pub fn open(place: &Place, host: &'h dyn Host) -> Result<Self, MigrateError> {
        begin::open(place, host)
    }

    /// Goes on from wherever it is until it is finished, or must wait: for the operator, in [`State::Soak`].
    pub fn run(&mut self) -> Result<Outcome, MigrateError> {
        Err(MigrateError::NotNow { state: self.ledger.state(), verb: "run" })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where it keeps what it knows.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The journal.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How far it is.
    pub fn state(&self) -> State {
        self.ledger.state()
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { time: self.host.now(), boot_id: self.host.boot_id() }
    }

    /// Records that `state` is about to be reached.
    pub(crate) fn intend(&mut self, state: State, facts: &impl Serialize) -> Result<(), MigrateError> {
        let moment = self.moment();
        self.ledger.append(state, Mark::Intent, facts, moment)
    }

    /// Records that `state` is reached.
    pub(crate) fn reached(&mut self, state: State, facts: &impl Serialize) -> Result<(), MigrateError> {
        let moment = self.moment();
        self.ledger.append(state, Mark::Done, facts, moment)
    }

    /// The vault, opened for this process if it is not yet.
    pub(crate) fn vault(&mut self) -> Result<&dyn OpenVault, MigrateError> {
        if self.vault.is_none() {
            let vault = self.host.vaults().open(&self.plan)?;
            self.journal_key = Some(vault.journal_key());
            self.vault = Some(vault);
        }
        Ok(&**self.vault.as_ref().expect("it was opened just now"))
    }

    /// Closes the vault, so that the mount can have it.
    pub(crate) fn close_vault(&mut self) {
        self.vault = None;
    }

    /// Confirms all that is recorded with a key that only the vault gives.
    pub(crate) fn seal(&mut self) -> Result<(), MigrateError> {
        if self.journal_key.is_none() {
            self.vault()?;
        }
        let moment = self.moment();
        let key = self.journal_key.as_ref().expect("opening the vault gives it");
        self.ledger.seal(key, moment)
    }

    /// Whether nothing may be destroyed on the word of the journal: [`MigrateError::Forged`] if a seal is not of this vault.
    pub(crate) fn is_sealed(&mut self, state: State) -> Result<bool, MigrateError> {
        if self.journal_key.is_none() {
            self.vault()?;
        }
        let key = self.journal_key.as_ref().expect("opening the vault gives it");
        self.ledger.is_sealed(state, key)
    }
}

/// After a crash, or at boot: sees to it that services can run, on whichever side is the truth, and does nothing else.
pub fn recover(place: &Place, host: &dyn Host, at_boot: bool) -> Result<State, MigrateError> {
    let _ = at_boot;
    let migration = Migration::open(place, host)?;
    Ok(migration.state())
}

pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
