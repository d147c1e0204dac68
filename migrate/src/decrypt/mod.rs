//! The other way: a mounted vault becomes a directory of plaintext at the same path. The steps are those of the engine; what
//! differs is told here.
//!
//! | | while services run | path shut | from the cut-over on |
//! |---|---|---|---|
//! | at the path | the mount of the vault | the empty directory below it, immutable | the new directory |
//! | aside | the new directory | the new directory | – |
//! | the vault is read | through the mount | through a mount of ours | – |
//!
//! The fence is the mount itself: taking it away shuts the path. The new directory comes to the path by the same exchange
//! as an original that comes home, and goes back by it. What mounts the vault at boot is withdrawn before the commit point,
//! or the machine could start with the vault over the truth.

mod follow;

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
};

use rustix::fs::{Advice, fadvise};
use serde::{Deserialize, Serialize};
use strongroom_durable::{PathError, sync_dir};
use strongroom_event::Observer;
use strongroom_tree::{Filter, LocalReplica, LocalTree, Replica, Source};

use crate::{
    Fence, Fenced, Guard, Identity, MigrateError, Migration, Standing, State,
    carry::within,
    engine::{AtPath, Readable, parent},
};

/// With [`State::TargetMade`], when decrypting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlaintextMade {
    /// The new directory, wherever it is.
    pub(crate) plaintext: Identity,
}

impl Migration<'_> {
    /// What is at the path, when decrypting.
    pub(crate) fn at_path_decrypting(&self) -> Result<AtPath, MigrateError> {
        match self.host.mounter().standing(&self.plan)? {
            Standing::Ours(_) => return Ok(AtPath::Source),
            Standing::Dead => return Ok(AtPath::Dead),
            Standing::Foreign => return Ok(AtPath::Strange("something else is mounted there".into())),
            Standing::Absent => {}
        }
        let Some(made) = self.plaintext() else {
            return Ok(AtPath::Strange("the vault is not mounted there".into()));
        };
        Ok(match self.plaintext_fence(&made).look()? {
            Fenced::Down => AtPath::Target(
                rustix::fs::stat(&self.plan.data).map_err(PathError::on("looking at", &self.plan.data))?.st_dev,
            ),
            Fenced::Up(Guard::Covered) => AtPath::Strange("something is mounted there that is not the vault".into()),
            Fenced::Up(_) => AtPath::Shut,
            Fenced::Strange(why) => AtPath::Strange(why),
        })
    }

    /// Makes the directory that the plaintext comes to, for its owner alone until it has the permissions of the data.
    pub(crate) fn make_plaintext_directory(&mut self) -> Result<(), MigrateError> {
        let aside = &self.plan.aside;
        match DirBuilder::new().mode(0o700).create(aside) {
            // It is by a name of ours alone: a run that was killed made it, and nothing is in it yet.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir(aside).map_err(PathError::on("removing", aside))?;
                DirBuilder::new().mode(0o700).create(aside).map_err(PathError::on("making the directory", aside))?;
            }
            made => made.map_err(PathError::on("making the directory", aside))?,
        }
        sync_dir(parent(aside))?;
        let plaintext = Identity::of(aside).map_err(PathError::on("looking at", aside))?;
        // Sealed, so that it can be believed when it is to be removed again.
        self.reached_sealed(State::TargetMade, &PlaintextMade { plaintext })
    }

    pub(crate) fn source_decrypting(&mut self) -> Result<Readable, MigrateError> {
        if self.at_path_for_sure()? == AtPath::Source {
            return Ok(Readable::Here(self.plan.data.clone()));
        }
        let stage = self.plan.stage.clone();
        Ok(Readable::Staged(self.vault()?.stage(&stage)?))
    }

    pub(crate) fn with_plaintext<T>(
        &mut self,
        act: impl FnOnce(&dyn Replica, &dyn Observer) -> Result<T, MigrateError>,
    ) -> Result<T, MigrateError> {
        let observer = self.observer.clone();
        let replica = LocalReplica::open(self.plaintext_path()?, &*observer)?;
        act(&replica, &*observer)
    }

    /// The new directory, of which nothing is remembered that is not on the disk, as far as that can be asked for.
    pub(crate) fn fresh_plaintext(&mut self) -> Result<Readable, MigrateError> {
        let path = self.plaintext_path()?.to_owned();
        let tree = LocalTree::open(&path)?;
        LocalReplica::open(&path, &*self.observer)?.sync()?;
        for entry in tree.entries(&Filter::everything()).filter_map(Result::ok).filter(|entry| !entry.is_empty()) {
            if let Ok(file) = fs::File::open(within(&path, &entry.path)) {
                // A wish: what the kernel keeps is as good as the memory it is in.
                let _ = fadvise(&file, 0, None, Advice::DontNeed);
            }
        }
        Ok(Readable::Here(path))
    }

    pub(crate) fn shut_decrypting(&mut self) -> Result<(), MigrateError> {
        match self.at_path_for_sure()? {
            AtPath::Source | AtPath::Dead => self.host.mounter().umount(&self.plan)?,
            AtPath::Shut | AtPath::Target(_) | AtPath::Strange(_) => {}
        }
        self.raise_plaintext_fence()
    }

    /// The path leads to the mounted vault again.
    pub(crate) fn reopen_decrypting(&mut self) -> Result<(), MigrateError> {
        match self.at_path_for_sure()? {
            AtPath::Source => return Ok(()),
            AtPath::Dead => self.host.mounter().umount(&self.plan)?,
            AtPath::Target(_) => self.raise_plaintext_fence()?,
            AtPath::Shut | AtPath::Strange(_) => {}
        }
        self.close_vault();
        self.prepare_again();
        Ok(self.host.mounter().remount(&self.plan)?)
    }

    /// The path leads to the plaintext, and nothing mounts the vault over it.
    pub(crate) fn bring_up_plaintext(&mut self) -> Result<(), MigrateError> {
        if matches!(self.at_path_for_sure()?, AtPath::Source | AtPath::Dead) {
            self.host.mounter().umount(&self.plan)?;
        }
        self.host.mounter().withdraw(&self.plan)?;
        let made = self.plaintext_made()?;
        Ok(self.plaintext_fence(&made).lower()?)
    }

    /// Before the cut-over: the copy is of no use. It was never at the path.
    pub(crate) fn discard_plaintext_copy(&mut self) -> Result<(), MigrateError> {
        let Some(made) = self.plaintext() else {
            // It was being made.
            let _ = fs::remove_dir(&self.plan.aside);
            return Ok(());
        };
        let aside = self.plan.aside.clone();
        let is_it = Identity::of(&aside).is_ok_and(|found| found.is(&made));
        if is_it && !self.is_sealed(State::TargetMade)? {
            self.warn("the new directory is kept: nobody who can open the vault has confirmed that it is ours");
            return Ok(());
        }
        if is_it && self.at_path()? == AtPath::Source {
            fs::remove_dir_all(&aside).map_err(PathError::on("removing", &aside))?;
        }
        Ok(())
    }

    fn raise_plaintext_fence(&mut self) -> Result<(), MigrateError> {
        let made = self.plaintext_made()?;
        if self.plaintext_fence(&made).raise()? == Guard::Permissions {
            self.warn(
                "the empty directory at the path of the data cannot be made immutable here: only its permissions keep \
                 programs from writing into it",
            );
        }
        Ok(())
    }

    fn plaintext(&self) -> Option<Identity> {
        self.ledger.fact::<PlaintextMade>(State::TargetMade).map(|made| made.plaintext)
    }

    fn plaintext_made(&self) -> Result<Identity, MigrateError> {
        self.plaintext().ok_or(MigrateError::NotNow { state: self.state(), verb: "taken further" })
    }

    fn plaintext_fence<'a>(&'a self, made: &'a Identity) -> Fence<'a> {
        Fence::between(&self.plan.data, &self.plan.aside, made)
    }

    /// Where the new directory is now.
    pub(crate) fn plaintext_path(&self) -> Result<&std::path::Path, MigrateError> {
        Ok(match self.at_path()? {
            AtPath::Target(_) => &self.plan.data,
            _ => &self.plan.aside,
        })
    }
}
