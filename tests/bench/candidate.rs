//! Who is measured.

use std::path::Path;
use std::process::Command;

use strongroom_tests::{Cipher, Format, Names, Program, Scratch};

use crate::arguments::Group;

/// Whoever stands between the work and the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Candidate {
    /// The real gocryptfs: what we are compared with.
    Gocryptfs,
    /// The program under test.
    Strongroom,
    /// The same mount without encryption: the ceiling of this machine.
    PassThrough,
    /// Nobody.
    Bare,
}

impl Candidate {
    /// The program, where it is one that knows formats.
    pub fn format_matters(self) -> Option<Program> {
        match self {
            Self::Gocryptfs => Some(Program::Gocryptfs),
            Self::Strongroom => Some(Program::Strongroom),
            Self::PassThrough | Self::Bare => None,
        }
    }

    /// Prepares `cipher_dir`.
    pub fn init(self, scratch: &Scratch, cipher_dir: &Path, group: Group) {
        let cipher = if group == Group::Siv { Cipher::AesSiv } else { Cipher::AesGcm };
        let format = Format { cipher, names: Names::Encrypted, long_name_max: None };
        match self.format_matters() {
            Some(program) if group == Group::Reverse => program.init_reverse(scratch, cipher_dir, &format),
            Some(program) => program.init(scratch, cipher_dir, &format),
            None => {}
        }
    }

    /// The command that mounts in the foreground, if there is anything to mount.
    pub fn mount_command(
        self,
        scratch: &Scratch,
        cipher_dir: &Path,
        mountpoint: &Path,
        group: Group,
    ) -> Option<Command> {
        match self {
            Self::Gocryptfs | Self::Strongroom if group == Group::Reverse => {
                Some(self.format_matters()?.mount_reverse_command(scratch, cipher_dir, mountpoint, &[]))
            }
            Self::Gocryptfs | Self::Strongroom => {
                Some(self.format_matters()?.mount_command(scratch, cipher_dir, mountpoint, &[]))
            }
            Self::PassThrough => {
                let mut command = Command::new(pass_through());
                command.arg(cipher_dir).arg(mountpoint);
                Some(command)
            }
            Self::Bare => None,
        }
    }
}

fn pass_through() -> std::path::PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    let file = own.with_file_name("examples").join("passthrough");
    assert!(file.is_file(), "{} is not there: scripts/bench builds it", file.display());
    file
}
