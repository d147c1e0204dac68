//! Random markers that are planted in a tree before it is erased, to be looked for on the device afterwards.

use std::os::fd::BorrowedFd;

use serde::{Deserialize, Serialize};

use crate::{EraseError, Target};

/// Where a marker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkKind {
    /// In each block of a large file.
    Content,
    /// In a file of a few bytes, which some file systems keep in its inode.
    Small,
    /// A file's name.
    Name,
    /// Where a symbolic link leads.
    Link,
    /// The value of an extended attribute.
    Attribute,
}

/// Markers, each of 32 random bytes. Serialised in hexadecimal, so that what is stored of them is never taken for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Markers {}

impl Markers {
    /// Chooses them. To be recorded before they are planted.
    pub fn choose() -> Self {
        unimplemented!()
    }

    /// Plants them, in a directory of their own below `root`, and syncs. What is planted already stays. The names belong on
    /// the list of what is to be erased, before that of the root; they are to be recorded by number and not by name, or the
    /// record is found in their stead.
    pub fn plant(&self, _root: BorrowedFd<'_>) -> Result<Vec<Target>, EraseError> {
        unimplemented!()
    }
}
