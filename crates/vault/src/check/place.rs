//! Where something is: its path in plaintext, and on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::{Part, Problem, ProblemKind};

/// A directory or an entry, and the way to it.
pub(super) struct Place {
    pub parent: Option<Arc<Place>>,
    /// The name in plaintext, or on disk if it does not decrypt.
    pub name: Vec<u8>,
    pub disk: Vec<u8>,
    pub inode: u64,
    /// Of a directory: a name in it decrypted to text, which no other IV than the right one would let it.
    pub iv_fits: AtomicBool,
    /// Of a file: how much of it is holes, as far as it was read.
    pub hole_bytes: AtomicU64,
}

impl Place {
    pub(super) fn root() -> Self {
        Self::new(None, Vec::new(), Vec::new(), 0)
    }

    pub(super) fn new(parent: Option<Arc<Place>>, name: Vec<u8>, disk: Vec<u8>, inode: u64) -> Self {
        Place { parent, name, disk, inode, iv_fits: AtomicBool::new(false), hole_bytes: AtomicU64::new(0) }
    }

    /// Something wrong or odd here.
    pub(super) fn problem(&self, kind: ProblemKind, part: Part, detail: String) -> Problem {
        Problem { path: self.path(), disk_path: self.disk_path(), inode: self.inode, kind, part, errno: None, detail }
    }

    /// Whether one who walks the tree from name to name comes here before there.
    pub(super) fn is_before(&self, other: &Place) -> bool {
        self.parts(|place| &place.name) < other.parts(|place| &place.name)
    }

    pub(super) fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    pub(super) fn path(&self) -> Vec<u8> {
        match self.is_root() {
            true => b"/".to_vec(),
            false => [b"/", &*self.join(|place| &place.name)].concat(),
        }
    }

    pub(super) fn disk_path(&self) -> Vec<u8> {
        self.join(|place| &place.disk)
    }

    fn join<'a>(&'a self, part: impl Fn(&'a Place) -> &'a [u8]) -> Vec<u8> {
        self.parts(part).join(&b'/')
    }

    fn parts<'a>(&'a self, part: impl Fn(&'a Place) -> &'a [u8]) -> Vec<&'a [u8]> {
        let mut parts = vec![part(self)];
        let mut up = self.parent.as_deref();
        while let Some(place) = up.filter(|place| !place.is_root()) {
            parts.push(part(place));
            up = place.parent.as_deref();
        }
        parts.reverse();
        parts
    }
}
