//! Listing a directory of the view.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Dir, FileType};
use strongroom_format::{CONF_NAME, DIR_IV_NAME, REVERSE_CONF_NAME};

use crate::attr::{Attr, Kind, NodeId};
use crate::error::{Result, ViewError};
use crate::node::{DirState, Node};
use crate::numbers::Of;
use crate::view::{View, stat_in};

/// What stands for a name that cannot be encrypted.
const INVALID_NAME: &[u8] = b"___GOCRYPTFS_INVALID_NAME___";
/// What a file is shown as whose name the configuration takes.
const COLLISION: &[u8] = b"gocryptfs.conf_NAME_COLLISION";

/// A directory as it was when it was opened.
pub struct Listing {
    node: Arc<Node>,
    handle: OwnedFd,
    entries: Vec<Entry>,
}

/// One entry.
pub struct Entry {
    /// Its name in the view.
    pub name: Vec<u8>,
    /// Its inode number.
    pub node: NodeId,
    /// Its type.
    pub kind: Kind,
    source: Source,
}

/// What is behind an entry.
enum Source {
    /// The plaintext's file of this name.
    Plain(Vec<u8>),
    /// The long name of that file.
    LongName(Vec<u8>),
    DirIv,
    Conf,
    /// Nothing that can be reached.
    Nothing,
}

impl Listing {
    /// The entries, without `.` and `..`.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl View {
    /// Lists a directory.
    pub fn open_dir(&self, node: NodeId) -> Result<Listing> {
        let node = self.node(node)?;
        let dir = node.dir().ok_or(ViewError::NotADirectory)?;
        let mut listing = Listing { handle: self.open_dir_to_list(&node)?, node: node.clone(), entries: Vec::new() };
        let mut long_names = Vec::new();
        if !self.is_cut_off(dir) {
            self.list_plain(&mut listing, dir, &mut long_names)?;
        }
        if self.ciphers.names.uses_dir_iv() {
            let node = NodeId(self.nodes.numbers.of(node.dev, node.ino, Of::DirIv));
            let name = DIR_IV_NAME.as_bytes().to_vec();
            listing.entries.push(Entry { name, node, kind: Kind::File, source: Source::DirIv });
        }
        listing.entries.append(&mut long_names);
        Ok(listing)
    }

    /// The attributes of an entry; counts one lookup of its node.
    pub fn entry_attr(&self, listing: &Listing, entry: &Entry) -> Result<Attr> {
        let dir = listing.node.dir().ok_or(ViewError::NotADirectory)?;
        match &entry.source {
            Source::Plain(plain) => self.found(&listing.node, &listing.handle, &entry.name, plain),
            Source::LongName(plain) => self.found_long_name_of(&listing.node, dir, &listing.handle, &entry.name, plain),
            Source::DirIv => self.found_dir_iv(&listing.node),
            Source::Conf => self.found_conf(&listing.node),
            Source::Nothing => Err(ViewError::NotFound),
        }
    }

    fn list_plain(&self, listing: &mut Listing, dir: &DirState, long_names: &mut Vec<Entry>) -> Result<()> {
        let path = listing.node.plain_path();
        for found in Dir::read_from(&listing.handle)? {
            let found = found?;
            let plain = found.file_name().to_bytes();
            if matches!(plain, b"." | b"..") || self.is_excluded(&path, plain) {
                continue;
            }
            let kind = self.kind_of(listing, found.file_type(), plain);
            let number = |of| NodeId(self.nodes.numbers.of(listing.node.dev, found.ino(), of));
            let (name, source) = match self.mapped(&listing.node, plain) {
                Some(mapped) => mapped,
                None => match self.ciphers.names.encrypt(&dir.iv, plain) {
                    Ok(stored) => {
                        if let Some((name, _)) = stored.name_file() {
                            dir.long_names.lock().insert(stored.disk().into(), plain.into());
                            let source = Source::LongName(plain.to_vec());
                            long_names.push(Entry { name, node: number(Of::LongName), kind: Kind::File, source });
                        }
                        (stored.into_disk(), Source::Plain(plain.to_vec()))
                    }
                    Err(_) => (INVALID_NAME.to_vec(), Source::Nothing),
                },
            };
            listing.entries.push(Entry { name, node: number(Of::Plain), kind, source });
        }
        Ok(())
    }

    /// What in the root is shown under another name than its own.
    fn mapped(&self, dir: &Node, plain: &[u8]) -> Option<(Vec<u8>, Source)> {
        if dir.id != NodeId::ROOT || self.options.conf.is_none() {
            return None;
        }
        if plain == REVERSE_CONF_NAME.as_bytes() {
            return Some((CONF_NAME.as_bytes().to_vec(), Source::Conf));
        }
        if self.ciphers.names.is_plaintext() && plain == CONF_NAME.as_bytes() {
            self.warn_of_collision();
            return Some((COLLISION.to_vec(), Source::Nothing));
        }
        None
    }

    /// Some file systems do not tell types in listings.
    fn kind_of(&self, listing: &Listing, told: FileType, plain: &[u8]) -> Kind {
        match told {
            FileType::Unknown => stat_in(&listing.handle, plain).map_or(Kind::File, |stat| Kind::of_stat(&stat)),
            told => Kind::of(told),
        }
    }
}
