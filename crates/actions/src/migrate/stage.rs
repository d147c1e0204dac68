//! The vault as programs will see it, mounted read-only where nobody but us can look, by code that shares nothing with the
//! copier but the disk.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use strongroom_durable::PathError;
use strongroom_migrate::{HostError, Staged};
use strongroom_mount::{Adapter, MountError, MountOptions, Mountpoint, Session, UmountError, mounts};
use strongroom_vault::VaultOptions;

use super::{failure::failed, secret::Keyring};
use crate::{ActionError, Conf, Context};

/// A private mount.
pub(super) struct Stage {
    at: PathBuf,
    session: Option<Session>,
}

/// Mounts the vault in `dir` at `at`, from its configuration on the disk.
pub(super) fn mount(dir: &Path, at: &Path, keyring: &Keyring, context: &Context) -> Result<Stage, ActionError> {
    clear(at)?;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(at);
    made.map_err(PathError::on("making the directory", at))?;
    let conf = Conf::read(dir)?;
    let master = keyring.unlock(&conf)?;
    let options = VaultOptions { read_only: true, acl: true, ..VaultOptions::default() };
    let vault = Arc::new(conf.open_with(&master, options, context.observer.clone())?);
    let refused = |source: MountError| ActionError::Mount { path: dir.to_owned(), source };
    let mountpoint = Mountpoint::check(at, dir, false).map_err(refused)?;
    let options = as_stored();
    let adapter = Arc::new(Adapter::new(vault, &options));
    let session = Session::mount(adapter, &mountpoint, dir, &options, context.observer.clone()).map_err(refused)?;
    Ok(Stage { at: at.to_owned(), session: Some(session) })
}

/// Everything that is stored is shown: file capabilities need `suid`. Only root may have that, and nobody runs anything
/// here.
fn as_stored() -> MountOptions {
    let is_root = rustix::process::geteuid().is_root();
    MountOptions { read_only: true, acl: true, suid: is_root, dev: is_root, exec: false, ..MountOptions::default() }
}

/// Takes down what a run that was killed has left mounted at `at`. A mount that is none of ours is left alone.
pub(super) fn clear(at: &Path) -> Result<(), ActionError> {
    if at.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Ok(());
    }
    // One may lie over another.
    while let Some(entry) = mounts::find(at)?.filter(mounts::MountEntry::is_vault) {
        mounts::umount(&entry.mountpoint, true)?;
    }
    Ok(())
}

impl Staged for Stage {
    fn path(&self) -> &Path {
        &self.at
    }

    fn end(mut self: Box<Self>) -> Result<(), HostError> {
        let attempted = || format!("unmounting {}", self.at.display());
        let Some(session) = self.session.take() else { return Ok(()) };
        match session.unmounter().unmount() {
            Ok(()) | Err(UmountError::NotMounted(_)) => {}
            // Dropping the session takes it out of sight.
            Err(error) => return Err(failed(attempted(), error)),
        }
        let ended = session.wait().map_err(|source| ActionError::Mount { path: self.at.clone(), source });
        ended.map(drop).map_err(|error| failed(attempted(), error))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.session.take());
        // For tidiness only: the next stage makes them again.
        let _ = fs::remove_dir(&self.at);
        let _ = self.at.parent().map(fs::remove_dir);
    }
}
