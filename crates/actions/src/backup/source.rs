//! What is backed up, and what belongs to it: a directory, a vault by its mount point, a vault that is not mounted.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use strongroom_backup::{Keys, SealedUnder};
use strongroom_format::CONF_NAME;
use strongroom_mount::mounts;
use strongroom_secret::{Passphrase, SecretError};

use crate::{ActionError, Context, open::Conf};

/// What is backed up.
pub(super) enum Surveyed {
    /// A directory that has nothing to do with a vault.
    Plain(PathBuf),
    /// A directory in a mounted vault.
    Mounted {
        /// The directory.
        path: PathBuf,
        /// The vault's configuration, if it can be read here.
        conf: Box<Result<Conf, ActionError>>,
    },
    /// A vault that is not mounted.
    Vault(Box<Conf>),
}

impl Surveyed {
    /// Finds out what `source` is.
    pub fn of(source: &Path) -> Result<Self, ActionError> {
        let refused = |why: String| ActionError::Source { path: source.to_owned(), why };
        let path = source.canonicalize().map_err(|error| refused(error.to_string()))?;
        if !path.is_dir() {
            return Err(refused("it is not a directory".into()));
        }
        if let Some(cipher_dir) = vault_below(&path) {
            return Ok(Surveyed::Mounted { path, conf: Box::new(Conf::read(&cipher_dir)) });
        }
        if path.join(CONF_NAME).symlink_metadata().is_ok() {
            return Ok(Surveyed::Vault(Box::new(Conf::read(&path)?)));
        }
        Ok(Surveyed::Plain(path))
    }

    /// Its path, symbolic links resolved.
    pub fn path(&self) -> &Path {
        match self {
            Surveyed::Plain(path) | Surveyed::Mounted { path, .. } => path,
            Surveyed::Vault(conf) => conf.dir(),
        }
    }

    /// What it is in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Surveyed::Plain(_) => "directory",
            Surveyed::Mounted { .. } => "mounted-vault",
            Surveyed::Vault(_) => "vault",
        }
    }
}

/// The cipher directory of the vault that `path` lies in, if it lies in a mounted one.
fn vault_below(path: &Path) -> Option<PathBuf> {
    let mounts = mounts::list().unwrap_or_default();
    let around = mounts.into_iter().filter(|mount| path.starts_with(&mount.mountpoint));
    // The deepest, and of several at the same place the latest, is the one that is seen.
    let seen = around.max_by_key(|mount| mount.mountpoint.components().count())?;
    (seen.is_vault() && !seen.is_dead()).then(|| PathBuf::from(seen.source))
}

/// Whether `dir` holds ciphertext: a vault's own directory, or one in it.
pub(super) fn is_ciphertext(dir: &Path) -> bool {
    let Ok(dir) = dir.canonicalize() else { return false };
    let is_conf = |dir: &Path| dir.join(CONF_NAME).symlink_metadata().is_ok();
    let is_source = |dir: &Path| {
        mounts::list().unwrap_or_default().iter().any(|mount| mount.is_vault() && mount.source == OsStr::new(dir))
    };
    vault_below(&dir).is_none() && dir.ancestors().any(|above| is_conf(above) || is_source(above))
}

/// The keys of a mounted vault, if its configuration can be read by whoever makes the backup.
pub(super) fn keys_of_mounted(
    conf: &Result<Conf, ActionError>,
    sealing: &dyn Fn() -> Result<Option<Passphrase>, SecretError>,
    vault: Option<&dyn Fn() -> Result<Passphrase, SecretError>>,
    context: &Context,
) -> Result<Option<Keys>, ActionError> {
    match conf {
        Ok(conf) => keys_for(conf, sealing()?.as_ref(), vault, context).map(Some),
        Err(error) => {
            context.warn(format!("the keys of the vault are not in this backup: {error}"));
            Ok(None)
        }
    }
}

/// The vault's keys as they are to travel: under the passphrase of the archive if the vault's can be had, else as the vault
/// has them. Without `sealing` the archive is not sealed, and then they are never put under another.
pub(super) fn keys_for(
    conf: &Conf,
    sealing: Option<&Passphrase>,
    vault: Option<&dyn Fn() -> Result<Passphrase, SecretError>>,
    context: &Context,
) -> Result<Keys, ActionError> {
    let as_they_are = |sealed_under| Ok(Keys { conf: conf.json().to_owned(), sealed_under });
    let Some(sealing) = sealing else { return as_they_are(SealedUnder::VaultPassphrase) };
    if conf.superblock().unlock(sealing).is_ok() {
        return as_they_are(SealedUnder::BackupPassphrase);
    }
    if let Some(vault) = vault {
        let conf = conf.rewrapped(&conf.unlock(&vault()?)?, sealing)?.to_json();
        return Ok(Keys { conf, sealed_under: SealedUnder::BackupPassphrase });
    }
    context.warn(
        "the keys of the vault travel in this backup under the vault's own passphrase, which whoever restores them will \
         need; with --vault-passphrase-file they travel under that of the backup",
    );
    as_they_are(SealedUnder::VaultPassphrase)
}
