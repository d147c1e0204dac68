//! Options of `backup`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use strongroom_actions::backup::{self, Algorithm, ArchiveKind, Retention};

use super::passphrase::{NewPassphraseArgs, PassphraseArgs, VaultPassphraseArgs};

/// Make, keep and restore backups
///
/// A backup is one file in a directory of such files (PLACE): NAME-YYYYMMDD-HHMMSS.tar.zst.enc, encrypted unless told
/// otherwise. ARCHIVE is its path, or its file name in PLACE, the beginning of its id, or "latest".
#[derive(Args)]
pub struct BackupArgs {
    #[command(subcommand)]
    pub command: BackupCommand,
}

#[derive(Subcommand)]
pub enum BackupCommand {
    Create(Box<CreateArgs>),
    Restore(Box<RestoreArgs>),
    Recover(RecoverArgs),
    List(ListArgs),
    Info(InfoArgs),
    Verify(VerifyArgs),
    Diff(DiffArgs),
    Export(ExportArgs),
    Delete(DeleteArgs),
    Cleanup(CleanupArgs),
    /// Protect a backup from being deleted
    ///
    /// Until it is unlocked, neither "backup delete" nor "backup cleanup" removes it or what it needs.
    Lock(MarkArgs),
    /// Take the protection of a backup away
    ///
    /// "backup delete" and "backup cleanup" may remove it then.
    Unlock(MarkArgs),
    Passwd(ArchivePasswdArgs),
}

/// Where archives are, if a name is given instead of a path.
#[derive(Args)]
pub struct PlaceArgs {
    /// The directory of archives (default: the configuration's, else strongroom/backups among the user's data)
    #[arg(long, value_name = "PLACE", value_hint = ValueHint::DirPath)]
    pub place: Option<PathBuf>,
}

/// Telling programs what happens.
#[derive(Args)]
pub struct EventsArgs {
    /// Write what happens as JSON lines to FILE, or to standard output (-)
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub events: Option<PathBuf>,
}

/// Make a backup
///
/// SOURCE is a directory, the mount point of a vault, or a vault that is not mounted. SQLite databases in it are captured
/// while they are in use. The archive is read back before it gets its name; an interrupted backup leaves none.
///
/// Exit code 14 says that it was made, and that something could not be read or would not hold still.
#[derive(Args)]
pub struct CreateArgs {
    /// What to back up (default: the configuration's)
    #[arg(value_name = "SOURCE", value_hint = ValueHint::DirPath)]
    pub source: Option<PathBuf>,
    /// The directory for archives, made if it is missing (default: the configuration's, else strongroom/backups among the
    /// user's data)
    #[arg(long, visible_alias = "place", value_name = "PLACE", value_hint = ValueHint::DirPath)]
    pub output: Option<PathBuf>,
    /// What the archive is called (default: the configuration's, else the last name of SOURCE)
    #[arg(long, value_name = "NAME", value_parser = archive_name)]
    pub name: Option<String>,
    /// Everything, or what changed since the last backup (incremental) or since the last full one (differential)
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub kind: Option<KindWord>,
    /// How to compress
    #[arg(long, value_enum, value_name = "ALGORITHM")]
    pub compression: Option<CompressionWord>,
    /// How hard to compress: 1 is fastest, 9 is smallest
    #[arg(long, value_name = "1..9", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub compression_level: Option<u8>,
    /// Do not compress: the same as --compression none
    #[arg(long, conflicts_with_all = ["compression", "compression_level"])]
    pub no_compress: bool,
    /// Do not encrypt: whoever can read the archive can read everything in it
    #[arg(long, conflicts_with = "kdf")]
    pub no_encrypt: bool,
    /// How the passphrase becomes a key
    #[arg(long, value_enum, value_name = "KDF")]
    pub kdf: Option<KdfWord>,
    /// Only these: either names of components ("databases", "config", "files" and those of the configuration), or patterns
    /// of paths below SOURCE, as in .gitignore
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub include: Vec<String>,
    /// Not these: names of components, or patterns of paths below SOURCE, as in .gitignore
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// A word about it, which anybody who sees the archive can read
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Words to find it by
    #[arg(long = "tag", value_name = "WORD")]
    pub tags: Vec<String>,
    /// Read every file, instead of believing size, times and inode that it is as it was
    #[arg(long)]
    pub checksum: bool,
    /// Read the archive back before it gets its name (the default)
    #[arg(long, overrides_with = "no_verify")]
    pub verify: bool,
    /// Do not read the archive back
    #[arg(long, overrides_with = "verify")]
    pub no_verify: bool,
    /// Run no hooks
    #[arg(long)]
    pub no_hooks: bool,
    /// Work with so many threads (default: as many as there are processors)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub events: EventsArgs,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    #[command(flatten)]
    pub vault_passphrase: VaultPassphraseArgs,
}

impl CreateArgs {
    /// Whether to read the archive back, if that was said.
    pub fn verifies(&self) -> Option<bool> {
        match (self.verify, self.no_verify) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }
}

/// A name as it can stand at the front of a file name.
fn archive_name(name: &str) -> Result<String, String> {
    match backup::sanitise(name) {
        fit if fit == name => Ok(fit),
        fit => Err(format!("letters, digits and . _ - + @ can be in it, as in {fit}")),
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum KindWord {
    /// Everything
    Full,
    /// What changed since the last backup of whatever type
    Incremental,
    /// What changed since the last full backup
    Differential,
}

impl From<KindWord> for ArchiveKind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::Full => ArchiveKind::Full,
            KindWord::Incremental => ArchiveKind::Incremental,
            KindWord::Differential => ArchiveKind::Differential,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum CompressionWord {
    /// zstd, level 3 unless told otherwise
    Zstd,
    /// gzip, level 6 unless told otherwise
    Gzip,
    /// lz4, level 1 unless told otherwise
    Lz4,
    /// Not at all
    None,
}

impl From<CompressionWord> for Algorithm {
    fn from(word: CompressionWord) -> Self {
        match word {
            CompressionWord::Zstd => Algorithm::Zstd,
            CompressionWord::Gzip => Algorithm::Gzip,
            CompressionWord::Lz4 => Algorithm::Lz4,
            CompressionWord::None => Algorithm::None,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum KdfWord {
    /// scrypt: each attempt at guessing costs 64 MiB of memory
    Scrypt,
    /// PBKDF2-SHA256 with 600,000 iterations, where a rule asks for it
    Pbkdf2,
}

/// Put back what a backup holds
///
/// Everything is checked and written beside the target, read back, and only then exchanged for what is there. Whatever goes
/// wrong before that leaves the target as it was; so does a crash at any time, after which the next restore to the same
/// target first puts things right.
#[derive(Args)]
pub struct RestoreArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE", value_hint = ValueHint::FilePath)]
    pub archive: PathBuf,
    /// Where to (default: where it came from)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub target: Option<PathBuf>,
    /// Only these components
    #[arg(long, visible_alias = "database", value_name = "LIST", value_delimiter = ',')]
    pub component: Vec<String>,
    /// Only what matches this pattern, and what is in it; may be given several times. Escapes as "backup info" shows them
    /// are understood; a byte that is not UTF-8, as it is or as \xNN, stands for any such byte
    #[arg(long, value_name = "GLOB")]
    pub path: Vec<OsString>,
    /// Only configuration
    #[arg(long, conflicts_with = "component")]
    pub config_only: bool,
    /// Show what would be made, replaced and left alone, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Replace what is there; what the archive does not have is removed if all of it is restored
    #[arg(long, conflicts_with = "merge")]
    pub force: bool,
    /// Add what is missing, and touch nothing that is there
    #[arg(long)]
    pub merge: bool,
    /// Make a backup of the target first, encrypted as the configuration says
    #[arg(long, conflicts_with = "dry_run")]
    pub backup_current_first: bool,
    /// Keep what is replaced, beside the target
    #[arg(long)]
    pub keep_old: bool,
    /// Who is to own what is restored (default: names for root, mine for others)
    #[arg(long, value_enum, value_name = "OWNERS")]
    pub owners: Option<OwnersWord>,
    /// Restore set-user-id and set-group-id bits and file capabilities (the default for root, if the archive is sealed)
    #[arg(long, overrides_with = "no_set_id")]
    pub set_id: bool,
    /// Restore no set-user-id and set-group-id bits
    #[arg(long, overrides_with = "set_id")]
    pub no_set_id: bool,
    /// Restore device nodes
    #[arg(long)]
    pub devices: bool,
    /// Restore nothing but the vault's keys: a gocryptfs.conf, to --output or standard output
    #[arg(long, conflicts_with_all = ["target", "component", "path", "config_only", "dry_run", "force", "merge"])]
    pub keys_only: bool,
    /// Where the vault's keys go; a file that is there is not replaced
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "keys_only")]
    pub output: Option<PathBuf>,
    /// The directory of archives, if ARCHIVE is a name (default: the configuration's), and for the backup of the target
    /// (default: beside ARCHIVE)
    #[arg(long, value_name = "PLACE", value_hint = ValueHint::DirPath)]
    pub place: Option<PathBuf>,
    /// Do not ask before something is replaced
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Run no hooks
    #[arg(long)]
    pub no_hooks: bool,
    #[command(flatten)]
    pub events: EventsArgs,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OwnersWord {
    /// As in the archive, by number
    Numbers,
    /// As in the archive, by name where this machine knows it
    Names,
    /// Whoever restores
    Mine,
}

/// Put right what an interrupted restore has left
///
/// The directory is as it was before the restore then, or as it was to be, and never in between. A new restore into it does
/// this first, without being told.
#[derive(Args)]
pub struct RecoverArgs {
    /// Where the restore was going
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub target: PathBuf,
}

/// List the backups in a directory
///
/// Needs no passphrase.
#[derive(Args)]
pub struct ListArgs {
    /// The directory of archives (default: the configuration's, else strongroom/backups among the user's data)
    #[arg(value_name = "PLACE", value_hint = ValueHint::DirPath)]
    pub place: Option<PathBuf>,
    /// Show ids, what needs what, labels, and what else is there
    #[arg(long, short = 'v')]
    pub verbose: bool,
    /// Only those of this type
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub kind: Option<KindWord>,
    /// Only those of this name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// Show what a backup is made of
///
/// Only the header and the index are read, however large it is.
#[derive(Args)]
pub struct InfoArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE", value_hint = ValueHint::FilePath)]
    pub archive: PathBuf,
    /// List everything that is in it
    #[arg(long)]
    pub contents: bool,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Read a backup to see that it is whole
///
/// Every byte is authenticated and the hash of every file is compared, in the archive and in those that it needs. How that
/// ended is remembered and shown by "backup list".
#[derive(Args)]
pub struct VerifyArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE", value_hint = ValueHint::FilePath)]
    pub archive: PathBuf,
    /// Restore all of it to a scratch directory, and open the databases
    #[arg(long)]
    pub deep: bool,
    /// Where the scratch directory is made (default: beside the archive)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, requires = "deep")]
    pub scratch: Option<PathBuf>,
    /// Only this archive, without those that it needs
    #[arg(long, conflicts_with = "deep")]
    pub alone: bool,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub events: EventsArgs,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Show what changed between a backup and another, or a directory
#[derive(Args)]
pub struct DiffArgs {
    /// The older one
    #[arg(value_name = "ARCHIVE", value_hint = ValueHint::FilePath)]
    pub archive: PathBuf,
    /// The newer one: an archive, or a directory (default: where the archive came from)
    #[arg(value_name = "ARCHIVE|DIR", value_hint = ValueHint::AnyPath)]
    pub other: Option<PathBuf>,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Write a backup as a plain tar stream, for any other tool
///
/// What an incremental backup took over from others is not in its stream.
#[derive(Args)]
pub struct ExportArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE", value_hint = ValueHint::FilePath)]
    pub archive: PathBuf,
    /// Where to: a file that is not there yet, or standard output (-)
    #[arg(value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Delete a backup
///
/// Refused if others need it, if it is locked, or if it is the last good one of its name.
#[derive(Args)]
pub struct DeleteArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE", value_hint = ValueHint::FilePath)]
    pub archive: PathBuf,
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// Delete old backups
///
/// Days, weeks, months and years are those of the local calendar; of each the newest archive is kept. What others need, what
/// is locked and the last good one of each name are never deleted.
#[derive(Args)]
pub struct CleanupArgs {
    /// Keep the newest N
    #[arg(long, value_name = "N", help_heading = "What to keep (default: the configuration's)")]
    pub keep: Option<u32>,
    /// Keep one for each of the last N days that have one
    #[arg(long, value_name = "N", help_heading = "What to keep (default: the configuration's)")]
    pub keep_daily: Option<u32>,
    /// Keep one for each of the last N weeks that have one
    #[arg(long, value_name = "N", help_heading = "What to keep (default: the configuration's)")]
    pub keep_weekly: Option<u32>,
    /// Keep one for each of the last N months that have one
    #[arg(long, value_name = "N", help_heading = "What to keep (default: the configuration's)")]
    pub keep_monthly: Option<u32>,
    /// Keep one for each of the last N years that have one
    #[arg(long, value_name = "N", help_heading = "What to keep (default: the configuration's)")]
    pub keep_yearly: Option<u32>,
    /// Show what would be kept and deleted, and why, and delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Only archives of this name (default: of each name by itself)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub yes: bool,
}

impl CleanupArgs {
    /// What to keep, if the command line says so.
    pub fn policy(&self) -> Option<Retention> {
        let policy = Retention {
            last: self.keep,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            ..Retention::default()
        };
        (policy != Retention::default()).then_some(policy)
    }
}

#[derive(Args)]
pub struct MarkArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE", value_hint = ValueHint::FilePath)]
    pub archive: PathBuf,
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Change the passphrase of a backup
///
/// Only its header is written anew. The vault's keys inside, and copies of the archive elsewhere, still open with the old
/// passphrase.
#[derive(Args)]
pub struct ArchivePasswdArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE", value_hint = ValueHint::FilePath)]
    pub archive: PathBuf,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub old: PassphraseArgs,
    #[command(flatten)]
    pub new: NewPassphraseArgs,
}
