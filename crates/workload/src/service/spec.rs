//! How a service is named on a command line: `systemd:UNIT`, `runit:DIR` and so on.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

/// Which service, and who manages it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ServiceSpec {
    /// A unit of the system's systemd.
    Systemd(String),
    /// A unit of the user's systemd.
    SystemdUser(String),
    /// A service directory of runit.
    Runit(PathBuf),
    /// A program of supervisord, `NAME` or `GROUP:NAME`.
    Supervisor(String),
    /// A container of Docker or Podman.
    Docker(String),
    /// The services of a compose file.
    Compose(PathBuf),
    /// A process that wrote its number to a file; it is stopped by signal, and cannot be started again by us.
    Pidfile(PathBuf),
    /// The commands of that name in the configuration.
    Command(String),
}

/// A name of a service that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text}: a service is named as systemd:UNIT, systemd-user:UNIT, runit:DIR, supervisor:NAME, docker:NAME, compose:FILE, pidfile:FILE or command:NAME"
)]
pub struct BadSpec {
    /// What was given.
    pub text: String,
}

impl FromStr for ServiceSpec {
    type Err = BadSpec;

    fn from_str(text: &str) -> Result<Self, BadSpec> {
        let bad = || BadSpec { text: text.to_owned() };
        let (kind, name) = text.split_once(':').filter(|(_, name)| !name.is_empty()).ok_or_else(bad)?;
        Ok(match kind {
            "systemd" => ServiceSpec::Systemd(name.into()),
            "systemd-user" => ServiceSpec::SystemdUser(name.into()),
            "runit" => ServiceSpec::Runit(name.into()),
            "supervisor" => ServiceSpec::Supervisor(name.into()),
            "docker" => ServiceSpec::Docker(name.into()),
            "compose" => ServiceSpec::Compose(name.into()),
            "pidfile" => ServiceSpec::Pidfile(name.into()),
            "command" => ServiceSpec::Command(name.into()),
            _ => return Err(bad()),
        })
    }
}

impl fmt::Display for ServiceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceSpec::Systemd(name) => write!(f, "systemd:{name}"),
            ServiceSpec::SystemdUser(name) => write!(f, "systemd-user:{name}"),
            ServiceSpec::Runit(dir) => write!(f, "runit:{}", dir.display()),
            ServiceSpec::Supervisor(name) => write!(f, "supervisor:{name}"),
            ServiceSpec::Docker(name) => write!(f, "docker:{name}"),
            ServiceSpec::Compose(file) => write!(f, "compose:{}", file.display()),
            ServiceSpec::Pidfile(file) => write!(f, "pidfile:{}", file.display()),
            ServiceSpec::Command(name) => write!(f, "command:{name}"),
        }
    }
}

impl From<ServiceSpec> for String {
    fn from(spec: ServiceSpec) -> Self {
        spec.to_string()
    }
}

impl TryFrom<String> for ServiceSpec {
    type Error = BadSpec;

    fn try_from(text: String) -> Result<Self, BadSpec> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_written_as_it_is_read() {
        for text in [
            "systemd:a.service",
            "systemd-user:b",
            "runit:/etc/sv/x",
            "supervisor:g:n",
            "docker:web",
            "compose:/c.yml",
            "pidfile:/run/x.pid",
            "command:mine",
        ] {
            assert_eq!(text.parse::<ServiceSpec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_names_no_service_is_refused_with_all_that_would() {
        for text in ["", "nginx", "systemd:", "windows:w"] {
            assert!(text.parse::<ServiceSpec>().unwrap_err().to_string().contains("pidfile:FILE"), "{text}");
        }
    }
}
