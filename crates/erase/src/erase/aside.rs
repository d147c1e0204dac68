//! The directory for what is about to go: entries are moved into it, looked at once more where nobody else can change names,
//! and only then unlinked. unlink(2) takes a name and not an inode, so that in a directory of somebody else it may hit what
//! was put there a moment ago.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags, RenameFlags},
    io::Errno,
};
use strongroom_durable::Beneath;

use super::list::List;
use crate::{EraseError, Kind, Target, look::Look};

const NAME: &[u8] = b".strongroom-erasing";

/// Its name below the root: one that is not in the list.
pub(super) fn name(list: &List<'_>) -> Vec<u8> {
    let numbered = (1..).map(|number| [NAME, format!(".{number}").as_bytes()].concat());
    let mut names = std::iter::once(NAME.to_vec()).chain(numbered);
    names.find(|name| list.at(name).is_none()).expect("a list ends and numbers do not")
}

/// Whether this is it: made by us, and closed to everybody else.
pub(super) fn is_ours(path: &[u8], look: &Look, list: &List<'_>) -> bool {
    let ours = look.kind == Kind::Directory && !look.mounted && look.dev == list.root().dev;
    let closed = look.mode & 0o777 == 0o700 && look.owner == rustix::process::geteuid().as_raw();
    path == name(list) && ours && closed
}

/// The one that an interrupted run left.
pub(super) fn find(root: &Beneath, list: &List<'_>) -> Result<Option<OwnedFd>, EraseError> {
    let name = name(list);
    match root.open(&name, OFlags::RDONLY | OFlags::DIRECTORY) {
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(EraseError::at("opening", &name)(error)),
        Ok(opened) => {
            let look = Look::of(&opened).map_err(EraseError::at("looking at", &name))?;
            is_ours(&name, &look, list).then_some(Some(opened)).ok_or(EraseError::Unlisted(name))
        }
    }
}

/// The directory, open.
pub(super) struct Aside {
    dir: OwnedFd,
    path: Vec<u8>,
    next: u64,
}

impl Aside {
    /// Makes it, or takes the one that is there.
    pub(super) fn open(root: &Beneath, list: &List<'_>) -> Result<Self, EraseError> {
        let path = name(list);
        match fs::mkdirat(root, &path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(EraseError::at("making", &path)(error)),
        }
        let dir = find(root, list)?.ok_or_else(|| EraseError::Replaced(path.clone()))?;
        Ok(Self { dir, path, next: 0 })
    }

    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Takes `name` out of `parent`. If it turns out not to be `target`, it is put back under its listed name. What it is called here.
    pub(super) fn take(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        target: &Target,
    ) -> Result<Option<Vec<u8>>, EraseError> {
        let path = &target.path;
        let here = loop {
            let here = format!("{:08}", self.next).into_bytes();
            self.next += 1;
            match fs::renameat_with(parent, name, &self.dir, &here, RenameFlags::NOREPLACE) {
                Ok(()) => break here,
                // Left by a run before, and about to go.
                Err(Errno::EXIST) => continue,
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(EraseError::at("taking out of its directory", path)(error)),
            }
        };
        let look = Look::at(&self.dir, &here).map_err(EraseError::at("looking at", path))?;
        if look.is(target) {
            return Ok(Some(here));
        }
        self.put_back(&here, parent, target)?;
        Err(EraseError::Replaced(path.clone()))
    }

    /// Puts back what was not to be taken.
    pub(super) fn put_back(&self, here: &[u8], parent: BorrowedFd<'_>, target: &Target) -> Result<(), EraseError> {
        let (_, listed) = super::list::split(&target.path);
        fs::renameat_with(&self.dir, here, parent, listed, RenameFlags::NOREPLACE)
            .map_err(EraseError::at("putting back what is not to be erased,", &target.path))
    }

    /// Unlinks what was taken.
    pub(super) fn unlink(&self, here: &[u8], target: &Target) -> Result<(), Errno> {
        let flags = if target.kind == Kind::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        fs::unlinkat(&self.dir, here, flags)
    }

    /// Removes the directory, which is empty.
    pub(super) fn close(self, root: &Beneath) -> Result<(), EraseError> {
        fs::unlinkat(root, &self.path, AtFlags::REMOVEDIR).map_err(EraseError::at("removing", &self.path))
    }
}
