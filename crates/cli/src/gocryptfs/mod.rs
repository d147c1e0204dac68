//! The personality `gocryptfs`: its command line, translated onto the actions that `strongroom`'s own commands use.
//! Nothing below knows of it.

mod background;
mod exit;
mod fido2;
mod flags;
mod fsck;
mod go;
mod help;
mod info;
mod init;
mod mount;
mod order;
mod passwd;
mod password;
mod say;
mod speed;
mod table;
mod version;
mod words;
mod xray;

use std::{
    env,
    ffi::{OsStr, OsString},
    path::Path,
    sync::Arc,
};

use exit::{Exit, Failure};
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
    provide_path();
    let mut flags = match words::parse(&arguments) {
        Ok(flags) => flags,
        Err(failure) => return Say::plainly().failure(&failure),
    };
    let say = Arc::new(Say::new(&flags));
    match act(&mut flags, &say, &arguments) {
        Ok(()) => Exit::OK.code(),
        Err(failure) => say.failure(&failure),
    }
}

/// mount(8) takes PATH away, and the programs that give passwords and make mounts are looked for there.
fn provide_path() {
    if env::var_os("PATH").is_none_or(|path| path.is_empty()) {
        // SAFETY: this program has no second thread yet that could look at the environment.
        unsafe { env::set_var("PATH", "/usr/sbin:/usr/bin:/sbin:/bin") };
    }
}

/// In the order in which gocryptfs looks at its flags.
fn act(flags: &mut Flags, say: &Arc<Say>, arguments: &[OsString]) -> Result<(), Failure> {
    if flags.help {
        help::short();
        return Ok(());
    }
    order::refuse_conflicts(flags)?;
    if !flags.fg && flags.positional.len() == 2 {
        return background::launch(&arguments[1..], say);
    }
    say.debug(&format!("cli args: [{}]", words::pretty(arguments)));
    match flags {
        Flags { version: true, .. } => {
            version::tell(say);
            return Ok(());
        }
        Flags { long_help: true, .. } => {
            help::long();
            return Ok(());
        }
        Flags { speed: true, .. } => {
            speed::run();
            return Ok(());
        }
        Flags { any_given: false, positional, .. } if positional.is_empty() => {
            help::short();
            return Err(Failure::told(Exit::USAGE));
        }
        _ => {}
    }
    order::find_dir(flags, say)?;
    order::count(flags, say, arguments)?;
    strongroom_actions::no_core_dumps();
    match flags {
        Flags { info: true, .. } => info::run(flags),
        Flags { init: true, .. } => init::run(flags, say),
        Flags { passwd: true, .. } => passwd::run(flags, say),
        Flags { fsck: true, .. } => fsck::run(flags, say),
        _ => mount::run(flags, say),
    }
}
