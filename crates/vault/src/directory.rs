//! Directories: their descriptors and IVs, the names in them, and what a crash may have left of a half-made one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rustix::io::Errno;
use strongroom_event::Event;
use strongroom_format::{Classified, DirIv, StoredName};

use crate::attr::{DirEntry, Kind, NodeId};
use crate::backing::{Backing, RawEntry, Target};
use crate::error::{Result, VaultError};
use crate::node::{Kept, Link, Node, Reach};
use crate::vault::Vault;

/// The file in each directory that holds its IV.
pub(crate) const DIR_IV_NAME: &[u8] = b"gocryptfs.diriv";
/// What gocryptfs renames the IV of a directory to that it is about to remove.
pub(crate) const DIR_IV_LEFTOVER: &[u8] = b"gocryptfs.diriv.rmdir.";
/// The longest encrypted name that a `.name` file may hold.
const LONG_NAME_LIMIT: usize = 344;

/// What is remembered of a directory.
pub(crate) struct DirState<B: Backing> {
    open: Mutex<Option<Arc<DirHandle<B>>>>,
    /// Held while names in this directory change: a long name and its object are two files.
    changing: Mutex<()>,
    /// Counts the beginnings and ends of changes, for who looks without the lock.
    changes: AtomicU64,
}

/// While this lives, nobody else changes names in the directory.
pub(crate) struct Names<'n> {
    changes: &'n AtomicU64,
    _lock: MutexGuard<'n, ()>,
}

impl Drop for Names<'_> {
    fn drop(&mut self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}

impl<B: Backing> Default for DirState<B> {
    fn default() -> Self {
        DirState { open: Mutex::new(None), changing: Mutex::new(()), changes: AtomicU64::new(0) }
    }
}

/// An open directory and the IV of its names.
pub(crate) struct DirHandle<B: Backing> {
    pub dir: B::Dir,
    pub iv: DirIv,
}

/// A directory as it was when it was opened.
pub struct Directory {
    entries: Vec<DirEntry>,
    damaged: Vec<Vec<u8>>,
}

impl Directory {
    /// The entries, without `.` and `..`.
    pub fn entries(&self) -> &[DirEntry] {
        &self.entries
    }

    /// The names on disk of what cannot be decoded, for who has to tell what is missing in a copy.
    pub fn damaged(&self) -> &[Vec<u8>] {
        &self.damaged
    }
}

impl<B: Backing> Vault<B> {
    /// Lists a directory. Entries that cannot be decoded are reported and left out.
    pub fn open_dir(&self, node: NodeId) -> Result<Directory> {
        let node = self.node(node)?;
        let handle = self.dir_handle(&node)?;
        let mut raw = Vec::new();
        self.backing.list(&handle.dir, &mut |entry| raw.push(entry))?;
        let (mut entries, mut damaged) = (Vec::with_capacity(raw.len()), Vec::new());
        for entry in &raw {
            match self.plain_name(&node, &handle, &entry.name) {
                Ok(Some(name)) => entries.push(self.entry(&handle, entry, name)),
                Ok(None) => {}
                Err(what) => match self.recheck(&node, &handle, entry)? {
                    Ok(Some(name)) => entries.push(self.entry(&handle, entry, name)),
                    Ok(None) => {}
                    Err(_) => {
                        self.report_entry(&node, &entry.name, what);
                        damaged.push(entry.name.clone());
                    }
                },
            }
        }
        Ok(Directory { entries, damaged })
    }

    /// Looks at an undecodable entry again while nobody changes names: it may have been on its way out.
    #[allow(clippy::type_complexity)]
    fn recheck(
        &self,
        node: &Node<B>,
        handle: &DirHandle<B>,
        entry: &RawEntry,
    ) -> Result<std::result::Result<Option<Vec<u8>>, String>> {
        let _names = self.lock_names(node)?;
        match self.backing.stat(Target::Entry(&handle.dir, &entry.name)) {
            Err(Errno::NOENT) => Ok(Ok(None)),
            _ => Ok(self.plain_name(node, handle, &entry.name)),
        }
    }

    fn entry(&self, handle: &DirHandle<B>, raw: &RawEntry, name: Vec<u8>) -> DirEntry {
        let kind = raw.kind.unwrap_or_else(|| {
            let stat = self.backing.stat(Target::Entry(&handle.dir, &raw.name));
            stat.map_or(Kind::File, |stat| Kind::of_mode(stat.mode))
        });
        DirEntry { name, node: self.nodes.id_of(self.nodes.root().dev, raw.ino), kind }
    }

    /// The plaintext of a name on disk; `None` for the format's own files, `Err` with the reason if it cannot be decoded.
    pub(crate) fn plain_name(
        &self,
        node: &Node<B>,
        handle: &DirHandle<B>,
        disk: &[u8],
    ) -> std::result::Result<Option<Vec<u8>>, String> {
        let is_root = node.id == NodeId::ROOT;
        match self.ciphers.names.classify(disk, is_root) {
            Classified::Reserved | Classified::LongNameFile => Ok(None),
            Classified::Ordinary => match self.ciphers.names.decrypt(&handle.iv, disk) {
                Ok(name) => Ok(Some(name)),
                Err(_) if disk.starts_with(DIR_IV_LEFTOVER) => Ok(None),
                Err(error) => self.bad_name(handle, disk).map(Some).ok_or_else(|| error.to_string()),
            },
            Classified::LongContent => {
                let name_file = [disk, b".name"].concat();
                let encoded = self
                    .backing
                    .read_small(&handle.dir, &name_file, LONG_NAME_LIMIT)
                    .map_err(|errno| format!("its .name file cannot be read: {}", std::io::Error::from(errno)))?;
                self.ciphers.names.decrypt(&handle.iv, &encoded).map(Some).map_err(|error| error.to_string())
            }
        }
    }

    fn report_entry(&self, node: &Node<B>, disk: &[u8], what: String) {
        let what = format!("the entry {} cannot be decoded: {what}", strongroom_event::PathText(disk));
        self.report(node, what);
    }

    /// The open directory of a node, opened if need be.
    pub(crate) fn dir_handle(&self, node: &Arc<Node<B>>) -> Result<Arc<DirHandle<B>>> {
        let state = node.dir().ok_or(VaultError::NotADirectory)?;
        node.touch();
        if !self.is_shared()
            && let Some(handle) = &*state.open.lock()
        {
            return Ok(handle.clone());
        }
        // Down from the nearest directory that is open. Not by recursion: a tree may be deeper than the stack.
        let mut way = vec![node.clone()];
        let mut above = None;
        while let Some(link) = way[way.len() - 1].link() {
            above = link.parent.dir().and_then(|dir| dir.open.lock().clone());
            if above.is_some() {
                break;
            }
            way.push(link.parent);
        }
        while let Some(node) = way.pop() {
            above = Some(self.open_below(&node, above.as_deref())?);
        }
        above.ok_or(VaultError::NotFound)
    }

    /// Opens a directory, given the one it is in if it is in any.
    fn open_below(&self, node: &Arc<Node<B>>, above: Option<&DirHandle<B>>) -> Result<Arc<DirHandle<B>>> {
        let state = node.dir().ok_or(VaultError::NotADirectory)?;
        let parent = node.link().map(|link| link.parent);
        let dir = node.reaching(|reach| match (&reach, &parent, above) {
            (Reach::Link(link), Some(parent), Some(above)) if Arc::ptr_eq(&link.parent, parent) => {
                self.open_link_as_dir(node, above, link)
            }
            _ => self.reach_dir(node, reach),
        })?;
        let iv = self.load_iv(node, &dir)?;
        Ok(self.keep_dir(node, state, DirHandle { dir, iv }))
    }

    fn open_link_as_dir(&self, node: &Node<B>, parent: &DirHandle<B>, link: &Link<B>) -> Result<B::Dir> {
        let stored = self.stored_name(&link.parent, parent, &link.name)?;
        let dir = self.backing.open_dir(&parent.dir, stored.disk())?;
        if node.is_at(&self.backing.stat(Target::Dir(&dir))?) { Ok(dir) } else { Err(VaultError::NotFound) }
    }

    fn reach_dir(&self, node: &Node<B>, reach: Reach<B>) -> Result<B::Dir> {
        match reach {
            Reach::Root => Ok(self.backing.root()?),
            Reach::Kept(Kept::Object(held)) => Ok(self.backing.open_held_dir(&held)?),
            Reach::Kept(Kept::File(_)) => Err(VaultError::NotADirectory),
            Reach::Nowhere => Err(VaultError::NotFound),
            // It was moved just now.
            Reach::Link(link) => self.open_link_as_dir(node, &*self.dir_handle(&link.parent)?, &link),
        }
    }

    fn keep_dir(&self, node: &Arc<Node<B>>, state: &DirState<B>, handle: DirHandle<B>) -> Arc<DirHandle<B>> {
        let handle = Arc::new(handle);
        if self.is_shared() {
            return handle; // another mount may replace the directory, and its IV with it
        }
        if state.open.lock().replace(handle.clone()).is_none() {
            self.open_dirs.opened(node, |oldest| {
                if let Some(dir) = oldest.dir() {
                    dir.open.lock().take();
                }
                true
            });
        }
        handle
    }

    /// Keeps the handle of a directory that was just made, whose IV is known.
    pub(crate) fn keep_new_dir(&self, node: &Arc<Node<B>>, dir: B::Dir, iv: DirIv) {
        if let Some(state) = node.dir() {
            self.keep_dir(node, state, DirHandle { dir, iv });
        }
    }

    /// Closes a directory that is gone.
    pub(crate) fn drop_dir(&self, node: &Node<B>) {
        if let Some(state) = node.dir() {
            state.open.lock().take();
        }
    }

    /// Reads the IV of a directory. Where a crash left a directory without one that holds nothing, it gets a new one.
    fn load_iv(&self, node: &Arc<Node<B>>, dir: &B::Dir) -> Result<DirIv> {
        if !self.ciphers.names.uses_dir_iv() {
            return Ok(DirIv::ZERO);
        }
        {
            let _not_being_made = self.making_dirs.read();
            if let Ok(iv) = self.read_iv(dir) {
                return Ok(iv);
            }
        }
        let _alone = self.making_dirs.write();
        match self.read_iv(dir) {
            Ok(iv) => Ok(iv),
            Err(what) => self.heal_iv(node, dir, what),
        }
    }

    fn read_iv(&self, dir: &B::Dir) -> std::result::Result<DirIv, String> {
        let content = self
            .backing
            .read_small(dir, DIR_IV_NAME, 16)
            .map_err(|errno| format!("gocryptfs.diriv cannot be read: {}", std::io::Error::from(errno)))?;
        DirIv::parse(&content).map_err(|error| format!("gocryptfs.diriv: {error}"))
    }

    fn heal_iv(&self, node: &Arc<Node<B>>, dir: &B::Dir, what: String) -> Result<DirIv> {
        let mut holds_something = false;
        self.backing.list(dir, &mut |entry| {
            let is_of_the_format =
                self.ciphers.names.classify(&entry.name, node.id == NodeId::ROOT) == Classified::Reserved;
            holds_something |= !is_of_the_format && !entry.name.starts_with(DIR_IV_LEFTOVER);
        })?;
        if holds_something {
            let what = format!("the names in this directory are lost, the contents are not: {what}");
            self.report(node, what.clone());
            return Err(VaultError::Corrupt { path: node.path(), what });
        }
        if self.is_shared() {
            // Another mount may be about to write it.
            return Err(VaultError::Corrupt { path: node.path(), what });
        }
        let iv = DirIv::generate(&*self.random);
        if !self.options.read_only {
            self.backing.write_small(dir, DIR_IV_NAME, iv.as_bytes(), true)?;
            self.unsynced.add_iv(node.id);
            let what = "an empty directory whose IV a crash had lost got a new one".into();
            self.observer.observe(&Event::Healed { path: node.path(), what });
        }
        Ok(iv)
    }

    /// What `name` is called on disk in this directory.
    pub(crate) fn stored_name(&self, node: &Node<B>, handle: &DirHandle<B>, name: &[u8]) -> Result<StoredName> {
        let stored = self.ciphers.names.encrypt(&handle.iv, name)?;
        let stored = self.stored_bad_name(handle, name, stored)?;
        if node.id == NodeId::ROOT && self.ciphers.names.classify(stored.disk(), true) == Classified::Reserved {
            return Err(VaultError::Reserved);
        }
        Ok(stored)
    }

    /// Keeps others from changing names in this directory.
    pub(crate) fn lock_names<'n>(&self, node: &'n Node<B>) -> Result<Names<'n>> {
        let DirState { changing, changes, .. } = node.dir().ok_or(VaultError::NotADirectory)?;
        let lock = changing.lock();
        changes.fetch_add(1, Ordering::AcqRel);
        Ok(Names { changes, _lock: lock })
    }

    /// How often names in this directory began or ceased to change; `None` if that is so right now.
    pub(crate) fn names_version(&self, node: &Node<B>) -> Option<u64> {
        node.dir().map(|dir| dir.changes.load(Ordering::Acquire)).filter(|changes| changes.is_multiple_of(2))
    }

    /// Writes the `.name` file that a hashed name needs, before the object itself is made. Answers whether there was
    /// none before. One that a crash left, perhaps torn, is taken over or replaced.
    pub(crate) fn write_long_name(&self, node: &Node<B>, handle: &DirHandle<B>, stored: &StoredName) -> Result<bool> {
        let Some((file, content)) = stored.name_file() else { return Ok(false) };
        let made = match self.backing.write_small(&handle.dir, &file, content, false) {
            Ok(()) => true,
            Err(Errno::EXIST) => {
                if self.backing.read_small(&handle.dir, &file, LONG_NAME_LIMIT).as_deref() != Ok(content) {
                    self.backing.write_small(&handle.dir, &file, content, true)?;
                }
                false
            }
            Err(errno) => return Err(errno.into()),
        };
        self.unsynced.add_name(node.id, file);
        Ok(made)
    }

    /// Removes the `.name` file of a name whose object is gone. Failing that is harmless: an orphan is ignored.
    pub(crate) fn remove_long_name(&self, handle: &DirHandle<B>, stored: &StoredName) {
        if let Some((file, _)) = stored.name_file() {
            let _ = self.backing.unlink(&handle.dir, &file);
        }
    }

    /// Puts back the `.name` file of an object that is there, if a crash lost or tore it: whoever looked the object up
    /// knows its name.
    pub(crate) fn heal_long_name(&self, node: &Node<B>, handle: &DirHandle<B>, stored: &StoredName, name: &[u8]) {
        let Some((file, content)) = stored.name_file() else { return };
        let is_well = || self.backing.read_small(&handle.dir, &file, LONG_NAME_LIMIT).as_deref() == Ok(content);
        if self.options.read_only || is_well() {
            return;
        }
        // The object may have been on its way to another name.
        let Ok(_names) = self.lock_names(node) else { return };
        if is_well() || self.backing.stat(Target::Entry(&handle.dir, stored.disk())).is_err() {
            return;
        }
        if self.backing.write_small(&handle.dir, &file, content, true).is_ok() {
            self.unsynced.add_name(node.id, file);
            let mut path = node.path();
            if path.len() > 1 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            let what = "the .name file that a crash had lost was written again".into();
            self.observer.observe(&Event::Healed { path, what });
        }
    }

    /// Sorts what is in a directory that is to be removed: `Err(NotEmpty)` if it holds a real entry, else the leftovers
    /// of crashes (the IV among them) that have to go first.
    pub(crate) fn leftovers(&self, handle: &DirHandle<B>) -> Result<Vec<Vec<u8>>> {
        let mut raw = Vec::new();
        self.backing.list(&handle.dir, &mut |entry| raw.push(entry.name))?;
        let names = &self.ciphers.names;
        for name in &raw {
            let is_leftover = match names.classify(name, false) {
                Classified::Reserved => true,
                Classified::LongNameFile => {
                    let content = name.strip_suffix(b".name").unwrap_or(name);
                    !raw.iter().any(|other| other == content)
                }
                _ => names.uses_dir_iv() && name.starts_with(DIR_IV_LEFTOVER),
            };
            if !is_leftover {
                return Err(VaultError::NotEmpty);
            }
        }
        Ok(raw)
    }
}
