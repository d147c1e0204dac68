//! Destroys what is on a list, and nothing else.

mod aside;
mod blank;
mod list;
mod overwrite;
mod ranges;
mod reckon;
mod retire;

use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Mutex, atomic::AtomicBool},
};

use rustix::{
    fs::{self, AtFlags, IFlags, Mode, OFlags},
    io::Errno,
};
use strongroom_durable::Beneath;
use strongroom_event::{Event, Observer};

use self::{
    aside::Aside,
    list::List,
    overwrite::{Outcome, Overwriting},
    reckon::{Place, Present, Reckoning},
    retire::Retiring,
};
pub(crate) use self::{overwrite::proc_path, reckon::names_in};
use crate::{Batch, EraseError, Erased, Erasing, Kind, Target, look::Look};

/// Erases everything below `root` that `targets` lists, in whatever order. The root is on the list too, with the path "": it
/// must be what is listed, is emptied, and stays ([`remove_root`]).
///
/// First all of the tree is held against the list, and nothing is touched unless everything in it is listed, with this device,
/// inode number and kind. What is listed and missing counts as erased: after an interruption the same call goes on.
///
/// Then, batch by batch: contents and values of attributes are written over, and synced; names are replaced by blank ones;
/// what they name is taken out into a directory that is closed to everybody else, looked at once more, cut to nothing and,
/// after another sync, unlinked. Directories come last, from the deepest up.
pub fn erase(
    root: OwnedFd,
    targets: &[Target],
    how: &Erasing,
    record: &mut dyn FnMut(Batch<'_>) -> io::Result<()>,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Erased, EraseError> {
    let list = List::new(targets)?;
    let root = Beneath::on_one_mount(root);
    // A descriptor that a sync can be asked of, and that sees every error since now.
    let top = root.open(b"", OFlags::RDONLY | OFlags::DIRECTORY).map_err(EraseError::at("opening", b""))?;
    let mut reckoning = reckon::reckon(&root, &list, how.clear_flags, stop)?;
    reckoning.present.retain(|present| !list.target(present.index).path.is_empty());
    announce(&reckoning, how, observer);
    let mut erased = Erased { missing: (list.len() - 1 - reckoning.present.len()) as u64, ..Erased::default() };
    erased.flags_cleared = clear_flags(&root, &list, &reckoning.present)?;
    let names = Mutex::new(reckoning.names);
    let overwriting = Overwriting {
        root: &root,
        list: &list,
        names: &names,
        how,
        observer,
        stop,
        done: Mutex::new(HashSet::new()),
        written: 0.into(),
    };
    let mut retiring = Retiring::new(&root, &list, &names, Aside::open(&root, &list)?, observer, stop);
    // All at once what would be written back file by file when asking where a file's blocks are.
    sync(top.as_fd())?;
    for batch in batches(&reckoning.present, how) {
        let named: Vec<_> = batch.iter().map(|present| list.target(present.index)).collect();
        record(Batch::Before(&named)).map_err(EraseError::Record)?;
        let outcomes = overwriting.batch(batch)?;
        sync(top.as_fd())?;
        let taken = retiring.take(batch, &outcomes, &mut erased)?;
        sync(top.as_fd())?;
        retiring.unlink(&taken, &mut erased)?;
        note(&named, &outcomes, &mut erased);
        record(Batch::After(&named)).map_err(EraseError::Record)?;
    }
    retiring.close()?;
    sync(top.as_fd())?;
    erased.overwritten = overwriting.written.into_inner();
    Ok(erased)
}

/// Removes the emptied directory `name` of `parent`, if it is the one with this identity. If nothing has that name, it is done.
pub fn remove_root(parent: BorrowedFd<'_>, name: &[u8], dev: u64, ino: u64) -> Result<(), EraseError> {
    let look = match Look::at(parent, name) {
        Err(Errno::NOENT) => return Ok(()),
        look => look.map_err(EraseError::at("looking at", name))?,
    };
    if (look.dev, look.ino, look.kind) != (dev, ino, Kind::Directory) {
        return Err(EraseError::Replaced(name.to_vec()));
    }
    fs::unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(EraseError::at("removing", name))?;
    let parent = fs::openat(parent, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    parent.and_then(fs::fsync).map_err(EraseError::at("syncing the directory of", name))
}

fn sync(top: BorrowedFd<'_>) -> Result<(), EraseError> {
    fs::syncfs(top).map_err(EraseError::at("syncing the file system of", b""))
}

fn announce(reckoning: &Reckoning, how: &Erasing, observer: &dyn Observer) {
    let files = reckoning.present.iter().filter(|present| present.look.kind == Kind::File);
    let bytes: u64 = files.filter(|present| present.place == Place::Listed).map(|present| present.look.occupied).sum();
    let total = if how.overwrite { bytes.saturating_mul(how.passes.into()) } else { 0 };
    observer.observe(&Event::Phase { name: "erasing", total: Some(total) });
    observer.observe(&Event::FilesAhead(reckoning.present.len() as u64));
}

/// Clears what forbids changing. Directories come before what is in them, or nothing in them could be changed.
fn clear_flags(root: &Beneath, list: &List<'_>, present: &[Present]) -> Result<u64, EraseError> {
    let mut cleared = 0;
    for present in present.iter().rev().filter(|present| present.look.flagged && present.place == Place::Listed) {
        let target = list.target(present.index);
        if !matches!(target.kind, Kind::File | Kind::Directory) {
            continue;
        }
        let attempt = || "clearing the flags of";
        let path = root.open(&target.path, OFlags::PATH).map_err(EraseError::at("opening", &target.path))?;
        if !Look::of(&path).is_ok_and(|look| look.is(target)) {
            return Err(EraseError::Replaced(target.path.clone()));
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = fs::open(proc_path(&path), flags, Mode::empty());
        let opened = opened.map_err(EraseError::at("opening", &target.path))?;
        let flags = fs::ioctl_getflags(&opened).map_err(EraseError::at(attempt(), &target.path))?;
        let flags = flags.difference(IFlags::IMMUTABLE | IFlags::APPEND);
        fs::ioctl_setflags(&opened, flags).map_err(EraseError::at(attempt(), &target.path))?;
        cleared += 1;
    }
    Ok(cleared)
}

/// The entries in their order, as many together as are erased together.
fn batches<'a>(mut rest: &'a [Present], how: &Erasing) -> impl Iterator<Item = &'a [Present]> {
    let (entries, bytes) = (how.batch_entries.max(1), how.batch_bytes);
    std::iter::from_fn(move || {
        let mut sum = 0u64;
        let fits = |present: &&Present| {
            let before = sum;
            sum = sum.saturating_add(present.look.occupied);
            before == 0 || sum <= bytes
        };
        let many = rest.iter().take(entries).take_while(fits).count();
        let (batch, after) = rest.split_at(many);
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

fn note(named: &[&Target], outcomes: &[Outcome], erased: &mut Erased) {
    for (target, outcome) in named.iter().zip(outcomes) {
        match outcome {
            Outcome::NamedElsewhere => erased.named_elsewhere.push(target.path.clone()),
            Outcome::Shared => erased.shared.push(target.path.clone()),
            Outcome::OnlyRemoved => erased.only_removed += 1,
            Outcome::Nothing | Outcome::Overwritten => {}
        }
    }
}
