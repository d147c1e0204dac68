//! The command line's grammar. Nothing below this crate knows of it.

pub mod audit;
pub mod backup;
pub mod helper;
pub mod migrate;
pub mod mount;
pub mod passphrase;
pub mod pattern;
pub mod reverse;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use strongroom_actions::{Algorithm, NameMode};

use audit::{AuditArgs, ConfigArgs};
use backup::BackupArgs;
use migrate::MigrateArgs;
use mount::MountArgs;
use passphrase::{NewPassphraseArgs, OldSecretArgs, PassphraseArgs};

/// Keeps a directory encrypted.
///
/// A vault is a directory of ciphertext (CIPHERDIR), in the format of gocryptfs. Mounted, it is seen in plaintext at
/// MOUNTPOINT by programs that need know nothing of it.
#[derive(Parser)]
#[command(name = "strongroom", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_long_help = "\
Getting started:
  strongroom init ~/vault            make a vault, choose a passphrase, write down the recovery key
  mkdir ~/plain
  strongroom mount ~/vault ~/plain   work in ~/plain; ~/vault holds the ciphertext
  strongroom umount ~/plain
  strongroom backup create ~/plain   make a backup; strongroom backup restore latest puts it back
  strongroom migrate encrypt DIR     make a directory that is in use the mount point of a vault

Exit codes are listed by: strongroom help exit-codes")]
pub struct Cli {
    /// Print results and errors as JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// Read the configuration from FILE (default: $STRONGROOM_CONFIG, else strongroom/strongroom.toml below
    /// $XDG_CONFIG_HOME, else /etc/strongroom/strongroom.toml)
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Init(InitArgs),
    Mount(Box<MountArgs>),
    Umount(UmountArgs),
    Passwd(PasswdArgs),
    Info(InfoArgs),
    Check(CheckArgs),
    Backup(BackupArgs),
    Migrate(MigrateArgs),
    Audit(AuditArgs),
    Config(ConfigArgs),
    Speed(SpeedArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    Help(HelpArgs),
}

/// Make a vault in an empty directory
///
/// The directory is made if it does not exist. The recovery key, which opens the vault without the passphrase, is shown
/// once: write it down and keep it apart from this machine.
#[derive(Args)]
pub struct InitArgs {
    /// Where the ciphertext is to be
    #[arg(value_name = "CIPHERDIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// CIPHERDIR holds plaintext, and is to be seen encrypted by mount --reverse: only .gocryptfs.reverse.conf is added
    #[arg(long)]
    pub reverse: bool,
    /// How contents are encrypted
    #[arg(long, value_enum, default_value = "aes-gcm", conflicts_with = "reverse")]
    pub cipher: CipherWord,
    /// How names are stored
    #[arg(long, value_enum, default_value = "encrypted")]
    pub names: NamesWord,
    /// Hash names whose encrypted form is longer than N (62 to 255), for storage that takes no long names
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(62..=255))]
    pub long_name_max: Option<u8>,
    /// Cost of trying a passphrase: scrypt's N is two to the power of this (10 to 22, usually 16)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(10..=22))]
    pub scrypt_log_n: Option<u8>,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum CipherWord {
    /// AES-256-GCM: the fastest where the processor has AES
    AesGcm,
    /// AES-SIV: safe even if random numbers should repeat
    AesSiv,
    /// XChaCha20-Poly1305: the fastest where the processor has no AES
    #[value(name = "xchacha20-poly1305")]
    XChaCha20Poly1305,
}

impl From<CipherWord> for Algorithm {
    fn from(word: CipherWord) -> Self {
        match word {
            CipherWord::AesGcm => Algorithm::Aes256Gcm,
            CipherWord::AesSiv => Algorithm::AesSiv,
            CipherWord::XChaCha20Poly1305 => Algorithm::XChaCha20Poly1305,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum NamesWord {
    /// Encrypted; equal names look different in different directories
    Encrypted,
    /// Encrypted; equal names look the same everywhere
    Deterministic,
    /// Not encrypted; neither are the targets of symbolic links
    Plaintext,
}

impl From<NamesWord> for NameMode {
    fn from(word: NamesWord) -> Self {
        match word {
            NamesWord::Encrypted => NameMode::Encrypted,
            NamesWord::Deterministic => NameMode::Deterministic,
            NamesWord::Plaintext => NameMode::Plaintext,
        }
    }
}

/// Unmount a vault, or clear a mount whose process is gone
///
/// Returns when everything that was written is on the disk.
#[derive(Args)]
pub struct UmountArgs {
    /// Where the vault is mounted
    #[arg(value_name = "MOUNTPOINT", value_hint = ValueHint::DirPath)]
    pub mountpoint: PathBuf,
    /// Take it out of sight now, and let it end with the last program that uses it
    #[arg(long)]
    pub lazy: bool,
}

/// Change the passphrase of a vault
///
/// The files are not encrypted again and the recovery key stays the same. Whoever has an old copy of gocryptfs.conf can
/// still open the vault with the old passphrase.
#[derive(Args)]
pub struct PasswdArgs {
    /// The vault
    #[arg(value_name = "CIPHERDIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    #[command(flatten)]
    pub old: OldSecretArgs,
    #[command(flatten)]
    pub new: NewPassphraseArgs,
}

/// Tell what a vault is made of, and who uses it
///
/// Needs no passphrase.
#[derive(Args)]
pub struct InfoArgs {
    /// The vault
    #[arg(value_name = "CIPHERDIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// Authenticate everything in a vault, and repair what can be
///
/// Every name, block, symbolic link and extended attribute is decrypted and authenticated; what is damaged is listed by
/// its plaintext path, and so is what is odd, but harmless. Nothing is changed, unless a repair is asked for, which deletes
/// nothing. The vault must not be mounted.
#[derive(Args)]
pub struct CheckArgs {
    /// The vault
    #[arg(value_name = "CIPHERDIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Work with so many threads (default: as many as there are processors)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Put right what can be without losing anything: directories that a crash left empty and unusable get a new IV, or
    /// their old one back if it is found; names of files that are gone, names that do not decrypt and what interrupted
    /// runs left are moved to CIPHERDIR.set-aside. What is to be done is shown first. Damaged contents are not touched
    #[arg(long)]
    pub repair: bool,
    /// Show what a repair would do, and do nothing
    #[arg(long, requires = "repair")]
    pub dry_run: bool,
    /// Do not ask before the repair
    #[arg(long, short = 'y', requires = "repair")]
    pub yes: bool,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Measure what this machine's ciphers do
#[derive(Args)]
pub struct SpeedArgs {}

/// Print a completion script for a shell
#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Print the manual page, or that of a command
#[derive(Args)]
pub struct ManArgs {
    /// A command, such as "mount" or "backup create"
    pub command: Vec<String>,
}

/// Print help about a command, or the exit codes
#[derive(Args)]
pub struct HelpArgs {
    /// A command, or "exit-codes"
    pub topic: Vec<String>,
}
