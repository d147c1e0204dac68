//! What an index must be, checked entry by entry: no path twice, nothing below what is no directory, no link to what is
//! not before it, no place in the tar stream told twice or not at all.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use strongroom_tree::{Kind, RelPath};

use super::{Location, Record, line::Head};
use crate::{ArchiveError, pax::BLOCK};

/// Looks at all entries of an index in their order.
pub struct Checker {
    components: Vec<Walk>,
    archives: u32,
    tail: u64,
    /// Where the next member of this archive must begin.
    next: u64,
    linked: Linked,
}

/// Where a component's walk stands.
#[derive(Default)]
struct Walk {
    last: Option<RelPath>,
    /// The directories that the last entry is in, and itself if it is one.
    directories: Vec<RelPath>,
}

/// The paths that links may refer to. As keyed hashes: there may be millions, and nobody can aim at one.
#[derive(Default)]
pub struct Linked {
    paths: HashSet<u64>,
    keyed: RandomState,
}

impl Linked {
    /// Notes that links to an entry may follow.
    pub fn add(&mut self, component: u32, path: &RelPath) {
        self.paths.insert(self.keyed.hash_one((component, path)));
    }

    /// Whether links to this path may follow.
    pub fn holds(&self, component: u32, path: &RelPath) -> bool {
        self.paths.contains(&self.keyed.hash_one((component, path)))
    }
}

impl Checker {
    /// For the entries after `head`.
    pub fn new(head: &Head) -> Self {
        Self::of(head.metadata.components.len(), head.archives.len(), head.tail)
    }

    /// For so many components, archives before this one, and bytes of tar.
    pub fn of(components: usize, archives: usize, tail: u64) -> Self {
        let components = (0..components).map(|_| Walk::default()).collect();
        Self { components, archives: archives as u32, tail, next: 0, linked: Linked::default() }
    }

    /// Looks at the next entry.
    pub fn entry(&mut self, record: &Record) -> Result<(), ArchiveError> {
        self.check(record).map_err(|why| ArchiveError::Entry { path: record.entry.path.clone(), why })
    }

    /// Looks at a stretch of no use.
    pub fn void(&mut self, tar_offset: u64, tar_len: u64) -> Result<(), ArchiveError> {
        let at = Location { archive: 0, tar_offset, tar_len };
        self.check_location(at, false).map_err(|why| ArchiveError::Index { why })
    }

    /// Whether a link to this path may follow.
    pub fn is_linkable(&self, component: u32, to: &RelPath) -> bool {
        self.linked.holds(component, to)
    }

    /// Whether all entries together fill their part of the tar stream.
    pub fn end(&self) -> Result<(), ArchiveError> {
        if self.next == self.tail {
            return Ok(());
        }
        Err(ArchiveError::Index { why: "there is something in the tar stream that it does not list" })
    }

    fn check(&mut self, record: &Record) -> Result<(), &'static str> {
        let walk =
            self.components.get_mut(record.component as usize).ok_or("it is of a component that is not there")?;
        walk.step(record)?;
        let path = &record.entry.path;
        match &record.entry.kind {
            Kind::Link { to } if !self.linked.holds(record.component, to) => {
                return Err("it is a link to something that is not before it");
            }
            Kind::Link { .. } | Kind::Directory => {}
            _ if record.entry.stamp.links > 1 => self.linked.add(record.component, path),
            _ => {}
        }
        let is_file = matches!(record.entry.kind, Kind::File { .. });
        if is_file != record.sha256.is_some() {
            return Err("a file has no hash, or something else has one");
        }
        match record.at {
            Some(at) => self.check_location(at, is_file),
            None if is_file => Err("no archive holds its content"),
            None => Ok(()),
        }
    }

    fn check_location(&mut self, at: Location, is_file: bool) -> Result<(), &'static str> {
        let block = BLOCK as u64;
        let end = at.tar_offset.checked_add(at.tar_len).ok_or("its place in the tar stream has no end")?;
        if at.tar_len < block || !at.tar_len.is_multiple_of(block) || !at.tar_offset.is_multiple_of(block) {
            return Err("its place in the tar stream is not in whole blocks");
        }
        if at.archive > 0 {
            return if !is_file || at.archive > self.archives {
                Err("it is in an archive that is not there")
            } else {
                Ok(())
            };
        }
        if at.tar_offset != self.next {
            return Err("its member does not follow the one before");
        }
        if end > self.tail {
            return Err("its member is beyond the end of the tar stream");
        }
        self.next = end;
        Ok(())
    }
}

impl Walk {
    fn step(&mut self, record: &Record) -> Result<(), &'static str> {
        let path = &record.entry.path;
        match &self.last {
            Some(last) if path == last => return Err("it is there twice"),
            Some(last) if path < last => return Err("it is not in the order of a walk, or there twice"),
            _ => {}
        }
        while self.directories.last().is_some_and(|directory| !path.is_within(directory)) {
            self.directories.pop();
        }
        let parent_is_there = match (path.parent(), self.directories.last()) {
            (None, _) => record.entry.is_dir(),
            (Some(parent), Some(directory)) => parent == *directory,
            (Some(parent), None) => parent.is_root(),
        };
        if !parent_is_there {
            return Err("it is below something that is no directory");
        }
        if record.entry.is_dir() {
            self.directories.push(path.clone());
        }
        self.last = Some(path.clone());
        Ok(())
    }
}
