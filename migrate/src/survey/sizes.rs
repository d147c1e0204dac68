//! How much room a tree takes in a vault. Pure arithmetic.
//!
//! What counts is blocks of the file system below, not bytes: a file of 4096 bytes is stored as 4146, which are two blocks.
//! Names become longer, and each directory has a file of its own besides.

use std::ops::Range;

/// Plaintext bytes in a block of a vault's file.
const PLAIN_BLOCK: u64 = 4096;
/// Bytes before the first.
const HEADER: u64 = 18;
/// The longest name that the file system below stores.
const NAME_MAX: u64 = 255;
/// `gocryptfs.longname.` and the hash of a name.
const HASHED_NAME: u64 = 19 + 43;
/// Attributes up to this size are stored in the inode, as a rule of thumb for inodes of 256 bytes.
const IN_INODE: u64 = 64;

/// What is needed of a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Bytes, in whole blocks.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u64,
}

impl std::ops::AddAssign for Demand {
    fn add_assign(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.inodes = self.inodes.saturating_add(other.inodes);
    }
}

/// How a tree is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// In a vault, of which each block is so many bytes longer than its content.
    Sealed {
        /// 32, and 40 with XChaCha20-Poly1305.
        overhead: u64,
    },
    /// As it is.
    Plain,
}

/// Sizes on a file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Its block size.
    pub block: u64,
    /// The longest path that a symbolic link on it can lead to, as it is stored.
    pub longest_link: u64,
    pub stored: Stored,
}

/// The names in a directory, as they will be stored.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StoredNames {
    bytes: u64,
    long: u64,
}

impl Sizes {
    /// A regular file of so many bytes, without holes.
    pub fn whole(&self, len: u64) -> Demand {
        self.file(std::iter::once(0..len))
    }

    /// A regular file with data in these ranges, in order.
    pub fn file(&self, runs: impl IntoIterator<Item = Range<u64>>) -> Demand {
        let mut blocks = 0;
        // The first block that is not counted yet.
        let mut next = 0;
        let runs = runs.into_iter().filter(|run| run.start < run.end);
        for (n, run) in runs.enumerate() {
            let Range { start, end } = self.stored_run(run);
            // The header is written with whatever comes first.
            if n == 0 && start >= self.block && matches!(self.stored, Stored::Sealed { .. }) {
                (blocks, next) = (1, 1);
            }
            let first = next.max(start / self.block);
            let last = end.div_ceil(self.block);
            blocks += last.saturating_sub(first);
            next = next.max(last);
        }
        Demand { bytes: blocks.saturating_mul(self.block), inodes: 1 }
    }

    /// Where a run of data lies in the stored file.
    fn stored_run(&self, run: Range<u64>) -> Range<u64> {
        let Stored::Sealed { overhead } = self.stored else { return run };
        let sealed =
            |offset: u64, blocks: u64| HEADER.saturating_add(offset).saturating_add(blocks.saturating_mul(overhead));
        // A block is stored whole, holes in it as zeros.
        let first = run.start / PLAIN_BLOCK;
        let start = if first == 0 { 0 } else { sealed(first * PLAIN_BLOCK, first) };
        start..sealed(run.end, run.end.div_ceil(PLAIN_BLOCK))
    }

    /// A directory with these names in it.
    pub fn directory(&self, names: StoredNames) -> Demand {
        // Blocks of a directory that has been split are not full.
        let spread = names.bytes.saturating_add(24);
        let blocks = if spread <= self.block { 1 } else { (spread.saturating_mul(4) / 3).div_ceil(self.block) + 1 };
        let own = Demand { bytes: blocks * self.block, inodes: 1 };
        match self.stored {
            Stored::Plain => own,
            // `gocryptfs.diriv`, and a file for each name that is stored as a hash.
            Stored::Sealed { .. } => {
                Demand { bytes: own.bytes + (1 + names.long) * self.block, inodes: own.inodes + 1 + names.long }
            }
        }
    }

    /// Adds a name to those of its directory.
    pub fn add_name(&self, names: &mut StoredNames, len: usize) {
        let stored = match self.stored {
            Stored::Plain => len as u64,
            Stored::Sealed { .. } => base64(sixteens(len as u64)),
        };
        match stored <= NAME_MAX {
            true => names.bytes += record(stored),
            false => {
                names.long += 1;
                names.bytes += record(HASHED_NAME) + record(HASHED_NAME + 5);
            }
        }
    }

    /// A symbolic link to a path of so many bytes.
    pub fn symlink(&self, len: usize) -> Demand {
        let stored = match self.stored {
            Stored::Plain => len as u64,
            Stored::Sealed { overhead } => base64(len as u64 + overhead),
        };
        // Up to 59 bytes are in the inode.
        Demand { bytes: if stored < 60 { 0 } else { stored.div_ceil(self.block) * self.block }, inodes: 1 }
    }

    /// The longest path that a symbolic link can lead to, before it is stored.
    pub fn longest_target(&self) -> u64 {
        match self.stored {
            Stored::Plain => self.longest_link,
            Stored::Sealed { overhead } => (self.longest_link * 3 / 4).saturating_sub(overhead),
        }
    }

    /// A named pipe or a device node.
    pub fn special(&self) -> Demand {
        Demand { bytes: 0, inodes: 1 }
    }

    /// Extended attributes, given as lengths of names and values.
    pub fn xattrs(&self, xattrs: impl IntoIterator<Item = (usize, usize)>) -> Demand {
        let stored = |(name, value): (usize, usize)| match self.stored {
            Stored::Plain => (name + value) as u64 + 16,
            Stored::Sealed { overhead } => 16 + 15 + base64(sixteens(name as u64)) + value as u64 + overhead,
        };
        let bytes: u64 = xattrs.into_iter().map(stored).sum();
        let blocks = if bytes <= IN_INODE { 0 } else { bytes.div_ceil(self.block) };
        Demand { bytes: blocks * self.block, inodes: 0 }
    }
}

/// A directory entry of a name: number, lengths and kind, and a place in the index.
fn record(len: u64) -> u64 {
    (12 + len).next_multiple_of(8)
}

/// Padded to whole blocks of 16, of which there is always one more than needed.
fn sixteens(len: u64) -> u64 {
    (len / 16 + 1) * 16
}

fn base64(len: u64) -> u64 {
    (len * 4).div_ceil(3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VAULT: Sizes = Sizes { block: 4096, longest_link: 4095, stored: Stored::Sealed { overhead: 32 } };
    const PLAIN: Sizes = Sizes { stored: Stored::Plain, ..VAULT };

    #[test]
    fn files_take_what_was_measured() {
        let blocks = |len: u64| VAULT.whole(len).bytes / 4096;
        assert_eq!(blocks(0), 0);
        assert_eq!(blocks(1), 1);
        assert_eq!(blocks(4000), 1, "4000 + 18 + 32 fit");
        assert_eq!(blocks(4096), 2, "a file of one block becomes one of two");
        assert_eq!(blocks(8192), 3);
        assert_eq!(blocks(1 << 20), 259, "256 + (18 + 256 * 32) / 4096, rounded up");
    }

    #[test]
    fn holes_take_nothing_and_the_header_a_block() {
        let far = 1 << 40;
        assert_eq!(
            VAULT.file(std::iter::once(far..far + 4096)).bytes,
            4096 * 3,
            "the header, and a stored block across two"
        );
        assert_eq!(PLAIN.file(std::iter::once(far..far + 4096)).bytes, 4096);
        assert_eq!(VAULT.file([0..1, 4096..4097]).bytes, VAULT.whole(4097).bytes, "a block shared is counted once");
    }

    #[test]
    fn a_directory_is_itself_and_its_vector_and_its_long_names() {
        let mut names = StoredNames::default();
        assert_eq!(VAULT.directory(names), Demand { bytes: 8192, inodes: 2 });
        VAULT.add_name(&mut names, 175);
        assert_eq!(VAULT.directory(names), Demand { bytes: 8192, inodes: 2 });
        VAULT.add_name(&mut names, 176);
        assert_eq!(VAULT.directory(names), Demand { bytes: 12288, inodes: 3 });
        assert_eq!(PLAIN.directory(names), Demand { bytes: 4096, inodes: 1 });
    }

    proptest! {
        #[test]
        fn runs_apart_never_take_less_than_their_bytes_nor_more_than_all_between(
            len in 1_u64..1 << 24, cut in 0_u64..1 << 24, gap in 0_u64..1 << 24,
        ) {
            let cut = cut % len;
            let runs = [0..cut, (cut + gap).min(len)..len];
            let data: u64 = runs.iter().map(|run| run.end - run.start).sum();
            let taken = VAULT.file(runs).bytes;
            prop_assert!(taken >= data && taken <= VAULT.whole(len).bytes);
        }
    }
}
