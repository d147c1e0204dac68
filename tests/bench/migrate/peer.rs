//! Who moves a directory, and how.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use strongroom_tests::{Format, Program, Scratch, tool};

use crate::backup::{Measured, measure};

/// Who moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// `strongroom migrate encrypt`, to the end.
    Strongroom,
    /// `rsync -aHAX` into a gocryptfs mount, then `diff -r`.
    Rsync,
    /// `cp -a` likewise.
    Cp,
}

impl Peer {
    pub const ALL: [Self; 3] = [Self::Strongroom, Self::Rsync, Self::Cp];

    pub fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|peer| peer.word() == name);
        found.ok_or_else(|| format!("{name}: no such peer"))
    }

    pub fn is_installed(self) -> bool {
        let tools: &[&str] = match self {
            Self::Strongroom => &[],
            Self::Rsync => &["gocryptfs", "rsync"],
            Self::Cp => &["gocryptfs"],
        };
        tools.iter().all(|name| tool(name).is_some())
    }

    fn word(self) -> &'static str {
        match self {
            Self::Strongroom => "strongroom",
            Self::Rsync => "rsync",
            Self::Cp => "cp",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Strongroom => "strongroom migrate",
            Self::Rsync => "rsync -aHAX, diff -r",
            Self::Cp => "cp -a, diff -r",
        }
    }

    /// Moves `tree`, measured. Of the others neither making the vault nor mounting it is counted.
    pub fn moves(self, scratch: &Scratch, tree: &Path) -> Measured {
        match self {
            Self::Strongroom => {
                // On a disk in any case: it is refused where a start of the machine would forget it.
                let state = Scratch::new();
                let measured = measure(&mut encrypt(scratch, &state, tree));
                strongroom_tests::unmount(tree);
                measured
            }
            Self::Rsync => through_gocryptfs(scratch, tree, "rsync -aHAX \"$1/\" \"$2/\" && diff -r \"$1\" \"$2\""),
            Self::Cp => through_gocryptfs(scratch, tree, "cp -a \"$1/.\" \"$2/\" && diff -r \"$1\" \"$2\""),
        }
    }
}

/// The command that moves `tree` and leaves the originals aside.
pub fn encrypt(scratch: &Scratch, state: &Scratch, tree: &Path) -> Command {
    let mut command = Program::Strongroom.command();
    command.args(["migrate", "encrypt", "--yes", "--no-backup", "--boot", "manual", "--json", "--passphrase-file"]);
    command.arg(scratch.passphrase_file()).arg("--recovery-key-file").arg(scratch.path("recovery-key"));
    command.arg("--state-dir").arg(state.path("state")).arg(tree).stdout(Stdio::null());
    command
}

fn through_gocryptfs(scratch: &Scratch, tree: &Path, work: &str) -> Measured {
    let (cipher, plain) = (scratch.dir("cipher"), scratch.dir("plain"));
    Program::Gocryptfs.init(scratch, &cipher, &Format::default());
    let server = Program::Gocryptfs.mount(scratch, &cipher, &plain, &["-acl"]);
    let measured = measure(Command::new("sh").args(["-ec", work, "sh"]).arg(tree).arg(&plain));
    server.unmount();
    fs::remove_dir_all(&cipher).expect("the ciphertext can be removed");
    measured
}
