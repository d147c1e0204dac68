//! `gocryptfs -init`

use std::{env, fs, io::IsTerminal, path::Path, sync::Arc};

use strongroom_actions::{ActionError, Algorithm, Context, Init, NameMode, NewLock, RecoveryKey, init_locked};

use super::{
    exit::{Exit, Failure},
    fido2,
    flags::Flags,
    go, password,
    say::Say,
};
use crate::surroundings::now;

/// Makes a volume: in an empty directory, or in reverse mode beside what is in one.
pub fn run(flags: &Flags, say: &Arc<Say>) -> Result<(), Failure> {
    match flags.reverse {
        true => refuse_existing(flags)?,
        false => refuse_filled(&flags.cipherdir)?,
    }
    if flags.extpass.is_empty() && flags.fido2.is_none() {
        say.info("Choose a password for protecting your files.");
    }
    let request = request(flags)?;
    // Neither strongroom.toml nor the audit log belong to this command line.
    let context = Context::unaudited(say.clone(), now);
    let (_, key) =
        init_locked(&context, &request, || lock(flags, say)).map_err(|error| in_conf_or_dir(flags, error))?;
    show(&key, say);
    let (kind, mode) = if flags.reverse { ("gocryptfs-reverse", " -reverse") } else { ("gocryptfs", "") };
    say.info(&say.green(&format!("The {kind} filesystem has been created successfully.")));
    let dir = friendly(&flags.cipherdir);
    say.info(&say.grey(&format!("You can now mount it using: gocryptfs{mode} {dir} MOUNTPOINT")));
    Ok(())
}

fn refuse_existing(flags: &Flags) -> Result<(), Failure> {
    let conf = match &flags.config {
        Some(path) => path.clone(),
        None => flags.cipherdir.join(".gocryptfs.reverse.conf"),
    };
    let shown = go::quote(conf.as_os_str().as_encoded_bytes());
    match fs::metadata(&conf) {
        Ok(_) => Err(Failure::new(Exit::INIT, format!("Config file {shown} already exists"))),
        Err(_) => Ok(()),
    }
}

/// The directory is there, but anything in it is one thing too much.
fn refuse_filled(dir: &Path) -> Result<(), Failure> {
    let invalid = |why: String| Failure::new(Exit::CIPHER_DIR, format!("Invalid cipherdir: {why}"));
    let entries = fs::read_dir(dir).map_err(|error| invalid(format!("open {}: {}", dir.display(), go::reason(&error))));
    match entries?.next() {
        Some(_) => Err(invalid(format!("directory {} not empty", dir.display()))),
        None => Ok(()),
    }
}

fn request(flags: &Flags) -> Result<Init, Failure> {
    if flags.cipher() == Algorithm::XChaCha20Poly1305 && (flags.aessiv || flags.reverse) {
        let message = "Can't have both XChaCha20Poly1305 and AESSIV feature flags";
        return Err(Failure::new(Exit::WRITE_CONF, message));
    }
    let names = flags.names();
    let has_long_names = names != NameMode::Plaintext && flags.longnamemax != 0;
    Ok(Init {
        cipher: flags.cipher(),
        names,
        long_name_max: Some(flags.longnamemax).filter(|_| has_long_names),
        scrypt_log_n: flags.scrypt_log_n()?,
        conf: flags.conf_file(),
        reverse: flags.reverse,
        ..Init::new(flags.cipherdir.clone())
    })
}

fn lock(flags: &Flags, say: &Say) -> Result<NewLock, ActionError> {
    let wrap = |failure: Failure| ActionError::from(failure.into_secret_error());
    let key = match flags.is_without_conf() {
        true => Some(password::master_key(flags, say)?),
        false => None,
    };
    let lock = match &flags.fido2 {
        Some(device) => {
            let name = flags.cipherdir.file_name().unwrap_or_default();
            let token = fido2::register(device, name, &flags.fido2_assert_option, say).map_err(wrap)?;
            let secret = fido2::secret(device, &token, &[], say).map_err(wrap)?;
            NewLock::by_token(token, secret)
        }
        None => password::new(flags, say).map_err(wrap)?.into(),
    };
    Ok(match key {
        Some(key) => lock.of(key),
        None => lock,
    })
}

/// A directory that takes no configuration has another code than one that takes no directory IV.
fn in_conf_or_dir(flags: &Flags, error: ActionError) -> Failure {
    match error {
        ActionError::Path(error) => {
            let exit = if flags.config.is_some() { Exit::INIT } else { Exit::WRITE_CONF };
            let (path, why) = (error.path.display(), go::reason(&error.source));
            Failure::new(exit, format!("{} {path}: {why}", error.attempted))
        }
        error => error.into(),
    }
}

/// Shows the master key to a person, and not to a file that keeps it.
fn show(key: &RecoveryKey, say: &Say) {
    if !std::io::stdout().is_terminal() {
        say.info("Not running on a terminal, suppressing master key display");
        return;
    }
    key.show(|groups| {
        let (first, second) = groups.split_at(4 * 9);
        let key = say.grey(&format!("{first}\n    {second}"));
        say.info(&format!(
            "\nYour master key is:\n\n    {key}\n\n\
             If the gocryptfs.conf file becomes corrupted or you ever forget your password,\n\
             there is only one hope for recovery: The master key. Print it to a piece of\n\
             paper and store it in a drawer. This message is only printed once."
        ));
    });
}

/// The path as a person would type it here.
fn friendly(dir: &Path) -> String {
    let here = env::current_dir().ok();
    let below = here.as_deref().and_then(|here| dir.strip_prefix(here).ok());
    let shown = match below {
        Some(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Some(below) => below.display().to_string(),
        None => dir.display().to_string(),
    };
    if shown.contains(' ') { format!("\"{shown}\"") } else { shown }
}
