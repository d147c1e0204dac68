//! From a copy that is known to be equal to services that run on it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use strongroom_durable::PathError;

use super::{Finished, Side, world::AtPath};
use crate::{Direction, MigrateError, Migration, State};

impl Migration<'_> {
    /// Writes what will mount the vault, here and at boot, without using it.
    pub(crate) fn prepare_mount(&mut self) -> Result<(), MigrateError> {
        self.phase("preparing the mount");
        self.intend(State::CutoverIntent, &())?;
        if self.plan.direction == Direction::Encrypt {
            self.host.mounter().prepare(&self.plan)?;
        }
        self.reached(State::CutoverIntent, &())
    }

    /// Has the path lead to the copy, sees that it works there, and commits to it.
    pub(crate) fn cut_over(&mut self) -> Result<(), MigrateError> {
        self.phase("cutting over");
        self.journal_key()?;
        self.intend(State::Cutover, &())?;
        self.bring_up()?;
        if let AtPath::Target(_) = self.at_path()? {
            probe(&self.plan.data, &format!(".strongroom-probe-{}", self.plan.id))?;
        }
        self.commit()
    }

    /// Starts what ran.
    pub(crate) fn start(&mut self) -> Result<(), MigrateError> {
        self.phase("starting services");
        self.intend(State::ServicesUp, &())?;
        self.start_services(Side::Vault)?;
        self.reached(State::ServicesUp, &())
    }

    /// Sees that what ran is well.
    pub(crate) fn see_health(&mut self) -> Result<(), MigrateError> {
        self.phase("waiting for the services to be healthy");
        let healthy = self.await_services(Side::Vault)?;
        self.reached(State::Healthy, &healthy)
    }

    /// The time begins in which the way back costs nothing.
    pub(crate) fn begin_soak(&mut self) -> Result<(), MigrateError> {
        let now = self.host.now();
        let soak_until = now.checked_add(self.plan.soak).unwrap_or(jiff::Timestamp::MAX);
        self.reached_sealed(State::Soak, &Finished { soak_until })
    }
}

/// Writes and reads a file at a mount: it takes what programs will give it. The file has a name, and the directory another
/// time, only until the next call: who kills this leaves the path as it will be, else.
fn probe(mount: &Path, name: &str) -> Result<(), MigrateError> {
    let path = mount.join(name);
    let before = rustix::fs::stat(mount).map_err(PathError::on("looking at", mount))?;
    let times = Timestamps {
        last_access: Timespec { tv_sec: before.st_atime, tv_nsec: before.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: before.st_mtime, tv_nsec: before.st_mtime_nsec as _ },
    };
    let trying = || PathError::on("trying", &path);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path);
    let file = open.map_err(trying())?;
    fs::remove_file(&path).map_err(trying())?;
    let given_back = rustix::fs::utimensat(CWD, mount, &times, AtFlags::empty());
    given_back.map_err(PathError::on("setting the times of", mount))?;
    Ok(takes_and_gives(file, name).map_err(trying())?)
}

fn takes_and_gives(mut file: File, content: &str) -> io::Result<()> {
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    let mut read = String::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_string(&mut read)?;
    if read == content { Ok(()) } else { Err(io::Error::other("what was written is not what is read")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_leaves_nothing_behind_not_even_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let before = rustix::fs::stat(dir.path()).unwrap();
        probe(dir.path(), ".probe").unwrap();
        let after = rustix::fs::stat(dir.path()).unwrap();
        assert_eq!((after.st_mtime, after.st_mtime_nsec), (before.st_mtime, before.st_mtime_nsec));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
