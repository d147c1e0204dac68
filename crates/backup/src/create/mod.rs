//! Makes an archive of a source.

mod base;
mod capture;
mod items;
mod making;
mod opened;
pub(crate) mod parts;
mod survey;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use strongroom_archive::{Algorithm, ArchiveKind, Compression, Issue, Kdf, Metadata, sanitise};
use strongroom_durable::{AtomicFile, DirLock, LockError, leftovers};
use strongroom_event::Event;
use strongroom_secret::Passphrase;
use strongroom_tree::{Crossing, Filter, Source};
use strongroom_workload::Sqlite;

use self::{base::Base, making::Making, opened::Opened, parts::Parts};
use crate::{
    BackupError, Catalog, Context, How, Marks, Verified, Wanted, catalog::is_ours, chain::Opener, instant::rfc3339,
    words,
};

/// What is backed up.
pub enum Origin<'a> {
    /// A directory, perhaps in use: databases in it are captured while they are written.
    Directory(PathBuf),
    /// Any other tree, such as a vault that is not mounted.
    Tree {
        /// The tree.
        source: &'a dyn Source,
        /// How it is called, and where a restore puts it unless told otherwise.
        path: PathBuf,
        /// Such as `vault`, for the metadata.
        kind: &'static str,
        /// Whether nobody can write to it meanwhile. Then databases are copied as the files they are.
        is_quiet: bool,
    },
}

/// An archive to be made.
pub struct Create<'a> {
    /// What the archives of this source are called: `NAME-20261121-064500.tar.zst.enc`.
    pub name: String,
    /// What is backed up.
    pub origin: Origin<'a>,
    /// The directory for archives. It is there already.
    pub place: PathBuf,
    /// Full, or against a base. Without a usable base it becomes a full one, and [`Created::fell_back`] says why.
    pub kind: ArchiveKind,
    /// How it is compressed.
    pub compression: Compression,
    /// How it is sealed; `None` for an archive that everybody can read.
    pub seal: Option<Kdf>,
    /// Parts of the source that have names of their own.
    pub components: Vec<Component>,
    /// Which components are meant.
    pub selection: Selection,
    /// Which paths are meant.
    pub filter: Filter,
    /// A word about it, in the clear.
    pub label: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Reads every file instead of believing stamps of size, times and inode.
    pub checksum: bool,
    /// Reads the archive back before it gets its name.
    pub verify: bool,
    /// The vault's keys, to travel with it.
    pub keys: Option<Keys>,
    /// Fails when the archive becomes larger than this.
    pub max_size: Option<u64>,
    /// How a directory is read that is in use.
    pub live: Live,
}

/// How a directory is read that is in use.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Whether what is mounted below it belongs to it.
    pub crossing: Crossing,
    /// Which databases are captured.
    pub databases: Databases,
    /// How they are.
    pub sqlite: Sqlite,
}

/// Which databases are captured while they are written, and not copied as the files they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Databases {
    /// Those that are found, and those that are components.
    #[default]
    Found,
    /// Those that are components.
    Listed,
    /// None.
    Off,
}

/// The vault's keys as they travel in an archive.
#[derive(Clone)]
pub struct Keys {
    /// A `gocryptfs.conf`.
    pub conf: Vec<u8>,
    /// The passphrase that opens it.
    pub sealed_under: SealedUnder,
}

/// Which passphrase opens the keys in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SealedUnder {
    /// That of the archive.
    BackupPassphrase,
    /// That of the vault when the archive was made.
    VaultPassphrase,
}

/// A part of the source with a name of its own.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its name. `files` is what no other component claims; `config` and `databases` are taken too.
    pub name: String,
    /// What it is.
    pub kind: ComponentKind,
    /// Below the source, or (configuration only) an absolute path anywhere.
    pub path: PathBuf,
    /// Files beside a database without which it is nothing, by path like `path`: a salt, a key file. They are kept
    /// and restored together with it.
    pub sidecars: Vec<PathBuf>,
    /// Left out unless [`Selection::include`] names it.
    pub optional: bool,
}

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentKind {
    /// A SQLite or libSQL database.
    Database,
    /// A directory with all that is in it, or one file.
    Directory,
    /// Configuration: a file, or a directory with all that is in it.
    Config,
}

/// Which components are meant: those that `include` names, or all if it is empty, but for those that `exclude` names.
/// `databases` and `config` stand for all components of the kind, `files` for everything that is no component.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Names.
    pub include: Vec<String>,
    /// Names.
    pub exclude: Vec<String>,
}

/// An archive that was made.
#[derive(Debug, Serialize)]
pub struct Created {
    /// Where it is.
    #[serde(serialize_with = "words::path")]
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the file, in hex.
    pub file_sha256: String,
    /// All that is known of it.
    pub metadata: Metadata,
    /// What could not be backed up as it was.
    pub issues: Vec<Issue>,
    /// Whether all of the source is in it, each file as it was at one moment.
    pub complete: bool,
    /// Whether it was read back.
    pub verified: bool,
    /// Why it is a full one although something else was asked for.
    pub fell_back: Option<String>,
    /// What else one should know.
    pub warnings: Vec<String>,
    /// Temporary files of runs that were killed, which were removed.
    #[serde(serialize_with = "words::paths")]
    pub cleared: Vec<PathBuf>,
}

/// Makes an archive. When this returns `Ok`, the archive is whole and survives a power cut; when it does not, however it
/// ends, there is no new archive.
pub fn create(create: &Create<'_>, context: &Context<'_>) -> Result<Created, BackupError> {
    let _lock = lock_shared(&create.place)?;
    let source = Opened::open(create)?;
    let cleared = clear_leftovers(&create.place)?;
    let passphrase = create.seal.map(|_| (context.secret)(Wanted::New)).transpose()?;
    let opener = Opener::new(context);
    passphrase.iter().for_each(|passphrase| opener.remember(passphrase));
    let (base, fell_back) = base_of(create, &source, &opener, context)?;
    let mut created = make(create, context, &source, passphrase.as_ref(), base.as_deref(), &opener)?;
    created.fell_back = fell_back;
    created.cleared = cleared;
    Ok(created)
}

/// Against what the archive is made, or why it becomes a full one.
fn base_of(
    create: &Create<'_>,
    source: &Opened<'_>,
    opener: &Opener<'_>,
    context: &Context<'_>,
) -> Result<(Option<Arc<Base>>, Option<String>), BackupError> {
    if create.kind == ArchiveKind::Full {
        return Ok((None, None));
    }
    let catalog = Catalog::read(&create.place)?;
    let name = sanitise(&create.name);
    let path = words::text(&source.path);
    let wanted = base::Wanted {
        name: &name,
        kind: create.kind,
        sealed: create.seal.is_some(),
        source: &path,
        host: context.host,
    };
    Ok(match Base::find(&catalog, &wanted, opener)? {
        Ok(base) => (Some(base), None),
        Err(why) => (None, Some(why)),
    })
}

/// Surveys, writes, verifies and names.
fn make(
    create: &Create<'_>,
    context: &Context<'_>,
    source: &Opened<'_>,
    passphrase: Option<&Passphrase>,
    base: Option<&Base>,
    opener: &Opener<'_>,
) -> Result<Created, BackupError> {
    let started = (context.now)();
    context.observer.observe(&Event::Phase { name: "surveying", total: None });
    let filter = source.filter(create)?;
    let survey = survey::survey(source.tree(), &filter, base, source.captures(), context)?;
    let parts = Parts::new(&source.path, &create.components, &survey.databases, &create.selection)?;
    check_space(create, survey.unread)?;
    let job =
        Making { create, context, source, base, passphrase, parts: &parts, filter: parts.narrow(filter), started };
    let path = job.free_path()?;
    let file = AtomicFile::create(&path, 0o600)?;
    let (file, written, warnings) = job.write(file, &path, &survey)?;
    if create.verify {
        read_back(&file, &path, opener, context)?;
    }
    file.place()?;
    let mut created = job.created(path, written, warnings);
    if let Err(error) = remember(&created, context) {
        created.warnings.push(format!("what is known of it cannot be kept beside it: {error}"));
    }
    Ok(created)
}

/// Reads an archive before it has its name.
fn read_back(file: &AtomicFile, path: &Path, opener: &Opener<'_>, context: &Context<'_>) -> Result<(), BackupError> {
    let failed = || BackupError::archive("reading back", path);
    let archive = opener.open_file(file.read_back()?, path)?;
    archive.verify(context.workers, context.observer).map_err(failed())?;
    Ok(())
}

fn remember(created: &Created, context: &Context<'_>) -> Result<(), BackupError> {
    let verified = created.verified.then(|| Verified { at: rfc3339(&(context.now)()), how: How::Created, ok: true });
    let id = created.metadata.id.to_string();
    Marks { id, locked: false, verified, complete: Some(created.complete) }.write(&created.path)
}

/// Makes sure that nobody cleans the place up meanwhile. Where there are no locks, there are none.
pub(crate) fn lock_shared(place: &Path) -> Result<Option<DirLock>, BackupError> {
    match DirLock::shared(place) {
        Err(LockError::Unsupported { .. }) => Ok(None),
        locked => Ok(Some(locked?)),
    }
}

/// Removes what killed runs left in a place.
fn clear_leftovers(place: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let ours = leftovers(place)?.into_iter().filter(|left| is_ours(&left.target) && !left.in_use);
    Ok(ours.filter(strongroom_durable::Leftover::clear).map(|left| left.path).collect())
}

/// Fails where it is certain that there is too little room: without compression an archive is no smaller than its files.
fn check_space(create: &Create<'_>, needed: u64) -> Result<(), BackupError> {
    if create.compression.algorithm != Algorithm::None {
        return Ok(());
    }
    let available = available(&create.place)?;
    if available < needed {
        return Err(BackupError::Space { at: create.place.clone(), needed, available });
    }
    Ok(())
}

/// Bytes that are free for whoever runs this.
pub(crate) fn available(at: &Path) -> Result<u64, BackupError> {
    let stat = rustix::fs::statvfs(at).map_err(BackupError::on("asking for the room of", at))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
