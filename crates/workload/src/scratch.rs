//! Where a copy lies until it is in the archive: in files that have no name.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use crate::WorkloadError;

/// Makes files without names in one directory, or in memory if nothing can be made there.
#[derive(Clone, Debug)]
pub struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// Files within `dir`. To keep plaintext within an encrypted mount, that has to be a directory of the mount.
    pub fn within(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// An empty file for `need` bytes.
    pub fn file(&self, need: u64) -> Result<File, WorkloadError> {
        let _ = (need, &self.dir);
        todo!()
    }
}
