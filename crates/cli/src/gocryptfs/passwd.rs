//! `gocryptfs -passwd`: by the old password, or by the master key.

use std::sync::Arc;

use strongroom_actions::{ActionError, Context, Rewrap, SuperblockError, rewrap};

use super::{
    exit::{Exit, Failure, unfit},
    flags::Flags,
    go, password,
    say::Say,
};
use crate::surroundings::now;

const USUAL_LOG_N: u8 = 16;

/// Changes the password.
pub fn run(flags: &Flags, say: &Arc<Say>) -> Result<(), Failure> {
    // A master key is believed, so the old configuration is kept: if it was the wrong one, nothing else opens the volume.
    let keep_old = flags.is_without_conf();
    let request = Rewrap {
        dir: flags.cipherdir.clone(),
        conf: flags.conf_file(),
        // What is given as nothing is the usual cost; what is not given stays as it is.
        scrypt_log_n: match flags.scryptn {
            Some(_) => flags.scrypt_log_n()?.or(Some(USUAL_LOG_N)),
            None => None,
        },
        keep_old,
    };
    let new = || {
        say.info("Please enter your new password.");
        password::replacement(say).map_err(Failure::into_secret_error)
    };
    let context = Context::unaudited(say.clone(), now);
    let kept = rewrap(&context, &request, password::unlock(flags, say), new).map_err(|error| refused(flags, error))?;
    if keep_old {
        let kept = go::quote(kept.as_os_str().as_encoded_bytes());
        say.info(&say.grey(&format!(
            "A copy of the old config file has been created at {kept}.\n\
             Delete it after you have verified that you can access your files with the new password."
        )));
    }
    say.info(&say.green("Password changed."));
    Ok(())
}

fn refused(flags: &Flags, error: ActionError) -> Failure {
    let has_key = flags.fido2.is_some() || flags.is_without_conf();
    match error {
        ActionError::Conf { source: SuperblockError::Fido2, .. } if has_key => {
            Failure::new(Exit::USAGE, "Password change is not supported on FIDO2-enabled filesystems.")
        }
        ActionError::Settings { source, .. } => Failure::new(Exit::SCRYPT_PARAMS, unfit(&source)),
        error => error.into(),
    }
}
