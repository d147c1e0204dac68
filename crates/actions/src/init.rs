//! Makes a vault.
//!
//! The configuration is what makes a directory a vault, and it comes last: a crash before leaves no vault but perhaps a
//! directory IV alone, which the next `init` takes over; after it the vault is whole.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use strongroom_crypto::OsRandom;
use strongroom_durable::{AtomicFile, PathError, sync_dir};
use strongroom_format::{Algorithm, CONF_NAME, DIR_IV_NAME, DirIv, MasterKey, NameMode, Settings, Superblock};
use strongroom_secret::{Passphrase, SecretError};

use crate::{
    ActionError, Context,
    open::{cipher_dir, unusable},
    perform::perform,
    words,
};

/// What kind of vault to make, and where.
#[derive(Clone, Debug)]
pub struct Init {
    /// The directory: empty, or not there yet.
    pub dir: PathBuf,
    /// How contents are sealed.
    pub cipher: Algorithm,
    /// How names are stored.
    pub names: NameMode,
    /// From which encoded length names are hashed; 255 if `None`.
    pub long_name_max: Option<u8>,
    /// Binary logarithm of scrypt's cost; 16 if `None`.
    pub scrypt_log_n: Option<u8>,
}

/// A vault that was made.
#[derive(Clone, Debug, Serialize)]
pub struct Created {
    /// The cipher directory.
    #[serde(serialize_with = "crate::words::path")]
    pub cipher_dir: PathBuf,
    /// How contents are sealed.
    pub cipher: &'static str,
    /// How names are stored.
    pub names: &'static str,
    /// From which encoded length names are hashed.
    pub long_name_max: u8,
    /// Binary logarithm of scrypt's cost.
    pub scrypt_log_n: u8,
}

/// The key that opens a vault without its passphrase. To be shown once, and kept by a person.
pub struct RecoveryKey(MasterKey);

impl RecoveryKey {
    /// Reads what a person wrote down.
    pub fn parse(text: &str) -> Result<Self, ActionError> {
        MasterKey::from_hex_groups(text).map(Self).map_err(ActionError::MalformedRecoveryKey)
    }

    /// Shows it, in groups of eight hexadecimal digits, to whoever may see it.
    pub fn show<T>(&self, to: impl FnOnce(&str) -> T) -> T {
        to(&self.0.to_hex_groups())
    }

    pub(crate) fn of(master: MasterKey) -> Self {
        Self(master)
    }

    pub(crate) fn into_master(self) -> MasterKey {
        self.0
    }

    pub(crate) fn master(&self) -> &MasterKey {
        &self.0
    }
}

/// Makes a vault in an empty directory, which is made too if it is missing. Nothing is written before the passphrase is
/// known. Audited as `init`.
pub fn init(
    context: &Context,
    request: &Init,
    passphrase: impl FnOnce() -> Result<Passphrase, SecretError>,
) -> Result<(Created, RecoveryKey), ActionError> {
    perform(context, "init", &request.dir, |account| {
        let (created, key) = make_in(request, passphrase, |_| Ok(()))?;
        account.note("cipher", created.cipher);
        account.note("names", created.names);
        Ok((created, key))
    })
}

/// As [`init`], within another verb that is audited. `prepare` sees the directory before it becomes a vault.
pub(crate) fn make_in(
    request: &Init,
    passphrase: impl FnOnce() -> Result<Passphrase, SecretError>,
    prepare: impl FnOnce(&Path) -> Result<(), ActionError>,
) -> Result<(Created, RecoveryKey), ActionError> {
    let place = Place::survey(&request.dir)?;
    let settings = Settings {
        cipher: request.cipher,
        names: request.names,
        long_name_max: request.long_name_max,
        scrypt_log_n: request.scrypt_log_n.unwrap_or(Settings::DEFAULT_SCRYPT_LOG_N),
    };
    settings.check().map_err(|source| ActionError::Settings { path: request.dir.clone(), source })?;
    let passphrase = passphrase()?;
    let master = MasterKey::generate(&OsRandom);
    let superblock = Superblock::create(&settings, &passphrase, &master, &OsRandom)
        .map_err(|source| ActionError::Settings { path: request.dir.clone(), source })?;
    let dir = place.occupy()?;
    prepare(&dir).and_then(|()| write_vault(&dir, &superblock)).inspect_err(|_| place.leave(&dir))?;
    let created = Created {
        cipher: words::cipher(superblock.algorithm()),
        names: words::names(superblock.name_mode()),
        long_name_max: superblock.long_name_max(),
        scrypt_log_n: superblock.scrypt_log_n(),
        cipher_dir: dir,
    };
    Ok((created, RecoveryKey(master)))
}

fn write_vault(dir: &Path, superblock: &Superblock) -> Result<(), ActionError> {
    if superblock.name_mode() == NameMode::Encrypted && !has_root_iv(dir) {
        write_new(&dir.join(DIR_IV_NAME), 0o444, DirIv::generate(&OsRandom).as_bytes())?;
    }
    Ok(write_new(&dir.join(CONF_NAME), 0o400, &superblock.to_json())?)
}

fn write_new(path: &Path, mode: u32, content: &[u8]) -> Result<(), PathError> {
    let mut file = AtomicFile::create(path, mode)?;
    file.write_all(content).map_err(PathError::on("writing", path))?;
    file.place()
}

fn has_root_iv(dir: &Path) -> bool {
    fs::read(dir.join(DIR_IV_NAME)).is_ok_and(|content| DirIv::parse(&content).is_ok())
}

/// Where the vault is going to be.
enum Place {
    Missing(PathBuf),
    Empty(PathBuf),
}

impl Place {
    fn survey(path: &Path) -> Result<Self, ActionError> {
        if let Err(error) = path.symlink_metadata()
            && error.kind() == io::ErrorKind::NotFound
        {
            return Self::missing(path);
        }
        let dir = cipher_dir(path)?;
        if dir.join(CONF_NAME).symlink_metadata().is_ok() {
            return Err(ActionError::AlreadyAVault(dir));
        }
        match first_obstacle(&dir).map_err(|source| unusable(&dir, source))? {
            Some(entry) => Err(ActionError::NotEmpty { path: dir, entry }),
            None => Ok(Place::Empty(dir)),
        }
    }

    fn missing(path: &Path) -> Result<Self, ActionError> {
        let absolute = std::path::absolute(path).map_err(|source| unusable(path, source))?;
        let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
            return Err(unusable(path, io::ErrorKind::NotFound.into()));
        };
        Ok(Place::Missing(cipher_dir(parent)?.join(name)))
    }

    /// Makes the directory if it is missing.
    fn occupy(&self) -> Result<PathBuf, ActionError> {
        match self {
            Place::Empty(dir) => Ok(dir.clone()),
            Place::Missing(dir) => {
                let made = fs::DirBuilder::new().mode(0o700).create(dir);
                made.map_err(PathError::on("creating the directory", dir))?;
                sync_dir(dir.parent().expect("a missing directory was found in its parent"))?;
                Ok(dir.clone())
            }
        }
    }

    /// After a failure: takes back what was made, as far as it can be.
    fn leave(&self, dir: &Path) {
        if !dir.join(CONF_NAME).exists() {
            let _ = fs::remove_file(dir.join(DIR_IV_NAME));
            if let Place::Missing(_) = self {
                let _ = fs::remove_dir(dir);
            }
        }
    }
}

/// The first entry that keeps the directory from being called empty. What an interrupted `init` left does not count: a
/// directory IV alone, and temporary files of the two.
fn first_obstacle(dir: &Path) -> io::Result<Option<String>> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let is_ours =
            |file: &str| name.strip_prefix(file).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".tmp"));
        let is_leftover = name == DIR_IV_NAME && has_root_iv(dir) || is_ours(DIR_IV_NAME) || is_ours(CONF_NAME);
        if !is_leftover {
            return Ok(Some(name.into_owned()));
        }
    }
    Ok(None)
}
