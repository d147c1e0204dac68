//! Holds the whole tree against the list, before anything is touched.

use std::{
    collections::HashMap,
    os::fd::{AsFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{Mode, OFlags, RawDir};
use strongroom_durable::Beneath;

use super::{aside, blank, list::List};
use crate::{
    EraseError, Kind,
    look::{Look, join},
};

/// Where an entry of the list is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Under the name that it is listed with.
    Listed,
    /// In its directory under a blank name: a run was interrupted here.
    Blanked(Vec<u8>),
    /// In the directory for what is about to go, under this name.
    Aside(Vec<u8>),
}

/// An entry of the list that is still there.
pub(super) struct Present {
    /// Its number in the list.
    pub(super) index: usize,
    pub(super) place: Place,
    pub(super) look: Look,
}

/// All that is still there.
pub(super) struct Reckoning {
    /// Directories after everything in them.
    pub(super) present: Vec<Present>,
    /// How many names of an inode are still there, of those that have several.
    pub(super) names: HashMap<u64, u32>,
}

/// Walks the tree below `root`. Anything that is not listed, not what was listed, immutable (unless flags may be cleared), or
/// mounted is an error.
pub(super) fn reckon(
    root: &Beneath,
    list: &List<'_>,
    clear_flags: bool,
    stop: &AtomicBool,
) -> Result<Reckoning, EraseError> {
    let mut walk = Walk { root, list, clear_flags, seen: vec![false; list.len()], present: Vec::new() };
    let look = Look::of(root).map_err(EraseError::at("looking at", b""))?;
    walk.admit(look, list.at(b"").expect("the list has a root"), Place::Listed, b"")?;
    let mut directories = vec![Vec::new()];
    while let Some(directory) = directories.pop() {
        if stop.load(Ordering::Relaxed) {
            return Err(EraseError::Stopped);
        }
        directories.extend(walk.directory(&directory)?);
    }
    walk.aside()?;
    walk.present.sort_by_key(|present| {
        let target = list.target(present.index);
        // What was taken out before, files in the order of the walk, then directories from the deepest up.
        let depth = target.path.iter().filter(|&&byte| byte == b'/').count() + usize::from(!target.path.is_empty());
        let aside = matches!(present.place, Place::Aside(_));
        (!aside, (target.kind == Kind::Directory).then(|| usize::MAX - depth))
    });
    Ok(Reckoning { names: walk.names(), present: walk.present })
}

struct Walk<'a> {
    root: &'a Beneath,
    list: &'a List<'a>,
    clear_flags: bool,
    seen: Vec<bool>,
    present: Vec<Present>,
}

impl Walk<'_> {
    /// Admits what is in `directory`; returns the directories in it.
    fn directory(&mut self, directory: &[u8]) -> Result<Vec<Vec<u8>>, EraseError> {
        let index = self.list.at(directory).expect("only listed directories are entered");
        let opened = self.open(directory)?;
        let look = Look::of(&opened).map_err(EraseError::at("looking at", directory))?;
        if !look.is(self.list.target(index)) {
            return Err(EraseError::Replaced(directory.to_vec()));
        }
        let mut below = Vec::new();
        let mut unknown = Vec::new();
        for name in names_in(&opened).map_err(EraseError::at("listing", directory))? {
            let path = join(directory, &name);
            let look = match Look::at(&opened, &name) {
                Ok(look) => look,
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(EraseError::at("looking at", &path)(error)),
            };
            match self.list.at(&path) {
                // A listed name may be blank itself, and its own entry gone: another entry then got it as its blank name.
                Some(index) if look.is(self.list.target(index)) || !blank::is_blank(&name) => {
                    self.admit(look, index, Place::Listed, &path)?;
                    below.extend((look.kind == Kind::Directory).then_some(path));
                }
                None if aside::is_ours(&path, &look, self.list) => {}
                _ => unknown.push((path, name, look)),
            }
        }
        // Only now is it known which of the listed names are missing.
        for (path, name, look) in unknown {
            self.admit_blank(directory, &path, name, look)?;
        }
        Ok(below)
    }

    fn admit(&mut self, look: Look, index: usize, place: Place, path: &[u8]) -> Result<(), EraseError> {
        if look.mounted && !path.is_empty() {
            return Err(EraseError::Mounted(path.to_vec()));
        }
        if !look.is(self.list.target(index)) {
            return Err(EraseError::Replaced(path.to_vec()));
        }
        if look.flagged && !self.clear_flags {
            return Err(EraseError::Immutable(path.to_vec()));
        }
        self.seen[index] = true;
        self.present.push(Present { index, place, look });
        Ok(())
    }

    /// A name that is not listed: it is that of something listed for this directory whose name is gone, or nobody knows it.
    fn admit_blank(&mut self, directory: &[u8], path: &[u8], name: Vec<u8>, look: Look) -> Result<(), EraseError> {
        let fits = |&index: &usize| {
            let (parent, listed) = super::list::split(&self.list.target(index).path);
            !self.seen[index] && parent == directory && listed.len() == name.len() && !listed.is_empty()
        };
        let index = self.list.with_ino(look.ino).find(fits).filter(|_| blank::is_blank(&name));
        let index = index.ok_or_else(|| match self.list.at(path) {
            Some(_) if look.mounted => EraseError::Mounted(path.to_vec()),
            Some(_) => EraseError::Replaced(path.to_vec()),
            None => EraseError::Unlisted(path.to_vec()),
        })?;
        self.admit(look, index, Place::Blanked(name), path)?;
        self.is_empty_directory(path, look.kind)
    }

    /// What an interrupted run had already taken out of its directory.
    fn aside(&mut self) -> Result<(), EraseError> {
        let Some(aside) = aside::find(self.root, self.list)? else { return Ok(()) };
        let directory = aside::name(self.list);
        for name in names_in(&aside).map_err(EraseError::at("listing", &directory))? {
            let path = join(&directory, &name);
            let look = Look::at(&aside, &name).map_err(EraseError::at("looking at", &path))?;
            let index = self.list.with_ino(look.ino).find(|&index| !self.seen[index]);
            let index = index.ok_or_else(|| EraseError::Unlisted(path.clone()))?;
            self.admit(look, index, Place::Aside(name), &path)?;
            self.is_empty_directory(&path, look.kind)?;
        }
        Ok(())
    }

    /// A directory loses its name only when nothing is left in it.
    fn is_empty_directory(&self, path: &[u8], kind: Kind) -> Result<(), EraseError> {
        if kind != Kind::Directory {
            return Ok(());
        }
        let inside = names_in(&self.open(path)?).map_err(EraseError::at("listing", path))?;
        inside.first().map_or(Ok(()), |name| Err(EraseError::Unlisted(join(path, name))))
    }

    fn names(&self) -> HashMap<u64, u32> {
        let mut names = HashMap::new();
        for present in self.present.iter().filter(|present| present.look.links > 1) {
            if present.look.kind != Kind::Directory {
                *names.entry(present.look.ino).or_insert(0) += 1;
            }
        }
        names
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd, EraseError> {
        let opened = self.root.open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOATIME);
        let opened = opened.or_else(|_| self.root.open(path, OFlags::RDONLY | OFlags::DIRECTORY));
        opened.map_err(EraseError::at("opening", path))
    }
}

/// The names in an open directory.
pub(crate) fn names_in<F: AsFd>(directory: F) -> rustix::io::Result<Vec<Vec<u8>>> {
    // Its own descriptor, for the position of a directory belongs to it.
    let own = rustix::fs::openat(directory, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    let mut room = Vec::with_capacity(64 << 10);
    let mut entries = RawDir::new(own, room.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}
