//! Options of `mount` for the encrypted view of a plaintext directory, as long options and in `-o` lists.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use clap::{Args, ValueHint};
use strongroom_actions::Exclude;

/// The options as they were given.
#[derive(Args)]
pub struct ReverseArgs {
    /// Show CIPHERDIR, which holds plaintext, encrypted: a vault to be copied elsewhere, read-only
    #[arg(long)]
    reverse: bool,
    /// With --reverse: leave out what is at PATH below CIPHERDIR, and what is below that
    #[arg(long, value_name = "PATH", requires = "reverse")]
    exclude: Vec<OsString>,
    /// With --reverse: leave out what a pattern takes, as in .gitignore; with "!" in front, bring it back
    #[arg(long, value_name = "PATTERN", requires = "reverse")]
    exclude_wildcard: Vec<OsString>,
    /// With --reverse: leave out what the patterns in FILE take, one a line
    #[arg(long, value_name = "FILE", requires = "reverse", value_hint = ValueHint::FilePath)]
    exclude_from: Vec<PathBuf>,
    /// With --reverse: show directories on other file systems without what is in them
    #[arg(long, requires = "reverse")]
    one_file_system: bool,
}

/// What is wanted of a view.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reverse {
    pub is_wanted: bool,
    pub paths: Vec<OsString>,
    pub patterns: Vec<OsString>,
    pub files: Vec<PathBuf>,
    pub one_file_system: bool,
}

impl Reverse {
    /// Takes an option of an `-o` list, if it is one of these.
    pub fn takes(&mut self, name: &str, value: Option<&OsStr>) -> bool {
        match (name, value.filter(|value| !value.is_empty())) {
            ("reverse", None) => self.is_wanted = true,
            ("one_file_system", None) => self.one_file_system = true,
            ("exclude", Some(path)) => self.paths.push(path.to_owned()),
            ("exclude_wildcard", Some(pattern)) => self.patterns.push(pattern.to_owned()),
            ("exclude_from", Some(file)) => self.files.push(file.into()),
            _ => return false,
        }
        true
    }

    /// Adds the long options.
    pub fn add(&mut self, args: &ReverseArgs) {
        self.is_wanted |= args.reverse;
        self.one_file_system |= args.one_file_system;
        self.paths.extend_from_slice(&args.exclude);
        self.patterns.extend_from_slice(&args.exclude_wildcard);
        self.files.extend_from_slice(&args.exclude_from);
    }

    /// Whether something is wanted that only a view can have.
    pub fn is_needed(&self) -> bool {
        *self != Reverse::default()
    }

    /// What is left out. A pattern that means nothing is a mistake.
    pub fn exclude(&self) -> Exclude {
        Exclude {
            paths: self.paths.clone(),
            patterns: self.patterns.clone(),
            files: self.files.clone(),
            forgiving: false,
        }
    }
}
