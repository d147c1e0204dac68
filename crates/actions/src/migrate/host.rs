//! The machine that a migration runs on: real vaults, mounts, archives and services.

use std::{
    fs,
    sync::{Arc, atomic::AtomicBool},
};

use jiff::Timestamp;
use strongroom_event::Observer;
use strongroom_migrate::{Archiver, Host, Mounter, Plan, Vaults};
use strongroom_workload::{Service, Surroundings, WorkloadError, connect};

use super::{World, archiver::RealArchiver, secret::Keyring, vaults::RealVaults};
use crate::Context;

/// This machine.
pub(super) struct RealHost {
    context: Context,
    vaults: RealVaults,
    archiver: RealArchiver,
    mounter: Box<dyn Mounter + Send + Sync>,
    surroundings: Surroundings,
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
            vaults: RealVaults { context: context.clone(), keyring: keyring.clone(), scrypt_log_n: world.scrypt_log_n },
            archiver: RealArchiver { context: context.clone(), keyring },
            mounter,
            surroundings: world.surroundings.clone(),
        }
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

    fn services(&self, plan: &Plan) -> Result<Vec<Box<dyn Service>>, WorkloadError> {
        plan.services.iter().map(|spec| connect(spec, &plan.commands, &self.surroundings)).collect()
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
