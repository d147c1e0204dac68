//! Extended attributes of entries that are not opened, through /proc, since the kernel has calls by path only (those by
//! directory and name came with Linux 6.13).

use std::{
    io::Write,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use rustix::{
    fs::{self, XattrFlags},
    io::{self, Errno},
};

use crate::Xattr;

/// No list of names and no value is longer (linux/limits.h).
const MOST: usize = 64 << 10;

/// Reads extended attributes, with buffers that are used again.
pub(crate) struct XattrReader {
    path: Vec<u8>,
    names: Vec<u8>,
    value: Vec<u8>,
}

impl Default for XattrReader {
    fn default() -> Self {
        Self { path: Vec::new(), names: vec![0; MOST], value: vec![0; MOST] }
    }
}

impl XattrReader {
    /// All of the entry `name` of `dir` (of `dir` itself, if the name is empty), by name. A symbolic link's own.
    pub fn read(&mut self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Vec<Xattr>> {
        proc_path(&mut self.path, dir, name);
        let path = self.path.as_slice();
        let len = match fs::llistxattr(path, self.names.as_mut_slice()) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            listed => listed?,
        };
        let mut found = Vec::new();
        for name in self.names[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            match fs::lgetxattr(path, name, self.value.as_mut_slice()) {
                Ok(len) => found.push(Xattr { name: name.to_vec(), value: self.value[..len].to_vec() }),
                // Gone since, or listed but not for everybody.
                Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(errno),
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// Sets an attribute of the entry `name` of `dir`; a symbolic link's own.
pub(crate) fn set_at(dir: impl AsFd, name: &[u8], xattr: &Xattr) -> io::Result<()> {
    let mut path = Vec::new();
    proc_path(&mut path, dir.as_fd(), name);
    fs::lsetxattr(path.as_slice(), xattr.name.as_slice(), &xattr.value, XattrFlags::empty())
}

/// `/proc/self/fd/7/name`. The link of procfs leads to the directory whatever its path is; of a directory itself, `.`
/// makes it more than a link.
fn proc_path(path: &mut Vec<u8>, dir: BorrowedFd<'_>, name: &[u8]) {
    path.clear();
    let _ = write!(path, "/proc/self/fd/{}/", dir.as_raw_fd());
    path.extend_from_slice(if name.is_empty() { b"." } else { name });
}
