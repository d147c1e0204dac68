//! Takes names away: blank first, then out of their directory, then unlinked.

use std::{
    collections::HashMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    fs::{self, Mode, OFlags, RenameFlags},
    io::Errno,
};
use strongroom_durable::{Beneath, PASSING};
use strongroom_event::{Event, Observer};

use super::{
    aside::Aside,
    blank,
    list::{self, List},
    overwrite::{Outcome, lock, proc_path, remove_attributes},
    reckon::{Place, Present},
};
use crate::{
    EraseError, Erased, Kind, Target,
    look::{Look, join},
};

/// An entry that was taken out of its directory.
pub(super) struct Taken<'a> {
    target: &'a Target,
    here: Vec<u8>,
}

/// Takes names away.
pub(super) struct Retiring<'a> {
    root: &'a Beneath,
    list: &'a List<'a>,
    names: &'a Mutex<HashMap<u64, u32>>,
    aside: Aside,
    observer: &'a dyn Observer,
    stop: &'a AtomicBool,
    /// The directory last worked in: most entries are in the same as the one before.
    parent: Option<(Vec<u8>, OwnedFd)>,
}

impl<'a> Retiring<'a> {
    pub(super) fn new(
        root: &'a Beneath,
        list: &'a List<'a>,
        names: &'a Mutex<HashMap<u64, u32>>,
        aside: Aside,
        observer: &'a dyn Observer,
        stop: &'a AtomicBool,
    ) -> Self {
        Self { root, list, names, aside, observer, stop, parent: None }
    }

    /// Takes a batch out of its directories. What was overwritten is cut to nothing.
    pub(super) fn take(
        &mut self,
        batch: &[Present],
        outcomes: &[Outcome],
        erased: &mut Erased,
    ) -> Result<Vec<Taken<'a>>, EraseError> {
        let mut taken = Vec::with_capacity(batch.len());
        for (present, outcome) in batch.iter().zip(outcomes) {
            if self.stop.load(Ordering::Relaxed) {
                return Err(EraseError::Stopped);
            }
            let target = self.list.target(present.index);
            let here = match &present.place {
                Place::Aside(here) => Some(here.clone()),
                Place::Blanked(name) => self.take_out(target, name)?,
                Place::Listed => self.blank_and_take_out(target)?,
            };
            let Some(here) = here else {
                erased.missing += 1;
                continue;
            };
            if *outcome == Outcome::Overwritten {
                self.cut(&here, target)?;
            }
            taken.push(Taken { target, here });
        }
        Ok(taken)
    }

    /// Unlinks what was taken.
    pub(super) fn unlink(&mut self, taken: &[Taken<'a>], erased: &mut Erased) -> Result<(), EraseError> {
        let mut rest = taken;
        while let [Taken { target, here }, after @ ..] = rest {
            match self.aside.unlink(here, target) {
                Ok(()) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => return Err(self.not_empty(rest)),
                Err(error) => return Err(EraseError::at("removing", &target.path)(error)),
            }
            if let Some(names) = lock(self.names).get_mut(&target.ino) {
                *names = names.saturating_sub(1);
            }
            rest = after;
            *match target.kind {
                Kind::File => &mut erased.files,
                Kind::Directory => &mut erased.directories,
                Kind::Symlink => &mut erased.symlinks,
                Kind::Other => &mut erased.others,
            } += 1;
            self.observer.observe(&Event::FileDone { path: target.path.clone() });
        }
        Ok(())
    }

    /// Nothing is aside any more.
    pub(super) fn close(self) -> Result<(), EraseError> {
        self.aside.close(self.root)
    }

    fn blank_and_take_out(&mut self, target: &Target) -> Result<Option<Vec<u8>>, EraseError> {
        let (_, listed) = list::split(&target.path);
        let Some(parent) = self.parent_of(target)? else { return Ok(None) };
        let mut name = listed.to_vec();
        for blank in blank::blanks(listed.len()) {
            match fs::renameat_with(parent, listed, parent, &blank, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    name = blank;
                    break;
                }
                Err(Errno::EXIST) => continue,
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(EraseError::at("renaming", &target.path)(error)),
            }
        }
        self.take_out(target, &name)
    }

    fn take_out(&mut self, target: &Target, name: &[u8]) -> Result<Option<Vec<u8>>, EraseError> {
        if self.parent_of(target)?.is_none() {
            return Ok(None);
        }
        let (_, parent) = self.parent.as_ref().expect("it was just opened");
        if target.kind == Kind::Directory {
            soften_at(parent.as_fd(), name, target)?;
        }
        self.aside.take(parent.as_fd(), name, target)
    }

    /// The directory that `target` is listed in, if it is still there, and the one that is listed.
    fn parent_of(&mut self, target: &Target) -> Result<Option<BorrowedFd<'_>>, EraseError> {
        let (path, _) = list::split(&target.path);
        if self.parent.as_ref().is_none_or(|(open, _)| open != path) {
            let opened = match self.root.open(path, PASSING) {
                Err(Errno::NOENT) => return Ok(None),
                opened => opened.map_err(EraseError::at("opening", path))?,
            };
            let listed = self.list.at(path).map(|index| self.list.target(index));
            let look = Look::of(&opened).map_err(EraseError::at("looking at", path))?;
            if !listed.is_some_and(|listed| look.is(listed)) {
                return Err(EraseError::Replaced(path.to_vec()));
            }
            soften(&opened, &look).map_err(EraseError::at("making writable", path))?;
            self.parent = Some((path.to_vec(), opened));
        }
        Ok(self.parent.as_ref().map(|(_, parent)| parent.as_fd()))
    }

    /// Cuts what was overwritten to nothing: neither its length nor where its blocks are is left.
    fn cut(&self, here: &[u8], target: &Target) -> Result<(), EraseError> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fs::openat(self.aside.dir(), here, flags, Mode::empty());
        let file = file.map_err(EraseError::at("opening", &target.path))?;
        remove_attributes(&file);
        fs::ftruncate(&file, 0).map_err(EraseError::at("truncating", &target.path))
    }

    /// Something came into the first of these directories after it had been looked through. It gets its place and name back,
    /// and so does whatever it was in, which was taken out after it.
    fn not_empty(&self, rest: &[Taken<'_>]) -> EraseError {
        for Taken { target, here } in rest.iter().rev() {
            let (path, _) = list::split(&target.path);
            let parent = self.root.open(path, PASSING).map_err(EraseError::at("opening", path));
            let put_back = parent.and_then(|parent| self.aside.put_back(here, parent.as_fd(), target));
            if let Err(error) = put_back {
                return error;
            }
        }
        EraseError::Unlisted(join(&rest[0].target.path, b"*"))
    }
}

/// Lets the owner change what is in his directory, which the super-user may anyway.
fn soften(opened: &OwnedFd, look: &Look) -> rustix::io::Result<()> {
    if rustix::process::geteuid().is_root() || look.mode & 0o300 == 0o300 {
        return Ok(());
    }
    fs::chmod(proc_path(opened), Mode::from_raw_mode(u32::from(look.mode) & 0o7777 | 0o700))
}

/// A directory that is moved into another must itself be writable.
fn soften_at(parent: BorrowedFd<'_>, name: &[u8], target: &Target) -> Result<(), EraseError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let opened = match fs::openat(parent, name, PASSING | OFlags::NOFOLLOW, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened.map_err(EraseError::at("opening", &target.path))?,
    };
    let look = Look::of(&opened).map_err(EraseError::at("looking at", &target.path))?;
    if !look.is(target) {
        return Err(EraseError::Replaced(target.path.clone()));
    }
    soften(&opened, &look).map_err(EraseError::at("making writable", &target.path))
}
