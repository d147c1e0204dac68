//! Changes the passphrase of a vault, by the old one or by the recovery key. The master key stays, so nothing is encrypted
//! again, and a mounted vault does not notice.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;
use strongroom_event::Event;
use strongroom_format::{MasterKey, NameMode, SuperblockError};
use strongroom_secret::{Passphrase, SecretError};
use strongroom_vault::{Kind, NodeId, Vault, VaultError, VaultOptions};

use crate::{ActionError, ConfPlace, Context, RecoveryKey, Unlock, open::Conf, perform::perform};

/// What opens the vault now.
pub enum OldSecret {
    /// The passphrase that is to be replaced.
    Passphrase(Passphrase),
    /// The recovery key, if the passphrase is lost.
    RecoveryKey(RecoveryKey),
}

/// A passphrase that was changed.
#[derive(Clone, Debug, Serialize)]
pub struct PassphraseChanged {
    /// The cipher directory.
    #[serde(serialize_with = "crate::words::path")]
    pub cipher_dir: PathBuf,
    /// Whether the recovery key took the place of the old passphrase.
    pub by_recovery_key: bool,
}

/// Changes the passphrase. The new one is asked for only when the old secret has proved right. The configuration is the
/// old or the new one at any time. Audited as `passwd`.
pub fn change_passphrase(
    context: &Context,
    dir: &Path,
    old: impl FnOnce() -> Result<OldSecret, ActionError>,
    new: impl FnOnce() -> Result<Passphrase, SecretError>,
) -> Result<PassphraseChanged, ActionError> {
    perform(context, "passwd", dir, |account| {
        let changed = change(dir, old, new)?;
        account.note("by_recovery_key", changed.by_recovery_key);
        Ok(changed)
    })
}

fn change(
    dir: &Path,
    old: impl FnOnce() -> Result<OldSecret, ActionError>,
    new: impl FnOnce() -> Result<Passphrase, SecretError>,
) -> Result<PassphraseChanged, ActionError> {
    let mut conf = Conf::read(dir)?;
    let old = old()?;
    let by_recovery_key = matches!(old, OldSecret::RecoveryKey(_));
    let master = match old {
        OldSecret::Passphrase(passphrase) => conf.unlock(&passphrase)?,
        OldSecret::RecoveryKey(key) => {
            prove(&conf, key.master())?;
            key.master().duplicate()
        }
    };
    conf.rewrap(None, &master, &new()?, |_| Ok(()))?;
    Ok(PassphraseChanged { cipher_dir: conf.dir().to_owned(), by_recovery_key })
}

/// What else is to be done when the master key is wrapped anew, on the word of whoever has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrap {
    /// The cipher directory.
    pub dir: PathBuf,
    /// Where the configuration is.
    pub conf: ConfPlace,
    /// Binary logarithm of scrypt's cost from now on; as it is if `None`.
    pub scrypt_log_n: Option<u8>,
    /// The old configuration stays, as `….bak`, and must not be there already.
    pub keep_old: bool,
}

/// Wraps the master key in another passphrase. Unlike [`change_passphrase`] it does not doubt a master key that it is
/// given; so let it keep the old configuration then. Audited as `passwd`.
pub fn rewrap(
    context: &Context,
    request: &Rewrap,
    unlock: Unlock<'_>,
    new: impl FnOnce() -> Result<Passphrase, SecretError>,
) -> Result<PathBuf, ActionError> {
    perform(context, "passwd", &request.dir, |_| {
        let mut conf = Conf::read_from(&request.dir, &request.conf)?;
        let master = unlock.master_key(&conf)?;
        if conf.superblock().fido2().is_some() {
            return Err(conf.refused(SuperblockError::Fido2));
        }
        let kept = kept_beside(conf.path());
        let keep = |path: &Path| match request.keep_old {
            true => std::fs::hard_link(path, &kept).map_err(|source| ActionError::ConfNotKept {
                path: path.to_owned(),
                kept: kept.clone(),
                source,
            }),
            false => Ok(()),
        };
        conf.rewrap(request.scrypt_log_n, &master, &new()?, keep)?;
        Ok(kept)
    })
}

fn kept_beside(conf: &Path) -> PathBuf {
    let mut kept = conf.as_os_str().to_owned();
    kept.push(".bak");
    kept.into()
}

/// Refuses a recovery key that opens nothing of what is in the vault: wrapping it would lock its owner out for good. An
/// empty vault proves nothing, and there is nothing to lose in it.
fn prove(conf: &Conf, master: &MasterKey) -> Result<(), ActionError> {
    let bad_names = Arc::new(AtomicU64::new(0));
    let count = bad_names.clone();
    let observer = move |event: &Event| {
        if matches!(event, Event::Damaged { .. }) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let options = VaultOptions { read_only: true, shared: true, xattrs: false, ..VaultOptions::default() };
    let vault = conf.open_with(master, options, Arc::new(observer))?;
    let links_are_sealed = conf.superblock().name_mode() != NameMode::Plaintext;
    let mut evidence = Evidence { vault, links_are_sealed, left: 1000, good_names: 0, bad_contents: 0 };
    let is_proved = evidence.look_into(NodeId::ROOT);
    let against = evidence.bad_contents + bad_names.load(Ordering::Relaxed);
    // A name is no proof by itself: one in 250 decrypts to some name with any key.
    match is_proved || against == 0 || evidence.good_names > against.max(2) {
        true => Ok(()),
        false => Err(ActionError::WrongRecoveryKey(conf.dir().to_owned())),
    }
}

/// What speaks for a key: the first block of a file, or a link, that authenticates.
struct Evidence {
    vault: Vault,
    /// Where names are plain, so are links, and they prove nothing.
    links_are_sealed: bool,
    /// How many more entries to look at.
    left: usize,
    good_names: u64,
    bad_contents: u64,
}

impl Evidence {
    /// Looks until something authenticates.
    fn look_into(&mut self, dir: NodeId) -> bool {
        let Ok(listing) = self.vault.open_dir(dir) else { return false };
        for entry in listing.entries() {
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
            self.good_names += 1;
            let Ok(attr) = self.vault.lookup(dir, &entry.name) else { continue };
            let is_proved = match entry.kind {
                Kind::Directory => self.look_into(attr.node),
                Kind::File if attr.size > 0 => self.opens(attr.node),
                Kind::Symlink => self.resolves(attr.node),
                _ => false,
            };
            self.vault.forget(attr.node, 1);
            if is_proved {
                return true;
            }
        }
        false
    }

    fn opens(&mut self, file: NodeId) -> bool {
        let mut block = [0; 4096];
        // Zeros may be a hole, which opens with any key.
        let read = self.vault.read(file, 0, &mut block).map(|_| block.iter().any(|&byte| byte != 0));
        self.note(read)
    }

    fn resolves(&mut self, link: NodeId) -> bool {
        let read = self.vault.read_link(link).map(|_| self.links_are_sealed);
        self.note(read)
    }

    fn note(&mut self, proof: Result<bool, VaultError>) -> bool {
        self.bad_contents += u64::from(proof.is_err());
        proof.unwrap_or(false)
    }
}
