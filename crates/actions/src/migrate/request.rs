//! What is asked for, and the plan that follows from it and from what is found on this machine.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{StatVfsMountFlags, statvfs};
use strongroom_crypto::{OsRandom, Random};
use strongroom_durable::PathError;
use strongroom_migrate::{
    Accepted, BackupChoice, BootKind, BootSecret, Check, Direction, Erasure, Identity, MigrationId, Plan,
};
use strongroom_mount::mounts;
use strongroom_workload::{Commands, HealthSpec, ServiceSpec, Surroundings};

use super::mounter::settle;
use crate::{ActionError, Context, open::cipher_dir};

/// What is to be migrated, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which way.
    pub direction: Direction,
    /// The directory that is used, and stays in use.
    pub dir: PathBuf,
    /// The cipher directory.
    pub vault: Option<PathBuf>,
    /// Services to be stopped, in this order.
    pub services: Vec<ServiceSpec>,
    /// What `command:NAME` means.
    pub commands: Vec<Commands>,
    /// What must be so for them to count as healthy.
    pub health: Vec<HealthSpec>,
    /// What `exec:NAME` runs.
    pub health_commands: Vec<(String, Vec<String>)>,
    /// How long each service may take to stop, and to start.
    pub service_timeout: Duration,
    /// How long until they must be healthy.
    pub health_timeout: Duration,
    /// Where the recovery key of the vault is written, if it is not shown to a person.
    pub recovery_key_file: Option<PathBuf>,
    /// Whether the data are backed up first.
    pub backup: BackupChoice,
    /// How long the services may be down.
    pub max_downtime: Option<Duration>,
    /// The services are not stopped as long as this file exists.
    pub postpone_file: Option<PathBuf>,
    /// How long the originals are kept, at least.
    pub soak: Duration,
    /// Whether the originals are erased in the same run.
    pub finalize: bool,
    /// How the vault is mounted; as the directory allows if `None`.
    pub mount_options: Option<Vec<String>>,
    /// What mounts the vault when the machine starts; what this machine runs if `None`.
    pub boot: Option<BootKind>,
    /// Where the passphrase comes from then.
    pub boot_secret: BootSecret,
    /// What is accepted by name.
    pub accepted: Vec<Accepted>,
    /// How the originals are erased.
    pub erasure: Erasure,
}

/// What whoever calls knows of the machine, having read its environment.
#[derive(Clone, Debug)]
pub struct World {
    /// Where migrations keep what they know.
    pub state_dir: PathBuf,
    /// Where mounts of our own are: /run/strongroom, or strongroom below $XDG_RUNTIME_DIR.
    pub runtime_dir: PathBuf,
    /// Where services are found.
    pub surroundings: Surroundings,
    /// Where units of the user's systemd are: systemd/user below $XDG_CONFIG_HOME.
    pub user_units: PathBuf,
    /// The home of whoever runs this.
    pub home: Option<PathBuf>,
    /// This program, for what runs it later.
    pub program: PathBuf,
    /// The configuration that it was given, likewise.
    pub config: Option<PathBuf>,
    /// Binary logarithm of scrypt's cost, for a vault that is made; as usual if `None`.
    pub scrypt_log_n: Option<u8>,
}

impl Request {
    /// The plan. Nothing is changed, and nothing is asked of anybody.
    pub fn plan(&self, world: &World, context: &Context) -> Result<Plan, ActionError> {
        let mut id = [0; 8];
        OsRandom.fill(&mut id);
        let id = MigrationId(id);
        let data = self.data()?;
        let (boot, boot_secret) = settle(self.boot, usual_boot(), &self.boot_secret, id);
        Ok(Plan {
            version: VERSION,
            id,
            direction: self.direction,
            created: context.now(),
            original: Identity::of(&data).map_err(PathError::on("looking at", &data))?,
            aside: beside(&data, ".", &format!(".{id}.orig")),
            vault: self.vault(&data)?,
            stage: world.runtime_dir.join(id.to_string()).join("stage"),
            services: self.services.clone(),
            commands: self.commands.clone(),
            health: self.health.iter().map(HealthSpec::to_string).collect(),
            health_commands: self.health_commands.clone(),
            service_timeout: self.service_timeout,
            health_timeout: self.health_timeout,
            recovery_key_file: self.recovery_key_file.as_deref().map(absolute).transpose()?,
            backup: self.backup()?,
            max_downtime: self.max_downtime,
            postpone_file: self.postpone_file.as_deref().map(absolute).transpose()?,
            soak: self.soak,
            finalize: self.finalize,
            mount_options: self.mount_options.clone().unwrap_or_else(|| options_of(&data)),
            boot,
            boot_secret,
            accepted: self.accepted.clone(),
            erasure: self.erasure,
            data,
        })
    }

    /// The path that does not change: without symbolic links, as those could change.
    fn data(&self) -> Result<PathBuf, ActionError> {
        let refused = |why: &str| ActionError::CannotMigrate { path: self.dir.clone(), why: why.to_owned() };
        let data = self.dir.canonicalize().map_err(|error| refused(&error.to_string()))?;
        match (data.is_dir(), data.file_name()) {
            (false, _) => Err(refused("it is not a directory")),
            (true, None) => Err(refused("it is the root of everything")),
            (true, Some(_)) => Ok(data),
        }
    }

    fn vault(&self, data: &Path) -> Result<PathBuf, ActionError> {
        match (&self.vault, self.direction) {
            (Some(vault), Direction::Encrypt) => resolved(vault),
            (Some(vault), Direction::Decrypt) => cipher_dir(vault),
            (None, Direction::Encrypt) => Ok(beside(data, "", ".vault")),
            (None, Direction::Decrypt) => match mounts::find(data)?.filter(mounts::MountEntry::is_vault) {
                Some(mount) => cipher_dir(Path::new(&mount.source)),
                None => cipher_dir(&beside(data, "", ".vault")),
            },
        }
    }

    fn backup(&self) -> Result<BackupChoice, ActionError> {
        Ok(match &self.backup {
            BackupChoice::To(place) => BackupChoice::To(absolute(place)?),
            BackupChoice::Declined => BackupChoice::Declined,
        })
    }
}

/// Of the layout of plans.
const VERSION: u32 = 1;

/// A sibling.
fn beside(path: &Path, before: &str, after: &str) -> PathBuf {
    let mut name = OsString::from(before);
    name.push(path.file_name().unwrap_or_default());
    name.push(after);
    path.with_file_name(name)
}

fn absolute(path: &Path) -> Result<PathBuf, ActionError> {
    Ok(std::path::absolute(path).map_err(PathError::on("looking at", path))?)
}

/// A path of which all but the last name is there: absolute, without symbolic links.
fn resolved(path: &Path) -> Result<PathBuf, ActionError> {
    let path = absolute(path)?;
    if let Ok(found) = path.canonicalize() {
        return Ok(found);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return cipher_dir(&path) };
    Ok(cipher_dir(parent)?.join(name))
}

/// What the file system of a directory allows, as options of a mount: programs that ran, and devices that worked, are to
/// do so afterwards. Others are let in by modes, as before, where root mounts.
fn options_of(data: &Path) -> Vec<String> {
    let allows = statvfs(data).map(|stat| stat.f_flag).unwrap_or(StatVfsMountFlags::empty());
    let is_root = rustix::process::geteuid().is_root();
    let words = [
        ("allow_other", is_root),
        ("acl", true),
        ("suid", is_root && !allows.contains(StatVfsMountFlags::NOSUID)),
        ("dev", is_root && !allows.contains(StatVfsMountFlags::NODEV)),
        ("noexec", allows.contains(StatVfsMountFlags::NOEXEC)),
    ];
    words.into_iter().filter(|(_, is_meant)| *is_meant).map(|(word, _)| word.to_owned()).collect()
}

/// What starts services on this machine. sd_booted(3) looks for that directory as well.
fn usual_boot() -> BootKind {
    let runs_systemd = Path::new("/run/systemd/system").is_dir();
    match (rustix::process::geteuid().is_root(), runs_systemd) {
        (true, true) => BootKind::Systemd,
        (false, true) => BootKind::SystemdUser,
        (true, false) if is_runit() => BootKind::Runit,
        (_, false) => BootKind::Manual,
    }
}

/// Whether runit is the first process.
fn is_runit() -> bool {
    fs::read_to_string("/proc/1/comm").is_ok_and(|name| name.trim() == "runit")
}

/// Reads what the operator accepts by name.
pub fn parse_accepted(word: &str) -> Result<Accepted, String> {
    if let Some(name) = word.strip_prefix("drop-xattr=").filter(|name| !name.is_empty()) {
        return Ok(Accepted::DropXattr(name.to_owned()));
    }
    if let Some(check) = word.strip_prefix("without-") {
        let found = CHECKS.iter().find(|(name, _)| *name == check).map(|(_, check)| Accepted::WithoutCheck(*check));
        return found.ok_or_else(unknown);
    }
    match word {
        "devices" => Ok(Accepted::Devices),
        "clear-flags" => Ok(Accepted::ClearFlags),
        "erase-grade-c" => Ok(Accepted::EraseGradeC),
        _ => Err(unknown()),
    }
}

const CHECKS: [(&str, Check); 6] = [
    ("copy", Check::Copy),
    ("compared", Check::Compared),
    ("decrypted", Check::Decrypted),
    ("services", Check::Services),
    ("recovery-key", Check::RecoveryKey),
    ("unchanged", Check::Unchanged),
];

fn unknown() -> String {
    let checks: Vec<_> = CHECKS.iter().map(|(name, _)| format!("without-{name}")).collect();
    format!("devices, clear-flags, drop-xattr=NAME, erase-grade-c, {} are understood", checks.join(", "))
}

/// As [`parse_accepted`] reads it.
pub fn accepted_word(accepted: &Accepted) -> String {
    match accepted {
        Accepted::Devices => "devices".into(),
        Accepted::ClearFlags => "clear-flags".into(),
        Accepted::EraseGradeC => "erase-grade-c".into(),
        Accepted::DropXattr(name) => format!("drop-xattr={name}"),
        Accepted::WithoutCheck(check) => format!("without-{}", check_word(*check)),
    }
}

/// What a check is called.
pub fn check_word(check: Check) -> &'static str {
    CHECKS.iter().find(|(_, each)| *each == check).map_or("unknown", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_is_written_as_it_is_read() {
        let words = ["devices", "clear-flags", "erase-grade-c", "drop-xattr=user.x", "without-recovery-key"];
        for word in words {
            assert_eq!(accepted_word(&parse_accepted(word).unwrap()), word);
        }
        for bad in ["", "without-", "without-anything", "drop-xattr=", "everything"] {
            assert!(parse_accepted(bad).unwrap_err().contains("without-recovery-key"), "{bad}");
        }
    }

    #[test]
    fn siblings_keep_the_name() {
        assert_eq!(beside(Path::new("/srv/app"), ".", ".1.orig"), Path::new("/srv/.app.1.orig"));
        assert_eq!(beside(Path::new("/srv/app"), "", ".vault"), Path::new("/srv/app.vault"));
    }

    #[test]
    fn a_vault_that_is_not_there_yet_is_below_a_directory_that_is() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&real, real.join("link")).unwrap();
        assert_eq!(resolved(&real.join("link/new")).unwrap(), real.join("new"));
        assert!(resolved(&real.join("missing/new")).is_err());
    }
}
