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
use strongroom_format::{
    Algorithm, CONF_NAME, DIR_IV_NAME, DirIv, Fido2, MasterKey, NameMode, REVERSE_CONF_NAME, Settings, Superblock,
    SuperblockError,
};
use strongroom_secret::{Passphrase, SecretError};

use crate::{
    ActionError, ConfPlace, Context,
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
    /// Where the configuration is going to be. One that is there already is replaced only if it was named.
    pub conf: ConfPlace,
    /// The directory holds plaintext, of which an encrypted view is wanted. It is there already, need not be empty, and
    /// nothing is added to it but the configuration. The view is sealed by AES-SIV.
    pub reverse: bool,
}

impl Init {
    /// What gocryptfs takes unless told otherwise.
    pub fn new(dir: PathBuf) -> Self {
        let Settings { cipher, names, .. } = Settings::default();
        Self { dir, cipher, names, long_name_max: None, scrypt_log_n: None, conf: ConfPlace::InDir, reverse: false }
    }

    fn settings(&self) -> Result<Settings, ActionError> {
        let settings = Settings {
            cipher: if self.reverse { Algorithm::AesSiv } else { self.cipher },
            names: self.names,
            long_name_max: self.long_name_max,
            scrypt_log_n: self.scrypt_log_n.unwrap_or(Settings::DEFAULT_SCRYPT_LOG_N),
        };
        match settings.check() {
            Ok(()) => Ok(settings),
            Err(source) => Err(ActionError::Settings { path: self.dir.clone(), source }),
        }
    }

    /// The file that the configuration is going to be, in the directory where it is going to be.
    fn conf_in(&self, dir: &Path) -> PathBuf {
        match &self.conf {
            ConfPlace::At(path) => path.clone(),
            _ if self.reverse => dir.join(REVERSE_CONF_NAME),
            _ => dir.join(CONF_NAME),
        }
    }

    /// Whether a configuration may be replaced: it was named, and encrypts nothing yet.
    fn may_replace(&self) -> bool {
        matches!(self.conf, ConfPlace::At(_)) && !self.reverse
    }
}

/// What locks a new vault.
pub struct NewLock {
    passphrase: Passphrase,
    token: Option<Fido2>,
    master: Option<MasterKey>,
}

impl From<Passphrase> for NewLock {
    fn from(passphrase: Passphrase) -> Self {
        Self { passphrase, token: None, master: None }
    }
}

impl NewLock {
    /// What a FIDO2 token says when it is asked so, in the place of a passphrase.
    pub fn by_token(token: Fido2, secret: Passphrase) -> Self {
        Self { passphrase: secret, token: Some(token), master: None }
    }

    /// With this master key, and not with a new one.
    pub fn of(self, key: RecoveryKey) -> Self {
        Self { master: Some(key.0), ..self }
    }

    /// Wraps the master key, which takes scrypt's time and memory.
    fn wrap(self, settings: &Settings) -> Result<(Superblock, MasterKey), SuperblockError> {
        let master = self.master.unwrap_or_else(|| MasterKey::generate(&OsRandom));
        let superblock = match self.token {
            Some(token) => Superblock::create_with_token(settings, token, &self.passphrase, &master, &OsRandom),
            None => Superblock::create(settings, &self.passphrase, &master, &OsRandom),
        };
        Ok((superblock?, master))
    }
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
    init_locked(context, request, || Ok(passphrase()?.into()))
}

/// As [`init`], locked by more than a passphrase, or by something else.
pub fn init_locked(
    context: &Context,
    request: &Init,
    lock: impl FnOnce() -> Result<NewLock, ActionError>,
) -> Result<(Created, RecoveryKey), ActionError> {
    perform(context, "init", &request.dir, |account| {
        let (created, key) = make_in(request, lock, |_| Ok(()))?;
        account.note("cipher", created.cipher);
        account.note("names", created.names);
        Ok((created, key))
    })
}

/// As [`init`], within another verb that is audited. `prepare` sees the directory before it becomes a vault.
pub(crate) fn make_in(
    request: &Init,
    lock: impl FnOnce() -> Result<NewLock, ActionError>,
    prepare: impl FnOnce(&Path) -> Result<(), ActionError>,
) -> Result<(Created, RecoveryKey), ActionError> {
    let place = Place::survey(request)?;
    let settings = request.settings()?;
    let wrapped = lock()?.wrap(&settings);
    let (superblock, master) = wrapped.map_err(|source| ActionError::Settings { path: request.dir.clone(), source })?;
    let dir = place.occupy()?;
    let conf = request.conf_in(&dir);
    prepare(&dir)
        .and_then(|()| write_vault(request, &dir, &conf, &superblock))
        .inspect_err(|_| place.leave(&dir, &conf))?;
    let created = Created {
        cipher: words::cipher(superblock.algorithm()),
        names: words::names(superblock.name_mode()),
        long_name_max: superblock.long_name_max(),
        scrypt_log_n: superblock.scrypt_log_n(),
        cipher_dir: dir,
    };
    Ok((created, RecoveryKey(master)))
}

fn write_vault(request: &Init, dir: &Path, conf: &Path, superblock: &Superblock) -> Result<(), ActionError> {
    let wants_iv = superblock.name_mode() == NameMode::Encrypted && !request.reverse;
    if wants_iv && !has_root_iv(dir) {
        write_new(&dir.join(DIR_IV_NAME), 0o444, DirIv::generate(&OsRandom).as_bytes())?;
    }
    let write = if request.may_replace() { write_anew } else { write_new };
    write(conf, 0o400, &superblock.to_json())
        .map_err(|source| ActionError::ConfNotWritten { path: conf.to_owned(), source })
}

fn write_new(path: &Path, mode: u32, content: &[u8]) -> Result<(), PathError> {
    let mut file = AtomicFile::create(path, mode)?;
    file.write_all(content).map_err(PathError::on("writing", path))?;
    file.place()
}

fn write_anew(path: &Path, mode: u32, content: &[u8]) -> Result<(), PathError> {
    let mut file = AtomicFile::create(path, mode)?;
    file.write_all(content).map_err(PathError::on("writing", path))?;
    file.replace()
}

fn has_root_iv(dir: &Path) -> bool {
    fs::read(dir.join(DIR_IV_NAME)).is_ok_and(|content| DirIv::parse(&content).is_ok())
}

/// Where the vault is going to be.
enum Place {
    Missing(PathBuf),
    Empty(PathBuf),
    Plain(PathBuf),
}

impl Place {
    fn survey(request: &Init) -> Result<Self, ActionError> {
        let path = &request.dir;
        if request.reverse {
            return Self::plain(request);
        }
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

    fn plain(request: &Init) -> Result<Self, ActionError> {
        let dir = cipher_dir(&request.dir)?;
        match request.conf_in(&dir).symlink_metadata() {
            Ok(_) => Err(ActionError::AlreadyAVault(dir)),
            Err(_) => Ok(Place::Plain(dir)),
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
            Place::Empty(dir) | Place::Plain(dir) => Ok(dir.clone()),
            Place::Missing(dir) => {
                let made = fs::DirBuilder::new().mode(0o700).create(dir);
                made.map_err(PathError::on("creating the directory", dir))?;
                sync_dir(dir.parent().expect("a missing directory was found in its parent"))?;
                Ok(dir.clone())
            }
        }
    }

    /// After a failure: takes back what was made, as far as it can be.
    fn leave(&self, dir: &Path, conf: &Path) {
        if !matches!(self, Place::Plain(_)) && !conf.exists() {
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
