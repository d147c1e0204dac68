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
//!
//! | file | what it checks |
//! |---|---|
//! | `directory.rs`, `name.rs` | directories, their IVs, the names in them |
//! | `object.rs` | what stands behind a name: links and attributes, and which object it is |
//! | `content.rs`, `run.rs` | headers and blocks |
//! | `report.rs` | what was found |
//! | `queue.rs`, `place.rs`, `estimate.rs` | who does what where, and how long it will take |

mod content;
mod directory;
mod estimate;
mod name;
mod object;
mod place;
mod queue;
mod report;
mod run;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::io::Errno;
use strongroom_event::{Event, Observer};
use strongroom_format::{Ciphers, Geometry};

use crate::backing::{Backing, Sys, Target};
use crate::error::Result;

use content::Buffers;
pub(crate) use directory::is_nothing;
use place::Place;
use queue::{Job, Queue};
use report::Found;
pub use report::{Holes, Part, Problem, ProblemKind, Report};

/// How to check.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions<'a> {
    /// How many threads work; 0: as the machine has, within 2 and 16.
    pub threads: usize,
    /// Only what a mount shows is looked at: nothing behind names that do not decrypt, but what other file systems show
    /// that are mounted within; what is left of interrupted runs are names like others; and what no mount stumbles over is
    /// not told. All problems are listed then.
    pub as_mounted: bool,
    /// Tells how much there is to read, which takes a second walk beside the first.
    pub estimate: bool,
    /// Gives up as soon as this is set.
    pub stop: Option<&'a AtomicBool>,
}

/// Checks everything below the root of `backing`. It must not be changed meanwhile.
pub fn check<B: Backing>(
    backing: &B,
    ciphers: &Ciphers,
    options: CheckOptions<'_>,
    observer: &dyn Observer,
) -> Result<Report> {
    let root = backing.root()?;
    let checker = Checker {
        backing,
        ciphers,
        geometry: ciphers.content.geometry(),
        observer,
        options,
        device: backing.stat(Target::Dir(&root))?.dev,
        queue: Queue::default(),
        counts: Counts::default(),
        seen_links: Mutex::default(),
        with_holes: Mutex::default(),
        problems: Mutex::default(),
    };
    checker.observer.observe(&Event::Phase { name: PHASE, total: None });
    checker.queue.push([Job::Directory(Arc::new(Place::root()))]);
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 16),
        asked => asked,
    };
    std::thread::scope(|scope| {
        if options.estimate {
            scope.spawn(|| checker.tell_size());
        }
        for _ in 0..threads {
            scope.spawn(|| checker.work());
        }
    });
    Ok(checker.into_report())
}

const PHASE: &str = "checking";

#[derive(Default)]
struct Counts {
    files: AtomicU64,
    directories: AtomicU64,
    symlinks: AtomicU64,
    others: AtomicU64,
    xattrs: AtomicU64,
    bytes: AtomicU64,
    hole_bytes: AtomicU64,
    files_with_holes: AtomicU64,
    damaged: AtomicU64,
    unlisted: AtomicU64,
}

fn add(count: &AtomicU64, n: u64) {
    count.fetch_add(n, Ordering::Relaxed);
}

struct Checker<'a, B: Backing> {
    backing: &'a B,
    ciphers: &'a Ciphers,
    geometry: Geometry,
    observer: &'a dyn Observer,
    options: CheckOptions<'a>,
    device: u64,
    queue: Queue,
    counts: Counts,
    /// Inodes with several names that were met already.
    seen_links: Mutex<HashMap<(u64, u64), Met>>,
    /// Files with holes, not more than are listed.
    with_holes: Mutex<Vec<Arc<Place>>>,
    problems: Mutex<Vec<Found>>,
}

/// An inode with several names.
struct Met {
    /// Where it was checked.
    checked: Arc<Place>,
    /// Where it would have been checked by one thread that goes from name to name: where it is told of.
    first: Arc<Place>,
}

impl<B: Backing> Checker<'_, B> {
    fn work(&self) {
        let mut buffers = Buffers::new(self.geometry);
        while let Some(job) = self.queue.take() {
            match job {
                _ if self.is_stopped() => {}
                Job::Directory(place) => self.check_directory(&place),
                Job::Entries { dir, iv, entries } => self.check_entries(&dir, iv, &entries, &mut buffers),
                Job::Blocks { file, id, from, to, size } => {
                    self.check_blocks_of(&file, &id, from..to, size, &mut buffers);
                }
            }
            self.queue.done();
        }
    }

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

    fn is_stopped(&self) -> bool {
        self.options.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    fn unreadable(&self, place: &Place, part: Part, doing: &str, errno: Errno) {
        let detail = format!("{doing} failed: {}", std::io::Error::from(errno));
        let problem = place.problem(ProblemKind::Unreadable, part, detail);
        self.report(Problem { errno: Some(errno), ..problem });
    }

    fn problem(&self, place: &Place, kind: ProblemKind, part: Part, detail: String) {
        self.report(place.problem(kind, part, detail));
    }

    fn report(&self, problem: Problem) {
        self.found(Found { problem, run: None, blames_iv_of: None });
    }
}
