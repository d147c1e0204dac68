//! The one way from a directory to its vault.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use strongroom_crypto::OsRandom;
use strongroom_durable::{AtomicFile, DirLock, LockError, PathError};
use strongroom_event::{Event, Observer};
use strongroom_format::{CONF_NAME, Ciphers, Explicit, MasterKey, REVERSE_CONF_NAME, Superblock, SuperblockError};
use strongroom_mount::mounts;
use strongroom_secret::{Passphrase, SecretError};
use strongroom_vault::{RealBacking, Vault, VaultOptions};

use crate::ActionError;

/// Where the configuration of a vault is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ConfPlace {
    /// `gocryptfs.conf` in the cipher directory.
    #[default]
    InDir,
    /// `.gocryptfs.reverse.conf` in the directory whose encrypted view is wanted.
    InPlainDir,
    /// This file. It is read once and from its beginning to its end, so it may be a pipe.
    At(PathBuf),
    /// Nowhere: whoever has the master key tells what else it says. No file is looked at.
    Told(Explicit),
}

/// A cipher directory whose configuration was read, and is not unlocked yet.
pub struct Conf {
    dir: PathBuf,
    path: PathBuf,
    json: Vec<u8>,
    superblock: Superblock,
}

impl Conf {
    /// Reads the configuration of the vault in `dir`.
    pub fn read(dir: &Path) -> Result<Self, ActionError> {
        Self::read_from(dir, &ConfPlace::InDir)
    }

    /// Reads the configuration of the vault in `dir` from where it is.
    pub fn read_from(dir: &Path, place: &ConfPlace) -> Result<Self, ActionError> {
        let dir = cipher_dir(dir)?;
        let path = match place {
            ConfPlace::InDir => dir.join(CONF_NAME),
            ConfPlace::InPlainDir => dir.join(REVERSE_CONF_NAME),
            ConfPlace::At(path) => return Self::read_file(dir, path.clone()),
            ConfPlace::Told(told) => return Self::explicit(&dir, told),
        };
        // The configuration may be kept elsewhere, behind a symbolic link, which is then not to be replaced by a file.
        match path.canonicalize() {
            Ok(path) => Self::read_file(dir, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound && *place == ConfPlace::InDir => {
                Err(ActionError::NotAVault(dir))
            }
            Err(source) => Err(ActionError::ConfUnreadable { path, source }),
        }
    }

    /// A vault whose configuration is not to be read, since it is lost, or not believed. Its master key opens it.
    pub fn explicit(dir: &Path, told: &Explicit) -> Result<Self, ActionError> {
        let dir = cipher_dir(dir)?;
        let superblock =
            Superblock::explicit(told).map_err(|source| ActionError::Settings { path: dir.clone(), source })?;
        Ok(Self { path: dir.clone(), dir, json: Vec::new(), superblock })
    }

    fn read_file(dir: PathBuf, path: PathBuf) -> Result<Self, ActionError> {
        let unreadable = |source| ActionError::ConfUnreadable { path: path.clone(), source };
        let json = fs::read(&path).map_err(unreadable)?;
        let superblock = Superblock::parse(&json).map_err(|source| ActionError::Conf { path: path.clone(), source })?;
        Ok(Self { dir, path, json, superblock })
    }

    /// The cipher directory, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of the configuration; the directory where there is none.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the configuration says.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The configuration file as it was read.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    /// Unwraps the master key.
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<MasterKey, ActionError> {
        self.superblock.unlock(passphrase).map_err(|error| self.refused(error))
    }

    /// Unwraps the master key of a vault whose passphrase a FIDO2 token keeps, with what the token said.
    pub fn unlock_with_token(&self, secret: &Passphrase) -> Result<MasterKey, ActionError> {
        self.superblock.unlock_with_token(secret).map_err(|error| self.refused(error))
    }

    pub(crate) fn refused(&self, error: SuperblockError) -> ActionError {
        match error {
            SuperblockError::WrongPassphrase => ActionError::WrongPassphrase(self.dir.clone()),
            source => ActionError::Conf { path: self.path.clone(), source },
        }
    }

    /// Derives what the master key is good for.
    pub fn ciphers(&self, master: &MasterKey) -> Result<Ciphers, ActionError> {
        self.superblock.ciphers(master).map_err(|source| ActionError::Conf { path: self.path.clone(), source })
    }

    /// Opens the vault. Whoever does must have taken it.
    pub(crate) fn open(
        &self,
        options: VaultOptions,
        passphrase: impl FnOnce() -> Result<Passphrase, SecretError>,
        observer: Arc<dyn Observer>,
    ) -> Result<Vault, ActionError> {
        let master = self.unlock(&passphrase()?)?;
        self.open_with(&master, options, observer)
    }

    /// Opens the vault with its master key.
    pub(crate) fn open_with(
        &self,
        master: &MasterKey,
        options: VaultOptions,
        observer: Arc<dyn Observer>,
    ) -> Result<Vault, ActionError> {
        let backing = RealBacking::open(&self.dir).map_err(|source| unusable(&self.dir, source))?;
        Vault::new(backing, self.ciphers(master)?, options, observer, Arc::new(OsRandom))
            .map_err(|source| ActionError::Vault { path: self.dir.clone(), source })
    }

    /// The configuration with the master key wrapped in another passphrase, proved to open with that.
    pub(crate) fn rewrapped(&self, master: &MasterKey, new: &Passphrase) -> Result<Superblock, ActionError> {
        self.rewrapped_at(None, master, new)
    }

    /// As [`Conf::rewrapped`], at another cost of scrypt if one is given.
    fn rewrapped_at(
        &self,
        scrypt_log_n: Option<u8>,
        master: &MasterKey,
        new: &Passphrase,
    ) -> Result<Superblock, ActionError> {
        let mut superblock = self.superblock.clone();
        let settings = |source| ActionError::Settings { path: self.dir.clone(), source };
        scrypt_log_n.map_or(Ok(()), |log_n| superblock.set_scrypt_log_n(log_n)).map_err(settings)?;
        let conf = |source| ActionError::Conf { path: self.path.clone(), source };
        superblock.rewrap(master, new, &OsRandom).map_err(conf)?;
        let unlocked = Superblock::parse(&superblock.to_json()).and_then(|written| written.unlock(new));
        match unlocked.is_ok_and(|key| key.to_hex_groups() == master.to_hex_groups()) {
            true => Ok(superblock),
            false => Err(ActionError::NotReadBack(self.dir.clone())),
        }
    }

    /// Wraps the master key in another passphrase and replaces the configuration. It is the old one or the new one at
    /// any time, keeps its owner, and is unlocked again before the old one goes.
    pub(crate) fn rewrap(
        &mut self,
        scrypt_log_n: Option<u8>,
        master: &MasterKey,
        new: &Passphrase,
        keep_old: impl FnOnce(&Path) -> Result<(), ActionError>,
    ) -> Result<(), ActionError> {
        let superblock = self.rewrapped_at(scrypt_log_n, master, new)?;
        let json = superblock.to_json();
        keep_old(&self.path)?;
        let failed = |source| ActionError::ConfNotWritten { path: self.path.clone(), source };
        replace(&self.path, &json).map_err(failed)?;
        (self.superblock, self.json) = (superblock, json);
        Ok(())
    }
}

/// Replaces a file, which keeps its owner and its mode.
fn replace(path: &Path, content: &[u8]) -> Result<(), PathError> {
    // Behind a symbolic link it is the file that is replaced.
    let path = &path.canonicalize().map_err(PathError::on("looking at", path))?;
    let old = fs::metadata(path).map_err(PathError::on("looking at", path))?;
    let mut file = AtomicFile::create(path, old.mode() & 0o777)?;
    file.write_all(content).map_err(PathError::on("writing", path))?;
    if file_owner_differs(&old) {
        file.give_to(old.uid(), old.gid())?;
    }
    file.replace()
}

fn file_owner_differs(old: &fs::Metadata) -> bool {
    (old.uid(), old.gid()) != (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// The cipher directory with its symbolic links resolved.
pub(crate) fn cipher_dir(dir: &Path) -> Result<PathBuf, ActionError> {
    let resolved = dir.canonicalize().map_err(|source| unusable(dir, source))?;
    match resolved.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(resolved),
        Ok(_) => Err(unusable(dir, io::ErrorKind::NotADirectory.into())),
        Err(source) => Err(unusable(dir, source)),
    }
}

pub(crate) fn unusable(dir: &Path, source: io::Error) -> ActionError {
    ActionError::CipherDir { path: dir.to_owned(), source }
}

/// Takes the vault for this process alone, or with `shared` together with others who share it. Where the file system has
/// no locks, says so to the observer and goes on: the vault works there, but nothing keeps two owners apart.
pub(crate) fn take(dir: &Path, shared: bool, observer: &dyn Observer) -> Result<Option<DirLock>, ActionError> {
    if !shared && let Some(owner) = gocryptfs_mount(dir) {
        return Err(ActionError::InUse { path: dir.to_owned(), owner });
    }
    match if shared { DirLock::shared(dir) } else { DirLock::exclusive(dir) } {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Unsupported { path }) => {
            observer.observe(&Event::Warning(format!(
                "the file system of {} has no locks, so nothing keeps a second mount from damaging the vault",
                path.display()
            )));
            Ok(None)
        }
        Err(error) => Err(ActionError::lock(error)),
    }
}

/// Whether gocryptfs, which takes no lock, has the vault mounted here; and by which process.
fn gocryptfs_mount(dir: &Path) -> Option<Option<u32>> {
    let mounts = mounts::list().unwrap_or_default();
    let theirs = |mount: &&mounts::MountEntry| mount.kind == "fuse.gocryptfs" && mount.is_of(dir);
    mounts.iter().find(theirs).map(mounts::MountEntry::server)
}

/// An open vault, which belongs to this process for as long as this lives.
pub struct OpenVault {
    /// The vault.
    pub vault: Arc<Vault>,
    /// The lock on its directory, if its file system has such.
    pub lock: Option<DirLock>,
    /// The cipher directory.
    pub dir: PathBuf,
}

/// Opens the vault in `dir`: reads its configuration, takes it for this process, and only then asks for the passphrase.
pub fn open_vault(
    dir: &Path,
    options: VaultOptions,
    passphrase: impl FnOnce() -> Result<Passphrase, SecretError>,
    observer: Arc<dyn Observer>,
) -> Result<OpenVault, ActionError> {
    let conf = Conf::read(dir)?;
    let lock = take(conf.dir(), options.shared, &*observer)?;
    let vault = conf.open(options, passphrase, observer)?;
    Ok(OpenVault { vault: Arc::new(vault), lock, dir: conf.dir })
}
