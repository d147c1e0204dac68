//! A vault as a tree that follows another.

use std::io;

use strongroom_tree::{Entry, RelPath, Replica, TreeError};

use super::{VaultTree, io_error};
use crate::backing::Backing;

impl<B: Backing> Replica for VaultTree<B> {
    fn remove(&self, path: &RelPath) -> Result<(), TreeError> {
        Err(TreeError::on("removing", path)(io::Error::from(io::ErrorKind::Unsupported)))
    }

    fn dress(&self, entry: &Entry) -> Result<(), TreeError> {
        Err(TreeError::on("dressing", &entry.path)(io::Error::from(io::ErrorKind::Unsupported)))
    }

    fn sync(&self) -> Result<(), TreeError> {
        self.vault.sync_all().map_err(io_error).map_err(TreeError::on("writing to disk", &RelPath::root()))
    }
}
