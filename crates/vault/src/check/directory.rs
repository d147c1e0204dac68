//! Directories: their IVs, and what is in them besides entries.

use std::collections::HashSet;
use std::sync::Arc;

use rustix::io::Errno;
use strongroom_format::{Classified, DirIv, NameCipher};

use crate::backing::{Backing, RawEntry, Target};
use crate::directory::{DIR_IV_LEFTOVER, DIR_IV_NAME};
use crate::repair::ASIDE_WITHIN;

use super::content::Buffers;
use super::place::Place;
use super::queue::Job;
use super::{Checker, Part, Problem, ProblemKind, add};

/// Entries of a large directory that one job takes.
const ENTRIES_IN_A_JOB: usize = 256;

impl<B: Backing> Checker<'_, B> {
    pub(super) fn check_directory(&self, place: &Arc<Place>) {
        add(&self.counts.directories, 1);
        let dir = match self.open_dir(place) {
            Ok(dir) => dir,
            Err(errno) => return self.unreadable(place, Part::OpeningDir, "opening the directory", errno),
        };
        let mut entries = Vec::new();
        match self.backing.list(&dir, &mut |entry| entries.push(entry)) {
            Ok(()) => {}
            Err(Errno::ACCESS) => {
                return self.unreadable(place, Part::OpeningDir, "opening the directory", Errno::ACCESS);
            }
            Err(errno) => return self.unreadable(place, Part::Entries, "listing the directory", errno),
        }
        self.check_dir_xattrs(place, &dir);
        let iv = self.check_iv(place, &dir, &entries);
        if self.options.as_mounted && iv.is_none() {
            return;
        }
        self.check_orphans(place, &entries);
        let is_root = place.is_root();
        entries.retain(|entry| {
            let class = self.ciphers.names.classify(&entry.name, is_root);
            !matches!(class, Classified::Reserved | Classified::LongNameFile)
        });
        let mut jobs = Vec::new();
        while !entries.is_empty() {
            let rest = entries.split_off(entries.len().saturating_sub(ENTRIES_IN_A_JOB));
            jobs.push(Job::Entries { dir: place.clone(), iv, entries: rest });
        }
        self.queue.push(jobs);
    }

    /// From within the directory; or, if it may not be entered, from the one above it.
    fn check_dir_xattrs(&self, place: &Place, dir: &B::Dir) {
        match (&place.parent, self.backing.list_xattrs(Target::Dir(dir))) {
            (Some(parent), Err(Errno::ACCESS)) => match self.open_dir(parent) {
                Ok(above) => self.check_xattrs(place, Target::Entry(&above, &place.disk)),
                Err(errno) => self.unreadable(place, Part::Attributes, "opening the directory above", errno),
            },
            _ => self.check_xattrs(place, Target::Dir(dir)),
        }
    }

    /// The directory's IV; `None` if there is none to decrypt its names with.
    fn check_iv(&self, place: &Place, dir: &B::Dir, entries: &[RawEntry]) -> Option<DirIv> {
        if !self.ciphers.names.uses_dir_iv() {
            return Some(DirIv::ZERO);
        }
        let what = match self.backing.read_small(dir, DIR_IV_NAME, DirIv::LEN) {
            Ok(content) => match DirIv::parse(&content) {
                Ok(iv) => return Some(iv),
                Err(error) => error.to_string(),
            },
            Err(Errno::NOENT) => "gocryptfs.diriv is missing".to_owned(),
            Err(Errno::OVERFLOW) => "gocryptfs.diriv is longer than 16 bytes".to_owned(),
            Err(errno) => {
                self.unreadable(place, Part::Entries, "reading gocryptfs.diriv", errno);
                return None;
            }
        };
        let is_nothing = |entry: &RawEntry| is_nothing(&self.ciphers.names, &entry.name, place.is_root());
        let kind = match entries.iter().all(is_nothing) {
            true => ProblemKind::EmptyDirIv,
            false => ProblemKind::DirIv,
        };
        let fate = match kind {
            ProblemKind::EmptyDirIv => "the directory is empty and gets a new one at its next use",
            _ => "the names in this directory are lost, the contents are not",
        };
        let mut disk_path = place.disk_path();
        if !place.is_root() {
            disk_path.push(b'/');
        }
        disk_path.extend_from_slice(DIR_IV_NAME);
        let problem = place.problem(kind, Part::Entries, format!("{what}; {fate}"));
        self.report(Problem { disk_path, ..problem });
        None
    }

    fn check_orphans(&self, place: &Arc<Place>, entries: &[RawEntry]) {
        let class = |name: &[u8]| self.ciphers.names.classify(name, place.is_root());
        let contents: HashSet<Vec<u8>> = entries
            .iter()
            .filter(|entry| class(&entry.name) == Classified::LongContent)
            .map(|entry| self.ciphers.names.name_file_of(&entry.name))
            .collect();
        for entry in entries.iter().filter(|entry| class(&entry.name) == Classified::LongNameFile) {
            let is_what_is_aside = place.is_root() && entry.name == ASIDE_WITHIN;
            if !contents.contains(&entry.name) && !is_what_is_aside {
                let detail = "it holds the name of a file that is gone; it does no harm".into();
                let orphan = self.child(place, entry, None);
                self.problem(&orphan, ProblemKind::OrphanLongName, Part::Nothing, detail);
            }
        }
    }

    pub(super) fn check_entries(
        &self,
        place: &Arc<Place>,
        iv: Option<DirIv>,
        entries: &[RawEntry],
        buffers: &mut Buffers,
    ) {
        let dir = match self.open_dir(place) {
            Ok(dir) => dir,
            Err(errno) => return self.unreadable(place, Part::OpeningDir, "opening the directory", errno),
        };
        for entry in entries {
            if !self.options.as_mounted && is_leftover(&self.ciphers.names, &entry.name, place.is_root()) {
                let detail = "an interrupted run left it; it does no harm".into();
                self.problem(&self.child(place, entry, None), ProblemKind::Leftover, Part::Nothing, detail);
                continue;
            }
            let name = iv.and_then(|iv| self.check_name(place, &dir, &iv, entry));
            if name.is_some() || !self.options.as_mounted {
                self.check_object(&dir, Arc::new(self.child(place, entry, name)), buffers);
            }
        }
    }

    pub(super) fn child(&self, parent: &Arc<Place>, entry: &RawEntry, name: Option<Vec<u8>>) -> Place {
        let disk = entry.name.clone();
        Place::new(Some(parent.clone()), name.unwrap_or_else(|| disk.clone()), disk, entry.ino)
    }
}

/// Whether what has this name is no entry, so that a directory with nothing else is empty.
pub(crate) fn is_nothing(names: &NameCipher, disk: &[u8], is_root: bool) -> bool {
    names.classify(disk, is_root) == Classified::Reserved
        || is_leftover(names, disk, is_root)
        || is_root && disk == ASIDE_WITHIN
}

/// What an interrupted run leaves: the IV of a directory that gocryptfs was about to remove, and in the root what was to
/// replace the configuration, or was kept of it. Where names are not encrypted, a user's file may be called so.
fn is_leftover(names: &NameCipher, disk: &[u8], is_root: bool) -> bool {
    if names.is_plaintext() {
        return false;
    }
    let is_temporary = |of: &[u8]| disk.strip_prefix(of).is_some_and(|rest| rest.ends_with(b".tmp"));
    disk.starts_with(DIR_IV_LEFTOVER)
        || is_root && (is_temporary(b"gocryptfs.conf") || is_temporary(b"gocryptfs.diriv"))
        || is_root && disk == b"gocryptfs.conf.bak"
}
