//! Exit codes and hints: where failures become numbers, and advice. The codes are stable; a new one takes a new number.

use std::{fmt, io};

use strongroom_actions::{
    ActionError, MountError, UmountError,
    backup::{ArchiveError, BackupError},
    migrate::{HostError, MigrateError, Refusal, State, Trouble},
    ready::LaunchError,
};
use strongroom_secret::SecretError;

use crate::text::{next_command::migrate_again, sentence};

/// What the passphrase of a vault is called that is backed up while it is not mounted.
pub const VAULT_PASSPHRASE: &str = "passphrase of the vault";

/// How this process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

/// A line of the table: code, name, meaning.
pub type Line = (Exit, &'static str, &'static str);

impl Exit {
    pub const OK: Exit = Exit(0);
    pub const FAILURE: Exit = Exit(1);
    pub const USAGE: Exit = Exit(2);
    pub const WRONG_SECRET: Exit = Exit(3);
    pub const NO_VAULT: Exit = Exit(4);
    pub const BAD_CONFIG: Exit = Exit(5);
    pub const NOT_EMPTY: Exit = Exit(6);
    pub const IN_USE: Exit = Exit(7);
    pub const NO_SECRET: Exit = Exit(8);
    pub const MOUNTPOINT: Exit = Exit(9);
    pub const MOUNT_FAILED: Exit = Exit(10);
    pub const DAMAGED: Exit = Exit(11);
    pub const NOT_MOUNTED: Exit = Exit(12);
    pub const BUSY: Exit = Exit(13);
    pub const INCOMPLETE: Exit = Exit(14);
    pub const NO_ARCHIVE: Exit = Exit(15);
    pub const NEEDED: Exit = Exit(16);
    pub const MISSING_BASE: Exit = Exit(17);
    pub const REFUSED: Exit = Exit(18);
    pub const NOT_MIGRATED: Exit = Exit(19);
    pub const NEEDS_OPERATOR: Exit = Exit(20);
    pub const WENT_BACK: Exit = Exit(21);
    pub const PAUSED: Exit = Exit(22);
    pub const NO_MIGRATION: Exit = Exit(23);
    pub const INTERRUPTED: Exit = Exit(130);

    /// The table.
    pub const ALL: &[Line] = &[
        (Exit::OK, "ok", "Done."),
        (Exit::FAILURE, "failure", "It failed in a way that has no code of its own."),
        (Exit::USAGE, "usage", "The command line makes no sense."),
        (Exit::WRONG_SECRET, "wrong-secret", "The passphrase or the recovery key is wrong."),
        (Exit::NO_VAULT, "no-vault", "CIPHERDIR does not exist, cannot be used, or holds no vault."),
        (
            Exit::BAD_CONFIG,
            "bad-config",
            "gocryptfs.conf or strongroom.toml is damaged, or of a kind that is not known.",
        ),
        (Exit::NOT_EMPTY, "not-empty", "init: CIPHERDIR is not empty, or is a vault already."),
        (Exit::IN_USE, "in-use", "Another process uses the vault, or a migration of the directory is not finished."),
        (Exit::NO_SECRET, "no-secret", "The passphrase or the recovery key could not be read."),
        (Exit::MOUNTPOINT, "mountpoint", "MOUNTPOINT does not exist, is not empty, or is in the wrong place."),
        (Exit::MOUNT_FAILED, "mount-failed", "The mount could not be made, or ended badly."),
        (
            Exit::DAMAGED,
            "damaged",
            "Something in the vault, the archive or the audit log is damaged; migrate verify: the two differ.",
        ),
        (Exit::NOT_MOUNTED, "not-mounted", "umount: no vault is mounted at MOUNTPOINT."),
        (Exit::BUSY, "busy", "Programs still use the mount, or the data that is to be migrated."),
        (
            Exit::INCOMPLETE,
            "incomplete",
            "Done, but something was left out: it could not be read, or changed meanwhile.",
        ),
        (Exit::NO_ARCHIVE, "no-archive", "ARCHIVE does not exist, or is no archive."),
        (Exit::NEEDED, "needed", "backup delete: other archives need it, it is locked, or it is the last good one."),
        (Exit::MISSING_BASE, "missing-base", "An archive that this one needs is missing, or is another than it was."),
        (Exit::REFUSED, "refused", "Refused as long as it is not confirmed: --yes, --force or --merge."),
        (Exit::NOT_MIGRATED, "not-migrated", "migrate: refused beforehand, with reasons; nothing was changed."),
        (
            Exit::NEEDS_OPERATOR,
            "needs-operator",
            "migrate: neither side could be brought up safely, and only a person can decide; nothing is deleted.",
        ),
        (Exit::WENT_BACK, "went-back", "migrate: it failed, and the services run on what they ran on before."),
        (Exit::PAUSED, "paused", "migrate: stopped at a safe point, on request or for want of room; resume goes on."),
        (Exit::NO_MIGRATION, "no-migration", "migrate: there is no such migration."),
        (Exit::INTERRUPTED, "interrupted", "Interrupted at the terminal."),
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self.0
    }

    /// The name in the table.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(exit, ..)| *exit == self).map_or("failure", |(_, name, _)| name)
    }

    /// What a process that was started for this one ended with.
    pub fn of_code(code: u8) -> Exit {
        Self::ALL.iter().map(|(exit, ..)| *exit).find(|exit| exit.0 == code).unwrap_or(Exit::FAILURE)
    }
}

/// The table as text.
pub fn table() -> String {
    let line = |(exit, name, meaning): &Line| format!("{:>5}  {name:<13} {meaning}\n", exit.code());
    Exit::ALL.iter().map(line).collect()
}

/// Why a command failed: what was attempted on what and why it failed, and what to do.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What was attempted on what, and why it failed.
    pub message: String,
    /// What to do, if something can be said.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), hint: None }
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn with(exit: Exit, message: impl fmt::Display, hint: Option<String>) -> Self {
        Self { exit, message: message.to_string(), hint }
    }

    /// For a pipe: message and hint in one.
    pub fn to_line(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}{HINT_MARK}{hint}", self.message),
            None => self.message.clone(),
        }
    }

    fn of_line(exit: Exit, line: &str) -> Self {
        match line.split_once(HINT_MARK) {
            Some((message, hint)) => Failure::new(exit, message).hint(hint),
            None => Failure::new(exit, line),
        }
    }
}

/// As any failure; if there is too little room, with `elsewhere` as what else can be done.
pub fn or_elsewhere(elsewhere: &str) -> impl FnOnce(ActionError) -> Failure {
    move |error| match error {
        ActionError::Backup(error @ BackupError::Space { .. }) => {
            Failure::from(error).hint(format!("Make room there, or {elsewhere}."))
        }
        error => error.into(),
    }
}

/// ASCII's unit separator, which no message holds.
const HINT_MARK: char = '\x1f';

impl From<ActionError> for Failure {
    fn from(error: ActionError) -> Self {
        let (exit, hint) = match error {
            ActionError::Secret(error) => return error.into(),
            ActionError::Umount(error) => return error.into(),
            ActionError::Migrate(error) => return error.into(),
            ActionError::Refused(ref preview) => (Exit::NOT_MIGRATED, Some(hints(&preview.survey.refusals))),
            ActionError::CipherDir { ref source, .. } => (Exit::NO_VAULT, cipher_dir_hint(source)),
            ActionError::NotAVault(ref dir) => (
                Exit::NO_VAULT,
                Some(format!("Check the path; to make a new vault there: strongroom init {}", dir.display())),
            ),
            ActionError::NotEmpty { .. } => (
                Exit::NOT_EMPTY,
                Some("Give an empty directory, or one that does not exist yet: a vault is made there, files are moved in through its mount.".into()),
            ),
            ActionError::AlreadyAVault(ref dir) => {
                (Exit::NOT_EMPTY, Some(format!("See what it is: strongroom info {}", dir.display())))
            }
            ActionError::Conf { .. } => (
                Exit::BAD_CONFIG,
                Some("Put gocryptfs.conf back from a backup; it changes only with the passphrase.".into()),
            ),
            ActionError::Settings { .. } => (Exit::USAGE, None),
            ActionError::WrongPassphrase(ref dir) => (
                Exit::WRONG_SECRET,
                Some(format!("With the recovery key a new passphrase can be set: strongroom passwd --recovery-key {}", dir.display())),
            ),
            ActionError::WrongRecoveryKey(_) => {
                (Exit::WRONG_SECRET, Some("Check that it is the key of this vault; nothing was changed.".into()))
            }
            ActionError::MalformedRecoveryKey(_) => {
                (Exit::NO_SECRET, Some("It was shown when the vault was made: eight groups of eight digits 0-9, a-f.".into()))
            }
            ActionError::InUse { .. } => (
                Exit::IN_USE,
                Some("Unmount it first (strongroom umount MOUNTPOINT), or mount it everywhere with --shared-storage.".into()),
            ),
            ActionError::NotForViews(_) => (
                Exit::BAD_CONFIG,
                Some("One that is: strongroom init --reverse DIR. The mount of a vault needs no --reverse.".into()),
            ),
            ActionError::View { .. } => (Exit::FAILURE, None),
            ActionError::Exclusions { ref source, .. } => (Exit::USAGE, io_hint(source)),
            ActionError::Mount { ref source, .. } => (mount_exit(source), source.hint()),
            ActionError::NowhereAside { .. } => (
                Exit::FAILURE,
                Some("Have the directory above it writable for this once: what is set aside goes beside the vault, on the same file system.".into()),
            ),
            ActionError::NotReadBack(_) => {
                (Exit::FAILURE, Some("Try again; if it happens twice, suspect this machine's memory.".into()))
            }
            ActionError::Path(ref error) => (Exit::FAILURE, io_hint(&error.source)),
            ActionError::ConfUnreadable { ref source, .. } => (Exit::FAILURE, io_hint(source)),
            ActionError::ConfNotWritten { ref source, .. } => (Exit::FAILURE, io_hint(&source.source)),
            ActionError::Backup(error) => return error.into(),
            ActionError::Source { .. } => {
                (Exit::FAILURE, Some("SOURCE is a directory, the mount point of a vault, or a vault that is not mounted.".into()))
            }
            ActionError::Pattern(_) => (Exit::USAGE, None),
            ActionError::MixedInclude { .. } => {
                (Exit::USAGE, Some("Include components, and exclude what is not wanted of the rest; or include patterns only.".into()))
            }
            ActionError::IntoCiphertext(_) => (
                Exit::REFUSED,
                Some("Mount the vault, and restore into its mount point: --target MOUNTPOINT.".into()),
            ),
            ActionError::PlaceInCiphertext(_) | ActionError::IntoSource(_) => {
                (Exit::REFUSED, Some("Keep them in another directory: --output PLACE.".into()))
            }
            ActionError::InTheWay { .. } => (
                Exit::REFUSED,
                Some(
                    "To replace what is there: --force; to add only what is missing: --merge; to see first: --dry-run."
                        .into(),
                ),
            ),
            ActionError::NothingToRecover(_) => (Exit::FAILURE, Some("Check the path.".into())),
            ActionError::OverArchives { .. } => (
                Exit::REFUSED,
                Some("Move the archives elsewhere; or add only what is missing (--merge), or restore a part (--path).".into()),
            ),
            ActionError::NoKeys(_) => (Exit::FAILURE, Some("Only backups of a vault's data have its keys in them.".into())),
            ActionError::Declined => (Exit::REFUSED, None),
            ActionError::NobodyToConfirm => (Exit::REFUSED, Some("To go on without being asked: --yes".into())),
            ActionError::NoAuditLog(_) => {
                (Exit::FAILURE, Some("It is made by the first command that creates, restores, deletes or changes keys.".into()))
            }
            ActionError::NoAuditPlace => (
                Exit::FAILURE,
                Some("Nothing was done, as [audit] required is set. Name a place: [audit] dir, or STRONGROOM_AUDIT_DIR.".into()),
            ),
            ActionError::PreHook(_) => (Exit::FAILURE, Some("To do it without the hooks: --no-hooks".into())),
            ActionError::Unaudited(_) => {
                (Exit::FAILURE, Some("Nothing was done, as [audit] required is set.".into()))
            }
            ActionError::CannotMigrate { .. } => (Exit::NOT_MIGRATED, Some("DIR is the directory that the services use.".into())),
            ActionError::WhichMigration(_) => (Exit::USAGE, Some("Name the directory that is meant: DIR.".into())),
            ActionError::RecoveryKeyNotProved(_) => (
                Exit::NO_SECRET,
                Some("Run it at a terminal, or name a file that it is written to: --recovery-key-file FILE; or accept that nobody has it: --accept without-recovery-key".into()),
            ),
            ActionError::KeyWithin(_) => (Exit::REFUSED, Some("Name a file elsewhere: --recovery-key-file FILE".into())),
            ActionError::NotOurs(_) => (Exit::REFUSED, Some("See what it is, and remove it by hand if you are certain.".into())),
            ActionError::Vault { .. } | _ => (Exit::FAILURE, None),
        };
        Failure::with(exit, error, hint)
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        let make_room = || Some(format!("Make room there; then: {}", migrate_again("resume")));
        let is_full = error.is_full();
        let (exit, hint) = match error {
            MigrateError::Host(HostError { trouble: Trouble::Stopped, .. }) => {
                (Exit::PAUSED, Some(format!("To go on: {}", migrate_again("resume"))))
            }
            MigrateError::Host(HostError { attempted, source, .. }) => {
                let failure = of_host(&attempted, source);
                // Whichever it was that found no room: it is a pause.
                return if is_full { Failure { exit: Exit::PAUSED, hint: make_room(), ..failure } } else { failure };
            }
            _ if is_full && !matches!(error, MigrateError::NotCarried { .. }) => (Exit::PAUSED, make_room()),
            MigrateError::AlreadyOpen { .. } => {
                (Exit::IN_USE, Some(format!("See how far it is: {}; to go on: {}", migrate_again("status"), migrate_again("resume"))))
            }
            MigrateError::Busy { .. } => (Exit::IN_USE, Some(format!("See what it does: {}", migrate_again("status")))),
            MigrateError::NoMigration { .. } => {
                (Exit::NO_MIGRATION, Some("Check the path, and --state-dir if one was given when it began.".into()))
            }
            MigrateError::NotCarried { cause } => return not_carried(*cause),
            MigrateError::Held { .. } => (
                Exit::BUSY,
                Some(format!("Stop them, or name them with --service so that they are stopped; then: {}", migrate_again("resume"))),
            ),
            MigrateError::Forged { .. } | MigrateError::PlanChanged { .. } => (
                Exit::NEEDS_OPERATOR,
                Some("Somebody else wrote there. Nothing is erased or decrypted by it; docs/MIGRATION.md says how to go on.".into()),
            ),
            MigrateError::NotUndone { .. } | MigrateError::NeedsOperator { .. } => {
                (Exit::NEEDS_OPERATOR, Some(format!("See how it stands: {}", migrate_again("status"))))
            }
            MigrateError::Different { .. } | MigrateError::Damaged { .. } => {
                (Exit::DAMAGED, Some("Nothing was erased. If it happens again, suspect this machine's memory or disk.".into()))
            }
            MigrateError::TooLong { .. } => {
                (Exit::PAUSED, Some(format!("Try when less is written: {0}; or allow what it takes: {0} --any-downtime", migrate_again("resume"))))
            }
            MigrateError::Stopped { .. } => (Exit::PAUSED, Some(format!("To go on: {}", migrate_again("resume")))),
            MigrateError::BackedOut { .. } => (Exit::WENT_BACK, Some(format!("When the cause is gone: {}", migrate_again("resume")))),
            MigrateError::RolledBack { .. } => {
                (Exit::WENT_BACK, Some("The vault is kept. When the cause is gone, begin anew.".into()))
            }
            MigrateError::NotNow { state, verb } => return not_now(state, verb),
            MigrateError::Broken { invariant, ref why, .. } => return broken(invariant, why),
            MigrateError::Refused { ref refusals } => (Exit::NOT_MIGRATED, Some(hints(refusals))),
            MigrateError::TooSoon { .. } => (
                Exit::NOT_MIGRATED,
                Some(format!("To go back: {}; after that time: {}", migrate_again("rollback"), migrate_again("finalize"))),
            ),
            MigrateError::OutOfReach { .. } => (
                Exit::REFUSED,
                Some("To have them unlinked all the same, which is all that can be done here: --accept erase-grade-c".into()),
            ),
            _ => (Exit::FAILURE, None),
        };
        Failure::with(exit, error, hint)
    }
}

/// What must be true before a step is not. That a check has not passed is a refusal like any other; all else is not as a step
/// could have left it.
fn broken(invariant: &str, why: &str) -> Failure {
    let (exit, hint) = match invariant {
        "I2" => {
            let again = format!("See to it, and try again: {}", migrate_again("finalize"));
            (Exit::NOT_MIGRATED, format!("{again}; or accept it without that check: --accept without-CHECK"))
        }
        _ => (Exit::NEEDS_OPERATOR, format!("See how it stands: {}", migrate_again("status"))),
    };
    Failure::with(exit, format!("{why}; nothing was changed"), Some(hint))
}

/// What cannot be done from where it is, in words. Where it is over, there is none that it could be done to.
fn not_now(state: State, verb: &str) -> Failure {
    let how = match state {
        State::RolledBack => "it has gone back already",
        State::Done => "it is finished, and the originals are erased",
        _ => {
            let message = format!("the migration cannot be {verb} now: it is at: {}", sentence(state));
            return Failure::new(Exit::REFUSED, message)
                .hint(format!("See how far it is: {}", migrate_again("status")));
        }
    };
    Failure::new(Exit::NO_MIGRATION, format_args!("there is no migration that could be {verb}: {how}"))
        .hint(format!("Nothing is to be done. Before another one is begun: {}", migrate_again("status")))
}

/// What kept changes from being carried back. It is as before, and is tried again by the same command, not by going on.
fn not_carried(cause: MigrateError) -> Failure {
    let is_obstructed = matches!(cause, MigrateError::Obstructed { .. });
    let is_used = match &cause {
        MigrateError::Host(error) => error.trouble == Trouble::Busy,
        cause => matches!(cause, MigrateError::Held { .. }),
    };
    let is_full = cause.is_full();
    let failure = Failure::from(cause);
    let rollback = migrate_again("rollback");
    let (exit, hint) = match failure.exit {
        _ if is_used => (Exit::BUSY, format!("Stop what uses it; then: {rollback}")),
        _ if is_obstructed => (
            Exit::DAMAGED,
            format!(
                "To go back without that, which stays as it was at the cut-over: {rollback} --leave-obstacles; to keep \
                 it, copy it from the mount first"
            ),
        ),
        _ if is_full => (Exit::PAUSED, format!("Make room there; then: {rollback}")),
        Exit::PAUSED => (Exit::PAUSED, format!("To go back: {rollback}")),
        exit => (exit, format!("When the cause is gone: {rollback}")),
    };
    let message =
        format!("{}; nothing of the original was changed, and the services go on with the vault", failure.message);
    Failure::with(exit, message, Some(hint))
}

/// What the machine refused, with the advice that there is for that.
fn of_host(attempted: &str, source: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    match source.downcast::<ActionError>() {
        Ok(inner) => {
            let failure = Failure::from(*inner);
            Failure { message: format!("{attempted}: {}", failure.message), ..failure }
        }
        Err(other) => Failure::new(Exit::FAILURE, format_args!("{attempted}: {other}")),
    }
}

/// What to do about everything that was refused.
fn hints(refusals: &[Refusal]) -> String {
    let mut hints: Vec<_> = refusals.iter().map(|refusal| refusal.hint()).collect();
    hints.dedup();
    format!("{}.", hints.join("; "))
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let (exit, hint) = match error {
            BackupError::Secret(error) | BackupError::Archive { source: ArchiveError::Secret(error), .. } => {
                return error.into();
            }
            BackupError::Archive { source: ArchiveError::NoFooter, .. } if error.is_damage() => damaged_exit(),
            BackupError::Archive { ref source, .. } => archive_exit(source),
            BackupError::Content { .. } if error.is_damage() => damaged_exit(),
            BackupError::Content { ref source, .. } => archive_exit(source),
            BackupError::Tree { ref source, .. } => (Exit::FAILURE, io_hint(&source.source)),
            BackupError::Path(ref error) if error.source.kind() == io::ErrorKind::NotADirectory => {
                (Exit::FAILURE, Some("That is a file, or there is one on the way there: name a directory.".into()))
            }
            BackupError::Path(ref error) => (Exit::FAILURE, io_hint(&error.source)),
            BackupError::Io { ref source, .. } => (Exit::FAILURE, io_hint(source)),
            BackupError::Busy(_) => {
                (Exit::IN_USE, Some("Another backup or restore works on it; wait for its end.".into()))
            }
            BackupError::NoArchive { .. } => {
                (Exit::NO_ARCHIVE, Some("See what there is: strongroom backup list PLACE".into()))
            }
            BackupError::Ambiguous { .. } => (Exit::USAGE, Some("Give more of the id, or the file name.".into())),
            BackupError::MissingBase { .. } => {
                (Exit::MISSING_BASE, Some("Put it back beside the archive, under whatever name.".into()))
            }
            BackupError::ChangedBase { .. } => (
                Exit::MISSING_BASE,
                Some("Put the archive back against which this one was made, or restore another one.".into()),
            ),
            BackupError::Damaged { .. } => damaged_exit(),
            BackupError::Needed { .. } => (
                Exit::NEEDED,
                Some("Delete those first; strongroom backup list --verbose shows what needs what.".into()),
            ),
            BackupError::Locked { .. } => {
                (Exit::NEEDED, Some("To give it free: strongroom backup unlock ARCHIVE".into()))
            }
            BackupError::LastGood { .. } => {
                (Exit::NEEDED, Some("Make another one first, or remove the file by hand if you are certain.".into()))
            }
            // What it says is all that helps: these are refused with --force too.
            BackupError::Refused { .. } => (Exit::REFUSED, None),
            BackupError::Unknown { .. } | BackupError::Pattern { .. } => (Exit::USAGE, None),
            BackupError::Space { .. } => (Exit::FAILURE, Some("Make room there.".into())),
            BackupError::Stopped => (Exit::INTERRUPTED, None),
            BackupError::TooLarge { .. } | BackupError::Database { .. } | BackupError::Undo { .. } | _ => {
                (Exit::FAILURE, None)
            }
        };
        Failure::with(exit, error, hint)
    }
}

fn archive_exit(error: &ArchiveError) -> (Exit, Option<String>) {
    match error {
        ArchiveError::WrongPassphrase => (
            Exit::WRONG_SECRET,
            Some("It is the passphrase that the backup was made with, which may not be today's.".into()),
        ),
        ArchiveError::NotAnArchive { .. } | ArchiveError::NoFooter | ArchiveError::UnknownVersion { .. } => {
            (Exit::NO_ARCHIVE, None)
        }
        ArchiveError::NotSealed => (Exit::USAGE, None),
        ArchiveError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => (Exit::NO_ARCHIVE, None),
        ArchiveError::Io { source, .. } => (Exit::FAILURE, io_hint(source)),
        ArchiveError::Level { .. } | ArchiveError::Cost { .. } | ArchiveError::HeaderFull { .. } => (Exit::USAGE, None),
        ArchiveError::Compress { .. } | ArchiveError::Crypto(_) => (Exit::FAILURE, None),
        _ => (Exit::DAMAGED, Some("Restore from another backup; this one was damaged or tampered with.".into())),
    }
}

fn damaged_exit() -> (Exit, Option<String>) {
    let hint = "See what is damaged: strongroom backup verify ARCHIVE; or restore from another archive.";
    (Exit::DAMAGED, Some(hint.into()))
}

fn cipher_dir_hint(error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::NotFound => Some("Check the path.".into()),
        io::ErrorKind::NotADirectory => Some("CIPHERDIR is the directory that holds gocryptfs.conf.".into()),
        _ => io_hint(error),
    }
}

fn io_hint(error: &io::Error) -> Option<String> {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "Run it as the user whom the directory belongs to.",
        io::ErrorKind::ReadOnlyFilesystem => "The file system is read-only; remount it for writing.",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "Make room on the file system and try again.",
        _ => return None,
    };
    Some(hint.into())
}

fn mount_exit(error: &MountError) -> Exit {
    match error {
        MountError::NoMountpoint(_)
        | MountError::NotADirectory(_)
        | MountError::NotEmpty(_)
        | MountError::IsCipherDir(_)
        | MountError::InsideCipherDir { .. }
        | MountError::ContainsCipherDir { .. }
        | MountError::DeadMount(_)
        | MountError::Unreadable { .. } => Exit::MOUNTPOINT,
        _ => Exit::MOUNT_FAILED,
    }
}

impl From<UmountError> for Failure {
    fn from(error: UmountError) -> Self {
        let exit = match error {
            UmountError::NotMounted(_) | UmountError::NotOurs { .. } | UmountError::Unreadable { .. } => {
                Exit::NOT_MOUNTED
            }
            UmountError::Busy { .. } => Exit::BUSY,
            _ => Exit::FAILURE,
        };
        let hint = error.hint();
        Failure::with(exit, error, hint)
    }
}

impl From<MountError> for Failure {
    fn from(error: MountError) -> Self {
        let (exit, hint) = (mount_exit(&error), error.hint());
        Failure::with(exit, error, hint)
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        let hint = match &error {
            SecretError::Prompt { source, .. } if source.kind() == io::ErrorKind::Interrupted => {
                return Failure::new(Exit::INTERRUPTED, "interrupted; nothing was changed");
            }
            SecretError::NobodyToAsk { what, .. } if what == VAULT_PASSPHRASE => Some(
                "That of the backup, if one was given, does not open the vault. Say where the vault's own is: \
                 --vault-passphrase-file FILE, --vault-passphrase-command COMMAND or --vault-passphrase-credential NAME."
                    .into(),
            ),
            SecretError::NobodyToAsk { .. } => Some(
                "Say where it is: --passphrase-file FILE, --passphrase-command COMMAND or --passphrase-stdin.".into(),
            ),
            SecretError::NoCredentials { .. } => {
                Some("A service gets it with LoadCredential= or SetCredentialEncrypted= in its unit.".into())
            }
            SecretError::File { source, .. } => io_hint(source),
            _ => None,
        };
        Failure::with(Exit::NO_SECRET, error, hint)
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Failed { code, message } => Failure::of_line(Exit::of_code(code), &message),
            other => Failure::new(Exit::MOUNT_FAILED, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_and_no_name_stands_for_two_things() {
        for (i, (exit, name, _)) in Exit::ALL.iter().enumerate() {
            for (other, other_name, _) in &Exit::ALL[i + 1..] {
                assert!(exit != other && name != other_name, "{name} {other_name}");
            }
        }
    }

    #[test]
    fn a_failure_goes_through_a_pipe_unchanged() {
        let failure = Failure::new(Exit::IN_USE, "a\nb").hint("c");
        let back = Failure::of_line(Exit::of_code(7), &failure.to_line());
        assert_eq!((back.exit, back.message.as_str(), back.hint.as_deref()), (Exit::IN_USE, "a\nb", Some("c")));
    }

    fn hint_of(error: impl Into<ActionError>) -> String {
        Failure::from(error.into()).hint.unwrap_or_default()
    }

    #[test]
    fn what_uses_the_mount_keeps_changes_from_being_carried_back_and_is_busy() {
        let held = MigrateError::Held { path: "/srv/app".into(), who: vec!["process 7 (sleep)".into()] };
        let failure = Failure::from(MigrateError::NotCarried { cause: held.into() });
        assert_eq!(failure.exit, Exit::BUSY);
        assert!(failure.hint.unwrap().ends_with("strongroom migrate rollback"));
        assert!(failure.message.ends_with("the services go on with the vault"));
    }

    #[test]
    fn what_cannot_be_carried_back_can_be_left() {
        let (unreadable, unholdable) = Default::default();
        let failure = MigrateError::NotCarried { cause: MigrateError::Obstructed { unreadable, unholdable }.into() };
        assert!(hint_of(failure).contains("--leave-obstacles"));
    }

    #[test]
    fn what_is_over_cannot_be_taken_back_again_and_that_is_told_in_words() {
        let failure = Failure::from(MigrateError::NotNow { state: State::RolledBack, verb: "rolled back" });
        assert_eq!(failure.exit, Exit::NO_MIGRATION);
        assert!(!failure.message.contains("RolledBack"), "{}", failure.message);
    }

    #[test]
    fn what_finalize_refuses_has_codes_that_tell_it_from_a_failure() {
        let exit = |error: MigrateError| Failure::from(error).exit;
        let before = State::FinalizeIntent;
        let broken = |invariant| MigrateError::Broken { invariant, before, why: "a check".into() };
        assert_eq!(exit(broken("I2")), Exit::NOT_MIGRATED);
        assert_eq!(exit(broken("I8")), Exit::NEEDS_OPERATOR);
        assert_eq!(exit(broken("I10")), Exit::NEEDS_OPERATOR);
        assert_eq!(exit(MigrateError::TooSoon { until: jiff::Timestamp::UNIX_EPOCH }), Exit::NOT_MIGRATED);
    }

    #[test]
    fn force_is_advised_only_where_it_helps() {
        let refused = BackupError::Refused { target: "/dev/null".into(), why: "it is not a directory".into() };
        assert_eq!(hint_of(refused), "");
        assert!(!hint_of(ActionError::IntoSource("/s".into())).contains("--force"));
        assert!(!hint_of(ActionError::PlaceInCiphertext("/v".into())).contains("Mount"));
        let in_the_way = ActionError::InTheWay { target: "/t".into(), count: 1, sample: "a".into() };
        assert!(hint_of(in_the_way).contains("--force"));
    }

    #[test]
    fn a_missing_passphrase_of_the_vault_is_not_asked_for_as_that_of_the_backup() {
        let nobody = |what: &str| SecretError::NobodyToAsk { what: what.into(), why: String::new() };
        assert!(hint_of(nobody(VAULT_PASSPHRASE)).contains("--vault-passphrase-file"));
        assert!(hint_of(nobody("passphrase of the backup")).contains(" --passphrase-file"));
    }

    #[test]
    fn where_there_is_no_room_a_target_is_named_by_a_restore_only() {
        let space = || BackupError::Space { at: "/d".into(), needed: 2, available: 1 };
        assert_eq!(hint_of(space()), "Make room there.");
        let of_a_restore = or_elsewhere("restore elsewhere: --target DIR")(space().into());
        assert!(of_a_restore.hint.unwrap().contains("--target"));
    }

    #[test]
    fn what_has_the_name_of_an_archive_and_no_footer_is_damaged_and_a_strangers_file_is_none() {
        let exit = |path: &str| {
            let error =
                BackupError::Archive { attempted: "opening", path: path.into(), source: ArchiveError::NoFooter };
            Failure::from(error).exit
        };
        assert_eq!(exit("place/data-20260203-040506.tar.zst"), Exit::DAMAGED);
        assert_eq!(exit("place/linux-6.1.tar.zst"), Exit::NO_ARCHIVE);
    }

    #[test]
    fn the_codes_are_those_that_were_promised() {
        let codes: Vec<_> = Exit::ALL.iter().map(|(exit, name, _)| (exit.code(), *name)).collect();
        let promised = [
            (0, "ok"),
            (1, "failure"),
            (2, "usage"),
            (3, "wrong-secret"),
            (4, "no-vault"),
            (5, "bad-config"),
            (6, "not-empty"),
            (7, "in-use"),
            (8, "no-secret"),
            (9, "mountpoint"),
            (10, "mount-failed"),
            (11, "damaged"),
            (12, "not-mounted"),
            (13, "busy"),
            (14, "incomplete"),
            (15, "no-archive"),
            (16, "needed"),
            (17, "missing-base"),
            (18, "refused"),
            (19, "not-migrated"),
            (20, "needs-operator"),
            (21, "went-back"),
            (22, "paused"),
            (23, "no-migration"),
            (130, "interrupted"),
        ];
        assert_eq!(codes, promised);
    }
}
