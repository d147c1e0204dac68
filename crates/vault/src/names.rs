//! Making, renaming and removing names.
//!
//! A hashed (long) name is two files: the `.name` file goes first when a name is made and last when it is removed, so that
//! a crash leaves at worst a `.name` without object, which nobody sees and the next use of the name takes over. A
//! directory is made before its IV; a crash in between leaves an empty directory without IV, which is given a new one.

use std::sync::Arc;

use rustix::io::Errno;
use strongroom_format::{DirIv, StoredName};

use crate::attr::{Attr, Creation, Kind, NodeId};
use crate::backing::{Backing, RenameMode, Stat, Target};
use crate::directory::{DIR_IV_NAME, DirHandle, Names};
use crate::error::{Result, VaultError};
use crate::node::{Node, Reach};
use crate::vault::Vault;

const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// A name about to be made or removed: nobody else changes names in its directory meanwhile.
struct Slot<'a, B: Backing> {
    parent: &'a Arc<Node<B>>,
    name: &'a [u8],
    handle: Arc<DirHandle<B>>,
    stored: StoredName,
}

impl<B: Backing> Slot<'_, B> {
    fn target(&self) -> Target<'_, B> {
        Target::Entry(&self.handle.dir, self.stored.disk())
    }
}

impl<B: Backing> Vault<B> {
    /// Makes a regular file, and counts one lookup of it.
    pub fn create(&self, parent: NodeId, name: &[u8], creation: &Creation) -> Result<Attr> {
        self.make(parent, name, |slot| {
            let permissions = self.permissions(slot, creation);
            let file = self.backing.create(&slot.handle.dir, slot.stored.disk(), permissions, creation.owner)?;
            let stat = self.backing.stat(Target::File(&file))?;
            let node = self.nodes.intern_new(&stat, slot.parent, slot.name);
            self.keep_new_file(&node, file, permissions);
            Ok((node, stat))
        })
    }

    /// Makes a directory, and counts one lookup of it.
    pub fn make_dir(&self, parent: NodeId, name: &[u8], creation: &Creation) -> Result<Attr> {
        self.make(parent, name, |slot| {
            let permissions = self.permissions(slot, creation);
            if !self.ciphers.names.uses_dir_iv() {
                self.backing.make_dir(&slot.handle.dir, slot.stored.disk(), permissions, creation.owner)?;
                return self.interned(slot);
            }
            let _alone = self.making_dirs.write();
            self.backing.make_dir(&slot.handle.dir, slot.stored.disk(), permissions | 0o700, creation.owner)?;
            let made = self.furnish_dir(slot, permissions);
            if made.is_err() {
                let _ = self.backing.remove_dir(&slot.handle.dir, slot.stored.disk());
            }
            made
        })
    }

    /// Gives a new directory its IV, and the permissions it is to have in the end.
    fn furnish_dir(&self, slot: &Slot<'_, B>, permissions: u32) -> Result<(Arc<Node<B>>, Stat)> {
        let dir = self.backing.open_dir(&slot.handle.dir, slot.stored.disk())?;
        let iv = DirIv::generate(&*self.random);
        let finish = || {
            self.backing.write_small(&dir, DIR_IV_NAME, iv.as_bytes(), false)?;
            if permissions & 0o700 != 0o700 {
                let inherited = self.backing.stat(Target::Dir(&dir))?.mode & 0o2000;
                self.backing.set_permissions(Target::Dir(&dir), permissions | inherited)?;
            }
            self.backing.stat(Target::Dir(&dir))
        };
        let stat = finish().inspect_err(|_| {
            let _ = self.backing.unlink(&dir, DIR_IV_NAME);
        })?;
        let node = self.nodes.intern_new(&stat, slot.parent, slot.name);
        self.unsynced.add_iv(node.id);
        self.keep_new_dir(&node, dir, iv);
        Ok((node, stat))
    }

    /// Makes a fifo, a socket, a device node or an empty regular file, and counts one lookup of it.
    pub fn make_node(&self, parent: NodeId, name: &[u8], kind: Kind, device: u64, creation: &Creation) -> Result<Attr> {
        self.make(parent, name, |slot| {
            let mode = kind.mode_bits() | self.permissions(slot, creation);
            self.backing.make_node(&slot.handle.dir, slot.stored.disk(), mode, device, creation.owner)?;
            self.interned(slot)
        })
    }

    /// Makes a symbolic link, and counts one lookup of it.
    pub fn make_symlink(&self, parent: NodeId, name: &[u8], target: &[u8], creation: &Creation) -> Result<Attr> {
        self.make(parent, name, |slot| {
            let stored = self.ciphers.content.seal_symlink(target, &*self.random);
            self.backing.make_symlink(&slot.handle.dir, slot.stored.disk(), &stored, creation.owner)?;
            self.interned(slot)
        })
    }

    /// Gives a file another name, and counts one lookup of it.
    pub fn link(&self, node: NodeId, new_parent: NodeId, new_name: &[u8]) -> Result<Attr> {
        let node = self.node(node)?;
        self.make(new_parent, new_name, |slot| {
            let (dir, name) = (&slot.handle.dir, slot.stored.disk());
            node.reaching(|reach| match reach {
                Reach::Root => Err(VaultError::IsADirectory),
                Reach::Nowhere => Err(VaultError::NotFound),
                Reach::Kept(kept) => Ok(self.backing.link(kept.target(), dir, name)?),
                Reach::Link(link) => {
                    let parent = self.dir_handle(&link.parent)?;
                    let stored = self.stored_name(&link.parent, &parent, &link.name)?;
                    Ok(self.backing.link(Target::Entry(&parent.dir, stored.disk()), dir, name)?)
                }
            })?;
            node.add_link(slot.parent, slot.name);
            self.nodes.count(&node);
            Ok((node.clone(), self.backing.stat(slot.target())?))
        })
    }

    /// What making any kind of file has in common.
    fn make(
        &self,
        parent: NodeId,
        name: &[u8],
        make: impl FnOnce(&Slot<'_, B>) -> Result<(Arc<Node<B>>, Stat)>,
    ) -> Result<Attr> {
        self.writable()?;
        let parent = self.node(parent)?;
        let _names = self.lock_names(&parent)?;
        let slot = self.slot(&parent, name)?;
        let made_name = self.write_long_name(&parent, &slot.handle, &slot.stored)?;
        match make(&slot) {
            Ok((node, stat)) => {
                if self.unsynced.is_crowded() {
                    self.sync_all()?;
                }
                Ok(self.to_attr(&node, &stat, slot.target()))
            }
            Err(error) => {
                // If the object exists, it was the .name file that a crash had lost.
                if made_name && !matches!(error, VaultError::Exists) {
                    self.remove_long_name(&slot.handle, &slot.stored);
                }
                Err(error)
            }
        }
    }

    fn slot<'a>(&self, parent: &'a Arc<Node<B>>, name: &'a [u8]) -> Result<Slot<'a, B>> {
        let handle = self.dir_handle(parent)?;
        let stored = self.stored_name(parent, &handle, name)?;
        Ok(Slot { parent, name, handle, stored })
    }

    fn interned(&self, slot: &Slot<'_, B>) -> Result<(Arc<Node<B>>, Stat)> {
        let stat = self.backing.stat(slot.target())?;
        Ok((self.nodes.intern_new(&stat, slot.parent, slot.name), stat))
    }

    /// The permissions a new file gets: a default ACL takes the place of the umask.
    fn permissions(&self, slot: &Slot<'_, B>, creation: &Creation) -> u32 {
        let has_default_acl = || self.backing.xattr(Target::Dir(&slot.handle.dir), DEFAULT_ACL).is_ok();
        if creation.umask == 0 || (self.options.acl && has_default_acl()) {
            creation.permissions
        } else {
            creation.permissions & !creation.umask
        }
    }

    /// Removes a name that is no directory's.
    pub fn unlink(&self, parent: NodeId, name: &[u8]) -> Result<()> {
        self.writable()?;
        let parent = self.node(parent)?;
        let _names = self.lock_names(&parent)?;
        let slot = self.slot(&parent, name)?;
        let node = self.known_at(&slot)?;
        self.hold_slot(&slot, node.as_ref());
        let _moving = node.as_ref().map(|node| node.begin_move());
        self.backing.unlink(&slot.handle.dir, slot.stored.disk())?;
        if let Some(node) = &node {
            node.remove_link(&parent, name);
        }
        self.remove_long_name(&slot.handle, &slot.stored);
        Ok(())
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, parent: NodeId, name: &[u8]) -> Result<()> {
        self.writable()?;
        let parent = self.node(parent)?;
        let _moving = self.moving.lock();
        let _names = self.lock_names(&parent)?;
        let slot = self.slot(&parent, name)?;
        let (victim, _) = self.looked_up(&slot)?;
        let removed = self.remove_looked_up(&slot, &victim);
        self.nodes.forget(victim.id, 1);
        removed
    }

    fn remove_looked_up(&self, slot: &Slot<'_, B>, victim: &Arc<Node<B>>) -> Result<()> {
        let _victim_names = self.lock_names(victim)?;
        self.hold_slot(slot, Some(victim));
        self.replace_empty(victim, || self.backing.remove_dir(&slot.handle.dir, slot.stored.disk()))?;
        victim.remove_link(slot.parent, slot.name);
        self.remove_long_name(&slot.handle, &slot.stored);
        Ok(())
    }

    /// Clears an empty directory of the format's own files and does away with it by `remove`. If that fails, the
    /// directory gets its IV back.
    fn replace_empty(
        &self,
        victim: &Arc<Node<B>>,
        remove: impl FnOnce() -> std::result::Result<(), Errno>,
    ) -> Result<()> {
        if self.ciphers.names.is_plaintext() {
            remove()?;
            return Ok(());
        }
        let handle = self.dir_handle(victim)?;
        // Whoever finds the directory without its IV waits here, and does not give it another one.
        let _alone = self.making_dirs.write();
        for leftover in self.leftovers(&handle)? {
            self.backing.unlink(&handle.dir, &leftover)?;
        }
        if let Err(errno) = remove() {
            if self.ciphers.names.uses_dir_iv() {
                let _ = self.backing.write_small(&handle.dir, DIR_IV_NAME, handle.iv.as_bytes(), false);
                self.unsynced.add_iv(victim.id);
            }
            return Err(errno.into());
        }
        self.drop_dir(victim);
        self.unsynced.drop_dir(victim.id);
        Ok(())
    }

    /// The node of what has this name, if anybody knows it.
    fn known_at(&self, slot: &Slot<'_, B>) -> Result<Option<Arc<Node<B>>>> {
        let stat = self.backing.stat(slot.target())?;
        Ok(self.nodes.get(self.nodes.id_of(stat.dev, stat.ino)))
    }

    /// The node of what has this name, with one lookup counted.
    fn looked_up(&self, slot: &Slot<'_, B>) -> Result<(Arc<Node<B>>, Stat)> {
        let stat = self.backing.stat(slot.target())?;
        Ok((self.nodes.intern(&stat, slot.parent, slot.name), stat))
    }

    /// Programs may have a file open whose last name goes.
    fn hold_slot(&self, slot: &Slot<'_, B>, node: Option<&Arc<Node<B>>>) {
        if let Some(node) = node {
            self.hold_if_last(node, slot.parent, slot.name, &slot.handle.dir, slot.stored.disk());
        }
    }

    /// Renames.
    pub fn rename(
        &self,
        parent: NodeId,
        name: &[u8],
        new_parent: NodeId,
        new_name: &[u8],
        mode: RenameMode,
    ) -> Result<()> {
        self.writable()?;
        let (parent, new_parent) = (self.node(parent)?, self.node(new_parent)?);
        let _moving = self.moving.lock();
        let _names = self.lock_both(&parent, &new_parent)?;
        let from = self.slot(&parent, name)?;
        let to = self.slot(&new_parent, new_name)?;
        let (node, stat) = self.looked_up(&from)?;
        let renamed = self.rename_looked_up(&from, &to, &node, &stat, mode);
        self.nodes.forget(node.id, 1);
        renamed
    }

    fn lock_both<'n>(&self, one: &'n Arc<Node<B>>, other: &'n Arc<Node<B>>) -> Result<(Names<'n>, Option<Names<'n>>)> {
        if Arc::ptr_eq(one, other) {
            return Ok((self.lock_names(one)?, None));
        }
        // Always in the same order, lest two renames wait for each other.
        let (first, second) = if one.id < other.id { (one, other) } else { (other, one) };
        Ok((self.lock_names(first)?, Some(self.lock_names(second)?)))
    }

    fn rename_looked_up(
        &self,
        from: &Slot<'_, B>,
        to: &Slot<'_, B>,
        node: &Arc<Node<B>>,
        stat: &Stat,
        mode: RenameMode,
    ) -> Result<()> {
        let replaced = match self.looked_up(to) {
            Ok((_, there))
                if (there.dev, there.ino) == (stat.dev, stat.ino)
                    && !matches!(mode, RenameMode::NoReplace | RenameMode::NoReplaceWhiteout) =>
            {
                self.nodes.forget(node.id, 1);
                return Ok(()); // two names of one file: nothing happens, says POSIX
            }
            Ok((replaced, _)) => Some(replaced),
            Err(VaultError::NotFound) => None,
            Err(error) => return Err(error),
        };
        let renamed = self.rename_over(from, to, node, replaced.as_ref(), mode);
        if let Some(replaced) = &replaced {
            self.nodes.forget(replaced.id, 1);
        }
        renamed
    }

    fn rename_over(
        &self,
        from: &Slot<'_, B>,
        to: &Slot<'_, B>,
        node: &Arc<Node<B>>,
        replaced: Option<&Arc<Node<B>>>,
        mode: RenameMode,
    ) -> Result<()> {
        let made_name = match mode {
            RenameMode::Exchange => false,
            _ => self.write_long_name(to.parent, &to.handle, &to.stored)?,
        };
        if mode != RenameMode::Exchange {
            self.hold_slot(to, replaced);
        }
        let _moving = (node.begin_move(), replaced.map(|replaced| replaced.begin_move()));
        let rename =
            || self.backing.rename(&from.handle.dir, from.stored.disk(), &to.handle.dir, to.stored.disk(), mode);
        let renamed = match (rename(), replaced) {
            (Err(Errno::NOTEMPTY | Errno::EXIST), Some(victim))
                if matches!(mode, RenameMode::Replace | RenameMode::Whiteout)
                    && victim.dir().is_some()
                    && node.dir().is_some()
                    // The directory that the renamed one is in is not empty, and its names are locked.
                    && !Arc::ptr_eq(victim, from.parent) =>
            {
                // An empty directory is not empty on the disk: its IV is in it.
                self.lock_names(victim).and_then(|_names| self.replace_empty(victim, rename))
            }
            (renamed, _) => renamed.map_err(VaultError::from),
        };
        if let Err(error) = renamed {
            if made_name && replaced.is_none() {
                self.remove_long_name(&to.handle, &to.stored);
            }
            return Err(error);
        }
        node.add_link(to.parent, to.name);
        node.remove_link(from.parent, from.name);
        if let Some(replaced) = replaced {
            if mode == RenameMode::Exchange {
                replaced.add_link(from.parent, from.name);
            }
            replaced.remove_link(to.parent, to.name);
        }
        if matches!(mode, RenameMode::Replace | RenameMode::NoReplace) {
            self.remove_long_name(&from.handle, &from.stored);
        }
        Ok(())
    }
}
