//! Mounts a vault.

use std::{path::PathBuf, sync::Arc};

use serde::Serialize;
use strongroom_event::{Event, Observer};
use strongroom_mount::{Adapter, MountError, MountOptions, Mountpoint, Session, Termination};
use strongroom_secret::{Passphrase, SecretError};
use strongroom_vault::VaultOptions;

use crate::{
    ActionError,
    open::{Conf, take},
};

/// What to mount, where, and how.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The cipher directory.
    pub dir: PathBuf,
    /// Where it is to be seen in plaintext.
    pub mountpoint: PathBuf,
    /// How.
    pub options: MountOptions,
}

impl Mount {
    /// What came of it, as seen from another process than the one that serves the mount.
    pub fn outcome(&self) -> Mounted {
        let resolved = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let mountpoint = resolved(&self.mountpoint);
        Mounted { cipher_dir: resolved(&self.dir), read_only: is_read_only(&mountpoint), mountpoint }
    }
}

/// A vault that is mounted.
#[derive(Clone, Debug, Serialize)]
pub struct Mounted {
    /// The cipher directory.
    #[serde(serialize_with = "crate::words::path")]
    pub cipher_dir: PathBuf,
    /// Where it is seen in plaintext.
    #[serde(serialize_with = "crate::words::path")]
    pub mountpoint: PathBuf,
    /// Whether nothing can be changed.
    pub read_only: bool,
}

/// Mounts a vault; the session serves it, from threads of its own, until it is unmounted. Everything that can be checked
/// without the passphrase is checked before it is asked for.
pub fn mount(
    request: &Mount,
    passphrase: impl FnOnce() -> Result<Passphrase, SecretError>,
    observer: Arc<dyn Observer>,
) -> Result<(Session, Mounted), ActionError> {
    let conf = Conf::read(&request.dir)?;
    let dir = conf.dir().to_owned();
    let refused = |source: MountError| ActionError::Mount { path: dir.clone(), source };
    let lock = take(&dir, request.options.shared_storage, &*observer)?;
    let mountpoint = Mountpoint::check(&request.mountpoint, &dir, request.options.nonempty).map_err(refused)?;
    let mut options = request.options.clone();
    if !options.read_only && is_read_only(&dir) {
        observer.observe(&Event::Warning(format!(
            "the file system of {} is read-only, so the vault is mounted read-only too",
            dir.display()
        )));
        options.read_only = true;
    }
    let vault_options = VaultOptions {
        read_only: options.read_only,
        shared: options.shared_storage,
        xattrs: !options.no_xattr,
        acl: options.acl,
        ..VaultOptions::default()
    };
    let vault = Arc::new(conf.open(vault_options, passphrase, observer.clone())?);
    let adapter = Arc::new(Adapter::new(vault, &options));
    // Not earlier: these signals end the questions at the terminal. Not later: one in between would leave a dead mount.
    let termination = Termination::catch().map_err(refused)?;
    let mut session = Session::mount(adapter, &mountpoint, &dir, &options, observer).map_err(refused)?;
    session.hold(lock);
    session.unmount_on(termination).map_err(refused)?;
    let mounted =
        Mounted { cipher_dir: dir.clone(), mountpoint: mountpoint.path().to_owned(), read_only: options.read_only };
    Ok((session, mounted))
}

fn is_read_only(dir: &std::path::Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|stat| stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}
