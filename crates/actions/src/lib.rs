//! The product's verbs: real parts put together. One file a verb.
//!
//! A verb takes plain structs and gives a typed outcome that can be serialised; it never prints and never prompts. Secrets
//! it asks for by a closure, *after* everything that can be checked without them has been checked.

pub mod audit;
pub mod backup;
mod check;
mod company;
mod control;
mod error;
mod info;
mod init;
pub mod migrate;
mod mount;
mod open;
mod passwd;
mod perform;
mod process;
mod repair;
mod reverse;
mod speed;
mod umount;
mod unlock;
mod xray;

pub use check::{AsMounted, CheckReport, Holes, Problem, check, check_as_mounted};
pub use control::{Answer, ControlClient, ControlPlace, ControlServer, ControlSocket, PathTranslator, Translation};
pub use error::ActionError;
pub use info::{InUse, Info, MountedAt, ScryptInfo, info};
pub use init::{Created, Init, NewLock, RecoveryKey, init, init_locked};
pub use mount::{Mount, Mounted, is_read_only, mount};
pub use open::{Conf, ConfPlace, OpenVault, open_vault};
pub use passwd::{OldSecret, PassphraseChanged, Rewrap, change_passphrase, rewrap};
pub use perform::{Context, Recording};
pub use process::{Inherited, UmaskGuard, no_core_dumps, stop_on_signals};
pub use repair::{LeftAsIs, Repair, RepairRemedy, RepairReport, RepairStep, repair};
pub use reverse::{Exclude, MountReverse, mount_reverse};
pub use speed::{CipherSpeed, Speed, speed};
pub use umount::{How, Unmounted, umount};
pub use unlock::Unlock;
pub use xray::{Part, dump_master_key, xray};

pub use strongroom_format::{Algorithm, Explicit, Fido2, MasterKey, NameMode, SuperblockError};
pub use strongroom_mount::{
    End, MountError, MountOptions, OptionError, Session, UmountError, harden, parse_duration, ready,
};
pub use strongroom_vault::{BadNamePattern, NamePattern};

/// What [`check_as_mounted`] finds.
pub mod found {
    pub use strongroom_vault::{Advice, Part, Problem, ProblemKind, Report};
}

/// The ways to write an algorithm, a name mode and a path on the command line and in JSON.
pub mod words {
    use std::{
        os::unix::ffi::OsStrExt,
        path::{Path, PathBuf},
    };

    use serde::Serializer;
    use strongroom_event::PathText;

    use super::{Algorithm, NameMode};

    /// A path as JSON can hold it: what is not UTF-8, and control characters, as escapes.
    pub(crate) fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&PathText(path.as_os_str().as_bytes()))
    }

    /// Such paths.
    pub(crate) fn paths<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| PathText(path.as_os_str().as_bytes()).to_string()))
    }

    /// `aes-gcm`, `aes-siv`, `xchacha20-poly1305`.
    pub fn cipher(algorithm: Algorithm) -> &'static str {
        match algorithm {
            Algorithm::Aes256Gcm => "aes-gcm",
            Algorithm::AesSiv => "aes-siv",
            Algorithm::XChaCha20Poly1305 => "xchacha20-poly1305",
        }
    }

    /// `encrypted`, `deterministic`, `plaintext`.
    pub fn names(mode: NameMode) -> &'static str {
        match mode {
            NameMode::Encrypted => "encrypted",
            NameMode::Deterministic => "deterministic",
            NameMode::Plaintext => "plaintext",
        }
    }
}
