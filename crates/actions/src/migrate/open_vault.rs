//! A vault that belongs to this process while it is filled, compared or emptied. While services use it through its mount, it
//! is only looked at.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::fs::{Advice, fadvise, syncfs};
use strongroom_crypto::Key;
use strongroom_durable::{DirLock, PathError};
use strongroom_format::{MasterKey, journal_key};
use strongroom_migrate::{HostError, MigrationId, OpenVault, Plan, Staged};
use strongroom_mount::mounts;
use strongroom_tree::Replica;
use strongroom_vault::{CheckOptions, RealBacking, VaultOptions, VaultTree, check};

use super::{ending::take_when_left, failure::on, secret::Keyring, stage};
use crate::{ActionError, Conf, Context};

/// A vault of this process.
pub(super) struct Opened {
    id: MigrationId,
    dir: PathBuf,
    tree: VaultTree,
    master: MasterKey,
    /// Open from before the first byte was written, so that a write-back that fails on any file is told by it.
    root: File,
    /// When content was last dropped from memory, by the clock of the file system; what has not changed since was read
    /// from the disk, and need not be dropped again.
    dropped: Mutex<Option<i64>>,
    context: Context,
    keyring: Arc<Keyring>,
    program: PathBuf,
    /// Whether services use it through its mount meanwhile, so that it is only looked at.
    is_shared: bool,
    _lock: Option<DirLock>,
}

impl Opened {
    /// Takes and opens the vault of the plan.
    pub fn open(plan: &Plan, context: &Context, keyring: Arc<Keyring>, program: &Path) -> Result<Self, HostError> {
        let attempted = || format!("opening the vault {}", plan.vault.display());
        let conf = Conf::read(&plan.vault).map_err(on(attempted()))?;
        let (lock, is_shared) = match take_when_left(conf.dir(), context) {
            Err(ActionError::InUse { .. }) if is_mounted_at(&plan.data, conf.dir()) => (None, true),
            taken => (taken.map_err(on(attempted()))?, false),
        };
        let root = File::open(conf.dir()).map_err(PathError::on("opening", conf.dir())).map_err(on(attempted()))?;
        let master = keyring.unlock(&conf).map_err(on(attempted()))?;
        let options = VaultOptions { acl: true, read_only: is_shared, shared: is_shared, ..VaultOptions::default() };
        let vault = conf.open_with(&master, options, context.observer.clone()).map_err(on(attempted()))?;
        Ok(Self {
            id: plan.id,
            dir: conf.dir().to_owned(),
            tree: VaultTree::new(Arc::new(vault)),
            master,
            root,
            dropped: Mutex::default(),
            context: context.clone(),
            keyring,
            program: program.to_owned(),
            is_shared,
            _lock: lock,
        })
    }

    /// What is damaged. A block that is just being written looks damaged too, but not every time.
    fn damage(&self) -> Result<Vec<String>, ActionError> {
        let mut damage = self.look_for_damage()?;
        for _ in 1..if self.is_shared { LOOKS } else { 1 } {
            if damage.is_empty() {
                break;
            }
            let again = self.look_for_damage()?;
            damage.retain(|each| again.contains(each));
        }
        Ok(damage)
    }

    fn look_for_damage(&self) -> Result<Vec<String>, ActionError> {
        let conf = Conf::read(&self.dir)?;
        let ciphers = conf.ciphers(&self.keyring.unlock(&conf)?)?;
        let unusable = |source| ActionError::CipherDir { path: self.dir.clone(), source };
        let backing = RealBacking::open(&self.dir).map_err(unusable)?;
        let options = CheckOptions { threads: self.context.workers, ..CheckOptions::default() };
        let found = check(&backing, &ciphers, options, &*self.context.observer)
            .map_err(|source| ActionError::Vault { path: self.dir.clone(), source })?;
        let damaged = found.problems.into_iter().filter(|problem| problem.kind.is_damage()).map(crate::Problem::from);
        let mut listed: Vec<_> = damaged.map(|problem| format!("{}: {}", problem.path, problem.detail)).collect();
        if let Some(unlisted) = found.damaged.checked_sub(listed.len() as u64).filter(|&count| count > 0) {
            listed.push(format!("and {unlisted} more"));
        }
        Ok(listed)
    }
}

/// How often damage must be seen in a vault that is written to.
const LOOKS: usize = 3;

/// Whether the vault is what is mounted there.
fn is_mounted_at(data: &Path, vault: &Path) -> bool {
    let mounted = mounts::find(data).ok().flatten();
    mounted.is_some_and(|mount| mount.is_vault() && !mount.is_dead() && mount.source == vault.as_os_str())
}

impl OpenVault for Opened {
    fn tree(&self) -> &dyn Replica {
        &self.tree
    }

    fn journal_key(&self) -> Key<32> {
        journal_key(&self.master, &self.id.0)
    }

    fn sync(&self) -> Result<(), HostError> {
        let synced = syncfs(&self.root).map_err(PathError::on("writing to disk all of", &self.dir));
        synced.map_err(on(format!("syncing the vault {}", self.dir.display())))
    }

    fn check(&self) -> Result<Vec<String>, HostError> {
        self.damage().map_err(on(format!("decrypting all of {}", self.dir.display())))
    }

    fn stage(&self, at: &Path) -> Result<Box<dyn Staged>, HostError> {
        self.sync()?;
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.context.now().as_second();
        drop_content(&self.dir, dropped.map_or(i64::MIN, |time| time - MARGIN))
            .map_err(on(format!("reading {} anew", self.dir.display())))?;
        *dropped = Some(now);
        let attempted = || format!("mounting {} for ourselves", self.dir.display());
        Ok(Box::new(stage::mount(&self.program, &self.dir, at, &self.keyring).map_err(on(attempted()))?))
    }
}

/// What the clock of the file system may lag behind ours, in seconds, with plenty to spare.
const MARGIN: i64 = 10;

/// Has the kernel forget what it remembers of all ciphertext that changed at `since` or later, so that it is the disk that
/// is read next. What is not on the disk yet stays. Services may use the vault meanwhile: what they take away is gone.
fn drop_content(dir: &Path, since: i64) -> Result<(), PathError> {
    let Some(listed) = unless_gone(fs::read_dir(dir)).map_err(PathError::on("listing", dir))? else { return Ok(()) };
    for entry in listed {
        let entry = entry.map_err(PathError::on("listing", dir))?;
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            drop_content(&path, since)?;
        } else if kind.is_ok_and(|kind| kind.is_file()) && entry.metadata().map_or(true, |found| found.ctime() >= since)
        {
            let opened = unless_gone(without_following(&path)).map_err(PathError::on("opening", &path))?;
            let _ = opened.map(|file| fadvise(&file, 0, None, Advice::DontNeed));
        }
    }
    Ok(())
}

/// `None` if it has gone, or has become something else, since it was listed.
fn unless_gone<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)) => Ok(None),
        found => found.map(Some),
    }
}

fn without_following(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}
