//! What of an entry could not be kept where it was made.

use std::{
    fmt,
    sync::{Mutex, MutexGuard},
};

use strongroom_event::{Event, Observer, PathText};

use crate::RelPath;

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
    /// The owner: it is whoever runs this. Noted for the first entry only, since others will follow.
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
            Lost::Owner => write!(f, "{path}: it belongs to you now, and so does all else"),
            Lost::Xattr { name, why } => {
                write!(f, "{path}: the extended attribute {} was not set: {why}", PathText(name))
            }
        }
    }
}

/// More are only counted.
const KEPT: usize = 1000;

/// What was noted while a tree was made. An observer is told the same.
#[derive(Default)]
pub(crate) struct Notes(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    first: Vec<Note>,
    more: u64,
    told_of_owner: bool,
}

impl Notes {
    pub fn add(&self, path: &RelPath, lost: Lost, observer: &dyn Observer) {
        let note = Note { path: path.clone(), lost };
        let mut noted = self.noted();
        if note.lost == Lost::Owner && std::mem::replace(&mut noted.told_of_owner, true) {
            return;
        }
        if noted.first.len() == KEPT {
            noted.more += 1;
            return;
        }
        observer.observe(&Event::Warning(note.to_string()));
        noted.first.push(note);
    }

    /// The first of them, and how many more there were.
    pub fn all(&self) -> (Vec<Note>, u64) {
        let noted = self.noted();
        (noted.first.clone(), noted.more)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
