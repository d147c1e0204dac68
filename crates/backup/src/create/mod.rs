//! Makes an archive of a source.

use std::path::PathBuf;

use serde::Serialize;
use strongroom_archive::{ArchiveKind, Compression, Issue, Kdf, Metadata};
use strongroom_tree::{Filter, Source};

use crate::{BackupError, Context, words};

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
    let _ = (create, context);
    todo!()
}
