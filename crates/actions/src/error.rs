//! Why a verb failed: what was attempted on what. Exit codes and hints are the command line's.

use std::{io, path::PathBuf};

use strongroom_backup::BackupError;
use strongroom_durable::{LockError, PathError};
use strongroom_format::SuperblockError;
use strongroom_migrate::MigrateError;
use strongroom_mount::{MountError, UmountError};
use strongroom_reverse::ViewError;
use strongroom_secret::SecretError;
use strongroom_tree::BadPattern;
use strongroom_vault::VaultError;
use strongroom_workload::WorkloadError;

use crate::migrate::Preview;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// The cipher directory cannot be used: missing, not a directory, not permitted.
    #[error("cannot use {} as a cipher directory: {source}", path.display())]
    CipherDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The directory holds no vault.
    #[error("{} is not a vault: it holds no gocryptfs.conf", .0.display())]
    NotAVault(PathBuf),
    /// A vault can only be made in an empty directory.
    #[error("cannot create a vault in {}: the directory is not empty, it holds {entry:?}", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// One of its entries.
        entry: String,
    },
    /// There is a vault already.
    #[error("cannot create a vault in {}: it is one already", .0.display())]
    AlreadyAVault(PathBuf),
    /// gocryptfs.conf is damaged, or of a kind that is not known.
    #[error("cannot use the configuration {}: {source}", path.display())]
    Conf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SuperblockError,
    },
    /// The configuration cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    ConfUnreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The configuration cannot be written.
    #[error("cannot write the configuration {}: {source}", path.display())]
    ConfNotWritten {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: PathError,
    },
    /// The old configuration cannot be kept beside the new one, which is therefore not written.
    #[error("cannot keep the old configuration {} as {}: {source}", path.display(), kept.display())]
    ConfNotKept {
        /// The old configuration.
        path: PathBuf,
        /// Where it was to be kept.
        kept: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The settings cannot make a vault.
    #[error("cannot create a vault in {}: {source}", path.display())]
    Settings {
        /// The directory.
        path: PathBuf,
        /// What is wrong with them.
        source: SuperblockError,
    },
    /// The passphrase does not open the vault.
    #[error("cannot open the vault {}: the passphrase is wrong", .0.display())]
    WrongPassphrase(PathBuf),
    /// What was given as the recovery key is none.
    #[error("cannot read the recovery key: {0}")]
    MalformedRecoveryKey(#[source] SuperblockError),
    /// The recovery key opens nothing of what is in the vault.
    #[error("the recovery key is not that of the vault {}: nothing in it opens with it", .0.display())]
    WrongRecoveryKey(PathBuf),
    /// A secret could not be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Another process uses the vault.
    #[error("the vault {} is in use{}", path.display(), by(*owner))]
    InUse {
        /// The cipher directory.
        path: PathBuf,
        /// The process.
        owner: Option<u32>,
    },
    /// A file operation failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The vault could not be opened.
    #[error("cannot open the vault {}: {source}", path.display())]
    Vault {
        /// The cipher directory.
        path: PathBuf,
        /// Why not.
        source: VaultError,
    },
    /// The configuration was not made for an encrypted view.
    #[error("{} was not made for the encrypted view of a directory: it does not have AES-SIV", .0.display())]
    NotForViews(PathBuf),
    /// The encrypted view of a directory could not be had.
    #[error("cannot show {} encrypted: {source}", path.display())]
    View {
        /// The plaintext directory.
        path: PathBuf,
        /// Why not.
        source: ViewError,
    },
    /// A file with exclusions could not be read.
    #[error("cannot read the exclusions in {}: {source}", path.display())]
    Exclusions {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The vault could not be mounted.
    #[error("cannot mount {}: {source}", path.display())]
    Mount {
        /// The cipher directory.
        path: PathBuf,
        /// Why not.
        source: MountError,
    },
    /// The control socket could not be made or served.
    #[error("cannot serve the control socket {}: {source}", path.display())]
    ControlSocket {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The mount could not be ended.
    #[error("cannot unmount: {0}")]
    Umount(#[from] UmountError),
    /// A backup could not be made, read or restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// What is to be backed up cannot be.
    #[error("cannot back up {}: {why}", path.display())]
    Source {
        /// The source.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A hook failed, and so nothing was done.
    #[error("nothing was done: {0}")]
    PreHook(#[source] WorkloadError),
    /// It was done, and then a hook failed.
    #[error("it was done, and then {0}")]
    PostHook(#[source] WorkloadError),
    /// What was given for a pattern means nothing.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    /// Only a component and only some paths were asked for: together they could mean two things.
    #[error("only the component {component:?} and only what matches {pattern:?} cannot be asked for at once")]
    MixedInclude {
        /// The component.
        component: String,
        /// The pattern.
        pattern: String,
    },
    /// Files were to be put where the ciphertext of a vault is.
    #[error("cannot restore into {}: it holds the ciphertext of a vault", .0.display())]
    IntoCiphertext(PathBuf),
    /// Archives were to be put where the ciphertext of a vault is.
    #[error("cannot keep backups in {}: it holds the ciphertext of a vault", .0.display())]
    PlaceInCiphertext(PathBuf),
    /// Archives were to be put into the directory that they are made of.
    #[error("cannot back up {} into itself", .0.display())]
    IntoSource(PathBuf),
    /// There is something where it is to be restored, and nothing was said of that.
    #[error("{}: something is there already and would be replaced or removed: {sample}{}", target.display(), and_more(*count))]
    InTheWay {
        /// The target.
        target: PathBuf,
        /// How much is there.
        count: u64,
        /// One of it.
        sample: String,
    },
    /// There is neither a target nor what an interrupted restore has left for it.
    #[error("{} does not exist, and no interrupted restore has left anything for it", .0.display())]
    NothingToRecover(PathBuf),
    /// Restoring all of it would remove the archive that it is restored from.
    #[error("cannot replace {}: the archive {} is in it, and would be removed with all that is beside it", target.display(), archive.display())]
    OverArchives {
        /// The target.
        target: PathBuf,
        /// The archive.
        archive: PathBuf,
    },
    /// There are no keys of a vault in the archive.
    #[error("there are no keys of a vault in {}", .0.display())]
    NoKeys(PathBuf),
    /// The person who was asked does not want it.
    #[error("not confirmed; nothing was changed")]
    Declined,
    /// Nobody could be asked whether to go on.
    #[error("this needs a confirmation, and there is no terminal to ask at")]
    NobodyToConfirm,
    /// There is no audit log to be read.
    #[error("there is no audit log in {}", .0.display())]
    NoAuditLog(PathBuf),
    /// What is to be done cannot be written down.
    #[error("the audit log cannot be written: {0}")]
    Unaudited(#[source] PathError),
    /// What is to be done cannot be written down.
    #[error("there is no place for the audit log")]
    NoAuditPlace,
    /// A migration did not go on.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Something keeps it from being migrated.
    #[error("cannot migrate {}: {}", .0.plan.data.display(), first(.0))]
    Refused(Box<Preview>),
    /// Several migrations are not over, and it was not said which is meant.
    #[error("several migrations are not finished: {}", listed(.0))]
    WhichMigration(Vec<PathBuf>),
    /// What is to be migrated cannot be.
    #[error("cannot migrate {}: {why}", path.display())]
    CannotMigrate {
        /// The directory.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// What a migration was to remove as its own is not.
    #[error("{} was not made by this migration, and is not removed", .0.display())]
    NotOurs(PathBuf),
    /// Nobody has shown that they have the recovery key.
    #[error("the recovery key of {} was not proved to be in anybody's hands", .0.display())]
    RecoveryKeyNotProved(PathBuf),
    /// The recovery key was to be kept where it is encrypted with itself, or among ciphertext.
    #[error("cannot keep the recovery key in {}: it would be locked in with what it opens", .0.display())]
    KeyWithin(PathBuf),
    /// A service cannot be asked, stopped or started.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// There is nowhere to put what is to be taken out of the vault.
    #[error("cannot set anything aside beside {}: {source}", path.display())]
    NowhereAside {
        /// The cipher directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What was written does not read back. The old file is untouched.
    #[error("the new configuration for {} did not read back as written, so the old one was kept", .0.display())]
    NotReadBack(PathBuf),
}

impl ActionError {
    pub(crate) fn lock(error: LockError) -> Self {
        match error {
            LockError::Busy { path, owner } => ActionError::InUse { path, owner },
            LockError::Path(error) => ActionError::Path(error),
            LockError::Unsupported { path } => {
                ActionError::CipherDir { path, source: io::ErrorKind::Unsupported.into() }
            }
        }
    }
}

fn and_more(count: u64) -> String {
    if count > 1 { format!(" and {} more", count - 1) } else { String::new() }
}

fn first(preview: &Preview) -> String {
    let whys: Vec<_> = preview.survey.refusals.iter().map(ToString::to_string).collect();
    whys.join("; ")
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn by(owner: Option<u32>) -> String {
    owner.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}
