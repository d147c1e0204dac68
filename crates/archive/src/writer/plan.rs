//! Items in walk order into what is done at once: batches of small ones that fill a frame, and big files by themselves.

use std::{collections::HashSet, mem};

use strongroom_tree::{Kind, Meta, RelPath, TreeError};

use super::{Body, FRAME, Item};
use crate::Issue;

/// What is done at once, by one thread.
pub enum Batch<'a> {
    /// Things that fit into one frame together, as far as can be told before they are opened.
    Small(Vec<Task<'a>>),
    /// A file that does not fit into one frame.
    Big(Box<Item<'a>>),
}

/// One step of a batch.
pub enum Task<'a> {
    /// Something to keep.
    Keep(Box<Item<'a>>),
    /// A link to a file that is in an earlier archive: it gets a record and no member, since a member would refer to
    /// nothing in this tar stream.
    Record(Box<Item<'a>>),
    /// Something to tell.
    Tell(Issue),
}

/// The most tasks of a batch; those that need no room in the frame are bounded by nothing else.
const MOST: usize = 4096;

/// Fills batches.
#[derive(Default)]
pub struct Planner<'a> {
    tasks: Vec<Task<'a>>,
    room: usize,
    /// Files in earlier archives that links may follow to.
    kept: HashSet<(u32, RelPath)>,
}

impl<'a> Planner<'a> {
    /// Takes the next item, and gives the batches that are full.
    pub fn take(&mut self, item: Result<Item<'a>, TreeError>) -> impl Iterator<Item = Batch<'a>> + use<'a> {
        let (first, second) = match item {
            Ok(item) => self.take_item(item),
            Err(error) => (self.put(Task::Tell(unreadable(0, &error)), 0), None),
        };
        first.into_iter().chain(second)
    }

    /// Gives what is left.
    pub fn rest(&mut self) -> Option<Batch<'a>> {
        self.room = 0;
        let tasks = mem::take(&mut self.tasks);
        (!tasks.is_empty()).then_some(Batch::Small(tasks))
    }

    fn take_item(&mut self, item: Item<'a>) -> (Option<Batch<'a>>, Option<Batch<'a>>) {
        if let Some(issue) = unfit(&item) {
            return (self.put(Task::Tell(issue), 0), None);
        }
        let key = |path: &RelPath| (item.component, path.clone());
        if matches!(item.body, Body::Kept { .. }) && item.entry.stamp.links > 1 {
            self.kept.insert(key(&item.entry.path));
        }
        if matches!(&item.entry.kind, Kind::Link { to } if self.kept.contains(&key(to))) {
            return (self.put(Task::Record(Box::new(item)), 0), None);
        }
        let size = size(&item);
        if size > FRAME && matches!(item.body, Body::Read(..) | Body::Bytes(_)) {
            return (self.rest(), Some(Batch::Big(Box::new(item))));
        }
        (self.put(Task::Keep(Box::new(item)), size), None)
    }

    /// Adds a task, before which the batch is given away if there is no room for both.
    fn put(&mut self, task: Task<'a>, size: usize) -> Option<Batch<'a>> {
        let full = self.room + size > FRAME || self.tasks.len() >= MOST;
        let batch = if full { self.rest() } else { None };
        self.tasks.push(task);
        self.room += size;
        batch
    }
}

/// About how much of the tar stream an item will take.
fn size(item: &Item<'_>) -> usize {
    let Meta { xattrs, .. } = &item.entry.meta;
    let xattrs: usize = xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len() + 32).sum();
    let headers = 1536 + 2 * item.entry.path.as_bytes().len() + xattrs;
    let len = match &item.body {
        Body::Kept { .. } => return 0,
        Body::Nothing => 0,
        Body::Bytes(bytes) => bytes.len(),
        Body::Read(..) => usize::try_from(item.entry.len()).unwrap_or(usize::MAX),
    };
    headers.saturating_add(len)
}

/// What no tar member can hold.
fn unfit(item: &Item<'_>) -> Option<Issue> {
    let kind = match &item.entry.kind {
        Kind::Socket => "a socket",
        Kind::Symlink { target } if target.is_empty() || target.contains(&0) => "a symbolic link to nowhere",
        _ => return None,
    };
    Some(Issue::NotKept { component: item.component, path: item.entry.path.clone(), kind: kind.to_owned() })
}

/// What became of something that could not be read.
pub fn unreadable(component: u32, error: &TreeError) -> Issue {
    let path = error.path.clone();
    if error.is_vanished() {
        return Issue::Vanished { component, path };
    }
    Issue::Unreadable { component, path, why: format!("{}: {}", error.attempted, error.source) }
}
