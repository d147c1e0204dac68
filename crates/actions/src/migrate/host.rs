//! The machine that a migration runs on: real vaults, mounts, archives and services.

use std::{
    fs,
    sync::{Arc, atomic::Ordering},
};

use jiff::Timestamp;
use strongroom_event::Observer;
use strongroom_migrate::{Archiver, Host, Mounter, Plan, Vaults};
use strongroom_workload::{Service, Surroundings, WorkloadError, connect};

use super::{
    archiver::RealArchiver,
    secret::{Keyring, Secrets},
    vaults::RealVaults,
};
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
    /// With secrets that are asked for when they are needed, and once. `mounter` is given the means to get them, too.
    pub fn new(
        context: &Context,
        secrets: Secrets,
        surroundings: Surroundings,
        mounter: impl FnOnce(Arc<Keyring>) -> Box<dyn Mounter + Send + Sync>,
    ) -> Self {
        let keyring = Arc::new(Keyring::new(secrets));
        Self {
            context: context.clone(),
            vaults: RealVaults { context: context.clone(), keyring: keyring.clone() },
            archiver: RealArchiver { context: context.clone(), keyring: keyring.clone() },
            mounter: mounter(keyring),
            surroundings,
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

    fn is_to_stop(&self) -> bool {
        self.context.stop.load(Ordering::Relaxed)
    }

    fn workers(&self) -> usize {
        self.context.workers
    }
}
