//! Mounts a vault.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use strongroom_durable::DirLock;
use strongroom_event::{Event, Observer};
use strongroom_mount::{Adapter, MountError, MountOptions, Mountpoint, Session, Termination, operations::Operations};
use strongroom_vault::{NamePattern, VaultOptions};

use crate::{
    ActionError, Conf, ConfPlace, ControlPlace, ControlSocket, Unlock,
    company::{Taken, Watch, take_or_join},
    open::{cipher_dir, take},
};

/// What to mount, where, and how.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The cipher directory.
    pub dir: PathBuf,
    /// Where it is to be seen in plaintext. Or `/dev/fd/N`, a descriptor of /dev/fuse that it was mounted by already.
    pub mountpoint: PathBuf,
    /// How.
    pub options: MountOptions,
    /// Where the configuration is.
    pub conf: ConfPlace,
    /// Where other programs can ask what a path is called on the other side.
    pub control: Option<ControlPlace>,
    /// Entries that cannot be decoded are shown if their names on disk are as one of these patterns says.
    pub bad_names: Vec<NamePattern>,
    /// Names that are too long for a directory are hashed.
    pub long_names: bool,
    /// If somebody has it mounted already, it is mounted all the same, and nothing is cached.
    pub in_company: bool,
    /// After a signal it goes on until its last user is gone.
    pub lingers: bool,
}

impl Mount {
    /// As a mount is unless something else is wanted.
    pub fn new(dir: PathBuf, mountpoint: PathBuf, options: MountOptions) -> Self {
        Self {
            dir,
            mountpoint,
            options,
            conf: ConfPlace::default(),
            control: None,
            bad_names: Vec::new(),
            long_names: true,
            in_company: false,
            lingers: true,
        }
    }

    /// What came of it, as seen from another process than the one that serves the mount.
    pub fn outcome(&self) -> Mounted {
        let resolved = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let mountpoint = match self.mountpoint.starts_with("/dev/fd") {
            true => Mountpoint::check(&self.mountpoint, &self.dir, true).map(|at| at.path().to_owned()),
            false => Ok(resolved(&self.mountpoint)),
        };
        let mountpoint = mountpoint.unwrap_or_else(|_| self.mountpoint.clone());
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
/// without a secret is checked before it is asked for.
pub fn mount(
    request: &Mount,
    unlock: Unlock<'_>,
    observer: Arc<dyn Observer>,
) -> Result<(Session, Mounted), ActionError> {
    let dir = cipher_dir(&request.dir)?;
    let refused = |source: MountError| ActionError::Mount { path: dir.clone(), source };
    let mountpoint = Mountpoint::check(&request.mountpoint, &dir, request.options.nonempty).map_err(refused)?;
    let control = request.control.as_ref().map(ControlSocket::bind).transpose()?;
    let conf = Conf::read_from(&dir, &request.conf)?;
    let mut options = request.options.clone();
    let early = (!request.in_company).then(|| take(&dir, options.shared_storage, &*observer)).transpose()?;
    read_only_as_below(&dir, &mut options, &*observer);
    let master = unlock.master_key(&conf)?;
    // In company not before the secret is there: a question that somebody forgot to answer keeps nobody else away.
    let lock = match early {
        Some(lock) => lock,
        None => join(&dir, &mut options, &*observer)?,
    };
    let vault_options = VaultOptions {
        read_only: options.read_only,
        shared: options.shared_storage,
        xattrs: !options.no_xattr,
        acl: options.acl,
        long_names: request.long_names,
        ..VaultOptions::default()
    };
    let mut vault = conf.open_with(&master, vault_options, observer.clone())?;
    drop(master);
    vault.show_bad_names(request.bad_names.clone());
    let vault = Arc::new(vault);
    let adapter = Arc::new(Adapter::new(vault.clone(), &options));
    let mut session = serve(adapter, &mountpoint, &dir, &options, request.lingers, observer).map_err(refused)?;
    session.hold(lock);
    if request.in_company && !options.shared_storage {
        let (vault, watched) = (vault.clone(), dir.clone());
        let watch = Watch::begin(&watched, move || vault.share());
        session.hold(watch.map_err(|source| refused(MountError::Serving(source)))?);
    }
    if let Some(control) = control {
        session.hold(control.serve(vault)?);
    }
    let mounted =
        Mounted { cipher_dir: dir.clone(), mountpoint: mountpoint.path().to_owned(), read_only: options.read_only };
    Ok((session, mounted))
}

/// Mounts what `operations` are of, and takes it down when a signal asks for it.
pub(crate) fn serve<O: Operations>(
    operations: Arc<O>,
    mountpoint: &Mountpoint,
    source: &Path,
    options: &MountOptions,
    lingers: bool,
    observer: Arc<dyn Observer>,
) -> Result<Session, MountError> {
    // Not earlier: these signals end the questions at the terminal. Not later: one in between would leave a dead mount.
    let termination = Termination::catch()?;
    let mut session = Session::mount(operations, mountpoint, source, options, observer)?;
    match lingers {
        true => session.unmount_on(termination)?,
        false => session.end_on(termination)?,
    }
    Ok(session)
}

fn join(dir: &Path, options: &mut MountOptions, observer: &dyn Observer) -> Result<Option<DirLock>, ActionError> {
    let Taken { lock, in_company } = take_or_join(dir, options.shared_storage, observer)?;
    options.shared_storage |= in_company;
    Ok(lock)
}

fn read_only_as_below(dir: &Path, options: &mut MountOptions, observer: &dyn Observer) {
    if !options.read_only && is_read_only(dir) {
        observer.observe(&Event::Warning(format!(
            "the file system of {} is read-only, so the vault is mounted read-only too",
            dir.display()
        )));
        options.read_only = true;
    }
}

/// Whether the file system of a directory allows no changes.
pub fn is_read_only(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|stat| stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}
