//! What a file says it is, without a passphrase.

use std::{
    fs::File,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use strongroom_archive::{Archive, ArchiveError, Facts, Peek, peek};
use strongroom_secret::SecretError;

use crate::{BackupError, words};

/// What an archive says of itself in clear. Of a sealed one, nobody has authenticated it yet.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub path: PathBuf,
    pub facts: Facts,
    pub sealed: bool,
    pub bytes: u64,
    /// Whether all of the source went into it, where that stands in clear.
    pub complete: Option<bool>,
}

impl Head {
    /// Reads the head of the archive at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, BackupError> {
        let file = regular(path).map_err(|error| no_archive(path, &error))?;
        let bytes = file.metadata().map_err(BackupError::on("looking at", path))?.len();
        match peek(&file).map_err(refused(path))? {
            Peek::Sealed(facts) => Ok(Self { path: path.to_owned(), facts, sealed: true, bytes, complete: None }),
            Peek::Plain(_) => {
                let archive = Archive::open(file, &mut |_| Err(not_sealed())).map_err(refused(path))?;
                let complete = Some(archive.metadata().complete);
                Ok(Self { path: path.to_owned(), facts: facts_of(&archive), sealed: false, bytes, complete })
            }
        }
    }
}

/// What a header would say.
pub(crate) fn facts_of(archive: &Archive) -> Facts {
    let metadata = archive.metadata();
    Facts {
        id: metadata.id,
        created: metadata.created.clone(),
        name: metadata.name.clone(),
        kind: metadata.kind,
        parents: archive.archives().iter().map(|base| base.id).collect(),
        label: metadata.label.clone(),
        compression: metadata.compression,
    }
}

/// Opens a regular file, and never waits for a pipe.
pub(crate) fn regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits();
    let file = File::options().read(true).custom_flags(flags as i32).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Where a path leads, if it is a symbolic link: what is beside an archive is beside the file, not beside the link.
pub(crate) fn followed(path: &Path) -> PathBuf {
    match path.read_link() {
        Ok(_) => path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        Err(_) => path.to_owned(),
    }
}

/// For what no passphrase can be wanted of.
fn not_sealed() -> SecretError {
    SecretError::NobodyToAsk { what: "passphrase of the archive".into(), why: "it is not sealed".into() }
}

pub(crate) fn no_archive(path: &Path, error: &io::Error) -> BackupError {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        // Whether it is one, nobody has seen.
        io::ErrorKind::PermissionDenied => return BackupError::on("opening", path)(io::Error::from(error.kind())),
        _ => error.to_string(),
    };
    BackupError::NoArchive { word: words::text(path), why }
}

/// What is no archive at all is told from one that is damaged.
pub(crate) fn refused(path: &Path) -> impl FnOnce(ArchiveError) -> BackupError {
    let path = path.to_owned();
    move |error| match error {
        ArchiveError::NotAnArchive { why } => BackupError::NoArchive { word: words::text(&path), why: why.into() },
        source => BackupError::Archive { attempted: "opening", path, source },
    }
}
