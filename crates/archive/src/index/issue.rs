//! What is not, or not wholly, as it should be in an archive, and what is no longer there.

use std::fmt;

use serde::{Deserialize, Serialize};
use strongroom_tree::RelPath;

use super::bytes;

/// Something that an archive could not keep as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
#[non_exhaustive]
pub enum Issue {
    /// It could not be read, and is not in the archive; or, if its record is marked damaged, zeros stand for what could
    /// not be read of it.
    Unreadable {
        /// Whose component.
        component: u32,
        /// Its path.
        #[serde(with = "bytes::path")]
        path: RelPath,
        /// Why.
        why: String,
    },
    /// It was gone before it could be read, and is not in the archive.
    Vanished {
        /// Whose component.
        component: u32,
        /// Its path.
        #[serde(with = "bytes::path")]
        path: RelPath,
    },
    /// It was written to each time it was read; what is in the archive may be no state that it ever had.
    Changed {
        /// Whose component.
        component: u32,
        /// Its path.
        #[serde(with = "bytes::path")]
        path: RelPath,
    },
    /// Of a kind that an archive cannot hold (a socket), or a property of it is.
    NotKept {
        /// Whose component.
        component: u32,
        /// Its path.
        #[serde(with = "bytes::path")]
        path: RelPath,
        /// What.
        kind: String,
    },
}

impl Issue {
    /// The component of the entry.
    pub fn component(&self) -> u32 {
        match self {
            Self::Unreadable { component, .. }
            | Self::Vanished { component, .. }
            | Self::Changed { component, .. }
            | Self::NotKept { component, .. } => *component,
        }
    }

    /// The path of the entry.
    pub fn path(&self) -> &RelPath {
        match self {
            Self::Unreadable { path, .. }
            | Self::Vanished { path, .. }
            | Self::Changed { path, .. }
            | Self::NotKept { path, .. } => path,
        }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, why, .. } => write!(f, "{path} could not be read: {why}"),
            Self::Vanished { path, .. } => write!(f, "{path} was gone before it could be read"),
            Self::Changed { path, .. } => write!(f, "{path} was written to while it was read"),
            Self::NotKept { path, kind, .. } => write!(f, "{path} is {kind}, which an archive cannot hold"),
        }
    }
}

/// An entry of the base that is no longer there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Whose component.
    pub component: u32,
    /// Its path.
    #[serde(with = "bytes::path")]
    pub path: RelPath,
}
