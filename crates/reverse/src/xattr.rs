//! Extended attributes: names and values are encrypted, but for POSIX ACLs, which the kernel must read. gocryptfs shows none
//! up to its version 2.3, and these later.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{getxattr, listxattr};
use rustix::io::Errno;
use strongroom_format::XattrCipher;

use crate::attr::NodeId;
use crate::error::{Result, ViewError};
use crate::node::{Node, What};
use crate::view::View;

/// No list of names and no value is longer (linux/limits.h).
const MOST: usize = 64 << 10;

impl View {
    /// The value of an extended attribute, by its name in the view.
    pub fn xattr(&self, node: NodeId, name: &[u8]) -> Result<Vec<u8>> {
        let node = self.node(node)?;
        let plain_name = match XattrCipher::passes_through(name) {
            true => name.to_vec(),
            // Asked for by everybody who lists files, and nothing that a view has.
            false => match self.ciphers.xattrs.decrypt_name(name) {
                Some(Ok(plain_name)) => plain_name,
                Some(Err(_)) | None => return Err(ViewError::NoAttribute),
            },
        };
        let object = self.reach(&node)?;
        let value = read(|buffer| getxattr(proc_path(&object), &plain_name, buffer))?;
        Ok(match XattrCipher::passes_through(name) {
            true => value,
            false => self.ciphers.content.seal_view_xattr(&node.cipher_path(), name, &value),
        })
    }

    /// The names of the extended attributes in the view.
    pub fn list_xattrs(&self, node: NodeId) -> Result<Vec<Vec<u8>>> {
        let node = self.node(node)?;
        if matches!(node.what, What::Conf | What::DirIv | What::LongName(_)) {
            return Ok(Vec::new());
        }
        let object = self.reach(&node)?;
        let names = match read(|buffer| listxattr(proc_path(&object), buffer)) {
            Err(ViewError::Unsupported) => return Ok(Vec::new()),
            names => names?,
        };
        let names = names.split(|&byte| byte == 0).filter(|name| !name.is_empty());
        let shown = names.filter_map(|name| match XattrCipher::passes_through(name) {
            true => Some(name.to_vec()),
            false => self.ciphers.xattrs.encrypt_name(name).ok(),
        });
        Ok(shown.collect())
    }

    /// A descriptor of the very object.
    fn reach(&self, node: &Node) -> Result<OwnedFd> {
        if matches!(node.what, What::Conf | What::DirIv | What::LongName(_)) {
            return Err(ViewError::NoAttribute);
        }
        let object = self.beneath.open(&node.plain_path(), rustix::fs::OFlags::PATH)?;
        match node.is_at(&rustix::fs::fstat(&object)?) {
            true => Ok(object),
            false => Err(ViewError::Stale),
        }
    }
}

/// The link of procfs leads to the object itself, also where that is a symbolic link.
fn proc_path(object: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", object.as_raw_fd())
}

fn read(call: impl FnOnce(&mut [u8]) -> std::result::Result<usize, Errno>) -> Result<Vec<u8>> {
    let mut buffer = vec![0; MOST];
    let len = call(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}
