//! Where the personality gets its secrets from.

use strongroom_actions::Unlock;
use strongroom_secret::SecretError;

use super::{flags::Flags, say::Say};

/// What opens the volume, as the flags say: asked for when the action wants it, and no earlier.
pub fn unlock<'a>(_flags: &'a Flags, _say: &'a Say) -> Unlock<'a> {
    Unlock::by_passphrase(|| Err(SecretError::NobodyToAsk { what: "password".into(), why: "not there yet".into() }))
}
