//! What is done first after a crash, by whoever comes next, at boot or by hand: services can run, on the side that is the
//! truth. Being killed in it is no matter.

use strongroom_workload::ServiceSpec;

use super::{Side, world::AtPath};
use crate::{Host, MigrateError, Migration, Place, State};

/// When somebody looks after a migration that was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// While the machine runs.
    Now,
    /// While it starts, before any service: their managers will start most of them.
    AtBoot,
}

impl When {
    /// Whether a service has to be started by us.
    pub(crate) fn is_ours_to_start(self, spec: &ServiceSpec) -> bool {
        match spec {
            ServiceSpec::Systemd(_)
            | ServiceSpec::SystemdUser(_)
            | ServiceSpec::Runit(_)
            | ServiceSpec::Supervisor(_) => self == When::Now,
            // A container that was stopped by hand stays down when its daemon starts (`unless-stopped`).
            ServiceSpec::Docker(_) | ServiceSpec::Compose(_) | ServiceSpec::Pidfile(_) | ServiceSpec::Command(_) => {
                true
            }
        }
    }
}

/// After a crash, or at boot: sees to it that services can run, on whichever side is the truth, and does nothing else. How
/// far the migration is then.
pub fn recover(place: &Place, host: &dyn Host, at_boot: bool) -> Result<State, MigrateError> {
    let mut migration = Migration::open(place, host)?;
    let when = if at_boot { When::AtBoot } else { When::Now };
    migration.restore(when)?;
    let reached = migration.state();
    if when == When::Now && matches!(reached, State::Cutover | State::ServicesUp | State::Healthy) {
        migration.start_services(Side::Vault)?;
    }
    Ok(reached)
}

impl Migration<'_> {
    /// Sees to it that the path leads to the truth, and before the commit point that what ran runs.
    pub(crate) fn restore(&mut self, when: When) -> Result<(), MigrateError> {
        match self.state() {
            // Their steps look for themselves.
            State::RollingBack if when == When::AtBoot => return self.open_path(),
            State::RollbackIntent | State::RollingBack | State::RolledBack | State::Done => return Ok(()),
            _ => {}
        }
        if self.history().is_committed() {
            return self.restore_copy(when);
        }
        if self.history().is_in_window() {
            return self.back_out("it was interrupted", when);
        }
        match self.at_path_for_sure()? {
            AtPath::Source => Ok(()),
            _ => Err(MigrateError::NeedsOperator {
                why: format!(
                    "{} does not lead to the data, and this migration has not shut it",
                    self.plan.data.display()
                ),
                next: format!(
                    "find out who did; the original is at {} or {}",
                    self.plan.data.display(),
                    self.plan.aside.display()
                ),
            }),
        }
    }

    /// The same as [`recover`] does, for whoever is about to do something else.
    pub fn put_right(&mut self) -> Result<(), MigrateError> {
        self.look_after_crash()
    }

    pub(crate) fn look_after_crash(&mut self) -> Result<(), MigrateError> {
        self.restore(When::Now)
    }

    fn restore_copy(&mut self, when: When) -> Result<(), MigrateError> {
        match when {
            When::Now => self.bring_up(),
            // What is prepared mounts it. What nobody else will start is started if that is done already.
            When::AtBoot => match (self.at_path()?, self.state()) {
                (AtPath::Target(_), State::Cutover | State::ServicesUp | State::Healthy) => {
                    self.start_those(Side::Vault, |was| when.is_ours_to_start(&was.spec))
                }
                _ => Ok(()),
            },
        }
    }
}
