//! What a vault is made of. Needs no passphrase.

use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom_durable::DirLock;
use strongroom_mount::mounts;

use crate::{ActionError, open::Conf, words};

/// What a vault is made of.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// The cipher directory.
    #[serde(serialize_with = "crate::words::path")]
    pub cipher_dir: PathBuf,
    /// Which program made it.
    pub creator: String,
    /// Version of the on-disk format.
    pub format_version: u32,
    /// How contents are sealed.
    pub cipher: &'static str,
    /// How names are stored.
    pub names: &'static str,
    /// From which encoded length names are hashed.
    pub long_name_max: u8,
    /// The feature flags as they stand in gocryptfs.conf.
    pub feature_flags: Vec<&'static str>,
    /// How the passphrase is stretched.
    pub scrypt: ScryptInfo,
    /// Who uses it now.
    pub in_use: Option<InUse>,
}

/// How a passphrase is stretched.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ScryptInfo {
    /// Binary logarithm of the cost.
    pub log_n: u8,
    /// Block size.
    pub r: u32,
    /// Parallelism.
    pub p: u32,
    /// Bytes of memory that one attempt takes.
    pub memory: u64,
}

/// Who uses a vault.
#[derive(Clone, Debug, Serialize)]
pub struct InUse {
    /// The process that has locked it, if it can be told.
    pub pid: Option<u32>,
    /// Where it is mounted.
    pub mounts: Vec<MountedAt>,
}

/// A mount of a vault.
#[derive(Clone, Debug, Serialize)]
pub struct MountedAt {
    /// The mount point.
    #[serde(serialize_with = "crate::words::path")]
    pub mountpoint: PathBuf,
    /// Whether its process is gone.
    pub is_dead: bool,
}

/// Tells what the vault in `dir` is made of.
pub fn info(dir: &Path) -> Result<Info, ActionError> {
    let conf = Conf::read(dir)?;
    let superblock = conf.superblock();
    let (r, p) = superblock.scrypt_r_p();
    Ok(Info {
        cipher_dir: conf.dir().to_owned(),
        creator: superblock.creator().to_owned(),
        format_version: 2,
        cipher: words::cipher(superblock.algorithm()),
        names: words::names(superblock.name_mode()),
        long_name_max: superblock.long_name_max(),
        feature_flags: superblock.features().iter().map(|feature| feature.name()).collect(),
        scrypt: ScryptInfo {
            log_n: superblock.scrypt_log_n(),
            r,
            p,
            memory: (128 * u64::from(r)) << superblock.scrypt_log_n(),
        },
        in_use: in_use(conf.dir()),
    })
}

fn in_use(dir: &Path) -> Option<InUse> {
    // Taking the lock to see whether it is free would get in the way of somebody who mounts just then.
    let pid = DirLock::holder(dir).unwrap_or_default();
    let is_here = |mount: &mounts::MountEntry| mount.is_of(dir);
    let mounts = mounts::list().unwrap_or_default().into_iter().filter(is_here);
    let mounts: Vec<_> =
        mounts.map(|mount| MountedAt { is_dead: mount.is_dead(), mountpoint: mount.mountpoint }).collect();
    (pid.is_some() || !mounts.is_empty()).then_some(InUse { pid, mounts })
}
