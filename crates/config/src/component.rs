//! A named part of what is backed up.

use std::path::{Path, PathBuf};

use crate::{
    ConfigError,
    choice::Choice,
    section::{Named, Visitor},
    value::{Below, OwnName},
};

/// A named part of what is backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// What it is called on the command line, and in the archive.
    pub name: String,
    /// What it is.
    pub kind: ComponentKind,
    /// Where it is, within the source.
    pub path: String,
    /// Files that belong to it and are useless without it, and it without them: one that begins with `.` or `-` is what is
    /// appended to the name of the database, another is a path within the source.
    pub sidecars: Vec<String>,
    /// Whether a backup has it if nobody says otherwise.
    pub default: bool,
}

/// What a component is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ComponentKind {
    /// An SQLite or libSQL database, encrypted or not.
    Sqlite,
    /// A directory, or a single file.
    #[default]
    Directory,
    /// Configuration: a file, or a directory of such, restored by `--config-only`.
    Config,
}

impl Choice for ComponentKind {
    const ALL: &'static [(&'static str, Self)] =
        &[("sqlite", Self::Sqlite), ("directory", Self::Directory), ("config", Self::Config)];
}

impl ComponentKind {
    /// The word that stands for it.
    pub fn word(self) -> &'static str {
        Choice::word(self)
    }
}

impl Component {
    /// Where the sidecars are, within the source.
    pub fn sidecar_paths(&self) -> Vec<PathBuf> {
        let beside = |sidecar: &String| match sidecar.starts_with(['.', '-']) {
            true => PathBuf::from(format!("{}{sidecar}", self.path)),
            false => Path::new(sidecar).to_owned(),
        };
        self.sidecars.iter().map(beside).collect()
    }
}

impl Default for Component {
    fn default() -> Self {
        let (name, path) = (String::new(), String::new());
        Self { name, kind: ComponentKind::default(), path, sidecars: Vec::new(), default: true }
    }
}

impl Named for Component {
    const KEY: &'static str = "component";

    fn name(&self) -> &str {
        &self.name
    }

    fn lacks(&self) -> Option<&'static str> {
        [("name", &self.name), ("path", &self.path)].into_iter().find(|(_, it)| it.is_empty()).map(|(key, _)| key)
    }

    fn settings(&mut self, visitor: &mut impl Visitor) -> Result<(), ConfigError> {
        let (mut name, mut path) = (written(&self.name), written(&self.path));
        visitor.as_other("name", &mut name, OwnName, |name| name.0)?;
        visitor.setting("kind", &mut self.kind)?;
        visitor.as_other("path", &mut path, Below, |path| path.0)?;
        let mut sidecars = Some(std::mem::take(&mut self.sidecars));
        let below = |sidecars: Vec<String>| sidecars.into_iter().map(Below).collect::<Vec<_>>();
        visitor.as_other("sidecars", &mut sidecars, below, |all| all.into_iter().map(|each| each.0).collect())?;
        visitor.setting("default", &mut self.default)?;
        (self.name, self.path) = (name.unwrap_or_default(), path.unwrap_or_default());
        self.sidecars = sidecars.unwrap_or_default();
        Ok(())
    }
}

fn written(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
