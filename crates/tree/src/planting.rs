//! How entries are made in a directory of this machine, and what of them could not be kept.

use std::fmt;

use strongroom_event::PathText;

use crate::RelPath;

/// How entries are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planting {
    /// Whose they become.
    pub owners: Owners,
    /// Whether setuid and setgid programs and file capabilities may be made.
    pub set_id: bool,
    /// Whether device nodes may be made.
    pub devices: bool,
    /// What an extended attribute that cannot be set means.
    pub xattrs: Xattrs,
}

/// Whose an entry becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// The user and group of the same name on this machine, and of the same number where there is none.
    ByName,
    /// The user and group of the same number.
    ByNumber,
    /// Whoever runs this.
    Mine,
}

/// What an extended attribute that cannot be set means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Xattrs {
    /// The entry fails.
    Strict,
    /// It is noted, and the entry is made without.
    Noted,
}

impl Planting {
    /// As exact a copy as the running user can make: everything and by number for root; for others their own, without
    /// devices and with notes on what could not be kept.
    pub fn exact() -> Self {
        if rustix::process::geteuid().is_root() {
            return Self { owners: Owners::ByNumber, set_id: true, devices: true, xattrs: Xattrs::Strict };
        }
        Self { owners: Owners::Mine, set_id: false, devices: false, xattrs: Xattrs::Noted }
    }
}

/// Something about one entry that was not kept, and the entry was made without (or, a socket or device, was not made).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The entry.
    pub path: RelPath,
    /// What is missing.
    pub lost: Lost,
}

/// What of an entry was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A socket, which nothing can keep.
    Socket,
    /// A device node, which may not be made.
    Device,
    /// Setuid, setgid or file capabilities, which may not be given.
    SetId,
    /// The owner: it is whoever runs this.
    Owner,
    /// An extended attribute.
    Xattr {
        /// Its name.
        name: Vec<u8>,
        /// Why the file system refused it.
        why: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.lost {
            Lost::Socket => write!(f, "{path}: a socket cannot be kept"),
            Lost::Device => write!(f, "{path}: a device node was not made"),
            Lost::SetId => write!(f, "{path}: setuid, setgid or capabilities were not given"),
            Lost::Owner => write!(f, "{path}: it belongs to you, not to its owner"),
            Lost::Xattr { name, why } => {
                write!(f, "{path}: the extended attribute {} was not set: {why}", PathText(name))
            }
        }
    }
}
