//! systemd, as far as it is needed for a unit of ours.

use std::time::Duration;

use super::BootError;

/// How long a unit that mounts may take: what prints the passphrase may wait for a network.
pub const PATIENCE: Duration = Duration::from_secs(330);

/// A systemd. Every method can be called again.
pub trait Units: Send + Sync {
    /// Reads all units anew.
    fn reload(&self) -> Result<(), BootError>;
    /// Has the unit started when the machine starts.
    fn enable(&self, unit: &str) -> Result<(), BootError>;
    /// Undoes that. A unit that is not there is not enabled.
    fn disable(&self, unit: &str) -> Result<(), BootError>;
    /// Starts it and waits until it is up.
    fn start(&self, unit: &str, within: Duration) -> Result<(), BootError>;
    /// Stops it and waits until it is down.
    fn stop(&self, unit: &str, within: Duration) -> Result<(), BootError>;
    /// Whether it is up.
    fn is_active(&self, unit: &str) -> Result<bool, BootError>;
}
