//! Where what is restored comes about before it is put in place: a directory beside the target, or in it.

use std::{
    fs::{self, DirBuilder},
    io::{self, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use strongroom_crypto::Random;
use strongroom_durable::{AtomicFile, DirLock, How, LockError, Move, Recovered as Swapped, Swap, SwapError, sync_dir};
use strongroom_tree::RelPath;

use super::{
    Recovered, STAGING_WITHIN,
    plan::{Change, Unit},
    target::{Target, mounts_below},
};
use crate::{BackupError, words};

/// What the name of a staging directory beside its target goes on with after the target's name.
const BESIDE: &str = ".strongroom-restore-";
/// Of a long name, so much stands in the name of its staging directory.
const NAME_PART: usize = 180;

/// A staging directory, which belongs to this process alone.
pub(crate) struct Staging {
    path: PathBuf,
    /// What the moves of the swap are relative to.
    root: PathBuf,
    /// The target relative to that; empty if it is the same.
    target: PathBuf,
    _lock: Option<DirLock>,
}

impl Staging {
    /// Makes one for `target`.
    pub(crate) fn create(target: &Target, random: &dyn Random) -> Result<Self, BackupError> {
        let (dir, prefix) = place(target);
        if !target.within_only {
            make_parents(dir)?;
        }
        let mut unique = [0; 8];
        random.fill(&mut unique);
        let path = dir.join(std::ffi::OsString::from_vec([prefix, words::hex(&unique).into_bytes()].concat()));
        DirBuilder::new().mode(0o700).create(&path).map_err(BackupError::on("making", &path))?;
        let staging = Self::at(path, target)?;
        for part in [staging.new_tree(), staging.aside()] {
            DirBuilder::new().mode(0o700).create(&part).map_err(BackupError::on("making", &part))?;
        }
        Ok(staging)
    }

    /// Those that are there for `target`, left by runs that were killed. Fails if one is in use.
    pub(crate) fn left(target: &Target) -> Result<Vec<Self>, BackupError> {
        let mut found = Vec::new();
        // Whether something was mounted on it, or could be made beside it, may have been otherwise then.
        for (dir, prefix) in [(target.parent(), beside_prefix(target)), (&*target.path, STAGING_WITHIN.into())] {
            let Ok(entries) = fs::read_dir(dir) else { continue };
            for entry in entries {
                let entry = entry.map_err(BackupError::on("listing", dir))?;
                let is_ours = entry.file_name().as_bytes().starts_with(&prefix);
                if is_ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    found.push(Self::at(entry.path(), target)?);
                }
            }
        }
        Ok(found)
    }

    fn at(path: PathBuf, target: &Target) -> Result<Self, BackupError> {
        let lock = match DirLock::exclusive(&path) {
            Err(LockError::Unsupported { .. }) => None,
            locked => Some(locked?),
        };
        let is_within = path.parent() == Some(&*target.path);
        let root = if is_within { target.path.clone() } else { target.parent().to_owned() };
        let target = if is_within { PathBuf::new() } else { target.path.file_name().unwrap_or_default().into() };
        Ok(Self { path, root, target, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is to be put in place. After the swap, what was there.
    pub(crate) fn new_tree(&self) -> PathBuf {
        self.path.join("new")
    }

    /// Where things go that nothing takes the place of.
    fn aside(&self) -> PathBuf {
        self.path.join("aside")
    }

    fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    fn keep(&self) -> PathBuf {
        self.path.join("keep")
    }

    /// Notes where the old is to be kept. Stands before the first move, so that whoever recovers knows.
    pub(crate) fn keep_old_at(&self, path: &Path) -> Result<(), BackupError> {
        let mut note = AtomicFile::create(&self.keep(), 0o600)?;
        note.write_all(path.as_os_str().as_bytes()).map_err(BackupError::on("writing", &self.keep()))?;
        Ok(note.replace()?)
    }

    /// Puts `units` in place: all of them, or none.
    pub(crate) fn swap(&self, units: &[Unit]) -> Result<Swap, BackupError> {
        // The names of what is staged are to be on the disk before the journal refers to them.
        sync_dir(&self.path)?;
        sync_dir(self.path.parent().expect("it is in a directory"))?;
        match self.try_swap(units) {
            Ok(swap) => Ok(swap),
            // Whether it came about after all stands in the journal.
            Err(cause) => match Swap::recover(&self.root, &self.journal()) {
                Ok(Swapped::Committed(swap)) => Ok(swap),
                Ok(Swapped::Nothing | Swapped::RolledBack) => Err(cause.into()),
                Err(undo) => {
                    let undo = Box::new(self.unfinished(undo));
                    Err(BackupError::Undo { cause: Box::new(cause.into()), undo })
                }
            },
        }
    }

    fn try_swap(&self, units: &[Unit]) -> Result<Swap, SwapError> {
        let moves = units.iter().enumerate().map(|(number, unit)| self.movement(number, unit)).collect();
        let mut swap = Swap::plan(&self.root, &self.journal(), moves)?;
        swap.perform()?;
        swap.commit()?;
        Ok(swap)
    }

    fn unfinished(&self, source: SwapError) -> BackupError {
        BackupError::Unfinished { staging: self.path.clone(), source }
    }

    fn movement(&self, number: usize, unit: &Unit) -> Move {
        let own = Path::new(self.path.file_name().expect("it has a name"));
        let below =
            |base: &Path, path: &RelPath| if path.is_root() { base.to_owned() } else { base.join(path.as_path()) };
        let target = below(&self.target, &unit.path);
        let (staged, how) = match unit.how {
            Change::Place => (below(&own.join("new"), &unit.path), How::PlaceNew),
            Change::Replace => (below(&own.join("new"), &unit.path), How::Exchange),
            Change::Remove => (own.join("aside").join(number.to_string()), How::SetAside),
        };
        Move { staged, target, how }
    }

    /// Ends a swap that is in place: the old goes, or is put where it is kept.
    pub(crate) fn settle(self, swap: Swap) -> Result<Option<PathBuf>, BackupError> {
        let kept = match fs::read(self.keep()) {
            Ok(path) => {
                let path = PathBuf::from(std::ffi::OsString::from_vec(path));
                self.keep_old(&path)?;
                Some(path)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(BackupError::on("reading", &self.keep())(error)),
        };
        remove(&self.new_tree())?;
        swap.settle()?;
        // Last, so that whoever finds it without the other knows that all was done.
        remove(&self.aside())?;
        remove(&self.path)?;
        Ok(kept)
    }

    /// Moves the old to where it is kept. Done twice it is as done once.
    fn keep_old(&self, to: &Path) -> Result<(), BackupError> {
        let has_aside = fs::read_dir(self.aside()).is_ok_and(|mut inner| inner.next().is_some());
        if self.new_tree().symlink_metadata().is_ok() && to.symlink_metadata().is_err() {
            fs::rename(self.new_tree(), to).map_err(BackupError::on("keeping the old data at", to))?;
        }
        let removed = to.join("removed-by-strongroom");
        if has_aside && removed.symlink_metadata().is_err() {
            fs::rename(self.aside(), &removed).map_err(BackupError::on("keeping the old data at", &removed))?;
        }
        Ok(sync_dir(to.parent().expect("it is in a directory"))?)
    }

    /// Removes it, of what was never put in place, or taken back.
    pub(crate) fn discard(self) -> Result<(), BackupError> {
        // While there is a journal, what lies here may be the only copy of what was in the target.
        if self.journal().symlink_metadata().is_ok() {
            let why = "it holds what a swap has not brought to an end".into();
            return Err(BackupError::Refused { target: self.path, why });
        }
        // In this order: see `settle`.
        remove(&self.aside())?;
        remove(&self.new_tree())?;
        remove(&self.path)
    }

    /// Brings what a killed run has left to its end.
    pub(crate) fn recover(self) -> Result<Recovered, BackupError> {
        match Swap::recover(&self.root, &self.journal()).map_err(|error| self.unfinished(error))? {
            Swapped::Committed(swap) => {
                self.settle(swap)?;
                Ok(Recovered::RolledForward)
            }
            Swapped::Nothing if !self.new_tree().exists() => {
                let was_settled = self.aside().exists();
                self.discard()?;
                Ok(if was_settled { Recovered::RolledForward } else { Recovered::Nothing })
            }
            Swapped::Nothing | Swapped::RolledBack => {
                self.discard()?;
                Ok(Recovered::RolledBack)
            }
        }
    }
}

/// The directory for staging, and what its name begins with.
fn place(target: &Target) -> (&Path, Vec<u8>) {
    match target.within_only {
        true => (&target.path, STAGING_WITHIN.into()),
        false => (target.parent(), beside_prefix(target)),
    }
}

fn beside_prefix(target: &Target) -> Vec<u8> {
    let name = target.path.file_name().unwrap_or_default().as_bytes();
    [b".", &name[..name.len().min(NAME_PART)], BESIDE.as_bytes()].concat()
}

fn make_parents(dir: &Path) -> Result<(), BackupError> {
    fs::create_dir_all(dir).map_err(BackupError::on("making", dir))
}

/// Removes a tree, also one whose directories may not be written to; and nothing that is mounted in it.
pub(crate) fn remove(path: &Path) -> Result<(), BackupError> {
    if let Some(mount) = mounts_below(path).first() {
        let why = format!("{} is mounted in what is to be removed", words::text(mount));
        return Err(BackupError::Refused { target: path.to_owned(), why });
    }
    let removed = match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            fs::remove_dir_all(path)
        }
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(BackupError::on("removing", path)),
    }
}

/// Lets the owner into every directory.
fn open_up(path: &Path) {
    let Ok(stat) = path.symlink_metadata() else { return };
    if !stat.is_dir() {
        return;
    }
    if stat.mode() & 0o700 != 0o700 {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    }
    for inner in fs::read_dir(path).into_iter().flatten().flatten() {
        open_up(&inner.path());
    }
}
