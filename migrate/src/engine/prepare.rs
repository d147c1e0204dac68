//! What is done before anything is copied.

use std::path::Path;

use super::{
    AtPath,
    facts::{BackedUp, Ready},
};
use crate::{Accepted, BackupChoice, Ballast, Direction, Kinds, MigrateError, Migration, Plan, State, Survey, probe};

impl Migration<'_> {
    /// Looks at everything that can be checked beforehand, and takes the room that will be needed. The world may have
    /// changed since the plan was shown.
    pub(crate) fn preflight(&mut self) -> Result<(), MigrateError> {
        self.phase("checking");
        if self.at_path_for_sure()? != AtPath::Source {
            return Err(self.broken_path());
        }
        self.healthchecks()?;
        for service in self.host.services(&self.plan)? {
            let snapshot = service.snapshot()?;
            if snapshot.was_running && !service.is_startable() {
                self.warn(&format!("{} can be stopped and not be started from here", snapshot.spec));
            }
        }
        // What a run that was killed here has reserved is not to look like want of room.
        Ballast::clear(self.copy_place(), self.plan.id)?;
        let survey = self.surveyed()?;
        let ready = survey.as_ref().map_or_else(Ready::default, |survey| Ready {
            files: survey.counts.files,
            bytes: survey.counts.bytes,
            copy_bytes: survey.estimate.copy_bytes,
        });
        self.kinds = survey.map(|survey| survey.kinds);
        // Kept until the first round is over: who else writes to this file system meets the end of it before we do.
        if ready.copy_bytes > 0 {
            drop(Ballast::reserve(self.copy_place(), self.plan.id, ready.copy_bytes)?);
        }
        self.reached(State::Ready, &ready)
    }

    /// Backs the plaintext up.
    pub(crate) fn back_up(&mut self) -> Result<(), MigrateError> {
        let BackupChoice::To(place) = self.plan.backup.clone() else {
            return self.reached(State::BackedUp, &BackedUp { archive: None });
        };
        self.intend(State::BackedUp, &())?;
        self.phase("backing up");
        let archive = self.host.archiver().archive(&self.plan, &self.plan.data, &place)?;
        self.reached(State::BackedUp, &BackedUp { archive: Some(archive) })
    }

    /// Makes the vault, or finds that it is made, and tries in it one of each kind that it is to hold.
    pub(crate) fn make_target(&mut self) -> Result<(), MigrateError> {
        self.intend(State::TargetMade, &())?;
        if self.plan.direction == Direction::Decrypt {
            return self.make_plaintext_directory();
        }
        self.phase("making the vault");
        self.host.vaults().create(&self.plan)?;
        let dropped = dropped(&self.plan);
        if let Some(kinds) = self.kinds()? {
            let is_dropped = |name: &[u8]| dropped.iter().any(|dropped| dropped.as_bytes() == name);
            let refusals = self.with_target(|target, _| Ok(probe(target, &kinds, &is_dropped)?))?;
            if !refusals.is_empty() {
                return Err(MigrateError::Refused { refusals });
            }
        }
        self.vault()?;
        self.reached(State::TargetMade, &())
    }

    /// What the vault has to hold. What speaks against it otherwise was looked at before, and room is taken since.
    fn kinds(&mut self) -> Result<Option<Kinds>, MigrateError> {
        Ok(match self.kinds.take() {
            Some(kinds) => Some(kinds),
            None => self.host.survey(&self.plan)?.map(|survey| survey.kinds),
        })
    }

    /// Where the copy is to lie, beside which room is taken for it.
    pub(crate) fn copy_place(&self) -> &Path {
        match self.plan.direction {
            Direction::Encrypt => &self.plan.vault,
            Direction::Decrypt => &self.plan.aside,
        }
    }

    /// What the machine finds now; an error if anything speaks against it.
    fn surveyed(&self) -> Result<Option<Survey>, MigrateError> {
        let Some(survey) = self.host.survey(&self.plan)? else { return Ok(None) };
        match survey.refusals.is_empty() {
            true => Ok(Some(survey)),
            false => Err(MigrateError::Refused { refusals: survey.refusals }),
        }
    }

    fn broken_path(&self) -> MigrateError {
        MigrateError::Broken {
            invariant: "I3",
            before: State::Ready,
            why: format!("{} does not lead to the data", self.plan.data.display()),
        }
    }
}

/// The extended attributes that the operator accepted to lose.
pub(crate) fn dropped(plan: &Plan) -> Vec<String> {
    let names = plan.accepted.iter().filter_map(|accepted| match accepted {
        Accepted::DropXattr(name) => Some(name.clone()),
        _ => None,
    });
    names.collect()
}
