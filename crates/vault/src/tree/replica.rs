//! A vault as a tree that follows another.

use std::io;

use strongroom_tree::{Entry, RelPath, Replica, TreeError};

use super::{Held, VaultTree, io_error};
use crate::attr::{Kind, NodeId};
use crate::backing::Backing;
use crate::error::VaultError;

impl<B: Backing> Replica for VaultTree<B> {
    fn remove(&self, path: &RelPath) -> Result<(), TreeError> {
        let removed = self.remove_at(path);
        self.forget_within(path);
        match removed {
            Err(VaultError::NotFound | VaultError::NotADirectory) => Ok(()),
            removed => removed.map_err(io_error).map_err(TreeError::on("removing", path)),
        }
    }

    fn dress(&self, entry: &Entry) -> Result<(), TreeError> {
        self.dress_anew(entry).map_err(TreeError::on("dressing", &entry.path))
    }

    fn sync(&self) -> Result<(), TreeError> {
        self.vault.sync_all().map_err(io_error).map_err(TreeError::on("writing to disk", &RelPath::root()))
    }
}

impl<B: Backing> VaultTree<B> {
    fn remove_at(&self, path: &RelPath) -> Result<(), VaultError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            let root = self.vault.open_dir(NodeId::ROOT)?;
            return root.entries().iter().try_for_each(|entry| self.remove_below(NodeId::ROOT, &entry.name));
        };
        let dir = self.dir(&parent)?;
        self.remove_below(dir.held.node, name)
    }

    /// Removes an entry and all that is in it. Not by recursion: a tree may be deeper than the stack.
    pub(super) fn remove_below(&self, dir: NodeId, name: &[u8]) -> Result<(), VaultError> {
        let mut stack: Vec<Emptying<B>> = Vec::new();
        stack.extend(self.remove_or_enter(dir, name)?);
        while let Some(top) = stack.last_mut() {
            match top.names.pop() {
                Some(name) => {
                    let dir = top.held.node;
                    stack.extend(self.remove_or_enter(dir, &name)?);
                }
                None => {
                    let emptied = stack.pop().expect("it was just looked at");
                    let parent = stack.last().map_or(dir, |above| above.held.node);
                    self.vault.remove_dir(parent, &emptied.name)?;
                }
            }
        }
        Ok(())
    }

    /// Removes an entry, unless it is a directory, which has to be emptied first.
    fn remove_or_enter(&self, dir: NodeId, name: &[u8]) -> Result<Option<Emptying<B>>, VaultError> {
        let (held, attr) = self.child(dir, name)?;
        if attr.kind != Kind::Directory {
            return self.vault.unlink(dir, name).map(|()| None);
        }
        let listed = self.vault.open_dir(held.node)?;
        let names = listed.entries().iter().map(|entry| entry.name.clone()).collect();
        Ok(Some(Emptying { held, name: name.to_vec(), names }))
    }

    fn dress_anew(&self, entry: &Entry) -> io::Result<()> {
        let (Some(parent), Some(name)) = (entry.path.parent(), entry.path.name()) else {
            return self.dress_figure(NodeId::ROOT, entry);
        };
        let dir = self.dir(&parent).map_err(io_error)?;
        let (held, _) = self.child(dir.held.node, name).map_err(io_error)?;
        self.dress_figure(held.node, entry)
    }

    fn dress_figure(&self, node: NodeId, entry: &Entry) -> io::Result<()> {
        if entry.is_dir() {
            self.unsealed.lock().remove(&entry.path);
            // What is made in it inherits something else from now on.
            self.recent.lock().retain(|(path, _)| *path != entry.path);
        }
        self.strip(node, &entry.meta, |_| true)?;
        self.dress_node(node, entry)
    }
}

/// A directory that is about to be removed.
struct Emptying<B: Backing> {
    held: Held<B>,
    name: Vec<u8>,
    /// What is still in it.
    names: Vec<Vec<u8>>,
}
