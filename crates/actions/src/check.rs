//! Authenticates everything in a vault that is not in use, or what a mount of one would show.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use serde::Serialize;
use strongroom_durable::{DirLock, LockError};
use strongroom_event::{Event, Observer, PathText};
use strongroom_secret::{Passphrase, SecretError};
use strongroom_vault::{CheckOptions, RealBacking, Report, check as check_vault};

use crate::{
    ActionError, Unlock,
    company::patiently,
    open::{Conf, ConfPlace, take, unusable},
};

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The cipher directory.
    #[serde(serialize_with = "crate::words::path")]
    pub cipher_dir: PathBuf,
    /// Regular files, each counted once however many names it has.
    pub files: u64,
    /// Directories, the root among them.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Fifos, sockets and device nodes.
    pub others: u64,
    /// Extended attributes.
    pub xattrs: u64,
    /// Bytes of plaintext that authenticated.
    pub bytes: u64,
    /// Bytes of plaintext that are holes: zeros that nothing authenticates.
    pub hole_bytes: u64,
    /// How many files have holes, listed or not.
    pub files_with_holes: u64,
    /// The files with holes.
    pub holes: Vec<Holes>,
    /// How many problems are damage, listed or not.
    pub damaged: u64,
    /// What is damaged.
    pub problems: Vec<Problem>,
    /// What is odd but costs nothing.
    pub notes: Vec<Problem>,
    /// How many more problems and notes there are than are listed.
    pub unlisted: u64,
}

/// A file with holes.
#[derive(Clone, Debug, Serialize)]
pub struct Holes {
    /// Plaintext path; odd bytes as `\xNN`.
    pub path: String,
    /// Path in the cipher directory.
    pub disk_path: String,
    /// How much of its plaintext they are.
    pub bytes: u64,
}

/// Something that is damaged, or odd.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// Plaintext path, as far as it is known; odd bytes as `\xNN`.
    pub path: String,
    /// Path in the cipher directory.
    pub disk_path: String,
    /// What kind of problem, as a word that does not change.
    pub kind: &'static str,
    /// What is wrong, in words.
    pub detail: String,
}

/// Checks the vault in `dir`: every name, block, link and attribute. Nothing is changed. While it is mounted, blocks that
/// are being written would look damaged, so it is refused then.
pub fn check(
    dir: &Path,
    threads: Option<usize>,
    passphrase: impl FnOnce() -> Result<Passphrase, SecretError>,
    observer: Arc<dyn Observer>,
) -> Result<CheckReport, ActionError> {
    let conf = Conf::read(dir)?;
    let _lock = take(conf.dir(), false, &*observer)?;
    let ciphers = conf.ciphers(&conf.unlock(&passphrase()?)?)?;
    let backing = RealBacking::open(conf.dir()).map_err(|source| unusable(conf.dir(), source))?;
    let options = CheckOptions { threads: threads.unwrap_or(0), estimate: true, ..CheckOptions::default() };
    let found = check_vault(&backing, &ciphers, options, &*observer).map_err(|source| failed(&conf, source))?;
    Ok(CheckReport::new(conf.dir(), found))
}

/// How to look at what a mount would show.
pub struct AsMounted<'a> {
    /// The cipher directory.
    pub dir: &'a Path,
    /// Where its configuration is.
    pub conf: &'a ConfPlace,
    /// Whether names are hashed that are too long for a directory.
    pub long_names: bool,
    /// Gives up as soon as this is set.
    pub stop: &'a AtomicBool,
}

/// Reads all that a mount of the vault would show, and tells what cannot be listed, found or read. Nothing is changed. It
/// may be in use, which is warned of: what is being written meanwhile may look damaged. `begins` is told when the key is
/// there.
pub fn check_as_mounted(
    request: &AsMounted<'_>,
    unlock: Unlock<'_>,
    begins: impl FnOnce(),
    observer: &dyn Observer,
) -> Result<Report, ActionError> {
    let conf = Conf::read_from(request.dir, request.conf)?;
    let _lock = look_on(conf.dir(), observer)?;
    let mut ciphers = conf.ciphers(&unlock.master_key(&conf)?)?;
    if !request.long_names {
        ciphers.names.hash_none();
    }
    begins();
    let backing = RealBacking::open(conf.dir()).map_err(|source| unusable(conf.dir(), source))?;
    let options = CheckOptions { as_mounted: true, stop: Some(request.stop), ..CheckOptions::default() };
    check_vault(&backing, &ciphers, options, observer).map_err(|source| failed(&conf, source))
}

/// Keeps repairs and changes of the vault out while it is looked at, as far as somebody else does not have it already.
fn look_on(dir: &Path, observer: &dyn Observer) -> Result<Option<DirLock>, ActionError> {
    let is_busy = |error: &LockError| matches!(error, LockError::Busy { .. });
    match patiently(dir, is_busy, || DirLock::shared(dir)) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Unsupported { .. }) => Ok(None),
        Err(LockError::Busy { owner, .. }) => {
            let by = owner.map(|pid| format!(" by process {pid}")).unwrap_or_default();
            observer.observe(&Event::Warning(format!(
                "{} is in use{by}: what is written meanwhile may look damaged",
                dir.display()
            )));
            Ok(None)
        }
        Err(error) => Err(ActionError::lock(error)),
    }
}

pub(crate) fn failed(conf: &Conf, source: strongroom_vault::VaultError) -> ActionError {
    ActionError::Vault { path: conf.dir().to_owned(), source }
}

impl CheckReport {
    pub(crate) fn new(dir: &Path, found: Report) -> Self {
        let (problems, notes): (Vec<_>, Vec<_>) =
            found.problems.into_iter().partition(|problem| problem.kind.is_damage());
        Self {
            cipher_dir: dir.to_owned(),
            files: found.files,
            directories: found.directories,
            symlinks: found.symlinks,
            others: found.others,
            xattrs: found.xattrs,
            bytes: found.bytes,
            hole_bytes: found.hole_bytes,
            files_with_holes: found.files_with_holes,
            holes: found.holes.into_iter().map(Holes::from).collect(),
            damaged: found.damaged,
            problems: problems.into_iter().map(Problem::from).collect(),
            notes: notes.into_iter().map(Problem::from).collect(),
            unlisted: found.unlisted,
        }
    }
}

impl From<strongroom_vault::Holes> for Holes {
    fn from(holes: strongroom_vault::Holes) -> Self {
        Holes {
            path: PathText(&holes.path).to_string(),
            disk_path: PathText(&holes.disk_path).to_string(),
            bytes: holes.bytes,
        }
    }
}

impl From<strongroom_vault::Problem> for Problem {
    fn from(problem: strongroom_vault::Problem) -> Self {
        Problem {
            path: PathText(&problem.path).to_string(),
            disk_path: PathText(&problem.disk_path).to_string(),
            kind: problem.kind.word(),
            detail: problem.detail,
        }
    }
}
