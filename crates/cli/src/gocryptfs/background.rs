//! Going to the background: the process at the terminal starts itself again, and waits until that one tells it that the
//! mount is usable, or ends.

use std::ffi::OsString;

use super::{
    exit::{Exit, Failure},
    say::Say,
};

/// Starts this program again with `-fg -notifypid=…` and the `arguments` it has (without its name), and waits for it.
pub fn launch(_arguments: &[OsString], _say: &Say) -> Result<(), Failure> {
    Err(Failure::new(Exit::FORK_CHILD, "not there yet"))
}
