//! Key bytes.

use strongroom_secret::Locked;

/// `N` key bytes on locked pages, wiped when dropped. No `Debug`, no `Clone`: copying a key is written [`Key::duplicate`].
pub struct Key<const N: usize>(Locked<[u8; N]>);

impl<const N: usize> Key<N> {
    /// Copies the bytes onto locked pages. The caller wipes its own copy.
    pub fn new(bytes: &[u8; N]) -> Self {
        Self::filled_by(|slot| slot.copy_from_slice(bytes))
    }

    /// Has the key written where it is going to stay.
    pub fn filled_by(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut key = Locked::zeroed();
        fill(&mut key);
        Self(key)
    }

    /// The bytes, for the primitive that needs them.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// A second copy.
    pub fn duplicate(&self) -> Self {
        Self::new(self.expose())
    }

    /// Whether the kernel agreed never to swap the key out.
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }
}
