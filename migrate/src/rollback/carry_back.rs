//! After the cut-over: services are stopped, the path is shut, and what was changed comes home; or services go on with the
//! vault.

use strongroom_durable::PathError;
use strongroom_tree::{LocalTree, Source};

use super::{Back, Carried, Destination};
use crate::{
    Carry, Carrying, Direction, Finished, MigrateError, Migration, Porter, Side, State, Stopped, carry::Point,
    engine::AtPath,
};

impl Migration<'_> {
    pub(super) fn carry_back(&mut self) -> Result<(), MigrateError> {
        let back = self.back();
        let Err(cause) = self.try_to_carry(&back) else { return Ok(()) };
        if self.state() != State::RollbackIntent || !self.history().is_committed() {
            return Err(cause);
        }
        match self.go_on_with_copy() {
            Ok(()) => Err(MigrateError::NotCarried { cause: Box::new(cause) }),
            Err(undo) => Err(MigrateError::NeedsOperator {
                why: format!(
                    "{cause}; nothing of the original was changed; and starting the services again failed: {undo}"
                ),
                next: format!("see to it and run `strongroom migrate resume {}`", self.plan.data.display()),
            }),
        }
    }

    /// What would keep changes from being carried back, looked for while services still run: an attempt that comes to nothing
    /// costs no downtime then. It is all looked at once more when they are stopped.
    pub(super) fn refuse_beforehand(&mut self, back: &Back) -> Result<(), MigrateError> {
        // In any other state services may be ill or down, and nothing is spared.
        let rests = self.state() == State::Soak && matches!(self.at_path()?, AtPath::Target(_));
        if !rests || back.to != Destination::Now || self.plan.direction == Direction::Decrypt {
            return Ok(());
        }
        self.refuse_if_too_late_for(&back.to)?;
        self.refuse_without_original(&back.to)?;
        let refused = self.refuse_strangers().and_then(|()| match back.leaves_obstacles {
            true => Ok(()),
            false => self.rehearse(),
        });
        refused.map_err(|cause| MigrateError::NotCarried { cause: Box::new(cause) })
    }

    fn rehearse(&self) -> Result<(), MigrateError> {
        let (observer, host) = (self.observer.clone(), self.host);
        let is_to_stop = || host.is_to_stop();
        let porter =
            Porter { workers: host.workers(), leaves_obstacles: false, observer: &*observer, is_to_stop: &is_to_stop };
        Carry::new(&self.plan, &self.place, porter).rehearse(&LocalTree::open(&self.plan.data)?)
    }

    fn try_to_carry(&mut self, back: &Back) -> Result<(), MigrateError> {
        // From here on a crash may leave services down, or the path shut.
        self.host.mounter().arm(&self.plan)?;
        self.phase("stopping services");
        let stopped = self.stop_services()?;
        self.intend(State::RollingBack, &Stopped { stopped })?;
        if let Destination::Archive(archive) = &back.to {
            return self.restore_archive(archive);
        }
        match self.plan.direction {
            Direction::Decrypt => self.return_to_vault(back),
            Direction::Encrypt => self.return_to_plaintext(back),
        }
    }

    fn return_to_plaintext(&mut self, back: &Back) -> Result<(), MigrateError> {
        self.shut_out_copy()?;
        self.refuse_holders(&self.plan.aside.clone())?;
        self.loosen_flags()?;
        let (observer, host) = (self.observer.clone(), self.host);
        let is_to_stop = || host.is_to_stop();
        let porter = Porter {
            workers: host.workers(),
            leaves_obstacles: back.leaves_obstacles,
            observer: &*observer,
            is_to_stop: &is_to_stop,
        };
        let carry = Carry::new(&self.plan, &self.place, porter);
        if carry.recover(&mut || self.record_carried(None))? {
            return Ok(());
        }
        match back.to {
            Destination::Now => self.carry_now(&carry),
            _ => self.give_up_changes(&carry),
        }
    }

    fn carry_now(&mut self, carry: &Carry<'_>) -> Result<(), MigrateError> {
        self.journal_key()?;
        self.vault()?;
        // Lent, so that the journal can be written meanwhile.
        let vault = self.vault.take().expect("it was opened just now");
        let stage = self.plan.stage.clone();
        let mut fresh = || {
            vault.sync()?;
            Ok(vault.stage(&stage)?)
        };
        let carried = carry.apply(vault.tree(), &mut fresh, &mut |point| match point {
            // From the commit on nothing may mount the vault by itself.
            Point::About => Ok(self.host.mounter().withdraw(&self.plan)?),
            Point::Committed(carrying) => self.record_carried(Some(carrying)),
        });
        carried.map(drop)
    }

    /// The vault cannot be read, or is not to be: all that was changed in it is lost, and listed as far as that goes.
    fn give_up_changes(&mut self, carry: &Carry<'_>) -> Result<(), MigrateError> {
        self.phase("looking what is lost");
        let lost = self.vault().map_err(|error| error.to_string()).and_then(|vault| {
            let vault: &dyn Source = vault.tree();
            carry.preview(vault).map_err(|error| error.to_string())
        });
        let lost = lost.unwrap_or_else(|why| {
            let mut unknown = Carrying::default();
            unknown.unreadable.add(format!(
                "the vault cannot be opened ({why}): what was changed in it since the cut-over, and under which names, \
                 cannot be known"
            ));
            unknown
        });
        self.host.mounter().withdraw(&self.plan)?;
        self.reached(State::RollingBack, &Carried { lost: Some(lost), ..Carried::default() })
    }

    fn record_carried(&mut self, carrying: Option<&Carrying>) -> Result<(), MigrateError> {
        let carried = Carried { carried: carrying.cloned(), ..Carried::default() };
        self.reached(State::RollingBack, &carried)
    }

    /// Takes the copy away from the path, which leads nowhere then.
    pub(super) fn shut_out_copy(&mut self) -> Result<(), MigrateError> {
        self.phase("shutting the path");
        if matches!(self.at_path_for_sure()?, AtPath::Target(_) | AtPath::Dead) {
            self.host.mounter().umount(&self.plan)?;
        }
        match self.at_path_for_sure()? {
            AtPath::Shut => Ok(()),
            found => Err(MigrateError::Broken {
                invariant: "I3",
                before: State::RollingBack,
                why: format!("{} is not shut: {found:?}", self.plan.data.display()),
            }),
        }
    }

    /// Nothing was carried: services go on with what is the truth.
    fn go_on_with_copy(&mut self) -> Result<(), MigrateError> {
        self.phase("going on with the vault");
        if let Err(error) = self.fasten_flags() {
            self.warn(&format!("originals do not get their flags again: {error}"));
        }
        self.prepare_again();
        self.bring_up()?;
        self.start_services(Side::Vault)?;
        self.wait_again()
    }

    /// Writes anew what mounts at boot, if it was withdrawn. What fails of that does not keep the data from coming back now.
    pub(crate) fn prepare_again(&self) {
        if let Err(error) = self.host.mounter().prepare(&self.plan) {
            self.warn(&format!("what mounts the vault when the machine starts is not as it was: {error}"));
        }
    }

    /// Whoever was to decide before the way back was tried decides anew: it can be tried in another way, or be left.
    fn wait_again(&mut self) -> Result<(), MigrateError> {
        let Some(finished) = self.ledger.fact::<Finished>(State::Soak) else { return Ok(()) };
        self.reached(State::Soak, &finished)
    }

    pub(super) fn restore_archive(&mut self, archive: &std::path::Path) -> Result<(), MigrateError> {
        self.phase("restoring the archive");
        let target = self.restored();
        match std::fs::remove_dir_all(&target) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(PathError::on("removing", &target)(error).into());
            }
            _ => {}
        }
        super::archive::make_private(&target)?;
        self.host.archiver().restore(&self.plan, archive, &target)?;
        let lost = self.missing_in_archive(&target);
        if matches!(self.at_path()?, AtPath::Target(_) | AtPath::Dead) {
            self.close_vault();
            self.host.mounter().umount(&self.plan)?;
        }
        self.host.mounter().withdraw(&self.plan)?;
        let restored = crate::Identity::of(&target).map_err(PathError::on("looking at", &target))?;
        self.reached(State::RollingBack, &Carried { carried: None, lost, restored: Some(restored) })
    }
}
