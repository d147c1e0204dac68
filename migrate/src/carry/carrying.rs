//! What a carry-back would bring home, for whoever is to decide.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_tree::{Entry, Kind, Meta, RelPath, TreeError};

/// What was changed on one side since the cut-over, and comes home.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carrying {
    /// Was not there.
    pub new: Paths,
    /// Has other content, or became another kind of thing.
    pub changed: Paths,
    /// Has other permissions, owners, times or attributes only. Directories whose times alone changed are not counted.
    pub dressed: Paths,
    /// Is another name of a file, or not any more.
    pub linked: Paths,
    /// Is gone.
    pub gone: Paths,
    /// Bytes of content to be copied.
    pub bytes: u64,
    /// Cannot be read, and why. Of what is in an unreadable directory nothing is known.
    pub unreadable: Paths,
    /// Cannot be held by the file system it would come to, and why.
    pub left_behind: Paths,
}

/// Some paths: how many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// How many.
    pub count: u64,
    /// The first of them, with odd bytes escaped.
    pub first: Vec<String>,
}

/// More paths are only counted.
const MOST: usize = 1000;

impl Paths {
    pub(crate) fn add(&mut self, path: impl ToString) {
        self.count += 1;
        if self.first.len() < MOST {
            self.first.push(path.to_string());
        }
    }
}

impl Carrying {
    /// Whether there is nothing to carry, and nothing in the way of knowing that.
    pub fn is_empty(&self) -> bool {
        [&self.new, &self.changed, &self.dressed, &self.linked, &self.gone, &self.unreadable, &self.left_behind]
            .iter()
            .all(|paths| paths.count == 0)
    }

    /// What differs between two listings.
    pub(crate) fn between(
        was: &[Entry],
        now: &[Entry],
        has_content_of: &dyn Fn(&RelPath, &RelPath) -> bool,
        is_same_meta: &dyn Fn(&Meta, &Meta, &Kind) -> bool,
    ) -> Self {
        let mut carrying = Self::default();
        let before: BTreeMap<_, _> = was.iter().map(|entry| (&entry.path, entry)).collect();
        for entry in now.iter().filter(|entry| entry.kind != Kind::Socket) {
            carrying.note(before.get(&entry.path).copied(), entry, has_content_of, is_same_meta);
        }
        let after: BTreeMap<_, _> = now.iter().map(|entry| (&entry.path, entry)).collect();
        for entry in was.iter().filter(|entry| entry.kind != Kind::Socket && !after.contains_key(&entry.path)) {
            carrying.gone.add(&entry.path);
        }
        carrying
    }

    fn note(
        &mut self,
        was: Option<&Entry>,
        now: &Entry,
        has_content_of: &dyn Fn(&RelPath, &RelPath) -> bool,
        is_same_meta: &dyn Fn(&Meta, &Meta, &Kind) -> bool,
    ) {
        let Some(was) = was else {
            self.bytes += now.len();
            return self.new.add(&now.path);
        };
        let is_changed = match (&was.kind, &now.kind) {
            (Kind::Link { to: a }, Kind::Link { to: b }) if a == b => return,
            (Kind::Link { .. }, _) | (_, Kind::Link { .. }) => return self.linked.add(&now.path),
            (Kind::File { len: a }, Kind::File { len: b }) => a != b || !has_content_of(&now.path, &was.path),
            (a, b) => a != b,
        };
        if is_changed {
            self.bytes += now.len();
            self.changed.add(&now.path);
        } else if !is_same_meta(&was.meta, &now.meta, &now.kind) {
            self.dressed.add(&now.path);
        }
    }

    /// Nothing is known but that this could not be read.
    pub(crate) fn unreadable(failed: &[TreeError]) -> Self {
        let mut carrying = Self::default();
        failed.iter().for_each(|error| carrying.unreadable.add(format!("{}: {}", error.path, error.source)));
        carrying
    }
}

/// What differs by names, kinds, lengths, times and metadata, without reading any content.
pub(crate) fn by_times(was: &[Entry], now: &[Entry]) -> Carrying {
    let times = |entries: &[Entry]| -> BTreeMap<RelPath, _> {
        entries.iter().map(|entry| (entry.path.clone(), entry.meta.mtime)).collect()
    };
    let (before, after) = (times(was), times(now));
    let has_content_of = |now: &RelPath, was: &RelPath| after.get(now) == before.get(was);
    Carrying::between(was, now, &has_content_of, &|was, now, kind| {
        // What only was listed in anew is not worth telling.
        let same_times = Meta { mtime: was.mtime, ..now.clone() };
        super::dressing::is_same_meta(was, if *kind == Kind::Directory { &same_times } else { now }, kind)
    })
}
