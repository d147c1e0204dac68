//! What was found: counts, and what is wrong or odd, in the order of paths.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use strongroom_event::Event;

use crate::backing::Backing;

use super::place::Place;
use super::run::BadRun;
use super::{Checker, Met, add};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Regular files, each counted once however many names it has.
    pub files: u64,
    /// Directories, the root among them.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Fifos, sockets and device nodes.
    pub others: u64,
    /// Extended attributes.
    pub xattrs: u64,
    /// Bytes of plaintext that authenticated.
    pub bytes: u64,
    /// Bytes of plaintext that are holes: zeros that nothing authenticates.
    pub hole_bytes: u64,
    /// How many files have holes, listed or not.
    pub files_with_holes: u64,
    /// The files with holes, by path; at most [`Report::MOST_PROBLEMS`].
    pub holes: Vec<Holes>,
    /// How many problems are damage, listed or not.
    pub damaged: u64,
    /// What is wrong or odd, by path; at most [`Report::MOST_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// How many more problems there are than are listed.
    pub unlisted: u64,
    /// It was given up before all was read.
    pub stopped: bool,
}

impl Report {
    /// More problems than this are counted, not listed.
    pub const MOST_PROBLEMS: usize = 10_000;
}

/// A file with holes. What was a hole from the beginning cannot be told from what was overwritten with zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holes {
    /// Plaintext path.
    pub path: Vec<u8>,
    /// Path in the cipher directory, without a leading `/`.
    pub disk_path: Vec<u8>,
    /// How much of its plaintext they are.
    pub bytes: u64,
}

/// Something that is wrong or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Plaintext path, with names on disk for those that cannot be decrypted.
    pub path: Vec<u8>,
    /// Path in the cipher directory, without a leading `/`.
    pub disk_path: Vec<u8>,
    /// Inode number of the object on disk; 0 for the root.
    pub inode: u64,
    /// What kind of problem.
    pub kind: ProblemKind,
    /// What of the object it is about.
    pub part: Part,
    /// What the disk answered, if that is the problem.
    pub errno: Option<Errno>,
    /// What is wrong, in words.
    pub detail: String,
}

/// What of an object a problem is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its name: it cannot be listed.
    Name,
    /// Its name: it can be listed, but what is found by that name, if anything, is another object.
    OtherName {
        /// Whether there is another.
        exists: bool,
    },
    /// What stat(2) says of it.
    Status,
    /// Opening a directory.
    OpeningDir,
    /// Opening a file.
    Opening,
    /// What a directory holds, its IV included.
    Entries,
    /// The content of a file.
    Content,
    /// The target of a link.
    Target,
    /// Which extended attributes it has.
    Attributes,
    /// The name of an extended attribute, as stored.
    AttributeName(Vec<u8>),
    /// The value of the extended attribute of this name.
    Attribute(Vec<u8>),
    /// Nothing: it belongs to no object.
    Nothing,
}

impl Part {
    /// Whether it belongs to one name of an object that may have others, which are sound.
    fn is_of_a_name(&self) -> bool {
        matches!(self, Part::Name | Part::OtherName { .. } | Part::Nothing)
    }
}

/// What kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// A directory's IV is missing or malformed, and the directory holds something.
    DirIv,
    /// A name does not decrypt.
    Name,
    /// A name does not decrypt, and no other in its directory does: the directory's IV is not that of its names.
    ForeignIv,
    /// The file that holds a long name is missing or malformed.
    LongName,
    /// A name is stored in another way than it would be looked up.
    Unreachable,
    /// A file's header is damaged.
    Header,
    /// Blocks do not authenticate.
    Block,
    /// A link's target does not authenticate.
    Symlink,
    /// The name or value of an extended attribute does not authenticate.
    Xattr,
    /// The disk refused to read something.
    Unreadable,
    /// A name that is not UTF-8: made so, or damaged and decrypting by chance.
    OddName,
    /// The name of a long-named file that is gone.
    OrphanLongName,
    /// An empty directory without its IV, which gets a new one at its next use.
    EmptyDirIv,
    /// A file of 1 to 18 bytes, which counts as empty.
    Stub,
    /// What a crash left half done, and the next use puts right.
    Interrupted,
    /// A file left by an interrupted run of this program or of gocryptfs.
    Leftover,
}

impl ProblemKind {
    /// Whether something is lost. If not, it is odd, but costs nothing.
    pub fn is_damage(self) -> bool {
        use ProblemKind::*;
        match self {
            DirIv | Name | ForeignIv | LongName | Unreachable | Header | Block | Symlink | Xattr | Unreadable => true,
            OddName | OrphanLongName | EmptyDirIv | Stub | Interrupted | Leftover => false,
        }
    }

    /// A word for it that does not change.
    pub fn word(self) -> &'static str {
        match self {
            ProblemKind::DirIv => "directory-iv",
            ProblemKind::Name => "name",
            ProblemKind::ForeignIv => "foreign-directory-iv",
            ProblemKind::LongName => "long-name",
            ProblemKind::Unreachable => "unreachable-name",
            ProblemKind::Header => "header",
            ProblemKind::Block => "block",
            ProblemKind::Symlink => "symlink",
            ProblemKind::Xattr => "xattr",
            ProblemKind::Unreadable => "unreadable",
            ProblemKind::OddName => "odd-name",
            ProblemKind::OrphanLongName => "orphan-long-name",
            ProblemKind::EmptyDirIv => "empty-directory-without-iv",
            ProblemKind::Stub => "stub",
            ProblemKind::Interrupted => "interrupted",
            ProblemKind::Leftover => "leftover",
        }
    }
}

/// A problem, and what it takes to see it among the others: the blocks it is about, so that runs which several jobs found
/// become one; and whether it is one of many.
pub(super) struct Found {
    pub problem: Problem,
    pub run: Option<BadRun>,
    /// The directory whose IV may be to blame.
    pub blames_iv_of: Option<Arc<Place>>,
}

impl<B: Backing> Checker<'_, B> {
    pub(super) fn found(&self, found: Found) {
        let problem = &found.problem;
        if self.options.as_mounted && (problem.part == Part::Nothing || problem.kind == ProblemKind::Stub) {
            return;
        }
        if problem.kind.is_damage() {
            add(&self.counts.damaged, 1);
            self.observer.observe(&Event::Damaged { path: problem.path.clone(), what: problem.detail.clone() });
        }
        let mut problems = self.problems.lock();
        match problems.len() < Report::MOST_PROBLEMS || self.options.as_mounted {
            true => problems.push(found),
            false => add(&self.counts.unlisted, 1),
        }
    }

    pub(super) fn into_report(self) -> Report {
        let stopped = self.is_stopped();
        let first_names = first_names(self.seen_links.into_inner());
        let mut all = self.problems.into_inner();
        for found in &mut all {
            found.settle(&first_names);
        }
        all.sort_by(|a, b| a.order().cmp(&b.order()));
        let damaged = |all: &[Found]| all.iter().filter(|found| found.problem.kind.is_damage()).count() as u64;
        let before = damaged(&all);
        all.dedup_by(|next, last| last.continues_with(next));
        let merged = before - damaged(&all);
        let problems = all.into_iter().map(|found| found.problem).collect();
        let mut holes: Vec<_> = self.with_holes.into_inner().iter().map(|file| holes_of(file, &first_names)).collect();
        holes.sort_by(|a, b| a.path.cmp(&b.path));
        let counts = self.counts;
        Report {
            files: counts.files.into_inner(),
            directories: counts.directories.into_inner(),
            symlinks: counts.symlinks.into_inner(),
            others: counts.others.into_inner(),
            xattrs: counts.xattrs.into_inner(),
            bytes: counts.bytes.into_inner(),
            hole_bytes: counts.hole_bytes.into_inner(),
            files_with_holes: counts.files_with_holes.into_inner(),
            holes,
            damaged: counts.damaged.into_inner() - merged,
            problems,
            unlisted: counts.unlisted.into_inner(),
            stopped,
        }
    }
}

/// By the path on disk where an object was checked, where it is told of: which thread met it first is chance.
fn first_names(links: HashMap<(u64, u64), Met>) -> HashMap<Vec<u8>, Arc<Place>> {
    let moved = links.into_values().filter(|met| !Arc::ptr_eq(&met.checked, &met.first));
    moved.map(|met| (met.checked.disk_path(), met.first)).collect()
}

fn holes_of(file: &Place, first_names: &HashMap<Vec<u8>, Arc<Place>>) -> Holes {
    let bytes = file.hole_bytes.load(Ordering::Relaxed);
    let told = first_names.get(&file.disk_path()).map_or(file, |first| first);
    Holes { path: told.path(), disk_path: told.disk_path(), bytes }
}

impl Found {
    /// What can be said only when all was seen.
    fn settle(&mut self, first_names: &HashMap<Vec<u8>, Arc<Place>>) {
        let first = first_names.get(&self.problem.disk_path).filter(|_| !self.problem.part.is_of_a_name());
        if let Some(first) = first {
            (self.problem.path, self.problem.disk_path) = (first.path(), first.disk_path());
        }
        let iv_fits = |dir: &Arc<Place>| dir.iv_fits.load(Ordering::Relaxed);
        if self.blames_iv_of.as_ref().is_some_and(|dir| !iv_fits(dir)) {
            self.problem.kind = ProblemKind::ForeignIv;
            self.problem.detail.push_str(", nor does any other name in it");
        }
    }

    fn order(&self) -> (&[u8], ProblemKind, u64, &str) {
        let first = self.run.as_ref().map_or(0, |run| run.first);
        (&self.problem.path, self.problem.kind, first, &self.problem.detail)
    }

    /// Takes a run that goes on where this one ends into it.
    fn continues_with(&mut self, next: &Found) -> bool {
        match (&mut self.run, &next.run) {
            (Some(run), Some(more))
                if self.problem.disk_path == next.problem.disk_path
                    && (run.last + 1, &run.why) == (more.first, &more.why) =>
            {
                run.last = more.last;
                self.problem.detail = run.to_string();
                true
            }
            _ => false,
        }
    }
}
