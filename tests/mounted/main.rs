//! The program through the kernel: what users, databases and administrators do to a mount.

mod crowds;
mod damage;
mod databases;
mod estimate;
mod exerciser;
mod files;
mod lifecycle;
mod locks;
mod owners;
mod times;
mod trees;

use std::path::PathBuf;
use std::process::{Command, Output};

use strongroom_tests::{Format, Need, Program, Scratch, Server, output_of};

/// What every test here needs.
const MOUNTS: &[Need] = &[Need::Fuse];
/// What those need that also want users or mounts of their own.
const MOUNTS_AS_ROOT: &[Need] = &[Need::Fuse, Need::Root];

/// A vault of one test, and where it is mounted.
struct Vault {
    scratch: Scratch,
    cipher_dir: PathBuf,
    mountpoint: PathBuf,
}

impl Vault {
    fn create() -> Self {
        Self::create_in(Scratch::new())
    }

    fn create_in(scratch: Scratch) -> Self {
        let cipher_dir = scratch.dir("cipher");
        Program::Strongroom.init(&scratch, &cipher_dir, &Format::default());
        Self { cipher_dir, mountpoint: scratch.dir("mount"), scratch }
    }

    #[track_caller]
    fn mount(&self, options: &[&str]) -> Server {
        Program::Strongroom.mount(&self.scratch, &self.cipher_dir, &self.mountpoint, options)
    }

    #[track_caller]
    fn is_sound(&self) {
        Program::Strongroom.finds_nothing_wrong(&self.scratch, &self.cipher_dir);
    }

    /// Runs a command of the program on this vault and returns what became of it.
    fn ask(&self, verb: &str, arguments: &[&str]) -> Output {
        let mut command = Program::Strongroom.command();
        command.arg(verb).arg("--passphrase-file").arg(self.scratch.passphrase_file());
        output_of(command.args(arguments).arg(&self.cipher_dir))
    }

    /// The command that mounts in the background, as a user does.
    fn mount_in_background(&self, options: &[&str]) -> Command {
        let mut command = Program::Strongroom.command();
        command.arg("mount").arg("--passphrase-file").arg(self.scratch.passphrase_file());
        command.args(options).arg(&self.cipher_dir).arg(&self.mountpoint);
        command
    }
}

/// All that a command said.
fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
