//! Inode numbers of the view: those of the plaintext wherever that is unambiguous.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;

/// What a number is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Of {
    /// A file of the plaintext.
    Plain = 0,
    /// The IV of a directory.
    DirIv = 1,
    /// The file of a long name.
    LongName = 2,
}

/// Who gives numbers.
pub(crate) struct Numbers {
    root: (u64, u64),
    /// Other devices, and what is not plaintext, by the upper 16 bits of their numbers.
    spaces: Mutex<HashMap<(u64, Of), u64>>,
    hasher: RandomState,
}

const SPACE_BITS: u32 = 48;
const MOST_SPACES: u64 = 0x3ffe;
/// From here up numbers are made of hashes.
const HASHED: u64 = 1 << 62;

impl Numbers {
    pub fn new(root_dev: u64, root_ino: u64) -> Self {
        // The spaces of the root's device are given away first, so that these numbers are the same from mount to mount.
        let spaces = HashMap::from([((root_dev, Of::DirIv), 1), ((root_dev, Of::LongName), 2)]);
        Numbers { root: (root_dev, root_ino), spaces: Mutex::new(spaces), hasher: RandomState::new() }
    }

    /// The number. Not 1, which is the root's, and below 2^63.
    pub fn of(&self, dev: u64, ino: u64, of: Of) -> u64 {
        let fits = (2..1 << SPACE_BITS).contains(&ino);
        if fits && of == Of::Plain && dev == self.root.0 && ino != self.root.1 {
            return ino;
        }
        let space = self.space(dev, of);
        match fits && space <= MOST_SPACES {
            true => space << SPACE_BITS | ino,
            false => HASHED | self.hasher.hash_one((dev, ino, of)) >> 2,
        }
    }

    fn space(&self, dev: u64, of: Of) -> u64 {
        let mut spaces = self.spaces.lock();
        let next = spaces.len() as u64 + 1;
        *spaces.entry((dev, of)).or_insert(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_on_the_roots_device_keep_their_numbers() {
        let numbers = Numbers::new(7, 2);
        assert_eq!(numbers.of(7, 12345, Of::Plain), 12345);
        assert_eq!(numbers.of(7, 12345, Of::DirIv), 1 << 48 | 12345);
        assert_eq!(numbers.of(7, 12345, Of::LongName), 2 << 48 | 12345);
    }

    #[test]
    fn no_two_files_have_the_same_number() {
        let numbers = Numbers::new(7, 2);
        let mut seen = std::collections::HashSet::from([1]);
        for dev in [7, 8, 9] {
            for ino in [0, 1, 2, 3, (1 << 48) - 1, 1 << 48, u64::MAX] {
                for of in [Of::Plain, Of::DirIv, Of::LongName] {
                    let number = numbers.of(dev, ino, of);
                    assert!(seen.insert(number), "{dev} {ino} {of:?}");
                    assert!(number < 1 << 63);
                    assert_eq!(numbers.of(dev, ino, of), number);
                }
            }
        }
    }
}
