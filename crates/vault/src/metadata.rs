//! Attributes, symbolic link targets and extended attributes.

use std::sync::Arc;

use rustix::io::Errno;

use crate::attr::{Attr, Kind, NodeId, SetAttr};
use crate::backing::{Backing, Target, XattrMode};
use crate::error::{Result, VaultError};
use crate::node::Node;
use crate::vault::Vault;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o010;

impl<B: Backing> Vault<B> {
    /// stat(2).
    pub fn attr(&self, node: NodeId) -> Result<Attr> {
        self.attr_of(&self.node(node)?)
    }

    fn attr_of(&self, node: &Arc<Node<B>>) -> Result<Attr> {
        self.with_target(node, |target| {
            let stat = self.backing.stat(target)?;
            if !node.is_at(&stat) {
                return Err(VaultError::NotFound);
            }
            Ok(self.to_attr(node, &stat, target))
        })
    }

    /// Changes attributes, and tells what they are then. The owner goes before the permissions, because chown(2) takes
    /// setuid away, and the times come last, because everything else changes them.
    pub fn set_attr(&self, node: NodeId, set: &SetAttr) -> Result<Attr> {
        self.writable()?;
        let node = self.node(node)?;
        if let Some(size) = set.size {
            if node.kind == Kind::Directory {
                return Err(VaultError::IsADirectory);
            }
            self.resize(&node, size)?;
        }
        self.with_own_target(&node, |target| {
            if set.uid.is_some() || set.gid.is_some() {
                self.backing.set_owner(target, set.uid, set.gid)?;
            }
            if let Some(permissions) = self.permissions_to_set(set, target)? {
                self.backing.set_permissions(target, permissions)?;
                if let Some(file) = node.file() {
                    file.permissions_changed(permissions);
                }
            }
            if set.atime.is_some() || set.mtime.is_some() {
                self.set_times(&node, target, set)?;
            }
            let stat = self.backing.stat(target)?;
            Ok(self.to_attr(&node, &stat, target))
        })
    }

    fn permissions_to_set(&self, set: &SetAttr, target: Target<'_, B>) -> Result<Option<u32>> {
        if !set.clear_setid {
            return Ok(set.permissions);
        }
        let before = match set.permissions {
            Some(permissions) => permissions,
            None => self.backing.stat(target)?.mode & 0o7777,
        };
        let mut after = before & !SETUID;
        if after & GROUP_EXECUTE != 0 {
            after &= !SETGID;
        }
        Ok((after != before || set.permissions.is_some()).then_some(after))
    }

    /// Where a symbolic link points to.
    pub fn read_link(&self, node: NodeId) -> Result<Vec<u8>> {
        let node = self.node(node)?;
        if node.kind != Kind::Symlink {
            return Err(VaultError::InvalidArgument);
        }
        let stored = self.with_own_target(&node, |target| Ok(self.backing.read_link(target)?))?;
        let opened = self.ciphers.content.open_symlink(&stored);
        opened.map_err(|error| self.corrupt(&node, format!("the link's target does not authenticate: {error}")))
    }

    /// The value of an extended attribute.
    pub fn xattr(&self, node: NodeId, name: &[u8]) -> Result<Vec<u8>> {
        if !self.options.xattrs {
            return Err(VaultError::NoAttribute);
        }
        let node = self.node(node)?;
        let stored_name = self.xattr_name(name)?;
        let stored = self.with_own_target(&node, |target| to_xattr(self.backing.xattr(target, &stored_name)))?;
        if is_acl(name) {
            return Ok(stored);
        }
        self.ciphers.content.open_xattr_value(&stored).map_err(|error| {
            let name = strongroom_event::PathText(name);
            self.corrupt(&node, format!("the extended attribute {name} does not authenticate: {error}"))
        })
    }

    /// Sets an extended attribute.
    pub fn set_xattr(&self, node: NodeId, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        self.writable()?;
        if !self.options.xattrs {
            return Err(VaultError::Unsupported);
        }
        let node = self.node(node)?;
        let stored_name = self.xattr_name(name)?;
        let stored = match is_acl(name) {
            true => value.to_vec(),
            false => self.ciphers.content.seal_value(value, &*self.random),
        };
        self.with_own_target(&node, |target| to_xattr(self.backing.set_xattr(target, &stored_name, &stored, mode)))
    }

    /// Removes an extended attribute.
    pub fn remove_xattr(&self, node: NodeId, name: &[u8]) -> Result<()> {
        self.writable()?;
        if !self.options.xattrs {
            return Err(VaultError::Unsupported);
        }
        let node = self.node(node)?;
        let stored_name = self.xattr_name(name)?;
        self.with_own_target(&node, |target| to_xattr(self.backing.remove_xattr(target, &stored_name)))
    }

    /// The names of all extended attributes. Those that cannot be decoded are reported and left out.
    pub fn list_xattrs(&self, node: NodeId) -> Result<Vec<Vec<u8>>> {
        if !self.options.xattrs {
            return Ok(Vec::new());
        }
        let node = self.node(node)?;
        let stored = self.with_own_target(&node, |target| Ok(self.backing.list_xattrs(target)?))?;
        let mut names = Vec::with_capacity(stored.len());
        for stored in stored {
            if is_acl(&stored) {
                names.push(stored);
                continue;
            }
            match self.ciphers.xattrs.decrypt_name(&stored) {
                None => {} // the system's own
                Some(Ok(name)) if is_acl(&name) => {}
                Some(Ok(name)) => names.push(name),
                Some(Err(error)) => {
                    let stored = strongroom_event::PathText(&stored);
                    self.report(&node, format!("the extended attribute {stored} cannot be decoded: {error}"));
                }
            }
        }
        Ok(names)
    }

    fn xattr_name(&self, name: &[u8]) -> Result<Vec<u8>> {
        if name.is_empty() || name.contains(&0) {
            return Err(VaultError::InvalidArgument);
        }
        if is_acl(name) { Ok(name.to_vec()) } else { Ok(self.ciphers.xattrs.encrypt_name(name)?) }
    }
}

/// POSIX ACLs are the kernel's business: stored under their own names, as they are.
pub(crate) fn is_acl(name: &[u8]) -> bool {
    name == b"system.posix_acl_access" || name == b"system.posix_acl_default"
}

fn to_xattr<T>(result: std::result::Result<T, Errno>) -> Result<T> {
    result.map_err(|errno| match errno {
        Errno::NODATA => VaultError::NoAttribute,
        other => other.into(),
    })
}
