//! Where things are set aside: a directory beside the vault, or hidden within it, on the same file system in any case,
//! so that a rename takes them there.
//!
//! In it, each repair that would meet what an earlier one left has a number, and everything has the path that it had: to
//! undo it, it is moved back to the same path in the cipher directory.

use std::cell::RefCell;
use std::collections::BTreeSet;

use rustix::io::Errno;

use crate::backing::{Backing, RenameMode, Sys, Target};

/// What the directory is called within a vault. Both we and gocryptfs take it for the name of a file that is gone, and show
/// nothing of it, in every mode but that of plaintext names.
pub(crate) const ASIDE_WITHIN: &[u8] = Aside::<crate::RealBacking>::NAME_WITHIN.as_bytes();

/// A directory for what is set aside, which need not exist yet.
pub struct Aside<B: Backing> {
    parent: B::Dir,
    name: Vec<u8>,
}

impl<B: Backing> Aside<B> {
    /// What it is called [within](Aside::within) a vault.
    pub const NAME_WITHIN: &str = "gocryptfs.longname.set-aside.name";

    /// The directory of this name, in a directory on the file system of the vault.
    pub fn beside(parent: B::Dir, name: Vec<u8>) -> Self {
        Aside { parent, name }
    }

    /// The directory within the vault, for one that is a file system of its own. Not for plaintext names, where it would
    /// be seen.
    pub fn within(backing: &B) -> Sys<Self> {
        Ok(Aside { parent: backing.root()?, name: ASIDE_WITHIN.to_vec() })
    }

    /// The first number under which all of these paths are free. It is free as well where `is_done` says so of what is
    /// there.
    pub(super) fn first_free(
        &self,
        backing: &B,
        paths: &[&[u8]],
        is_done: impl Fn(&B::Dir, &[u8]) -> bool,
    ) -> Sys<Numbered<B>> {
        let dir = make_dir(backing, &self.parent, &self.name)?;
        backing.sync_dir(&self.parent)?;
        let mut number = 1u32;
        loop {
            let numbered = || backing.open_dir(&dir, number.to_string().as_bytes());
            let is_free = |path: &&[u8]| {
                let (parent, name) = split(path);
                let holder = walk(backing, numbered(), parent);
                holder.map_or(true, |at| backing.stat(Target::Entry(&at, name)).is_err() || is_done(&at, path))
            };
            if paths.iter().all(is_free) {
                break;
            }
            number += 1;
        }
        Ok(Numbered { dir, number, durable: RefCell::default() })
    }
}

/// What one repair sets aside.
pub(super) struct Numbered<B: Backing> {
    /// What all numbers are in.
    dir: B::Dir,
    number: u32,
    /// Paths of directories that are durable, for whoever killed an earlier run may have killed it before they were.
    durable: RefCell<BTreeSet<Vec<u8>>>,
}

impl<B: Backing> Numbered<B> {
    /// Its name in the directory for what is set aside.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The directory in which something with this path belongs, durable with all above it.
    pub(super) fn dir_for(&self, backing: &B, path: &[u8]) -> Sys<B::Dir> {
        let mut durable = self.durable.borrow_mut();
        let mut way = self.number.to_string().into_bytes();
        let mut dir = make_dir(backing, &self.dir, &way)?;
        if durable.insert(way.clone()) {
            backing.sync_dir(&self.dir)?;
        }
        for part in parts(split(path).0) {
            let inner = make_dir(backing, &dir, part)?;
            way = [way.as_slice(), b"/", part].concat();
            if durable.insert(way.clone()) {
                backing.sync_dir(&dir)?;
            }
            dir = inner;
        }
        Ok(dir)
    }

    /// Moves what has this path in the vault to the same path here, durably.
    pub(super) fn take(&self, backing: &B, path: &[u8]) -> Sys<()> {
        let (parent, name) = split(path);
        let (from, to) = (dir_at(backing, parent)?, self.dir_for(backing, path)?);
        match backing.rename(&from, name, &to, name, RenameMode::NoReplace) {
            // A file system that cannot promise it. Nobody else is here, and the number was free.
            Err(Errno::INVAL) if backing.stat(Target::Entry(&to, name)) == Err(Errno::NOENT) => {
                backing.rename(&from, name, &to, name, RenameMode::Replace)?;
            }
            result => result?,
        }
        backing.sync_dir(&to)?;
        backing.sync_dir(&from)
    }

    /// Writes down what is about to happen, durably, beside what is set aside: it must be known there as well.
    pub(super) fn write_down(&self, backing: &B, text: &str) -> Sys<()> {
        for more in 1u32.. {
            let name = match more {
                1 => format!("{}.txt", self.number),
                more => format!("{}-{more}.txt", self.number),
            };
            match backing.write_small(&self.dir, name.as_bytes(), text.as_bytes(), false) {
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
                Ok(()) => {
                    backing.sync_entry(&self.dir, name.as_bytes())?;
                    return backing.sync_dir(&self.dir);
                }
            }
        }
        Ok(())
    }
}

/// A directory of this name; made if there is none.
fn make_dir<B: Backing>(backing: &B, at: &B::Dir, name: &[u8]) -> Sys<B::Dir> {
    match backing.make_dir(at, name, 0o700, None) {
        Ok(()) | Err(Errno::EXIST) => backing.open_dir(at, name),
        Err(errno) => Err(errno),
    }
}

/// The directory with this path in the vault.
pub(super) fn dir_at<B: Backing>(backing: &B, path: &[u8]) -> Sys<B::Dir> {
    walk(backing, backing.root(), path)
}

fn walk<B: Backing>(backing: &B, from: Sys<B::Dir>, path: &[u8]) -> Sys<B::Dir> {
    parts(path).try_fold(from?, |dir, part| backing.open_dir(&dir, part))
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}

/// The directory and the name of a path; both without a `/` between them.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}
