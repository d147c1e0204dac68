//! The source of a backup, opened.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use strongroom_tree::{Filter, LocalTree, RelPath, Source};
use strongroom_workload::Scratch;

use super::{Create, Databases, Origin, capture::Captures};
use crate::{BackupError, restore::STAGING_WITHIN};

/// The source of a backup, opened.
pub(crate) struct Opened<'a> {
    /// Where it is, as a restore will need it.
    pub path: PathBuf,
    tree: Tree<'a>,
    captures: Option<Captures>,
    /// What it is called in the metadata.
    pub kind: &'a str,
}

enum Tree<'a> {
    Own(LocalTree),
    Given(&'a dyn Source),
}

impl<'a> Opened<'a> {
    /// Opens the source of `create`.
    pub(crate) fn open(create: &Create<'a>) -> Result<Self, BackupError> {
        match &create.origin {
            Origin::Directory(path) => {
                let path = path.canonicalize().map_err(BackupError::on("opening", path))?;
                let tree = LocalTree::open_with(&path, create.live.crossing).map_err(BackupError::tree(&path))?;
                // Only of a mounted vault there are keys.
                let kind = if create.keys.is_some() { "mounted-vault" } else { "directory" };
                let captures = (create.live.databases != Databases::Off).then(|| Captures::of(&path, &create.live));
                Ok(Self { captures, tree: Tree::Own(tree), path, kind })
            }
            Origin::Tree { source, path, kind, is_quiet: true } => {
                Ok(Self { path: path.clone(), tree: Tree::Given(*source), captures: None, kind })
            }
            Origin::Tree { path, is_quiet: false, .. } => Err(BackupError::Refused {
                target: path.clone(),
                why: "others can write to it, and its databases cannot be captured".into(),
            }),
        }
    }

    /// What is walked and read.
    pub(crate) fn tree(&self) -> &dyn Source {
        match &self.tree {
            Tree::Own(tree) => tree,
            Tree::Given(source) => *source,
        }
    }

    /// What is mounted below it and was met, and not entered.
    pub(crate) fn passed_by(&self) -> Vec<RelPath> {
        match &self.tree {
            Tree::Own(tree) => tree.mount_points(),
            Tree::Given(_) => Vec::new(),
        }
    }

    /// Where databases are captured, unless nobody can write to them.
    pub(crate) fn captures(&self) -> Option<&Captures> {
        self.captures.as_ref()
    }

    /// What was asked for, but for archives within the source and what restores of it have in progress.
    pub(crate) fn filter(&self, create: &Create<'_>) -> Result<Filter, BackupError> {
        let filter = create.filter.clone();
        if let Tree::Given(_) = self.tree {
            return Ok(filter);
        }
        let place = create.place.canonicalize().map_err(BackupError::on("opening", &create.place))?;
        let inside = place.strip_prefix(&self.path).ok().and_then(relative).filter(|place| !place.is_root());
        if place == self.path {
            let why = "the archive would be written into the directory that it is made of".into();
            return Err(BackupError::Refused { target: place, why });
        }
        Ok(filter.without(inside.into_iter().chain(self.ours()?)))
    }

    /// At the top of the source: staging of restores, and what killed captures have left.
    fn ours(&self) -> Result<Vec<RelPath>, BackupError> {
        let failed = || BackupError::on("listing", &self.path);
        let mut found = Vec::new();
        for entry in self.path.read_dir().map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            if name.as_bytes().starts_with(STAGING_WITHIN.as_bytes()) || Scratch::is_leftover(&name) {
                found.extend(RelPath::parse(name.as_bytes()).ok());
            }
        }
        Ok(found)
    }
}

fn relative(path: &Path) -> Option<RelPath> {
    RelPath::parse(path.as_os_str().as_bytes()).ok()
}
