//! Where something is: its path in plaintext, and on disk.

use std::sync::Arc;

/// A directory or an entry, and the way to it.
pub(super) struct Place {
    pub parent: Option<Arc<Place>>,
    /// The name in plaintext, or on disk if it does not decrypt.
    pub name: Vec<u8>,
    pub disk: Vec<u8>,
}

impl Place {
    pub(super) fn root() -> Self {
        Place { parent: None, name: Vec::new(), disk: Vec::new() }
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

    fn join(&self, part: impl Fn(&Place) -> &[u8]) -> Vec<u8> {
        let mut parts = vec![part(self)];
        let mut up = self.parent.as_deref();
        while let Some(place) = up.filter(|place| !place.is_root()) {
            parts.push(part(place));
            up = place.parent.as_deref();
        }
        parts.reverse();
        parts.join(&b'/')
    }
}
