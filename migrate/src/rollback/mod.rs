//! The way back, from any state in which the originals are whole: to the plaintext at its path, with every change that was
//! made in the vault since.
//!
//! Before the cut-over nothing has to be carried: what was made is taken away. After it:
//!
//! | recorded | the truth | done then |
//! |---|---|---|
//! | `RollbackIntent` | the vault | services stopped, path shut, changes carried to the original ([`crate::Carry`]) |
//! | `RollingBack` | the original | path opened, what mounts the vault withdrawn, services started |
//! | `RolledBack` | the original | nothing; the vault is kept until somebody removes it |
//!
//! If carrying fails, the original is as it was and services go on with the vault: it is in soak again, if it was. Killed anywhere, `resume` goes on with
//! the way back. Nothing of the vault, and nothing of the original that has not come home in another form, is removed.

mod archive;
mod carry_back;
mod flags;
mod home;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use strongroom_tree::{Filter, LocalTree, RelPath, Source};

use crate::{
    Ballast, Carry, Carrying, Direction, Fence, Identity, Mark, MigrateError, Migration, Outcome, Porter, State,
    Window, engine::AtPath,
};

/// Where to go back to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// To the original with all that was changed since the cut-over.
    #[default]
    Now,
    /// To the original as it was at the cut-over. What was changed since is lost: for when the vault cannot be read.
    Freeze,
    /// To this archive: for when the vault is lost, and the original perhaps too.
    Archive(PathBuf),
}

/// How to go back. Recorded, so that whoever resumes it does the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Back {
    /// Where to.
    pub to: Destination,
    /// Goes on without what cannot be read in the vault, or not be held by the file system of the original: there the
    /// original stays as it was at the cut-over. Else it is a failure, and nothing is changed.
    pub leaves_obstacles: bool,
}

/// With [`State::RollingBack`]: the original is the truth again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// What came home.
    pub carried: Option<Carrying>,
    /// What did not, as far as it can be known.
    pub lost: Option<Carrying>,
    /// The directory that an archive was restored into, if it is that which comes to the path.
    pub restored: Option<Identity>,
}

/// With [`State::RolledBack`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// For how long each service was down.
    pub windows: Vec<Window>,
    /// Whether the services were seen to be healthy; if not, why.
    pub unhealthy: Option<String>,
}

impl Migration<'_> {
    /// What going back would carry home. Nothing is changed. If the vault is mounted it is read there, while services go
    /// on; else it is opened.
    pub fn preview_rollback(&mut self) -> Result<Carrying, MigrateError> {
        self.refuse_if_too_late()?;
        if !self.history().is_committed() {
            return Ok(Carrying::default());
        }
        self.refuse_without_original(&Destination::Now)?;
        if self.plan.direction == Direction::Decrypt {
            return self.preview_return_to_vault();
        }
        let (observer, host) = (self.observer.clone(), self.host);
        let is_to_stop = || host.is_to_stop();
        let porter =
            Porter { workers: host.workers(), leaves_obstacles: false, observer: &*observer, is_to_stop: &is_to_stop };
        let carry = Carry::new(&self.plan, &self.place, porter);
        match self.at_path()? {
            AtPath::Target(_) => carry.preview(&LocalTree::open(&self.plan.data)?),
            _ => carry.preview(self.vault()?.tree()),
        }
    }

    /// Goes back, if nothing speaks against it that is seen before services are stopped. What it leaves when it fails is told
    /// by the error; [`Migration::run`] goes on with it.
    pub fn roll_back(&mut self, back: &Back) -> Result<Outcome, MigrateError> {
        self.refuse_beforehand(back)?;
        self.go_back(back)
    }

    /// The same, where services are ill or down already.
    pub(crate) fn go_back(&mut self, back: &Back) -> Result<Outcome, MigrateError> {
        self.refuse_if_too_late_for(&back.to)?;
        self.refuse_without_original(&back.to)?;
        if !matches!(self.state(), State::RollbackIntent | State::RollingBack) {
            self.begin_rollback(back)?;
        } else if self.state() == State::RollbackIntent
            && self.ledger.fact::<Back>(State::RollbackIntent).as_ref() != Some(back)
        {
            // It was not possible this way, and is tried in another.
            self.reached(State::RollbackIntent, back)?;
        }
        self.run()
    }

    fn begin_rollback(&mut self, back: &Back) -> Result<(), MigrateError> {
        let looked_after = self.look_after_crash();
        if back.to == Destination::Now {
            looked_after?;
        }
        self.intend(State::RollbackIntent, back)?;
        self.reached(State::RollbackIntent, back)
    }

    /// The next part of the way back.
    pub(crate) fn step_back(&mut self) -> Result<(), MigrateError> {
        match self.state() {
            State::RollbackIntent if self.must_carry() => self.carry_back(),
            State::RollbackIntent => self.take_away(),
            _ => self.come_home(),
        }
    }

    fn must_carry(&self) -> bool {
        self.history().is_committed() || matches!(self.back().to, Destination::Archive(_))
    }

    pub(crate) fn back(&self) -> Back {
        self.ledger.fact(State::RollbackIntent).unwrap_or_default()
    }

    /// Before the cut-over: the plaintext was never left, and what was made beside it is of no use.
    fn take_away(&mut self) -> Result<(), MigrateError> {
        self.phase("taking away what was made");
        self.close_vault();
        self.reopen()?;
        self.host.mounter().withdraw(&self.plan)?;
        Ballast::clear(self.copy_place(), self.plan.id)?;
        if self.ledger.last(State::TargetMade, Mark::Intent).is_some() {
            self.discard_target()?;
        }
        self.host.mounter().disarm(&self.plan)?;
        self.reached(State::RolledBack, &Returned::default())?;
        self.ledger.drop_mark()
    }

    /// What was made is removed only if it never was the truth: whoever can write the state directory can add to the journal
    /// that it was rolled back, but not take the cut-over out of it, of which the mark beside the data tells.
    fn discard_target(&mut self) -> Result<(), MigrateError> {
        if self.ledger.last(State::Cutover, Mark::Done).is_some() {
            self.warn("the copy was the truth once, and is kept");
            return Ok(());
        }
        match self.plan.direction {
            Direction::Encrypt => self.discard_vault(),
            Direction::Decrypt => self.discard_plaintext_copy(),
        }
    }

    fn discard_vault(&mut self) -> Result<(), MigrateError> {
        if !self.plan.vault.exists() {
            return Ok(());
        }
        let only_there = self.first_only_in_vault();
        self.close_vault();
        match only_there {
            Ok(None) => Ok(self.host.vaults().discard(&self.plan)?),
            Ok(Some(path)) => {
                self.warn(&format!("the vault is kept: {path} is in it, and not in the plaintext"));
                Ok(())
            }
            Err(error) => {
                self.warn(&format!("the vault is kept, as nobody knows what is in it: {error}"));
                Ok(())
            }
        }
    }

    /// Something that the vault has and the plaintext has not, by name.
    fn first_only_in_vault(&mut self) -> Result<Option<RelPath>, MigrateError> {
        let everything = Filter::everything();
        let plaintext: HashSet<RelPath> = LocalTree::open(&self.plan.data)?
            .entries(&everything)
            .filter_map(Result::ok)
            .map(|entry| entry.path)
            .collect();
        for entry in self.vault()?.tree().entries(&everything) {
            let path = entry?.path;
            if !plaintext.contains(&path) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    pub(super) fn refuse_if_too_late_for(&self, to: &Destination) -> Result<(), MigrateError> {
        if matches!(to, Destination::Archive(_)) { Ok(()) } else { self.refuse_if_too_late() }
    }

    /// Before anything is stopped or unmounted: there is something to come back to.
    pub(super) fn refuse_without_original(&self, to: &Destination) -> Result<(), MigrateError> {
        if matches!(to, Destination::Archive(_)) || !self.history().is_committed() || self.has_original() {
            return Ok(());
        }
        let (data, kept) = (
            self.plan.data.display(),
            match self.plan.direction {
                Direction::Encrypt => self.plan.aside.display(),
                Direction::Decrypt => self.plan.vault.display(),
            },
        );
        Err(MigrateError::NeedsOperator {
            why: format!("what is to come back is not at {kept}, where the migration left it; nothing was changed"),
            next: format!(
                "bring it back there, from wherever it was moved to; or, if it is gone: `strongroom migrate rollback \
                 --backup ARCHIVE {data}`"
            ),
        })
    }

    fn refuse_if_too_late(&self) -> Result<(), MigrateError> {
        if self.history().is_erasing() || self.state() == State::RolledBack {
            return Err(MigrateError::NotNow { state: self.state(), verb: "rolled back" });
        }
        Ok(())
    }

    /// The fence of this migration: around the original, or around what an archive was restored into.
    pub(crate) fn with_fence<T>(&self, act: impl FnOnce(&Fence<'_>) -> T) -> T {
        let restored = self.ledger.fact::<Carried>(State::RollingBack).and_then(|carried| carried.restored);
        match restored {
            Some(identity) => act(&Fence::between(&self.plan.data, &self.restored(), &identity)),
            None => act(&Fence::of(&self.plan)),
        }
    }

    /// Where an archive is restored.
    pub(crate) fn restored(&self) -> PathBuf {
        crate::carry::beside(&self.plan, "restored")
    }
}

/// Removes an empty directory that may not be there.
fn remove_empty(path: &Path) {
    // If it is not empty, it is not ours to remove.
    let _ = std::fs::remove_dir(path);
}
