//! `gocryptfs-xray`: what a ciphertext is made of.

use std::ffi::OsString;

use super::exit::Exit;

/// Runs it; the first argument is its name.
pub fn run(_arguments: Vec<OsString>) -> u8 {
    Exit::OTHER.code()
}
