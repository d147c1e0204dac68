//! The whole product from the command line: backups made, lost, restored and compared; what is refused; what is written
//! down of it.

mod chains;
mod databases;
mod disaster;
mod hooks;
mod interrupted;
mod migrate;
mod migrate_back;
mod migrate_end;
mod newcomer;
mod partial;
mod records;
mod refusals;
mod settings;
mod terminal;
mod vaults;
mod whole;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use strongroom_tests::{
    Captured, Format, Program, Random, Scratch, capture, differences, grow, output_of, without_terminal,
};

/// Exit codes that are promised.
mod code {
    pub const USAGE: i32 = 2;
    pub const WRONG_SECRET: i32 = 3;
    pub const BAD_CONFIG: i32 = 5;
    pub const IN_USE: i32 = 7;
    pub const NO_SECRET: i32 = 8;
    pub const DAMAGED: i32 = 11;
    pub const BUSY: i32 = 13;
    pub const INCOMPLETE: i32 = 14;
    pub const NO_ARCHIVE: i32 = 15;
    pub const NEEDED: i32 = 16;
    pub const MISSING_BASE: i32 = 17;
    pub const REFUSED: i32 = 18;
    pub const NOT_MIGRATED: i32 = 19;
    pub const NEEDS_OPERATOR: i32 = 20;
    pub const WENT_BACK: i32 = 21;
    pub const NO_MIGRATION: i32 = 23;
}

/// Data, a place for backups, and a user of his own with no terminal.
struct Flow {
    scratch: Scratch,
    source: PathBuf,
    place: PathBuf,
}

impl Flow {
    /// With nothing to back up yet.
    fn new() -> Self {
        Self::under(&std::env::temp_dir())
    }

    /// With nothing to back up yet, below `parent`.
    fn under(parent: &Path) -> Self {
        let scratch = Scratch::under(parent);
        scratch.dir("home");
        Self { source: scratch.dir("data"), place: scratch.dir("place"), scratch }
    }

    /// With a few files of all sorts.
    fn with_files() -> Self {
        let flow = Self::new();
        let mut random = Random::seeded(7);
        for (name, len) in [("a", 10), ("b", 100_000), ("empty", 0)] {
            flow.write(name, &random.bytes(len));
        }
        fs::create_dir(flow.source.join("sub")).unwrap();
        flow.write("sub/c", b"in a directory");
        std::os::unix::fs::symlink("sub/c", flow.source.join("link")).unwrap();
        fs::hard_link(flow.source.join("a"), flow.source.join("sub/twin of a")).unwrap();
        flow
    }

    /// With everything that a file system can hold, but what no archive keeps: sockets.
    fn with_everything() -> Self {
        let flow = Self::new();
        grow(&flow.source, &Format::default(), &mut Random::seeded(11));
        fs::remove_file(flow.source.join("odd/socket")).unwrap();
        strongroom_tests::settle_times(&flow.source);
        flow
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.source.join(name), content).unwrap();
    }

    /// `strongroom ARGUMENTS`
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Program::Strongroom.command();
        command.args(arguments).stdin(Stdio::null());
        command.env("HOME", self.scratch.path("home")).env("TZ", "Europe/Vienna");
        for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "CREDENTIALS_DIRECTORY"] {
            command.env_remove(variable);
        }
        command.env("STRONGROOM_AUDIT_ENABLED", "true").env("STRONGROOM_AUDIT_DIR", self.scratch.path("audit"));
        without_terminal(&mut command);
        command
    }

    /// `strongroom backup VERB` with the passphrase and the place, as JSON.
    fn backup(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(&["--json", "backup", verb]);
        if !["list", "delete", "cleanup", "lock", "unlock"].contains(&verb) {
            command.arg("--passphrase-file").arg(self.scratch.passphrase_file());
        }
        if verb == "list" {
            command.arg(&self.place);
        } else {
            command.arg("--place").arg(&self.place);
        }
        command.args(arguments);
        command
    }

    /// Makes a backup of the source and gives its path.
    #[track_caller]
    fn create(&self, arguments: &[&str]) -> PathBuf {
        self.create_of(&self.source, arguments)
    }

    #[track_caller]
    fn create_of(&self, source: &Path, arguments: &[&str]) -> PathBuf {
        let mut command = self.backup("create", arguments);
        PathBuf::from(ok(command.arg(source))["path"].as_str().unwrap())
    }

    /// Restores `archive` to where it came from, whatever is there.
    #[track_caller]
    fn restore(&self, archive: &Path, arguments: &[&str]) -> Value {
        ok(self.backup("restore", arguments).arg(archive))
    }

    /// Loses all data.
    fn wipe(&self) {
        empty(&self.source);
    }

    /// The archives that are listed, the oldest first.
    #[track_caller]
    fn archives(&self) -> Vec<Value> {
        ok(&mut self.backup("list", &[]))["archives"].as_array().unwrap().clone()
    }

    /// The archives' file names in the place.
    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.ends_with(".state")).collect();
        names.sort();
        names
    }
}

/// A flow, and beside it the cipher directory of a vault to be mounted at its source.
fn in_a_vault() -> (Flow, PathBuf) {
    let flow = Flow::new();
    let cipher_dir = flow.scratch.dir("cipher");
    Program::Strongroom.init(&flow.scratch, &cipher_dir, &Format::default());
    (flow, cipher_dir)
}

/// The same command as user and group `id` and nobody else, who has his home and passphrase here.
fn as_user(flow: &Flow, id: u32, own: &Command) -> Command {
    for path in ["place", "home", "passphrase"] {
        std::os::unix::fs::chown(flow.scratch.path(path), Some(id), Some(id)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={id}"), format!("--regid={id}"), "--clear-groups".to_owned()]);
    command.arg(own.get_program()).args(own.get_args()).stdin(Stdio::null());
    for (name, value) in own.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    command.env("STRONGROOM_AUDIT_DIR", flow.scratch.path("home/audit"));
    command
}

/// Removes what is in a directory, and not the directory.
fn empty(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.symlink_metadata().unwrap().is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
}

/// Runs a command that has to succeed, and gives what it says in JSON.
#[track_caller]
fn ok(command: &mut Command) -> Value {
    let output = output_of(command);
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, words(&output));
    json(&output)
}

/// Runs a command that has to end with `code`, and gives what it says in JSON.
#[track_caller]
fn ends(command: &mut Command, code: i32) -> Value {
    let output = output_of(command);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {}", words(&output));
    json(&output)
}

#[track_caller]
fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", words(output)))
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Insists that two trees are the same in all that a user can see.
#[track_caller]
fn is_same(before: &Captured, root: &Path) {
    let differences = differences(before, &capture(root));
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
