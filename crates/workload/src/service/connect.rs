//! From the name of a service to whatever manages it.

use std::path::PathBuf;

use super::{Commands, Service, ServiceSpec};
use crate::WorkloadError;

/// Where managers of services are found on this machine. Whoever calls has read the environment; what is `None` is where
/// it usually is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// $XDG_RUNTIME_DIR: the user's systemd listens in `systemd/private` below it.
    pub runtime_dir: Option<PathBuf>,
    /// $DBUS_SESSION_BUS_ADDRESS, for when it does not.
    pub session_bus: Option<String>,
    /// The address of the system's bus, for when the system's systemd does not listen in /run/systemd/private, or we may
    /// not talk to it there.
    pub system_bus: Option<String>,
    /// The socket of Docker or Podman: $DOCKER_HOST without its `unix://`, usually /var/run/docker.sock.
    pub docker: Option<PathBuf>,
    /// The socket of supervisord, usually /run/supervisor.sock.
    pub supervisor: Option<PathBuf>,
}

/// A handle on the service that `spec` names. Nobody is asked anything yet: whether there is such a service, and whether
/// its manager answers, is told by [`Service::snapshot`].
pub fn connect(
    spec: &ServiceSpec,
    commands: &[Commands],
    surroundings: &Surroundings,
) -> Result<Box<dyn Service>, WorkloadError> {
    let _ = (spec, commands, surroundings);
    Err(WorkloadError::Service { service: spec.to_string(), problem: super::Problem::NotDefined })
}
