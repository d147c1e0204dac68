//! The two trees, and the path that leads to one of them: what is different when the way is the other one.

use std::path::{Path, PathBuf};

use strongroom_event::Observer;
use strongroom_tree::Replica;

use super::{CutOver, world::AtPath};
use crate::{CaughtUp, Direction, Fence, Guard, MigrateError, Migration, Staged, State};

/// A tree that can be read at a path, and perhaps only as long as this lives.
pub(crate) enum Readable {
    /// It is there anyway.
    Here(PathBuf),
    /// A mount of ours.
    Staged(Box<dyn Staged>),
}

impl Readable {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Readable::Here(path) => path,
            Readable::Staged(staged) => staged.path(),
        }
    }

    /// Unmounts it, if it was mounted for us.
    pub(crate) fn end(self) -> Result<(), MigrateError> {
        match self {
            Readable::Here(_) => Ok(()),
            Readable::Staged(staged) => Ok(staged.end()?),
        }
    }
}

impl Migration<'_> {
    /// The tree that is copied, as it lies now.
    pub(crate) fn source(&mut self) -> Result<Readable, MigrateError> {
        if self.plan.direction == Direction::Decrypt {
            return self.source_decrypting();
        }
        Ok(Readable::Here(match self.at_path_for_sure()? {
            AtPath::Source => self.plan.data.clone(),
            _ => self.plan.aside.clone(),
        }))
    }

    /// Does something with the copy, as something to be written to.
    pub(crate) fn with_target<T>(
        &mut self,
        act: impl FnOnce(&dyn Replica, &dyn Observer) -> Result<T, MigrateError>,
    ) -> Result<T, MigrateError> {
        if self.plan.direction == Direction::Decrypt {
            return self.with_plaintext(act);
        }
        let observer = self.observer.clone();
        act(self.vault()?.tree(), &*observer)
    }

    /// The copy, read anew from the disk, by what did not write it.
    pub(crate) fn fresh_target(&mut self) -> Result<Readable, MigrateError> {
        if self.plan.direction == Direction::Decrypt {
            return self.fresh_plaintext();
        }
        let stage = self.plan.stage.clone();
        let vault = self.vault()?;
        vault.sync()?;
        Ok(Readable::Staged(vault.stage(&stage)?))
    }

    /// Sees to it that the path leads nowhere. Doing it again is nothing.
    pub(crate) fn shut(&mut self) -> Result<(), MigrateError> {
        if self.plan.direction == Direction::Decrypt {
            return self.shut_decrypting();
        }
        if Fence::of(&self.plan).raise()? == Guard::Permissions {
            let why = "the empty directory at the path of the data cannot be made immutable here: only its permissions \
                       keep programs from writing into it";
            self.warn(why);
        }
        Ok(())
    }

    /// Sees to it that the path leads to the source again. Doing it again is nothing.
    pub(crate) fn reopen(&mut self) -> Result<(), MigrateError> {
        if self.plan.direction == Direction::Decrypt {
            return self.reopen_decrypting();
        }
        if matches!(self.at_path_for_sure()?, AtPath::Target(_) | AtPath::Dead) {
            self.host.mounter().umount(&self.plan)?;
        }
        Ok(self.with_fence(|fence| fence.lower())?)
    }

    /// Sees to it that the path leads to the copy, the way it will after the next start of the machine.
    pub(crate) fn bring_up(&mut self) -> Result<(), MigrateError> {
        if self.plan.direction == Direction::Decrypt {
            return self.bring_up_plaintext();
        }
        // The mount needs the vault for itself.
        self.close_vault();
        match self.at_path_for_sure()? {
            AtPath::Target(_) => return Ok(()),
            AtPath::Dead => self.host.mounter().umount(&self.plan)?,
            _ => {}
        }
        let mounter = self.host.mounter();
        // Before the commit point it has to be the way it will be after the next start of the machine, and no other.
        Ok(if self.history().is_committed() { mounter.remount(&self.plan) } else { mounter.mount(&self.plan) }?)
    }

    /// The commit point. From here on the copy is the truth.
    pub(crate) fn commit(&mut self) -> Result<(), MigrateError> {
        let device = match self.at_path()? {
            AtPath::Target(device) => Some(device),
            _ => None,
        };
        let frozen: Option<CaughtUp> = self.ledger.fact(State::CaughtUp);
        let manifest = frozen.map_or_else(String::new, |frozen| frozen.manifest);
        self.reached_sealed(State::Cutover, &CutOver { manifest, device })
    }
}
