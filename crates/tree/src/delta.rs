//! What has become of a tree since a manifest of it was frozen.

use std::{
    collections::HashSet,
    io,
    sync::{Mutex, MutexGuard},
};

use strongroom_event::{Event, Observer};

use crate::crew::{HandOut, crew};
use crate::digest::digest;
use crate::manifest::is_same_stamp;
use crate::mirror::is_same_meta;
use crate::{Entry, Filter, Kind, Known, Manifest, Meta, RelPath, Source, TreeError};

/// How closely files are looked at whose kind, length and metadata are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Not: times tell. On the device of the manifest that includes the change time, which nobody can set.
    Stamps,
    /// Those of up to so many bytes are read.
    Contents {
        /// So many.
        up_to: u64,
    },
    /// All are read.
    All,
}

/// One thing that is not as it was. The entry is as it is now, but for [`Change::Gone`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there. If it is a [`Kind::Link`], it is another name of a file.
    New(Entry),
    /// It was something else (a directory, a symbolic link to elsewhere, another name of another file) and is to be made
    /// anew.
    Kind(Entry),
    /// It is a name of the file at `to` of its [`Kind::Link`], and was something else, or that file is to be made anew: so is
    /// the name.
    Links(Entry),
    /// Its content changed, and perhaps its metadata.
    Content(Entry),
    /// Its metadata changed.
    Dressed(Entry),
    /// It is not there any more. As the manifest knows it.
    Gone(Entry),
}

impl Change {
    /// The entry that it is about.
    pub fn entry(&self) -> &Entry {
        match self {
            Self::New(entry) | Self::Kind(entry) | Self::Links(entry) => entry,
            Self::Content(entry) | Self::Dressed(entry) | Self::Gone(entry) => entry,
        }
    }
}

/// In what a tree differs from its manifest.
#[derive(Debug, Default)]
pub struct Delta {
    /// By path: parents first.
    pub changes: Vec<Change>,
    /// What could not be read, so that nothing is known of it (nor, of a directory, of what is in it).
    pub failed: Vec<TreeError>,
    /// Files that were read.
    pub read: u64,
}

/// What changed in `now` since `manifest`. Carried out in order, with the gone ones first, last to first, the changes make
/// the tree of the manifest that of `now`.
///
/// `now` may be another copy of the tree (the mounted replica), or the tree itself: where device and inode are those of the
/// manifest, the change time counts too.
pub fn delta(
    now: &dyn Source,
    filter: &Filter,
    manifest: &Manifest,
    depth: Depth,
    workers: usize,
    observer: &dyn Observer,
) -> Delta {
    let looking = Looking { now, manifest, depth, observer, found: Mutex::default() };
    crew(workers, || (), |_, entry| looking.read(entry), |files| looking.walk(filter, files));
    let mut found = looking.found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    found.follow_links();
    // The workers found theirs when they came to them.
    found.delta.changes.sort_by(|a, b| a.entry().path.cmp(&b.entry().path));
    found.delta
}

struct Looking<'a> {
    now: &'a dyn Source,
    manifest: &'a Manifest,
    depth: Depth,
    observer: &'a dyn Observer,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    delta: Delta,
    /// Links that are as they were, if what they lead to is.
    links: Vec<Entry>,
}

impl Looking<'_> {
    fn walk(&self, filter: &Filter, files: &mut HandOut<Entry>) {
        let (mut last, mut hidden) = (None::<RelPath>, Vec::<RelPath>::new());
        for entry in self.now.entries(filter) {
            match entry {
                Ok(entry) => {
                    self.pass(last.as_ref(), Some(&entry.path), filter, &hidden);
                    last = Some(entry.path.clone());
                    self.look_at(entry, files);
                }
                Err(error) => {
                    hidden.push(error.path.clone());
                    self.found().delta.failed.push(error);
                }
            }
        }
        self.pass(last.as_ref(), None, filter, &hidden);
    }

    /// What the manifest has between two entries is gone, unless it could not be walked.
    fn pass(&self, last: Option<&RelPath>, next: Option<&RelPath>, filter: &Filter, hidden: &[RelPath]) {
        for path in self.manifest.between(last, next) {
            let Some(known) = self.manifest.get(&path) else { continue };
            if filter.passes(&known.entry) && !hidden.iter().any(|dir| path.is_within(dir)) {
                self.tell(Change::Gone(known.entry.clone()));
            }
        }
    }

    fn look_at(&self, entry: Entry, files: &mut HandOut<Entry>) {
        let Some(known) = self.manifest.get(&entry.path) else { return self.tell(Change::New(entry)) };
        match (&entry.kind, &known.entry.kind) {
            (Kind::Link { to }, Kind::Link { to: before }) if to == before => self.found().links.push(entry),
            (Kind::Link { .. }, _) => self.tell(Change::Links(entry)),
            (Kind::File { len }, Kind::File { len: before }) => match known.digest {
                Some(_) if len == before && self.is_to_be_read(&entry, known) => {
                    let len = *len;
                    files.add(entry, len);
                }
                Some(_) if len == before => self.compare_metas(entry, known),
                _ => self.tell(Change::Content(entry)),
            },
            (now, before) if now == before => self.compare_metas(entry, known),
            _ => self.tell(Change::Kind(entry)),
        }
    }

    fn is_to_be_read(&self, entry: &Entry, known: &Known) -> bool {
        let is_itself = (entry.stamp.dev, entry.stamp.ino) == (known.entry.stamp.dev, known.entry.stamp.ino);
        let is_stamped_alike = match is_itself && self.now.is_stamped() {
            true => is_same_stamp(&entry.stamp, &known.entry.stamp),
            false => true,
        };
        let has_changed = !is_stamped_alike || !is_same_meta(&entry.meta, &known.entry.meta) || known.dirty;
        match self.depth {
            Depth::All => true,
            Depth::Stamps => has_changed,
            Depth::Contents { up_to } => has_changed || entry.len() <= up_to,
        }
    }

    fn compare_metas(&self, entry: Entry, known: &Known) {
        if !is_same_meta(&as_kept(&entry), &as_kept(&known.entry)) {
            self.tell(Change::Dressed(entry));
        }
    }

    /// Compares the content of a file with what is remembered of it.
    fn read(&self, entry: Entry) {
        let Some(known) = self.manifest.get(&entry.path) else { return };
        let digest = self.digest(&entry.path);
        self.observer.observe(&Event::FileDone { path: entry.path.as_bytes().to_vec() });
        self.found().delta.read += 1;
        match digest {
            Ok(digest) if Some(digest) == known.digest => self.compare_metas(entry, known),
            Ok(_) => self.tell(Change::Content(entry)),
            Err(error) => self.found().delta.failed.push(error),
        }
    }

    fn digest(&self, path: &RelPath) -> Result<[u8; 32], TreeError> {
        let mut content = self.now.open(path)?;
        let mut read = |bytes| self.observer.observe(&Event::Progress(bytes));
        let digest: io::Result<_> = digest(&mut *content, self.manifest.key(), &mut read);
        digest.map_err(TreeError::on("reading", path))
    }

    fn tell(&self, change: Change) {
        self.found().delta.changes.push(change);
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Found {
    /// Names of files that are to be made anew are to be made again.
    fn follow_links(&mut self) {
        let anew = |change: &Change| matches!(change, Change::New(_) | Change::Kind(_) | Change::Content(_));
        let changes = self.delta.changes.iter().filter(|change| anew(change));
        let made: HashSet<_> = changes.map(|change| change.entry().path.clone()).collect();
        let links = std::mem::take(&mut self.links).into_iter();
        let follow = links.filter(|link| matches!(&link.kind, Kind::Link { to } if made.contains(to)));
        self.delta.changes.extend(follow.map(Change::Links));
    }
}

/// A symbolic link has no permissions.
fn as_kept(entry: &Entry) -> Meta {
    let mut meta = entry.meta.clone();
    if matches!(entry.kind, Kind::Symlink { .. }) {
        meta.mode = 0;
    }
    meta
}
