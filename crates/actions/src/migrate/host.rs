//! The machine that a migration runs on: real vaults, mounts, archives and services.

use std::{
    fs,
    sync::{Arc, atomic::AtomicBool},
};

use jiff::Timestamp;
use strongroom_event::Observer;
use strongroom_format::CONF_NAME;
use strongroom_migrate::{Accepted, Archiver, Check, Direction, Host, MigrateError, Mounter, Plan, Survey, Vaults};
use strongroom_workload::{Service, WorkloadError, connect};

use super::{
    World,
    archiver::RealArchiver,
    preview::survey_again,
    secret::{Handover, Keyring},
    vaults::RealVaults,
};
use crate::{ActionError, Conf, Context};

/// This machine.
pub(super) struct RealHost {
    context: Context,
    vaults: RealVaults,
    archiver: RealArchiver,
    mounter: Box<dyn Mounter + Send + Sync>,
    world: World,
}

impl RealHost {
    /// With secrets that are asked for when they are needed, and once.
    pub fn new(
        context: &Context,
        keyring: Arc<Keyring>,
        world: &World,
        mounter: Box<dyn Mounter + Send + Sync>,
    ) -> Self {
        Self {
            context: context.clone(),
            vaults: RealVaults {
                context: context.clone(),
                keyring: keyring.clone(),
                scrypt_log_n: world.scrypt_log_n,
                program: world.program.clone(),
            },
            archiver: RealArchiver { context: context.clone(), keyring },
            mounter,
            world: world.clone(),
        }
    }
}

impl RealHost {
    /// Has the passphrase, and knows that it is the one, before anything is stopped for want of it: that of the vault, or
    /// the one that a vault is to have that is not made yet.
    pub fn prove(&self, plan: &Plan) -> Result<(), ActionError> {
        let keyring = &self.vaults.keyring;
        match plan.vault.join(CONF_NAME).symlink_metadata() {
            Ok(_) => keyring.unlock(&Conf::read(&plan.vault)?).map(drop),
            Err(_) if plan.direction == Direction::Decrypt => Err(ActionError::NotAVault(plan.vault.clone())),
            Err(_) if self.has_nobody_for_the_key(plan) => Err(ActionError::RecoveryKeyNotProved(plan.vault.clone())),
            Err(_) => Ok(keyring.new_one(&plan.vault).map(drop)?),
        }
    }

    /// Whether the recovery key of a new vault could be handed over to nobody, and that was not accepted.
    pub(super) fn has_nobody_for_the_key(&self, plan: &Plan) -> bool {
        let is_waived = plan.accepted.contains(&Accepted::WithoutCheck(Check::RecoveryKey));
        let has_nobody = matches!(self.vaults.keyring.handover(), Handover::Nobody);
        has_nobody && plan.recovery_key_file.is_none() && !is_waived
    }
}

impl Host for RealHost {
    fn vaults(&self) -> &dyn Vaults {
        &self.vaults
    }

    fn mounter(&self) -> &dyn Mounter {
        &*self.mounter
    }

    fn archiver(&self) -> &dyn Archiver {
        &self.archiver
    }

    fn survey(&self, plan: &Plan) -> Result<Option<Survey>, MigrateError> {
        survey_again(plan, self, &self.world, &self.context).map(Some)
    }

    fn services(&self, plan: &Plan) -> Result<Vec<Box<dyn Service>>, WorkloadError> {
        plan.services.iter().map(|spec| connect(spec, &plan.commands, &self.world.surroundings)).collect()
    }

    fn observer(&self) -> Arc<dyn Observer> {
        self.context.observer.clone()
    }

    fn now(&self) -> Timestamp {
        self.context.now()
    }

    fn boot_id(&self) -> String {
        // Where there is no such file, all starts of the machine look the same, and what is redone after one is not.
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    }

    fn stop(&self) -> &AtomicBool {
        &self.context.stop
    }

    fn workers(&self) -> usize {
        self.context.workers
    }
}
