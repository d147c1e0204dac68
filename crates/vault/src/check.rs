//! Authenticates everything in a vault: every name, block, link and attribute. Reads the ciphertext as it lies there, past
//! all that a [`Vault`](crate::Vault) remembers, and changes nothing.
//!
//! The work is cut into jobs (a directory to list, some of its entries, a part of a large file) that a few threads take
//! from one stack. Whoever has the latest job goes on with it, so that the stack stays about as long as the tree is deep;
//! a directory's entries are held in memory while it is listed, nothing else grows with the vault.
//!
//! What it cannot find: names carry no authentication in this format. A changed name is found because it hardly ever
//! decrypts to a well-formed one (once in 250 times, and then to one that is not UTF-8, which is noted), and a changed
//! directory IV because then no name in that directory decrypts. A file cut off between two blocks, and a file put in the
//! place of another, leave no trace.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;
use strongroom_event::{Event, Observer, PathText};
use strongroom_format::{Ciphers, Classified, DirIv, FileHeader, FileId, Geometry, NameCipher};

use crate::attr::Kind;
use crate::backing::{Backing, OpenMode, RawEntry, Stat, Sys, Target};
use crate::content::{HEADER, is_zero};
use crate::directory::{DIR_IV_LEFTOVER, DIR_IV_NAME};
use crate::error::Result;

/// How to check.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    /// How many threads work; 0: as the machine has, within 2 and 16.
    pub threads: usize,
}

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
    /// How many problems are damage, listed or not.
    pub damaged: u64,
    /// What is wrong or odd, by path; at most [`Report::MOST_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// How many more problems there are than are listed.
    pub unlisted: u64,
}

impl Report {
    /// More problems than this are counted, not listed.
    pub const MOST_PROBLEMS: usize = 10_000;
}

/// Something that is wrong or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Plaintext path, with names on disk for those that cannot be decrypted.
    pub path: Vec<u8>,
    /// Path in the cipher directory, without a leading `/`.
    pub disk_path: Vec<u8>,
    /// What kind of problem.
    pub kind: ProblemKind,
    /// What is wrong, in words.
    pub detail: String,
}

/// What kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// A directory's IV is missing or malformed, and the directory holds something.
    DirIv,
    /// A name does not decrypt.
    Name,
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
            DirIv | Name | LongName | Unreachable | Header | Block | Symlink | Xattr | Unreadable => true,
            OddName | OrphanLongName | EmptyDirIv | Stub | Interrupted | Leftover => false,
        }
    }

    /// A word for it that does not change.
    pub fn word(self) -> &'static str {
        match self {
            ProblemKind::DirIv => "directory-iv",
            ProblemKind::Name => "name",
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

/// Checks everything below the root of `backing`. It must not be changed meanwhile.
pub fn check<B: Backing>(
    backing: &B,
    ciphers: &Ciphers,
    options: CheckOptions,
    observer: &dyn Observer,
) -> Result<Report> {
    let root = backing.root()?;
    let checker = Checker {
        backing,
        ciphers,
        geometry: ciphers.content.geometry(),
        observer,
        device: backing.stat(Target::Dir(&root))?.dev,
        queue: Queue::default(),
        counts: Counts::default(),
        seen_links: Mutex::default(),
        problems: Mutex::default(),
    };
    checker.observer.observe(&Event::Phase { name: PHASE, total: None });
    checker.queue.push([Job::Directory(Arc::new(Place::root()))]);
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 16),
        asked => asked,
    };
    std::thread::scope(|scope| {
        scope.spawn(|| checker.tell_size());
        for _ in 0..threads {
            scope.spawn(|| checker.work());
        }
    });
    Ok(checker.into_report())
}

const PHASE: &str = "checking";
/// Ciphertext blocks that are read and opened together.
const BLOCKS_AT_ONCE: usize = 64;
/// Blocks of a large file that one job takes.
const BLOCKS_IN_A_JOB: u64 = 4096;
/// Entries of a large directory that one job takes.
const ENTRIES_IN_A_JOB: usize = 256;
/// In how many damaged blocks of one stretch a crash is looked for. A crash leaves one; looking takes 4000 attempts.
const INTERRUPTIONS_LOOKED_FOR: usize = 4;

/// A directory or an entry, and the way to it.
struct Place {
    parent: Option<Arc<Place>>,
    /// The name in plaintext, or on disk if it does not decrypt.
    name: Vec<u8>,
    disk: Vec<u8>,
}

impl Place {
    fn root() -> Self {
        Place { parent: None, name: Vec::new(), disk: Vec::new() }
    }

    fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    fn path(&self) -> Vec<u8> {
        match self.is_root() {
            true => b"/".to_vec(),
            false => [b"/", &*self.join(|place| &place.name)].concat(),
        }
    }

    fn disk_path(&self) -> Vec<u8> {
        self.join(|place| &place.disk)
    }

    fn join(&self, part: impl Fn(&Place) -> &[u8]) -> Vec<u8> {
        let mut parts = vec![part(self)];
        let mut up = self.parent.as_deref();
        while let Some(place) = up.filter(|place| !place.is_root()) {
            parts.push(part(place));
            up = place.parent.as_deref();
        }
        parts.reverse();
        parts.join(&b'/')
    }
}

/// A piece of work.
enum Job {
    Directory(Arc<Place>),
    Entries { dir: Arc<Place>, iv: Option<DirIv>, entries: Vec<RawEntry> },
    Blocks { file: Arc<Place>, id: FileId, from: u64, to: u64, size: u64 },
}

/// The stack of jobs. Work is over when it is empty and nobody is at a job that might add another.
#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    jobs: Vec<Job>,
    at_work: usize,
}

impl Queue {
    fn push(&self, jobs: impl IntoIterator<Item = Job>) {
        self.state.lock().jobs.extend(jobs);
        self.changed.notify_all();
    }

    fn take(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop() {
                state.at_work += 1;
                return Some(job);
            }
            if state.at_work == 0 {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    fn done(&self) {
        let mut state = self.state.lock();
        state.at_work -= 1;
        if state.at_work == 0 && state.jobs.is_empty() {
            self.changed.notify_all();
        }
    }

    fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.at_work == 0 && state.jobs.is_empty()
    }
}

#[derive(Default)]
struct Counts {
    files: AtomicU64,
    directories: AtomicU64,
    symlinks: AtomicU64,
    others: AtomicU64,
    xattrs: AtomicU64,
    bytes: AtomicU64,
    hole_bytes: AtomicU64,
    damaged: AtomicU64,
    unlisted: AtomicU64,
}

fn add(count: &AtomicU64, n: u64) {
    count.fetch_add(n, Ordering::Relaxed);
}

/// A problem, and the blocks it is about, so that runs which several jobs found become one.
struct Found {
    problem: Problem,
    run: Option<BadRun>,
}

/// A run of blocks with the same thing wrong.
struct BadRun {
    first: u64,
    last: u64,
    why: String,
}

struct Checker<'a, B: Backing> {
    backing: &'a B,
    ciphers: &'a Ciphers,
    geometry: Geometry,
    observer: &'a dyn Observer,
    device: u64,
    queue: Queue,
    counts: Counts,
    /// Inodes with several names that were met already.
    seen_links: Mutex<HashSet<(u64, u64)>>,
    problems: Mutex<Vec<Found>>,
}

impl<B: Backing> Checker<'_, B> {
    fn work(&self) {
        let mut buffers = Buffers::new(self.geometry);
        while let Some(job) = self.queue.take() {
            match job {
                Job::Directory(place) => self.check_directory(&place),
                Job::Entries { dir, iv, entries } => self.check_entries(&dir, iv, &entries, &mut buffers),
                Job::Blocks { file, id, from, to, size } => {
                    self.check_blocks_of(&file, &id, from..to, size, &mut buffers);
                }
            }
            self.queue.done();
        }
    }

    // Directories and names.

    fn check_directory(&self, place: &Arc<Place>) {
        add(&self.counts.directories, 1);
        let dir = match self.open_dir(place) {
            Ok(dir) => dir,
            Err(errno) => return self.unreadable(place, "opening the directory", errno),
        };
        self.check_xattrs(place, Target::Dir(&dir));
        let mut entries = Vec::new();
        if let Err(errno) = self.backing.list(&dir, &mut |entry| entries.push(entry)) {
            return self.unreadable(place, "listing the directory", errno);
        }
        let iv = self.check_iv(place, &dir, &entries);
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
                self.unreadable(place, "reading gocryptfs.diriv", errno);
                return None;
            }
        };
        let is_ours = |entry: &RawEntry| {
            self.ciphers.names.classify(&entry.name, place.is_root()) == Classified::Reserved
                || is_leftover(&entry.name, place.is_root())
        };
        let kind = match entries.iter().all(is_ours) {
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
        self.report(Problem { path: place.path(), disk_path, kind, detail: format!("{what}; {fate}") });
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
            if !contents.contains(&entry.name) {
                let detail = "it holds the name of a file that is gone; it does no harm".into();
                self.problem(&self.child(place, entry, None), ProblemKind::OrphanLongName, detail);
            }
        }
    }

    fn check_entries(&self, place: &Arc<Place>, iv: Option<DirIv>, entries: &[RawEntry], buffers: &mut Buffers) {
        let dir = match self.open_dir(place) {
            Ok(dir) => dir,
            Err(errno) => return self.unreadable(place, "opening the directory", errno),
        };
        for entry in entries {
            if is_leftover(&entry.name, place.is_root()) {
                let detail = "an interrupted run left it; it does no harm and can be deleted".into();
                self.problem(&self.child(place, entry, None), ProblemKind::Leftover, detail);
                continue;
            }
            let name = iv.and_then(|iv| self.check_name(place, &dir, &iv, entry));
            self.check_object(&dir, Arc::new(self.child(place, entry, name)), buffers);
        }
    }

    fn child(&self, parent: &Arc<Place>, entry: &RawEntry, name: Option<Vec<u8>>) -> Place {
        let disk = entry.name.clone();
        Place { parent: Some(parent.clone()), name: name.unwrap_or_else(|| disk.clone()), disk }
    }

    /// The plaintext name of an entry; `None`, reported, if it has none.
    fn check_name(&self, place: &Arc<Place>, dir: &B::Dir, iv: &DirIv, entry: &RawEntry) -> Option<Vec<u8>> {
        let names = &self.ciphers.names;
        let encoded = match names.classify(&entry.name, place.is_root()) {
            Classified::LongContent => self.read_name_file(place, dir, entry)?,
            _ => entry.name.clone(),
        };
        let name = match names.decrypt(iv, &encoded) {
            Ok(name) => name,
            Err(error) => {
                self.problem(&self.child(place, entry, None), ProblemKind::Name, error.to_string());
                return None;
            }
        };
        let child = self.child(place, entry, Some(name.clone()));
        match names.encrypt(iv, &name) {
            Ok(stored) if stored.disk() == entry.name => {}
            _ => {
                let detail = "the name decrypts, but it would be looked up under another name on disk".into();
                self.problem(&child, ProblemKind::Unreachable, detail);
            }
        }
        if !names.is_plaintext() && std::str::from_utf8(&name).is_err() {
            let detail = "the name is not UTF-8; either it was made so, or it is damaged and decrypts by chance".into();
            self.problem(&child, ProblemKind::OddName, detail);
        }
        Some(name)
    }

    fn read_name_file(&self, place: &Arc<Place>, dir: &B::Dir, entry: &RawEntry) -> Option<Vec<u8>> {
        let file = self.ciphers.names.name_file_of(&entry.name);
        let what = match self.backing.read_small(dir, &file, NameCipher::MAX_NAME_FILE) {
            Ok(encoded) if self.ciphers.names.name_file_matches(&entry.name, &encoded) => return Some(encoded),
            Ok(encoded) if encoded.is_empty() => "the file that holds its name is empty".to_owned(),
            Ok(_) => "the file that holds its name holds another".to_owned(),
            Err(Errno::NOENT) => "the file that holds its name is missing".to_owned(),
            Err(errno) => format!("the file that holds its name cannot be read: {}", std::io::Error::from(errno)),
        };
        self.problem(&self.child(place, entry, None), ProblemKind::LongName, what);
        None
    }

    // What stands behind a name.

    fn check_object(&self, dir: &B::Dir, place: Arc<Place>, buffers: &mut Buffers) {
        let disk = &place.disk;
        let target = Target::Entry(dir, disk);
        let stat = match self.backing.stat(target) {
            Ok(stat) => stat,
            Err(errno) => return self.unreadable(&place, "looking at it", errno),
        };
        let kind = Kind::of_mode(stat.mode);
        if kind == Kind::Directory {
            return match stat.dev == self.device {
                true => self.queue.push([Job::Directory(place)]),
                false => self.problem(
                    &place,
                    ProblemKind::Unreadable,
                    "another file system is mounted here, which is not part of the vault".into(),
                ),
            };
        }
        if stat.links > 1 && !self.seen_links.lock().insert((stat.dev, stat.ino)) {
            return;
        }
        self.check_xattrs(&place, target);
        match kind {
            Kind::File => {
                add(&self.counts.files, 1);
                self.check_file(dir, &place, &stat, buffers);
            }
            Kind::Symlink => {
                add(&self.counts.symlinks, 1);
                self.check_symlink(&place, target);
            }
            _ => add(&self.counts.others, 1),
        }
    }

    fn check_symlink(&self, place: &Place, target: Target<'_, B>) {
        match self.backing.read_link(target) {
            Err(errno) => self.unreadable(place, "reading the link", errno),
            Ok(stored) => match self.ciphers.content.open_symlink(&stored) {
                Ok(plain) => add(&self.counts.bytes, plain.len() as u64),
                Err(error) => self.problem(place, ProblemKind::Symlink, format!("the link's target: {error}")),
            },
        }
    }

    fn check_xattrs(&self, place: &Place, target: Target<'_, B>) {
        let names = match self.backing.list_xattrs(target) {
            Ok(names) => names,
            // A file system without attributes, or a kind of file that has none.
            Err(Errno::OPNOTSUPP | Errno::PERM) => return,
            Err(errno) => return self.unreadable(place, "listing the extended attributes", errno),
        };
        for disk in names {
            let Some(name) = self.ciphers.xattrs.decrypt_name(&disk) else { continue };
            add(&self.counts.xattrs, 1);
            let shown = match &name {
                Ok(name) => PathText(name).to_string(),
                Err(error) => {
                    let detail = format!("the name of the extended attribute {}: {error}", PathText(&disk));
                    self.problem(place, ProblemKind::Xattr, detail);
                    PathText(&disk).to_string()
                }
            };
            match self.backing.xattr(target, &disk) {
                Err(errno) => self.unreadable(place, "reading an extended attribute", errno),
                Ok(stored) => {
                    if let Err(error) = self.ciphers.content.open_xattr_value(&stored) {
                        let detail = format!("the value of the extended attribute {shown}: {error}");
                        self.problem(place, ProblemKind::Xattr, detail);
                    }
                }
            }
        }
    }

    // Contents.

    fn check_file(&self, dir: &B::Dir, place: &Arc<Place>, stat: &Stat, buffers: &mut Buffers) {
        if stat.size == 0 {
            return;
        }
        if stat.size <= self.geometry.header_len() {
            let detail = format!("{} bytes are no more than a header, so the file counts as empty", stat.size);
            return self.problem(place, ProblemKind::Stub, detail);
        }
        let file = match self.backing.open(dir, &place.disk, OpenMode::Read) {
            Ok(file) => file,
            Err(errno) => return self.unreadable(place, "opening it", errno),
        };
        let mut header = [0; HEADER];
        match self.backing.read_at(&file, 0, &mut header) {
            Ok(HEADER) => {}
            Ok(_) => return self.problem(place, ProblemKind::Header, "the file ends within its header".into()),
            Err(errno) => return self.unreadable(place, "reading its header", errno),
        }
        let id = match FileHeader::decode(&header) {
            Ok(id) => id,
            Err(_) if is_zero(&header) && self.holds_nothing(&file, stat.size, buffers) => {
                add(&self.counts.hole_bytes, self.geometry.plain_size(stat.size));
                let detail = "the size reached the disk, the header and the content did not: it reads as zeros".into();
                return self.problem(place, ProblemKind::Interrupted, detail);
            }
            Err(error) => {
                let detail = format!("{error}; no block of the file can be opened");
                return self.problem(place, ProblemKind::Header, detail);
            }
        };
        let blocks = (stat.size - self.geometry.header_len()).div_ceil(self.geometry.cipher_block());
        // The first part is checked now, the others by whoever has time.
        let rest = (BLOCKS_IN_A_JOB.min(blocks)..blocks).step_by(BLOCKS_IN_A_JOB as usize);
        self.queue.push(rest.map(|from| {
            let to = (from + BLOCKS_IN_A_JOB).min(blocks);
            Job::Blocks { file: place.clone(), id, from, to, size: stat.size }
        }));
        self.check_blocks(place, &file, &id, 0..BLOCKS_IN_A_JOB.min(blocks), stat.size, buffers);
    }

    fn check_blocks_of(
        &self,
        place: &Arc<Place>,
        id: &FileId,
        blocks: std::ops::Range<u64>,
        size: u64,
        buffers: &mut Buffers,
    ) {
        let parent = place.parent.as_ref().expect("a file is not the root");
        let opened = self.open_dir(parent).and_then(|dir| self.backing.open(&dir, &place.disk, OpenMode::Read));
        match opened {
            Ok(file) => self.check_blocks(place, &file, id, blocks, size, buffers),
            Err(errno) => self.unreadable(place, "opening it", errno),
        }
    }

    fn check_blocks(
        &self,
        place: &Place,
        file: &B::File,
        id: &FileId,
        blocks: std::ops::Range<u64>,
        size: u64,
        buffers: &mut Buffers,
    ) {
        let mut bad = Vec::new();
        let mut looks = INTERRUPTIONS_LOOKED_FOR;
        let mut next = blocks.start;
        while next < blocks.end {
            let after_hole = self.skip_hole(file, next, blocks.end, size);
            if after_hole > next {
                next = after_hole;
                continue;
            }
            let count = (blocks.end - next).min(BLOCKS_AT_ONCE as u64);
            let wanted = self.span(next, count, size);
            let stored = &mut buffers.stored[..wanted];
            match self.backing.read_at(file, self.geometry.block_offset(next), stored) {
                Ok(len) if len == wanted => {}
                Ok(_) => {
                    return self.problem(place, ProblemKind::Unreadable, "the file shrank while it was read".into());
                }
                Err(errno) => {
                    let why = format!("cannot be read: {}", std::io::Error::from(errno));
                    // One bad sector is not to hide the blocks beside it.
                    self.check_each_block(file, id, next..next + count, size, &why, &mut bad, &mut looks, buffers);
                    next += count;
                    continue;
                }
            }
            self.open_all(id, next, wanted, &mut bad, &mut looks, size, buffers);
            self.observer.observe(&Event::Progress(wanted as u64));
            next += count;
        }
        for run in bad {
            self.bad_run(place, run);
        }
    }

    /// Stored bytes of `count` blocks from `first` on.
    fn span(&self, first: u64, count: u64, size: u64) -> usize {
        let start = self.geometry.block_offset(first);
        (self.geometry.block_offset(first + count).min(size) - start) as usize
    }

    /// Reads blocks one by one where reading them together failed.
    #[allow(clippy::too_many_arguments)]
    fn check_each_block(
        &self,
        file: &B::File,
        id: &FileId,
        blocks: std::ops::Range<u64>,
        size: u64,
        why: &str,
        bad: &mut Vec<BadRun>,
        looks: &mut usize,
        buffers: &mut Buffers,
    ) {
        for block in blocks {
            let wanted = self.span(block, 1, size);
            let read = self.backing.read_at(file, self.geometry.block_offset(block), &mut buffers.stored[..wanted]);
            match read == Ok(wanted) {
                true => self.open_all(id, block, wanted, bad, looks, size, buffers),
                false => note_bad(bad, block, why.to_owned()),
            }
            self.observer.observe(&Event::Progress(wanted as u64));
        }
    }

    /// Opens the blocks in the buffer, those after a bad one too.
    #[allow(clippy::too_many_arguments)]
    fn open_all(
        &self,
        id: &FileId,
        first: u64,
        len: usize,
        bad: &mut Vec<BadRun>,
        looks: &mut usize,
        size: u64,
        buffers: &mut Buffers,
    ) {
        let block_len = self.geometry.cipher_block() as usize;
        let Buffers { stored, plain } = buffers;
        let (mut at, mut block) = (0, first);
        while at < len {
            let rest = &stored[at..len];
            let good = match self.ciphers.content.open_blocks(id, block, rest, plain) {
                Ok(_) => rest.len().div_ceil(block_len),
                Err(error) => (error.block - block) as usize,
            };
            let good_len = (good * block_len).min(rest.len());
            self.count_content(&rest[..good_len]);
            at += good_len;
            block += good as u64;
            if at < len {
                let one = &stored[at..len.min(at + block_len)];
                let is_last = self.geometry.block_offset(block + 1) >= size;
                self.look_at_bad(id, block, one, is_last, bad, looks, plain);
                at += one.len();
                block += 1;
            }
        }
    }

    fn count_content(&self, stored: &[u8]) {
        let block_len = self.geometry.cipher_block() as usize;
        let is_hole = |block: &&[u8]| block.len() == block_len && is_zero(block);
        let holes = stored.chunks(block_len).filter(is_hole).count() as u64 * self.geometry.plain_block();
        let all = self.geometry.plain_size(stored.len() as u64 + self.geometry.header_len());
        add(&self.counts.hole_bytes, holes);
        add(&self.counts.bytes, all - holes);
    }

    /// A block that does not authenticate: damaged, or what a crash left, which the vault can read.
    #[allow(clippy::too_many_arguments)]
    fn look_at_bad(
        &self,
        id: &FileId,
        block: u64,
        stored: &[u8],
        is_last: bool,
        bad: &mut Vec<BadRun>,
        looks: &mut usize,
        plain: &mut [u8],
    ) {
        let overhead = self.geometry.overhead() as usize;
        if stored.len() > overhead && is_zero(stored) && is_last {
            add(&self.counts.hole_bytes, (stored.len() - overhead) as u64);
            return note_bad(bad, block, INTERRUPTED_WRITE.to_owned());
        }
        let looks_on = *looks > 0;
        *looks = looks.saturating_sub(1);
        match self.ciphers.content.open_interrupted(id, block, stored, looks_on, plain) {
            Some(len) => {
                add(&self.counts.bytes, len as u64);
                note_bad(bad, block, INTERRUPTED_RESIZE.to_owned());
            }
            None => {
                let why = self.ciphers.content.open_blocks(id, block, stored, plain).err();
                note_bad(bad, block, why.map_or_else(String::new, |error| error.why.to_string()));
            }
        }
    }

    fn bad_run(&self, place: &Place, run: BadRun) {
        let kind = match run.why.as_str() {
            INTERRUPTED_WRITE | INTERRUPTED_RESIZE => ProblemKind::Interrupted,
            _ => ProblemKind::Block,
        };
        let (path, disk_path) = (place.path(), place.disk_path());
        self.found(Found { problem: Problem { path, disk_path, kind, detail: run.to_string() }, run: Some(run) });
    }

    /// The first block from `next` on that may hold data. Whole blocks of a hole are counted, not read.
    fn skip_hole(&self, file: &B::File, next: u64, end: u64, size: u64) -> u64 {
        let start = self.geometry.block_offset(next);
        let data = match self.backing.seek_data(file, start) {
            Ok(data) => data,
            Err(Errno::NXIO) => size,
            Err(_) => return next,
        };
        let whole = (data.saturating_sub(start) / self.geometry.cipher_block()).min(end - next);
        add(&self.counts.hole_bytes, whole * self.geometry.plain_block());
        if whole > 0 {
            self.observer.observe(&Event::Progress(whole * self.geometry.cipher_block()));
        }
        next + whole
    }

    /// Whether the file is zeros throughout.
    fn holds_nothing(&self, file: &B::File, size: u64, buffers: &mut Buffers) -> bool {
        let mut at = 0;
        while at < size {
            at = match self.backing.seek_data(file, at) {
                Ok(data) => data,
                Err(Errno::NXIO) => return true,
                Err(_) => at,
            };
            match self.backing.read_at(file, at, &mut buffers.stored) {
                Ok(0) => return true,
                Ok(len) if is_zero(&buffers.stored[..len]) => at += len as u64,
                _ => return false,
            }
        }
        true
    }

    // What all share.

    /// Opens a directory by its way from the root: an open descriptor for each waiting job would be too many.
    fn open_dir(&self, place: &Place) -> Sys<B::Dir> {
        match &place.parent {
            None => self.backing.root(),
            Some(_) => {
                let mut way = vec![place.disk.as_slice()];
                let mut up = place.parent.as_deref();
                while let Some(above) = up.filter(|above| !above.is_root()) {
                    way.push(&above.disk);
                    up = above.parent.as_deref();
                }
                let mut dir = self.backing.root()?;
                for name in way.into_iter().rev() {
                    dir = self.backing.open_dir(&dir, name)?;
                }
                Ok(dir)
            }
        }
    }

    fn unreadable(&self, place: &Place, doing: &str, errno: Errno) {
        let detail = format!("{doing} failed: {}", std::io::Error::from(errno));
        self.problem(place, ProblemKind::Unreadable, detail);
    }

    fn problem(&self, place: &Place, kind: ProblemKind, detail: String) {
        self.report(Problem { path: place.path(), disk_path: place.disk_path(), kind, detail });
    }

    fn report(&self, problem: Problem) {
        self.found(Found { problem, run: None });
    }

    fn found(&self, found: Found) {
        let problem = &found.problem;
        if problem.kind.is_damage() {
            add(&self.counts.damaged, 1);
            self.observer.observe(&Event::Damaged { path: problem.path.clone(), what: problem.detail.clone() });
        }
        let mut problems = self.problems.lock();
        match problems.len() < Report::MOST_PROBLEMS {
            true => problems.push(found),
            false => add(&self.counts.unlisted, 1),
        }
    }

    fn into_report(self) -> Report {
        let mut all = self.problems.into_inner();
        all.sort_by(|a, b| a.order().cmp(&b.order()));
        let damaged = |all: &[Found]| all.iter().filter(|found| found.problem.kind.is_damage()).count() as u64;
        let before = damaged(&all);
        all.dedup_by(|next, last| last.continues_with(next));
        let merged = before - damaged(&all);
        let problems = all.into_iter().map(|found| found.problem).collect();
        let counts = self.counts;
        Report {
            files: counts.files.into_inner(),
            directories: counts.directories.into_inner(),
            symlinks: counts.symlinks.into_inner(),
            others: counts.others.into_inner(),
            xattrs: counts.xattrs.into_inner(),
            bytes: counts.bytes.into_inner(),
            hole_bytes: counts.hole_bytes.into_inner(),
            damaged: counts.damaged.into_inner() - merged,
            problems,
            unlisted: counts.unlisted.into_inner(),
        }
    }

    /// Adds up how much there is to read, beside the work, so that whoever watches can tell how long it will take. Hard
    /// links are counted as often as they are met: it is an estimate.
    fn tell_size(&self) {
        let mut total = 0;
        let mut waiting = vec![Arc::new(Place::root())];
        while let Some(place) = waiting.pop() {
            if self.queue.is_over() {
                return;
            }
            let Ok(dir) = self.open_dir(&place) else { continue };
            let mut entries = Vec::new();
            let _ = self.backing.list(&dir, &mut |entry| entries.push(entry));
            for entry in entries {
                let Ok(stat) = self.backing.stat(Target::Entry(&dir, &entry.name)) else { continue };
                match Kind::of_mode(stat.mode) {
                    Kind::Directory => waiting.push(Arc::new(self.child(&place, &entry, None))),
                    Kind::File if !entry.name.starts_with(b"gocryptfs.") => {
                        total += stat.size.saturating_sub(self.geometry.header_len());
                    }
                    _ => {}
                }
            }
        }
        self.observer.observe(&Event::Phase { name: PHASE, total: Some(total) });
    }
}

impl Found {
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

impl fmt::Display for BadRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.first * Geometry::PLAIN_BLOCK as u64;
        match self.last - self.first {
            0 => write!(f, "block {} (from byte {start} on): {}", self.first, self.why),
            more => {
                let (first, last, count) = (self.first, self.last, more + 1);
                write!(f, "blocks {first} to {last} ({count} of them, from byte {start} on): {}", self.why)
            }
        }
    }
}

const INTERRUPTED_WRITE: &str = "the size reached the disk, the content did not: it reads as zeros";
const INTERRUPTED_RESIZE: &str = "a change of size was interrupted here; the next use completes it";

struct Buffers {
    stored: Vec<u8>,
    plain: Vec<u8>,
}

impl Buffers {
    fn new(geometry: Geometry) -> Self {
        Buffers {
            stored: vec![0; BLOCKS_AT_ONCE * geometry.cipher_block() as usize],
            plain: vec![0; BLOCKS_AT_ONCE * geometry.plain_block() as usize],
        }
    }
}

/// Adds a bad block to the run before it, if that has the same thing wrong.
fn note_bad(bad: &mut Vec<BadRun>, block: u64, why: String) {
    match bad.last_mut() {
        Some(run) if run.last + 1 == block && run.why == why => run.last = block,
        _ => bad.push(BadRun { first: block, last: block, why }),
    }
}

/// What an interrupted run leaves: the IV of a directory that gocryptfs was about to remove, and in the root what was to
/// replace the configuration, or was kept of it.
fn is_leftover(disk: &[u8], is_root: bool) -> bool {
    let is_temporary = |of: &[u8]| disk.strip_prefix(of).is_some_and(|rest| rest.ends_with(b".tmp"));
    disk.starts_with(DIR_IV_LEFTOVER)
        || is_root && (is_temporary(b"gocryptfs.conf") || is_temporary(b"gocryptfs.diriv"))
        || is_root && disk == b"gocryptfs.conf.bak"
}
