//! What an operation is given of the world around it: who watches, what time it is, where secrets come from.

use std::path::Path;

use jiff::Zoned;
use strongroom_archive::Facts;
use strongroom_crypto::Random;
use strongroom_event::Observer;
use strongroom_secret::{Passphrase, SecretError};

/// A passphrase that is needed. Asked for only after everything that can be checked without it has been.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// The one that a new archive is to be sealed with.
    New,
    /// The one that this archive was sealed with. What was given before in the same operation did not open it.
    Open {
        /// The archive.
        path: &'a Path,
        /// What its header says.
        facts: &'a Facts,
    },
}

/// The world around an operation.
pub struct Context<'a> {
    /// Who watches.
    pub observer: &'a dyn Observer,
    /// Where ids, keys and salts come from.
    pub random: &'a dyn Random,
    /// The time, in the zone whose calendar counts.
    pub now: &'a dyn Fn() -> Zoned,
    /// Where passphrases come from. Remembered within one operation.
    pub secret: &'a dyn Fn(Wanted<'_>) -> Result<Passphrase, SecretError>,
    /// Whether to stop: asked often, from any thread. What was begun is undone, and nothing is left behind.
    pub is_stopped: &'a (dyn Fn() -> bool + Sync),
    /// This machine's name, for the metadata.
    pub host: &'a str,
    /// This program's version, for the metadata.
    pub version: &'a str,
    /// How many threads read, compress and write.
    pub workers: usize,
}
