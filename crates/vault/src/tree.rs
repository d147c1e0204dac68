//! A vault as a tree: files flow out of it in clear, and into it, without any mount.
//!
//! What cannot be decrypted is an error about the entry, and told to the vault's observer as well. Extended attributes
//! that cannot be decoded are told to the observer only, and left out.

mod content;
mod planting;
mod replica;
mod walk;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_tree::{Content, Entry, Filter, RelPath, Sink, Source, TreeError};

use crate::attr::{Attr, Kind, NodeId};
use crate::backing::Backing;
use crate::error::VaultError;
use crate::open_file::Access;
use crate::real_backing::RealBacking;
use crate::vault::Vault;
use content::VaultContent;
use walk::Walk;

/// A vault that is walked, read and filled by paths. As a [`Sink`], entries become those of their owners by number if
/// this process is root, and its own otherwise; what is put replaces what is there, as it does in a
/// [`Replica`](strongroom_tree::Replica).
pub struct VaultTree<B: Backing = RealBacking> {
    vault: Arc<Vault<B>>,
    /// The directories that were used last, so that a path is not looked up from the root each time.
    recent: Mutex<Vec<(RelPath, Arc<Dir<B>>)>>,
    /// Directories made, to be dressed when nothing more is put into them.
    unsealed: Mutex<BTreeMap<RelPath, Entry>>,
}

const DEFAULT_ACCESS_LIST: &[u8] = b"system.posix_acl_default";

/// Directories remembered.
const RECENT: usize = 32;

impl<B: Backing> VaultTree<B> {
    /// The tree in `vault`. Nobody else should change it meanwhile.
    pub fn new(vault: Arc<Vault<B>>) -> Self {
        Self { vault, recent: Mutex::default(), unsealed: Mutex::default() }
    }

    fn root(&self) -> Held<B> {
        Held { vault: self.vault.clone(), node: NodeId::ROOT }
    }

    /// What is made in the root may inherit an access list from it, and so on down.
    fn known(&self, held: Held<B>) -> Arc<Dir<B>> {
        let passes_on = self.vault.xattr(held.node, DEFAULT_ACCESS_LIST).is_ok();
        Arc::new(Dir { held, passes_on })
    }

    /// The entry `name` of a directory.
    fn child(&self, dir: NodeId, name: &[u8]) -> Result<(Held<B>, Attr), VaultError> {
        let attr = self.vault.lookup(dir, name)?;
        Ok((Held { vault: self.vault.clone(), node: attr.node }, attr))
    }

    /// The directory at `path`.
    fn dir(&self, path: &RelPath) -> Result<Arc<Dir<B>>, VaultError> {
        let (mut below, mut at) = (Vec::new(), path.clone());
        let mut dir = loop {
            if let Some((_, dir)) = self.recent.lock().iter().find(|(known, _)| *known == at) {
                break dir.clone();
            }
            let Some(parent) = at.parent() else {
                let root = self.known(self.root());
                self.remember(at, root.clone());
                break root;
            };
            below.push(at);
            at = parent;
        };
        for path in below.into_iter().rev() {
            let name = path.name().expect("only the root has no name");
            let (held, attr) = self.child(dir.held.node, name)?;
            if attr.kind != Kind::Directory {
                return Err(VaultError::NotADirectory);
            }
            dir = self.known(held);
            self.remember(path, dir.clone());
        }
        Ok(dir)
    }

    fn remember(&self, path: RelPath, dir: Arc<Dir<B>>) {
        let mut recent = self.recent.lock();
        if recent.len() == RECENT {
            recent.remove(0);
        }
        recent.push((path, dir));
    }

    /// What was at `path` and within is gone, or is something else.
    fn forget_within(&self, path: &RelPath) {
        self.recent.lock().retain(|(known, _)| !known.is_within(path));
        let mut unsealed = self.unsealed.lock();
        let range = unsealed.range(path..).map(|(at, _)| at);
        let gone: Vec<_> = range.take_while(|at| at.is_within(path)).cloned().collect();
        gone.iter().for_each(|path| drop(unsealed.remove(path)));
    }

    fn opened(&self, path: &RelPath) -> Result<VaultContent<B>, VaultError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return Err(VaultError::IsADirectory) };
        let (held, attr) = self.child(self.dir(&parent)?.held.node, name)?;
        if attr.kind != Kind::File {
            return Err(VaultError::InvalidArgument);
        }
        self.vault.open(held.node, Access::Read, false)?;
        Ok(VaultContent::new(held))
    }
}

impl<B: Backing> Source for VaultTree<B> {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        Box::new(Walk::new(self, filter))
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        let content = self.opened(path).map_err(io_error).map_err(TreeError::on("opening", path))?;
        Ok(Box::new(content))
    }
}

impl<B: Backing> Sink for VaultTree<B> {
    fn put(&self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<(), TreeError> {
        self.plant(entry, content).map_err(TreeError::on("making", &entry.path))
    }

    fn seal(&self) -> Result<(), TreeError> {
        self.seal_all()
    }
}

/// A directory that something is looked for or made in.
struct Dir<B: Backing> {
    held: Held<B>,
    /// Whether it has a default access list, which what is made in it inherits.
    passes_on: bool,
}

/// A node with one lookup of it counted, taken back when dropped.
struct Held<B: Backing> {
    vault: Arc<Vault<B>>,
    node: NodeId,
}

impl<B: Backing> Drop for Held<B> {
    fn drop(&mut self) {
        if self.node != NodeId::ROOT {
            self.vault.forget(self.node, 1);
        }
    }
}

/// The kinds of error that whoever reads a tree can tell apart.
fn io_error(error: VaultError) -> io::Error {
    let kind = match error {
        VaultError::Backing(error) => return error,
        VaultError::NotFound => io::ErrorKind::NotFound,
        VaultError::Exists => io::ErrorKind::AlreadyExists,
        VaultError::NotADirectory => io::ErrorKind::NotADirectory,
        VaultError::IsADirectory => io::ErrorKind::IsADirectory,
        VaultError::NotEmpty => io::ErrorKind::DirectoryNotEmpty,
        VaultError::Corrupt { .. } => io::ErrorKind::InvalidData,
        VaultError::TooLarge => io::ErrorKind::FileTooLarge,
        VaultError::ReadOnly => io::ErrorKind::ReadOnlyFilesystem,
        VaultError::Unsupported => io::ErrorKind::Unsupported,
        VaultError::InvalidName | VaultError::NameTooLong | VaultError::Reserved => io::ErrorKind::InvalidFilename,
        _ => io::ErrorKind::InvalidInput,
    };
    io::Error::new(kind, error)
}
