//! How the data come back when the machine starts: what mounts the vault before the services, what keeps them from starting
//! without it, and what looks after a migration that the power cut.
//!
//! * [`way`] and [`recovery`]: these as texts, which a plan can show before anything is written.
//! * [`Record::install`] and [`Record::remove`]: writing them, and removing what was written and nothing else.
//! * [`Units`]: systemd, as far as it is needed for that.
//!
//! No text holds a passphrase. Each bears the name of its migration, by which it is known as ours.

mod error;
mod escape;
mod fstab;
mod install;
mod manual;
mod recovery;
mod runit;
mod secret;
mod unit;
mod units;

use std::path::{Path, PathBuf};

use strongroom_workload::ServiceSpec;

use crate::{BootKind, BootSecret, MigrationId, Plan};

pub use error::BootError;
pub use install::Record;
pub use recovery::recovery;
pub use secret::{CREDENTIAL, check_secret};
pub use units::{PATIENCE, Units};

/// What the texts have to know of the machine. Whoever runs the program looks it up; tests make it up.
#[derive(Clone, Debug)]
pub struct Machine {
    /// This program, by the path that it will have at boot.
    pub binary: PathBuf,
    /// Where units of the system go: /etc/systemd/system.
    pub system_units: PathBuf,
    /// Where units of the user go: $XDG_CONFIG_HOME/systemd/user.
    pub user_units: PathBuf,
    /// Whether systemd runs the machine: a line of fstab is then a unit to it.
    pub has_systemd: bool,
    /// /etc/fstab.
    pub fstab: PathBuf,
    /// Where service directories of runit are defined: /etc/sv.
    pub runit_definitions: PathBuf,
    /// The directory that runsvdir watches: /etc/service, /var/service, /service.
    pub runit_active: PathBuf,
    /// Where migrations are recorded.
    pub state_dir: PathBuf,
    /// The configuration that this program was given, if it was given one.
    pub config: Option<PathBuf>,
    /// Which start of the machine this is.
    pub boot_id: String,
}

/// Something to be written, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub shape: Shape,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A file of its own.
    File {
        /// All that is in it.
        content: String,
        /// Its permissions.
        mode: u32,
    },
    /// A line in a table like fstab(5), below a comment that says whose it is.
    Line(String),
    /// A symbolic link to this.
    Link(PathBuf),
}

/// What one way of coming back consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Written before it is used for the first time.
    pub prepared: Vec<Artefact>,
    /// Written last, as it makes the rest take effect at boot.
    pub enabling: Vec<Artefact>,
    /// The unit of systemd that does it, if one does.
    pub unit: Option<String>,
    /// The service directory of runit that does it, if one does.
    pub service: Option<PathBuf>,
    /// What the operator has to do, in words and commands.
    pub instructions: Vec<String>,
}

/// What mounts the vault of the plan when the machine starts, and keeps its services from starting without it.
pub fn way(plan: &Plan, machine: &Machine) -> Result<Way, BootError> {
    secret::fits(plan)?;
    match plan.boot {
        BootKind::Systemd => unit::way(plan, machine, &machine.system_units),
        BootKind::SystemdUser => unit::way(plan, machine, &machine.user_units),
        BootKind::Fstab => fstab::way(plan, machine),
        BootKind::Runit => runit::way(plan, machine),
        BootKind::Manual => manual::way(plan, machine),
    }
}

/// The first line of whatever belongs to a migration.
fn mark(id: MigrationId) -> String {
    format!("# strongroom migration {id}")
}

/// The arguments that mount the vault, after the program: as they are, unquoted.
fn mount_arguments(plan: &Plan) -> Result<Vec<String>, BootError> {
    let mut arguments: Vec<String> = vec!["mount".into(), "--foreground".into()];
    arguments.extend(secret::arguments(plan)?);
    if !plan.mount_options.is_empty() {
        arguments.extend(["-o".into(), plan.mount_options.join(",")]);
    }
    arguments.extend(["--".into(), text(&plan.vault)?.into(), text(&plan.data)?.into()]);
    Ok(arguments)
}

/// The arguments that mount the vault in the background, now: the passphrase comes from where it will at boot, or if somebody
/// is asked then, on standard input.
pub fn background(plan: &Plan) -> Result<Vec<String>, BootError> {
    let mut arguments: Vec<String> =
        mount_arguments(plan)?.into_iter().filter(|word| *word != "--foreground").collect();
    if plan.boot_secret == BootSecret::Asked {
        arguments.insert(1, "--passphrase-stdin".into());
    }
    Ok(arguments)
}

/// A path as text that can stand in a line.
fn text(path: &Path) -> Result<&str, BootError> {
    match path.to_str() {
        None => Err(BootError::Unwritable { path: path.to_owned(), why: "it is not UTF-8" }),
        Some(text) if text.contains(|c: char| c.is_control()) => {
            Err(BootError::Unwritable { path: path.to_owned(), why: "it has a control character in it" })
        }
        Some(text) => Ok(text),
    }
}

/// The directory that the data are in.
fn parent(plan: &Plan) -> &Path {
    plan.data.parent().unwrap_or(Path::new("/"))
}

/// Services of the manager that units for `kind` belong to, by their units' names.
fn units_of(plan: &Plan, user: bool) -> Result<Vec<String>, BootError> {
    let of_manager = plan.services.iter().filter_map(|service| match service {
        ServiceSpec::Systemd(name) if !user => Some(name),
        ServiceSpec::SystemdUser(name) if user => Some(name),
        _ => None,
    });
    of_manager.map(|name| escape::unit_name(name)).collect()
}

/// Units that start what is not a unit itself: containers, the programs of supervisord.
fn hosts_of(plan: &Plan) -> Vec<&'static str> {
    let mut hosts = Vec::new();
    for service in &plan.services {
        let names: &[&str] = match service {
            ServiceSpec::Docker(_) | ServiceSpec::Compose(_) => &["docker.service", "podman-restart.service"],
            ServiceSpec::Supervisor(_) => &["supervisor.service", "supervisord.service"],
            ServiceSpec::Runit(_) => &["runit.service"],
            _ => &[],
        };
        hosts.extend(names.iter().filter(|name| !hosts.contains(*name)).collect::<Vec<_>>());
    }
    hosts
}

#[cfg(test)]
mod tests {
    //! A plan and a machine for the tests of the texts.

    use std::time::Duration;

    use super::Machine;
    use crate::{BackupChoice, BootKind, BootSecret, Direction, Erasure, Identity, MigrationId, Plan};

    pub(super) fn machine() -> Machine {
        Machine {
            binary: "/usr/bin/strongroom".into(),
            system_units: "/etc/systemd/system".into(),
            user_units: "/home/u/.config/systemd/user".into(),
            has_systemd: true,
            fstab: "/etc/fstab".into(),
            runit_definitions: "/etc/sv".into(),
            runit_active: "/etc/service".into(),
            state_dir: "/var/lib/strongroom".into(),
            config: None,
            boot_id: "this-start".into(),
        }
    }

    pub(super) fn plan() -> Plan {
        Plan {
            version: 1,
            id: MigrationId([1; 8]),
            direction: Direction::Encrypt,
            created: jiff::Timestamp::UNIX_EPOCH,
            data: "/srv/app".into(),
            original: Identity { dev: 1, ino: 2, born: None },
            aside: "/srv/.app.0101010101010101.orig".into(),
            vault: "/srv/app.vault".into(),
            stage: "/run/strongroom/0101010101010101/stage".into(),
            services: vec!["systemd:db".parse().unwrap(), "systemd:web.service".parse().unwrap()],
            commands: Vec::new(),
            health: Vec::new(),
            health_commands: Vec::new(),
            service_timeout: Duration::from_secs(90),
            health_timeout: Duration::from_secs(60),
            recovery_key_file: None,
            backup: BackupChoice::Declined,
            max_downtime: None,
            postpone_file: None,
            soak: Duration::ZERO,
            finalize: false,
            mount_options: vec!["allow_other".into(), "acl".into()],
            boot: BootKind::Systemd,
            boot_secret: BootSecret::Credential("/etc/credstore.encrypted/app".into()),
            accepted: Vec::new(),
            erasure: Erasure { passes: 1, prove: false, scrub_free: false, scrub_journal: false },
        }
    }
}
