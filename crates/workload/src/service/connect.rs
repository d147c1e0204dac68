//! From the name of a service to whatever manages it.

use std::path::PathBuf;

use super::{
    Commands, Problem, Service, ServiceSpec,
    command::Command,
    container::Containers,
    pidfile::Pidfile,
    runit::Runit,
    supervisor::Supervisor,
    systemd::{Scope, Systemd},
};
use crate::WorkloadError;

/// Where managers of services are found on this machine. Whoever calls has read the environment; what is `None` is where
/// it usually is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// $XDG_RUNTIME_DIR: the user's systemd is on the bus `bus` below it.
    pub runtime_dir: Option<PathBuf>,
    /// $DBUS_SESSION_BUS_ADDRESS, for when there is none.
    pub session_bus: Option<String>,
    /// $DBUS_SYSTEM_BUS_ADDRESS, usually unix:path=/run/dbus/system_bus_socket.
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
    Ok(match spec {
        ServiceSpec::Systemd(unit) => Box::new(Systemd::new(spec, Scope::System, unit, surroundings)),
        ServiceSpec::SystemdUser(unit) => Box::new(Systemd::new(spec, Scope::User, unit, surroundings)),
        ServiceSpec::Runit(dir) => Box::new(Runit::new(spec, dir)),
        ServiceSpec::Docker(name) => Box::new(Containers::named(spec, name, surroundings)),
        ServiceSpec::Compose(file) => Box::new(Containers::of_file(spec, file, surroundings)),
        ServiceSpec::Pidfile(file) => Box::new(Pidfile::new(spec, file)),
        ServiceSpec::Command(name) => {
            let own = commands.iter().find(|own| own.name == *name).ok_or_else(|| Problem::NotDefined.of(spec))?;
            Box::new(Command::new(spec, own))
        }
        ServiceSpec::Supervisor(name) => Box::new(Supervisor::new(spec, name, surroundings)),
    })
}
