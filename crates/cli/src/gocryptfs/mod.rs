//! The personality `gocryptfs`: its command line, translated onto the actions that `strongroom`'s own commands use.
//! Nothing below knows of it.

mod background;
mod exit;
mod flags;
mod fsck;
mod mount;
mod password;
mod say;
mod xray;

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    sync::Arc,
};

use exit::Failure;
use flags::Flags;
use say::Say;

/// Another program's command line that this one answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personality {
    /// `gocryptfs`
    Gocryptfs,
    /// `gocryptfs-xray`
    Xray,
}

impl Personality {
    /// Whose name this program was called by: `gocryptfs …` through a link, or `strongroom gocryptfs …`. With it, the
    /// arguments that are left, the name first.
    pub fn of(arguments: &[OsString]) -> Option<(Self, Vec<OsString>)> {
        let called_as = arguments.first().and_then(|name| Path::new(name).file_name());
        if let Some(personality) = called_as.and_then(Self::named) {
            return Some((personality, arguments.to_vec()));
        }
        let personality = match arguments.get(1)?.to_str()? {
            "gocryptfs" => Self::Gocryptfs,
            "gocryptfs-xray" => Self::Xray,
            _ => return None,
        };
        Some((personality, arguments[1..].to_vec()))
    }

    fn named(name: &OsStr) -> Option<Self> {
        match name.to_str()? {
            "gocryptfs" | "mount.gocryptfs" | "mount.fuse.gocryptfs" => Some(Self::Gocryptfs),
            "gocryptfs-xray" => Some(Self::Xray),
            _ => None,
        }
    }

    /// Runs it; the first argument is its name.
    pub fn run(self, arguments: Vec<OsString>) -> u8 {
        match self {
            Self::Gocryptfs => run(arguments),
            Self::Xray => xray::run(arguments),
        }
    }
}

/// Runs `gocryptfs`; the first argument is its name.
pub fn run(arguments: Vec<OsString>) -> u8 {
    let say = Arc::new(Say::default());
    match act(&Flags::default(), &say, &arguments) {
        Ok(()) => exit::Exit::OK.code(),
        Err(failure) => {
            if let Some(message) = &failure.message {
                say.fatal(message);
            }
            failure.exit.code()
        }
    }
}

fn act(flags: &Flags, say: &Arc<Say>, arguments: &[OsString]) -> Result<(), Failure> {
    if !flags.fg && flags.positional.len() == 2 {
        return background::launch(&arguments[1..], say);
    }
    match flags {
        Flags { fsck: true, .. } => fsck::run(flags, say),
        _ => mount::run(flags, say),
    }
}
