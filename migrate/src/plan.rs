//! What is to be done, as a value: it can be shown before anything is done, and is the first thing on the disk.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_workload::{Commands, ServiceSpec};

/// The name of a migration: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MigrationId(pub [u8; 8]);

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Plaintext into a vault.
    Encrypt,
    /// A mounted vault into plaintext.
    Decrypt,
}

/// A directory, whatever its name is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Its device, which changes with a reboot on some systems.
    pub dev: u64,
    /// Its inode number.
    pub ino: u64,
    /// When it was made (statx birth time), if its file system knows: a number that is used again has another.
    pub born: Option<(i64, u32)>,
}

/// Whether the plaintext is backed up first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupChoice {
    /// Into an encrypted archive in this directory.
    To(PathBuf),
    /// No, as the operator chose.
    Declined,
}

/// What mounts the vault when the machine starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootKind {
    /// A unit of the system's systemd, with drop-ins for the services.
    Systemd,
    /// A unit of the user's systemd, likewise.
    SystemdUser,
    /// A line of /etc/fstab.
    Fstab,
    /// A service directory of runit.
    Runit,
    /// Nothing: the equivalent is printed, and the operator sees to it.
    Manual,
}

/// Where the passphrase comes from when the machine starts. Never the passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootSecret {
    /// A credential that systemd-creds sealed for this machine.
    Credential(PathBuf),
    /// The first line that a command prints.
    Command(String),
    /// The first line of a file that only its owner can read.
    File(PathBuf),
    /// Somebody types it.
    Asked,
}

/// The checks that must have passed before anything is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Content was compared while it was copied: the digest of what was read is that of what was written.
    Copy,
    /// All of it was read back through a fresh mount, and compared.
    Compared,
    /// Every block was decrypted by other code.
    Decrypted,
    /// The services are healthy on the vault, mounted the way it will be at boot.
    Services,
    /// The recovery key was read back and opens the vault.
    RecoveryKey,
    /// The original has not changed since it was copied.
    Unchanged,
}

/// Something that the operator accepted by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accepted {
    /// This check need not have passed.
    WithoutCheck(Check),
    /// Extended attributes of this name are left behind.
    DropXattr(String),
    /// The immutable and append-only flags are cleared, and cannot exist in the vault.
    ClearFlags,
    /// Device nodes, which will be of no use on the mount.
    Devices,
    /// Erasing that does not reach the old blocks (grade C).
    EraseGradeC,
}

/// How originals are erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// How often they are overwritten.
    pub passes: u32,
    /// Whether the device is scanned for planted markers afterwards.
    pub prove: bool,
    /// Whether free space is overwritten.
    pub scrub_free: bool,
    /// Whether the file system's journal is made to wrap.
    pub scrub_journal: bool,
}

/// What is to be done. On the disk before anything is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Of this layout.
    pub version: u32,
    /// Which migration.
    pub id: MigrationId,
    /// Which way.
    pub direction: Direction,
    /// When it was decided.
    pub created: Timestamp,
    /// The path that does not change for whoever uses the data: absolute, without symbolic links.
    pub data: PathBuf,
    /// What was there.
    pub original: Identity,
    /// Where that is from the fence on: a hidden directory beside it.
    pub aside: PathBuf,
    /// The cipher directory.
    pub vault: PathBuf,
    /// Where the vault is mounted for nobody but us.
    pub stage: PathBuf,
    /// Services to be stopped, in this order, and started in reverse.
    pub services: Vec<ServiceSpec>,
    /// What `command:NAME` means.
    pub commands: Vec<Commands>,
    /// What must be so for the services to count as healthy, as written: tcp:HOST:PORT, http:URL, exec:NAME.
    pub health: Vec<String>,
    /// What `exec:NAME` runs.
    pub health_commands: Vec<(String, Vec<String>)>,
    /// How long each service may take to stop, and to start.
    pub service_timeout: Duration,
    /// How long until they must be healthy.
    pub health_timeout: Duration,
    /// Where the recovery key of the vault is written, if it is not shown to a person.
    #[serde(default)]
    pub recovery_key_file: Option<PathBuf>,
    /// Whether the plaintext is backed up first.
    pub backup: BackupChoice,
    /// How long the services may be down; copying goes on until that looks possible.
    pub max_downtime: Option<Duration>,
    /// The services are not stopped as long as this file exists.
    pub postpone_file: Option<PathBuf>,
    /// How long the originals are kept, at least.
    pub soak: Duration,
    /// Whether the originals are erased in the same run.
    pub finalize: bool,
    /// How the vault is mounted at the path of the data, as words of an `-o` list (`allow_other`, `acl`, `suid`, `dev`,
    /// `noexec`), so that the mount allows what the directory did.
    #[serde(default)]
    pub mount_options: Vec<String>,
    /// What mounts the vault when the machine starts.
    pub boot: BootKind,
    /// Where the passphrase comes from then.
    pub boot_secret: BootSecret,
    /// What was accepted by name.
    pub accepted: Vec<Accepted>,
    /// How originals are erased.
    pub erasure: Erasure,
}

impl Plan {
    /// Whether something was accepted.
    pub fn accepts(&self, what: &Accepted) -> bool {
        self.accepted.contains(what)
    }

    /// The checks that are not made.
    pub fn left_out(&self) -> Vec<Check> {
        let checks = self.accepted.iter().filter_map(|accepted| match accepted {
            Accepted::WithoutCheck(check) if self.leaves_out(*check) => Some(*check),
            _ => None,
        });
        checks.collect()
    }

    /// Whether a check is not made, because that was accepted. A recovery key that is written to a file is proved all the same.
    pub fn leaves_out(&self, check: Check) -> bool {
        let is_made_anyway = check == Check::RecoveryKey && self.recovery_key_file.is_some();
        self.accepts(&Accepted::WithoutCheck(check)) && !is_made_anyway
    }
}

impl Identity {
    /// What is at `path`, through symbolic links.
    pub fn of(path: &Path) -> io::Result<Self> {
        use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
        let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        Ok(Self::told_by(&stat))
    }

    /// What statx(2) told of, with its birth time if there was one.
    pub(crate) fn told_by(stat: &rustix::fs::Statx) -> Self {
        let knows_birth = stat.stx_mask & rustix::fs::StatxFlags::BTIME.bits() != 0;
        Self {
            dev: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            ino: stat.stx_ino,
            born: knows_birth.then_some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)),
        }
    }

    /// Whether two are the same directory. The number of a device may be another after a reboot, which a birth time makes
    /// up for; without one, it counts.
    pub fn is(&self, other: &Identity) -> bool {
        let is_born_alike = self.born.is_some() && self.born == other.born;
        self.ino == other.ino && (is_born_alike || (self.born == other.born && self.dev == other.dev))
    }
}

impl fmt::Display for MigrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for MigrationId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text} is no name of a migration: 16 hexadecimal digits");
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        Ok(Self(u64::from_str_radix(text, 16).map_err(|_| bad())?.to_be_bytes()))
    }
}

impl From<MigrationId> for String {
    fn from(id: MigrationId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for MigrationId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
