//! Authenticates everything in a vault that is not in use.

use std::{path::Path, path::PathBuf, sync::Arc};

use serde::Serialize;
use strongroom_event::{Observer, PathText};
use strongroom_secret::{Passphrase, SecretError};
use strongroom_vault::{CheckOptions, RealBacking, check as check_vault};

use crate::{
    ActionError,
    open::{Conf, take, unusable},
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
    /// How many problems are damage, listed or not.
    pub damaged: u64,
    /// What is damaged.
    pub problems: Vec<Problem>,
    /// What is odd but costs nothing.
    pub notes: Vec<Problem>,
    /// How many more problems and notes there are than are listed.
    pub unlisted: u64,
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
    let master = conf.unlock(&passphrase()?)?;
    let ciphers = conf.ciphers(&master)?;
    let backing = RealBacking::open(conf.dir()).map_err(|source| unusable(conf.dir(), source))?;
    let options = CheckOptions { threads: threads.unwrap_or(0), estimate: true, ..CheckOptions::default() };
    let found = check_vault(&backing, &ciphers, options, &*observer)
        .map_err(|source| ActionError::Vault { path: conf.dir().to_owned(), source })?;
    let (problems, notes): (Vec<_>, Vec<_>) = found.problems.into_iter().partition(|problem| problem.kind.is_damage());
    Ok(CheckReport {
        cipher_dir: conf.dir().to_owned(),
        files: found.files,
        directories: found.directories,
        symlinks: found.symlinks,
        others: found.others,
        xattrs: found.xattrs,
        bytes: found.bytes,
        hole_bytes: found.hole_bytes,
        damaged: found.damaged,
        problems: problems.into_iter().map(Problem::from).collect(),
        notes: notes.into_iter().map(Problem::from).collect(),
        unlisted: found.unlisted,
    })
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
