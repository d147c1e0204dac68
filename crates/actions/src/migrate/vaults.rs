//! Making, opening and discarding the vault of a migration.
//!
//! Making it is one step that can be taken up anywhere: the directory is marked as ours before it becomes a vault, the
//! vault is opened from the disk before its recovery key is handed over, and only then is it marked as handed over.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use strongroom_durable::{PathError, sync_dir};
use strongroom_format::{Algorithm, CONF_NAME, MasterKey, NameMode};
use strongroom_migrate::{Accepted, Check, Direction, HostError, OpenVault, Plan, Vaults};
use strongroom_secret::{Passphrase, SecretRef, resolve};
use zeroize::Zeroizing;

use super::{
    ending::take_when_left,
    failure::{failed, on},
    open_vault::Opened,
    ours::{self, Mark},
    secret::{Handover, Keyring},
};
use crate::{ActionError, Conf, Context, Init, RecoveryKey, init::make_in};

/// How often somebody may mistype what they are to type back.
const ATTEMPTS: usize = 3;

/// Vaults on this machine.
pub(super) struct RealVaults {
    pub context: Context,
    pub keyring: Arc<Keyring>,
    pub scrypt_log_n: Option<u8>,
    /// This program, which serves private mounts as another process.
    pub program: PathBuf,
}

impl Vaults for RealVaults {
    fn create(&self, plan: &Plan) -> Result<(), HostError> {
        let attempted = || format!("making the vault {}", plan.vault.display());
        let looked = ours::look(&plan.vault, plan.id).map_err(on(attempted()))?;
        let is_vault = plan.vault.join(CONF_NAME).symlink_metadata().is_ok();
        match (looked, is_vault) {
            (Mark::Ours { .. }, true) => {}
            (_, true) => return Err(failed(attempted(), ActionError::AlreadyAVault(plan.vault.clone()))),
            (Mark::Foreign, false) => return Err(failed(attempted(), not_empty(&plan.vault))),
            (_, false) => self.make(plan).map_err(on(attempted()))?,
        }
        // From the disk, whoever made it: what is in memory proves nothing.
        let conf = Conf::read(&plan.vault).map_err(on(attempted()))?;
        let master = self.keyring.unlock(&conf).map_err(on(attempted()))?;
        if looked == (Mark::Ours { is_handed_over: true }) {
            return Ok(());
        }
        let handed_over = || format!("handing over the recovery key of {}", plan.vault.display());
        self.hand_over(plan, master).map_err(on(handed_over()))?;
        ours::mark(&plan.vault, plan.id, true).map_err(on(handed_over()))
    }

    fn open(&self, plan: &Plan) -> Result<Box<dyn OpenVault>, HostError> {
        Ok(Box::new(Opened::open(plan, &self.context, self.keyring.clone(), &self.program)?))
    }

    fn discard(&self, plan: &Plan) -> Result<(), HostError> {
        let attempted = || format!("removing the vault {}", plan.vault.display());
        match fs::symlink_metadata(&plan.vault) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(attempted(), PathError::on("looking at", &plan.vault)(error))),
            Ok(_) => {}
        }
        if !matches!(ours::look(&plan.vault, plan.id).map_err(on(attempted()))?, Mark::Ours { .. }) {
            return Err(failed(attempted(), ActionError::NotOurs(plan.vault.clone())));
        }
        // Nobody has it open; and nobody can open it while it goes.
        let _lock = take_when_left(&plan.vault, &self.context).map_err(on(attempted()))?;
        fs::remove_dir_all(&plan.vault).map_err(PathError::on("removing", &plan.vault)).map_err(on(attempted()))?;
        sync_dir(plan.vault.parent().unwrap_or(Path::new("/"))).map_err(on(attempted()))
    }

    fn destroy(&self, plan: &Plan) -> Result<(), HostError> {
        let attempted = || format!("removing the vault {}", plan.vault.display());
        let gone = gone_name(plan);
        if plan.vault.symlink_metadata().is_ok() {
            Conf::read(&plan.vault).map_err(on(attempted()))?;
            // Nobody has it open; and nobody can open it while it goes.
            let _lock = take_when_left(&plan.vault, &self.context).map_err(on(attempted()))?;
            fs::rename(&plan.vault, &gone).map_err(PathError::on("renaming", &plan.vault)).map_err(on(attempted()))?;
            sync_dir(gone.parent().unwrap_or(Path::new("/"))).map_err(on(attempted()))?;
        }
        remove_without_conf(&gone).map_err(on(attempted()))
    }
}

impl RealVaults {
    fn make(&self, plan: &Plan) -> Result<(), ActionError> {
        if plan.direction == Direction::Decrypt {
            return Err(ActionError::NotAVault(plan.vault.clone()));
        }
        let request = Init {
            cipher: Algorithm::Aes256Gcm,
            names: NameMode::Encrypted,
            scrypt_log_n: self.scrypt_log_n,
            ..Init::new(plan.vault.clone())
        };
        let marked = |dir: &Path| Ok(ours::mark(dir, plan.id, false)?);
        make_in(&request, || Ok(self.keyring.new_one(&plan.vault)?.into()), marked).map(drop)
    }

    /// Proves that whoever is to have the recovery key has it, and that it opens the vault that is on the disk: it is the
    /// very key that the configuration there was just unlocked to.
    fn hand_over(&self, plan: &Plan, master: MasterKey) -> Result<(), ActionError> {
        let wrong = || ActionError::RecoveryKeyNotProved(plan.vault.clone());
        let key = RecoveryKey::of(master);
        let is_waived = plan.accepted.contains(&Accepted::WithoutCheck(Check::RecoveryKey));
        match (self.keyring.handover(), &plan.recovery_key_file) {
            (_, Some(path)) => {
                refuse_within(path, plan)?;
                write_key(path, &key)?;
                let read = resolve(&SecretRef::File(path.clone()), &strongroom_secret::NoPrompt, "recovery key")?;
                if proves(&key, &read, false) { Ok(()) } else { Err(wrong()) }
            }
            (_, None) if is_waived => Ok(()),
            (Handover::Nobody, None) => Err(wrong()),
            (Handover::Shown(show), None) => {
                for _ in 0..ATTEMPTS {
                    if proves(&key, &show(&key)?, true) {
                        return Ok(());
                    }
                }
                Err(wrong())
            }
        }
    }
}

/// What a vault is called that is being removed.
fn gone_name(plan: &Plan) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(plan.vault.file_name().unwrap_or_default());
    name.push(format!(".{}.gone", plan.id));
    plan.vault.with_file_name(name)
}

/// Without its configuration nobody can read the rest.
fn remove_without_conf(gone: &Path) -> Result<(), PathError> {
    if gone.symlink_metadata().is_err() {
        return Ok(());
    }
    match fs::remove_file(gone.join(CONF_NAME)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(PathError::on("removing the configuration in", gone)(error));
        }
        _ => sync_dir(gone)?,
    }
    fs::remove_dir_all(gone).map_err(PathError::on("removing", gone))?;
    sync_dir(gone.parent().unwrap_or(Path::new("/")))
}

fn not_empty(vault: &Path) -> ActionError {
    ActionError::NotEmpty { path: vault.to_owned(), entry: "the mark of another migration".into() }
}

/// A key that is encrypted with itself, or lies beside what it opens, opens nothing when it is needed.
fn refuse_within(path: &Path, plan: &Plan) -> Result<(), ActionError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().map_err(PathError::on("looking at", parent))?;
    match parent.starts_with(&plan.data) || parent.starts_with(&plan.vault) {
        true => Err(ActionError::KeyWithin(path.to_owned())),
        false => Ok(()),
    }
}

/// Writes the key to a file that is not there yet. One that holds it already, from a run that was killed, will do.
fn write_key(path: &Path, key: &RecoveryKey) -> Result<(), ActionError> {
    let on = |attempted| PathError::on(attempted, path);
    let mut file = match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let is_private = fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o077 == 0);
            let known = Zeroizing::new(fs::read(path).map_err(on("reading"))?);
            let is_same = key.show(|text| known.trim_ascii_end() == text.as_bytes());
            return if is_private && is_same { Ok(()) } else { Err(on("making")(error).into()) };
        }
        made => made.map_err(on("making"))?,
    };
    key.show(|text| writeln!(file, "{text}")).and_then(|()| file.sync_all()).map_err(on("writing"))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(sync_dir(parent)?)
}

/// Whether `given` is the key; or with `last_group` the last of its groups, which nobody has who did not write it down.
fn proves(key: &RecoveryKey, given: &Passphrase, last_group: bool) -> bool {
    let digits = |bytes: &[u8]| -> Zeroizing<Vec<u8>> {
        let digits = bytes.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != b'-');
        Zeroizing::new(digits.map(u8::to_ascii_lowercase).collect())
    };
    let given = digits(given.expose());
    key.show(|text| {
        let whole = digits(text.as_bytes());
        given == whole || last_group && given.len() == 8 && whole.ends_with(&given)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00010203-04050607-08090a0b-0c0d0e0f-10111213-14151617-18191a1b-1c1d1e1f";

    fn typed(text: &str, last_group: bool) -> bool {
        proves(&RecoveryKey::parse(TEXT).unwrap(), &Passphrase::new(text.as_bytes().to_vec()), last_group)
    }

    #[test]
    fn the_key_is_proved_by_all_of_it_or_by_its_last_group() {
        assert!(typed(TEXT, false) && typed(TEXT, true));
        assert!(typed("1C1D 1e1f", true) && !typed("1c1d1e1f", false));
        for wrong in ["", "1e1f", "00010203", "1c1d1e1e"] {
            assert!(!typed(wrong, true), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_not_written_over_anything() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "something else").unwrap();
        assert!(write_key(&path, &RecoveryKey::parse(TEXT).unwrap()).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"something else");
    }

    #[test]
    fn a_key_that_a_killed_run_wrote_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = RecoveryKey::parse(TEXT).unwrap();
        write_key(&path, &key).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        write_key(&path, &key).unwrap();
    }
}
