//! What changed between an archive and another, or a directory.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use serde::Serialize;
use strongroom_tree::{Entry, Filter, Kind, LocalTree, RelPath, Source};

use crate::{
    BackupError, Context,
    chain::{Chain, Opener},
    content,
    restore::select::Selection,
};

/// How two trees differ.
#[derive(Debug, Default, Serialize)]
pub struct Comparison {
    /// Entries that only the new one has.
    pub added: u64,
    /// Entries that only the old one has.
    pub removed: u64,
    /// Entries that differ.
    pub changed: u64,
    /// Entries that have another path.
    pub renamed: u64,
    /// Entries that are the same.
    pub same: u64,
    /// Bytes of content in what was added or changed, as they are now.
    pub bytes: u64,
}

/// One difference.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// Which.
    pub kind: ChangeKind,
    /// The path, odd bytes escaped: in the new tree, unless it was removed.
    pub path: String,
    /// The path in the old tree, if it was renamed.
    pub from: Option<String>,
    /// What differs, in words: `content`, `mode`, `owner`, …
    pub what: Vec<&'static str>,
    /// Bytes in the old tree.
    pub old_bytes: Option<u64>,
    /// Bytes in the new tree.
    pub new_bytes: Option<u64>,
}

/// How an entry differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// Only in the new tree.
    Added,
    /// Only in the old tree.
    Removed,
    /// In both, and different.
    Changed,
    /// In both under different paths.
    Renamed,
}

/// Compares an archive (old) with another archive or a directory (new). Files of a directory are read and hashed.
pub fn diff(
    old: &Path,
    new: &Path,
    context: &Context<'_>,
    each: &mut dyn FnMut(Change) -> Result<(), BackupError>,
) -> Result<Comparison, BackupError> {
    let opener = Opener::new(context);
    let old = Chain::open(&opener, old)?;
    let new = New::open(&opener, new)?;
    let removed = removed(&old, &new, context)?;
    let mut told = Telling { new: &new, removed, counts: Comparison::default(), each };
    side_by_side(&old, &new, context, &mut |old, new| told.pair(old, new))?;
    Ok(told.counts)
}

/// An entry, and the hash of its content if that is known without reading it.
type Known = (Entry, Option<[u8; 32]>);
type Entries<'a> = Box<dyn Iterator<Item = Result<Known, BackupError>> + 'a>;

/// What an archive is compared with.
enum New {
    Archive(Box<Chain>),
    Directory(PathBuf, LocalTree),
}

impl New {
    fn open(opener: &Opener<'_>, path: &Path) -> Result<Self, BackupError> {
        if !path.is_dir() {
            return Ok(Self::Archive(Box::new(Chain::open(opener, path)?)));
        }
        let tree = LocalTree::open(path).map_err(BackupError::tree(path))?;
        Ok(Self::Directory(path.to_owned(), tree))
    }

    fn entries<'a>(&'a self, filter: &'a Filter) -> Result<Entries<'a>, BackupError> {
        match self {
            Self::Archive(chain) => of_archive(chain),
            Self::Directory(root, tree) => {
                let entries = tree.entries(filter);
                Ok(Box::new(entries.map(|entry| Ok((entry.map_err(BackupError::tree(root))?, None)))))
            }
        }
    }

    /// The hash of a file; `None` if it does not hold still, and so is another anyway.
    fn hash(&self, known: &Known) -> Result<Option<[u8; 32]>, BackupError> {
        match self {
            Self::Archive(_) => Ok(known.1),
            Self::Directory(root, tree) => {
                let hash = content::hash_of_still(tree, &known.0.path, known.0.len());
                hash.map_err(BackupError::on("reading", &root.join(known.0.path.as_path())))
            }
        }
    }
}

fn of_archive(chain: &Chain) -> Result<Entries<'_>, BackupError> {
    let planned = Selection::whole(chain).into_entries(chain)?;
    Ok(Box::new(planned.map(|planned| planned.map(|planned| (planned.record.entry, planned.record.sha256)))))
}

/// Gives what stands at each path in both.
fn side_by_side(
    old: &Chain,
    new: &New,
    context: &Context<'_>,
    each: &mut dyn FnMut(Option<Known>, Option<Known>) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let everything = Filter::everything();
    let (mut old, mut new) = (of_archive(old)?, new.entries(&everything)?);
    let (mut left, mut right) = (old.next().transpose()?, new.next().transpose()?);
    while left.is_some() || right.is_some() {
        if (context.is_stopped)() {
            return Err(BackupError::Stopped);
        }
        let order = match (&left, &right) {
            (Some(left), Some(right)) => left.0.path.cmp(&right.0.path),
            (Some(_), None) => Ordering::Less,
            _ => Ordering::Greater,
        };
        let one = if order.is_le() { std::mem::replace(&mut left, old.next().transpose()?) } else { None };
        let other = if order.is_ge() { std::mem::replace(&mut right, new.next().transpose()?) } else { None };
        each(one, other)?;
    }
    Ok(())
}

/// Files that only the old tree has, by what they hold.
fn removed(old: &Chain, new: &New, context: &Context<'_>) -> Result<Removed, BackupError> {
    let mut removed = Removed::default();
    side_by_side(old, new, context, &mut |old, new| {
        if let (Some((entry, Some(hash))), None) = (old, new)
            && !entry.is_empty()
        {
            removed.sizes.insert(entry.len());
            removed.files.insert(hash, entry.path);
        }
        Ok(())
    })?;
    Ok(removed)
}

#[derive(Default)]
struct Removed {
    files: HashMap<[u8; 32], RelPath>,
    sizes: HashSet<u64>,
}

struct Telling<'a> {
    new: &'a New,
    removed: Removed,
    counts: Comparison,
    each: &'a mut dyn FnMut(Change) -> Result<(), BackupError>,
}

impl Telling<'_> {
    fn pair(&mut self, old: Option<Known>, new: Option<Known>) -> Result<(), BackupError> {
        match (old, new) {
            (Some(old), Some(new)) => self.both(&old, &new),
            (None, Some(new)) => self.added(&new),
            (Some(old), None) => self.gone(&old),
            (None, None) => Ok(()),
        }
    }

    fn both(&mut self, old: &Known, new: &Known) -> Result<(), BackupError> {
        let mut what = differences(&old.0, &new.0);
        let same_length =
            matches!((&old.0.kind, &new.0.kind), (Kind::File { .. }, Kind::File { .. })) && old.0.len() == new.0.len();
        if same_length && self.new.hash(new)? != old.1 {
            what.insert(0, "content");
        }
        if what.is_empty() {
            self.counts.same += 1;
            return Ok(());
        }
        self.counts.changed += 1;
        self.counts.bytes += if what.contains(&"content") { new.0.len() } else { 0 };
        let change = change(ChangeKind::Changed, &new.0);
        (self.each)(Change { what, old_bytes: bytes(&old.0), new_bytes: bytes(&new.0), ..change })
    }

    fn added(&mut self, new: &Known) -> Result<(), BackupError> {
        let hash = if self.removed.sizes.contains(&new.0.len()) { self.new.hash(new)? } else { None };
        let from = hash.and_then(|hash| self.removed.files.get(&hash));
        let kind = if from.is_some() { ChangeKind::Renamed } else { ChangeKind::Added };
        let from = from.map(|path| path.to_string());
        match kind {
            ChangeKind::Renamed => self.counts.renamed += 1,
            _ => (self.counts.added, self.counts.bytes) = (self.counts.added + 1, self.counts.bytes + new.0.len()),
        }
        (self.each)(Change { from, new_bytes: bytes(&new.0), ..change(kind, &new.0) })
    }

    fn gone(&mut self, old: &Known) -> Result<(), BackupError> {
        self.counts.removed += 1;
        (self.each)(Change { old_bytes: bytes(&old.0), ..change(ChangeKind::Removed, &old.0) })
    }
}

/// Everything but content of the same length.
fn differences(old: &Entry, new: &Entry) -> Vec<&'static str> {
    let mut what = Vec::new();
    match (&old.kind, &new.kind) {
        (Kind::File { len: old }, Kind::File { len: new }) => what.extend((old != new).then_some("content")),
        (Kind::Symlink { target: old }, Kind::Symlink { target: new }) => what.extend((old != new).then_some("target")),
        (old, new) => what.extend((old != new).then_some("kind")),
    }
    let (was, is) = (&old.meta, &new.meta);
    if !matches!(new.kind, Kind::Symlink { .. }) {
        what.extend((was.mode != is.mode).then_some("mode"));
    }
    what.extend(((was.uid, was.gid) != (is.uid, is.gid)).then_some("owner"));
    what.extend((was.mtime != is.mtime && !new.is_dir()).then_some("time"));
    what.extend((was.xattrs != is.xattrs).then_some("attributes"));
    what
}

fn bytes(entry: &Entry) -> Option<u64> {
    matches!(entry.kind, Kind::File { .. }).then(|| entry.len())
}

fn change(kind: ChangeKind, entry: &Entry) -> Change {
    Change { kind, path: entry.path.to_string(), from: None, what: Vec::new(), old_bytes: None, new_bytes: None }
}
