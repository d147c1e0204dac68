//! systemd, as far as it is needed for a unit of ours. That it starts with the machine is a link, and needs nobody.

use std::time::Duration;

use strongroom_workload::{SystemdManager, WorkloadError};

use super::BootError;

/// How long a unit that mounts may take: what prints the passphrase may wait for a network.
pub const PATIENCE: Duration = Duration::from_secs(330);

/// A systemd. Every method can be called again.
pub trait Units: Send + Sync {
    /// Reads all units anew.
    fn reload(&self) -> Result<(), BootError>;
    /// Starts a unit and waits until it is up.
    fn start(&self, unit: &str, within: Duration) -> Result<(), BootError>;
    /// Stops a unit and waits until it is down.
    fn stop(&self, unit: &str, within: Duration) -> Result<(), BootError>;
    /// Whether a unit is up.
    fn is_active(&self, unit: &str) -> Result<bool, BootError>;
}

impl Units for SystemdManager {
    fn reload(&self) -> Result<(), BootError> {
        self.reload().map_err(refused("having systemd read its units anew"))
    }

    fn start(&self, unit: &str, within: Duration) -> Result<(), BootError> {
        self.start(unit, within).map_err(refused("starting the unit"))
    }

    fn stop(&self, unit: &str, within: Duration) -> Result<(), BootError> {
        self.stop(unit, within).map_err(refused("stopping the unit"))
    }

    fn is_active(&self, unit: &str) -> Result<bool, BootError> {
        self.is_active(unit).map_err(refused("asking about the unit"))
    }
}

fn refused(attempted: &str) -> impl FnOnce(WorkloadError) -> BootError {
    let attempted = attempted.to_owned();
    move |error| BootError::Manager { attempted, source: error.into() }
}
