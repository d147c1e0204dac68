//! Destroys what is on a list, and nothing else.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::atomic::AtomicBool,
};

use strongroom_event::Observer;

use crate::{Batch, EraseError, Erased, Erasing, Target};

/// Erases everything below `root` that `targets` lists: children before their parents, the root itself (path "") last, which
/// must be there and is emptied and kept.
///
/// First all of the tree is held against the list, and nothing is touched unless everything in it is listed, with this device,
/// inode number and kind. What is listed and missing counts as erased: after an interruption the same call goes on.
pub fn erase(
    _root: OwnedFd,
    _targets: &[Target],
    _how: &Erasing,
    _record: &mut dyn FnMut(Batch<'_>) -> io::Result<()>,
    _observer: &dyn Observer,
    _stop: &AtomicBool,
) -> Result<Erased, EraseError> {
    unimplemented!()
}

/// Removes the emptied directory `name` of `parent`, if it is the one with this identity. If nothing has that name, it is done.
pub fn remove_root(_parent: BorrowedFd<'_>, _name: &[u8], _dev: u64, _ino: u64) -> Result<(), EraseError> {
    unimplemented!()
}
