//! Options of `migrate`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use strongroom_actions::{
    migrate::{Accepted, BootKind, HealthSpec, ServiceSpec, parse_accepted},
    parse_duration,
};
use strongroom_secret::SecretRef;

use super::{
    backup::EventsArgs,
    passphrase::{self, PassphraseArgs},
};

/// Move a directory of plaintext into a vault at the same path, and back, while services run
///
/// At every moment one whole copy of the data is on the disk, and the journal says which. Whatever interrupts it, "migrate
/// resume" goes on; until the originals are erased, "migrate rollback" goes back with every write made since.
#[derive(Args)]
pub struct MigrateArgs {
    #[command(subcommand)]
    pub command: MigrateCommand,
}

#[derive(Subcommand)]
pub enum MigrateCommand {
    Encrypt(Box<EncryptArgs>),
    Status(StatusArgs),
    Resume(ResumeArgs),
    Verify(VerifyArgs),
    Rollback(RollbackArgs),
    Finalize(FinalizeArgs),
    Decrypt(Box<DecryptArgs>),
    Recover(RecoverArgs),
}

/// Turn a directory of plaintext into the mount point of a vault with the same content
///
/// Everything is checked first, the plaintext is backed up into an encrypted archive, and then copied while the services
/// run. They are stopped for what has changed since, for the verification of all of it, and for the cut-over; then the same
/// services run again at the same path, on the vault. If they do not, everything goes back by itself.
///
/// The originals are kept, set aside and out of reach, until "migrate finalize" erases them.
#[derive(Args)]
#[command(after_long_help = "\
Words for --accept: devices (device nodes are kept, and are of no use on the mount), clear-flags (files lose the immutable and
append-only flags), drop-xattr=NAME (extended attributes of this name are left behind), erase-grade-c (erasing does not reach
the old blocks here), and without-CHECK for a check that need not have passed before anything is erased: without-copy,
without-compared, without-decrypted, without-services, without-recovery-key, without-unchanged.

  strongroom migrate encrypt /srv/app --service systemd:app.service --health http://127.0.0.1:8080/up --backup-to /backup")]
pub struct EncryptArgs {
    /// The directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Where the ciphertext is to be (default: the configuration's, else DIR.vault)
    #[arg(long, visible_alias = "output", value_name = "CIPHERDIR", value_hint = ValueHint::DirPath)]
    pub vault: Option<PathBuf>,
    /// Write the recovery key of the vault to FILE, which does not exist yet, instead of showing it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub recovery_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub how: HowArgs,
    #[command(flatten)]
    pub boot: BootArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Turn the mount point of a vault into a directory of plaintext with the same content
///
/// The same as "migrate encrypt" the other way round, with the same checks. The vault is kept until "migrate finalize".
#[derive(Args)]
pub struct DecryptArgs {
    /// Where the vault is mounted
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// The vault, if it is not mounted (default: the one that is mounted at DIR, else DIR.vault)
    #[arg(long, value_name = "CIPHERDIR", value_hint = ValueHint::DirPath)]
    pub vault: Option<PathBuf>,
    #[command(flatten)]
    pub how: HowArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Which services are meant, and what is done with the data.
#[derive(Args)]
pub struct HowArgs {
    /// A service that uses the data: systemd:UNIT, systemd-user:UNIT, runit:DIR, supervisor:NAME, docker:NAME, compose:FILE,
    /// pidfile:FILE or command:NAME; several are stopped in this order (default: those of the configuration)
    #[arg(long = "service", value_name = "SPEC")]
    pub services: Vec<ServiceSpec>,
    /// What must be so afterwards for them to count as healthy: tcp:HOST:PORT, http:URL or exec:NAME (default: those of the
    /// configuration)
    #[arg(long = "health", value_name = "SPEC")]
    pub health: Vec<HealthSpec>,
    /// Back the data up into an encrypted archive in DIR first (default: the configuration's, else where all backups are)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "no_backup")]
    pub backup_to: Option<PathBuf>,
    /// Make no backup first; that is recorded as your choice
    #[arg(long)]
    pub no_backup: bool,
    /// How long the services may be down: copying goes on while they run until that looks possible
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub max_downtime: Option<Duration>,
    /// Do not stop the services as long as FILE exists
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub postpone_file: Option<PathBuf>,
    /// How long each service may take to stop, and to start
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub service_timeout: Option<Duration>,
    /// How long until the services must be healthy
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub health_timeout: Option<Duration>,
    /// Keep the originals for so long at least
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub soak: Option<Duration>,
    /// Erase the originals in the same run, once everything was checked and the services are healthy
    #[arg(long)]
    pub finalize: bool,
    #[command(flatten)]
    pub erase: EraseArgs,
    /// Leave extended attributes of this name behind: the same as --accept drop-xattr=NAME
    #[arg(long, value_name = "NAME")]
    pub drop_xattr: Vec<String>,
    /// Accept something that would otherwise be refused; see below
    #[arg(long, value_name = "WORD", value_delimiter = ',', value_parser = parse_accepted)]
    pub accept: Vec<Accepted>,
}

/// How the originals are erased.
#[derive(Args)]
pub struct EraseArgs {
    /// Overwrite the originals so often (default: once, as more helps nothing)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=35))]
    pub erase_passes: Option<u32>,
    /// Plant markers before erasing, and look for them on the raw device afterwards
    #[arg(long)]
    pub prove: bool,
    /// Overwrite free space as well, or have the file system's journal wrap
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub scrub: Vec<ScrubWord>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScrubWord {
    /// Free space
    Free,
    /// The journal of the file system
    Journal,
    /// Both
    All,
}

/// What mounts the vault when the machine starts.
#[derive(Args)]
pub struct BootArgs {
    /// What mounts the vault when the machine starts (default: what this machine runs)
    #[arg(long, value_enum, value_name = "KIND", help_heading = BOOT)]
    pub boot: Option<BootWord>,
    /// Read the passphrase from the first line of FILE then
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = BOOT, group = "boot_source")]
    boot_passphrase_file: Option<PathBuf>,
    /// Take the first line that COMMAND prints then
    #[arg(
        long, value_name = "COMMAND", value_hint = ValueHint::CommandString, help_heading = BOOT, group = "boot_source"
    )]
    boot_passphrase_command: Option<String>,
    /// Use the credential in FILE then, which systemd-creds sealed for this machine
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = BOOT, group = "boot_source")]
    boot_passphrase_credential: Option<String>,
    /// How the vault is mounted, as in /etc/fstab (default: allow_other, acl, suid and dev as DIR allows them)
    #[arg(short = 'o', value_name = "LIST", value_delimiter = ',', help_heading = BOOT)]
    pub mount_options: Vec<String>,
}

const BOOT: &str = "After it";

impl BootArgs {
    /// Where the passphrase comes from when the machine starts, if that was said.
    pub fn passphrase(&self) -> Option<SecretRef> {
        passphrase::source(
            &self.boot_passphrase_file,
            &self.boot_passphrase_command,
            false,
            &self.boot_passphrase_credential,
        )
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum BootWord {
    /// A unit of the system's systemd, with drop-ins for the services
    Systemd,
    /// A unit of your systemd, likewise
    SystemdUser,
    /// A line of /etc/fstab
    Fstab,
    /// A service directory of runit
    Runit,
    /// Nothing: what is to be done is printed, and you see to it
    Manual,
}

impl From<BootWord> for BootKind {
    fn from(word: BootWord) -> Self {
        match word {
            BootWord::Systemd => BootKind::Systemd,
            BootWord::SystemdUser => BootKind::SystemdUser,
            BootWord::Fstab => BootKind::Fstab,
            BootWord::Runit => BootKind::Runit,
            BootWord::Manual => BootKind::Manual,
        }
    }
}

/// How a migration is run and told of.
#[derive(Args)]
pub struct RunArgs {
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before it begins
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Work with so many threads (default: as many as there are processors)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub state: StateArgs,
    #[command(flatten)]
    pub events: EventsArgs,
}

/// Where migrations keep what they know.
#[derive(Args)]
pub struct StateArgs {
    /// Where migrations keep what they know (default: the configuration's, else /var/lib/strongroom for root and
    /// strongroom below $XDG_STATE_HOME for others)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
}

/// Which migration is meant.
#[derive(Args)]
pub struct WhichArgs {
    /// The directory that is migrated (default: the only one that is)
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// Tell where a migration stands
///
/// Since when, what is proven so far, whether it can be rolled back, and what to do next. Needs no passphrase.
#[derive(Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub which: WhichArgs,
    #[command(flatten)]
    pub state: StateArgs,
}

/// Go on with a migration that was interrupted, from wherever it was
#[derive(Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    pub which: WhichArgs,
    /// Let the services be down for longer than was planned, if it must be
    #[arg(long)]
    pub any_downtime: bool,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Compare the originals with the vault: all content and metadata
///
/// Or, with --source and --target, any two directories. Exit code 11 says that they differ.
#[derive(Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub which: WhichArgs,
    /// A directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, requires = "target", conflicts_with = "dir")]
    pub source: Option<PathBuf>,
    /// The directory that should be the same
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, requires = "source")]
    pub target: Option<PathBuf>,
    /// Work with so many threads (default: as many as there are processors)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub state: StateArgs,
    #[command(flatten)]
    pub events: EventsArgs,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Go back to where a migration came from, at the same path, with every write made since
///
/// What would be carried back is shown first. The vault is kept.
#[derive(Args)]
pub struct RollbackArgs {
    #[command(flatten)]
    pub which: WhichArgs,
    /// The vault is lost: restore this archive instead, and with it the state that it was made in
    #[arg(long, value_name = "ARCHIVE", value_hint = ValueHint::FilePath)]
    pub backup: Option<PathBuf>,
    /// The vault cannot be read: go back to the originals as they were at the cut-over, and lose what was written since
    #[arg(long, conflicts_with = "backup")]
    pub to_freeze: bool,
    /// Go on without what cannot be read in the vault, or not be kept outside of it
    #[arg(long)]
    pub leave_obstacles: bool,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Check everything once more, and then erase the originals
///
/// There is no way back from it but "migrate decrypt". What erasing reaches on this file system and device is said first.
#[derive(Args)]
pub struct FinalizeArgs {
    #[command(flatten)]
    pub which: WhichArgs,
    /// Accept that a check has not passed, or that erasing does not reach the old blocks; see "help migrate encrypt"
    #[arg(long, value_name = "WORD", value_delimiter = ',', value_parser = parse_accepted)]
    pub accept: Vec<Accepted>,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// After a crash: see to it that services can run, and do nothing else
///
/// Until the cut-over the plaintext is put back at its path, and the services are started on it. From the cut-over on it is
/// the vault that is mounted there. This is what runs when the machine starts, before the services.
#[derive(Args)]
pub struct RecoverArgs {
    #[command(flatten)]
    pub which: WhichArgs,
    /// The machine is just starting: whatever starts the services does so by itself
    #[arg(long)]
    pub at_boot: bool,
    #[command(flatten)]
    pub state: StateArgs,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a duration is wanted, such as 10m, 90s or 1h30m".to_owned())
}
