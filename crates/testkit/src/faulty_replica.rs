//! A replica that fails when it is told to: faults by wrapping the trait.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_tree::{Content, Entry, Filter, RelPath, Replica, Sink, Source, TreeError};

/// What happens when a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// This one call fails, with this error.
    Once(io::ErrorKind),
    /// It and all after it fail before they do anything, as if the process were dead.
    Killed,
    /// It does its work, and it and all after it fail: killed just before its return.
    KilledAfter,
}

/// A replica of which the call of a certain number fails. Reading is not counted.
pub struct FaultyReplica<'a> {
    replica: &'a dyn Replica,
    calls: AtomicU64,
    at: u64,
    mishap: Mishap,
}

impl<'a> FaultyReplica<'a> {
    /// `replica`, whose call number `at`, from 0 on, fails.
    pub fn new(replica: &'a dyn Replica, at: u64, mishap: Mishap) -> Self {
        Self { replica, calls: AtomicU64::new(0), at, mishap }
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    fn call(&self, path: &RelPath, act: impl FnOnce() -> Result<(), TreeError>) -> Result<(), TreeError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let fail = |error: io::Error| Err(TreeError::on("pretending to work on", path)(error));
        let dead = || io::Error::other("killed");
        match self.mishap {
            Mishap::Once(kind) if number == self.at => fail(kind.into()),
            Mishap::Killed if number >= self.at => fail(dead()),
            Mishap::KilledAfter if number == self.at => act().and_then(|()| fail(dead())),
            Mishap::KilledAfter if number > self.at => fail(dead()),
            _ => act(),
        }
    }
}

impl Source for FaultyReplica<'_> {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        self.replica.entries(filter)
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        self.replica.open(path)
    }
}

impl Sink for FaultyReplica<'_> {
    fn put(&self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<(), TreeError> {
        self.call(&entry.path, || self.replica.put(entry, content))
    }

    fn seal(&self) -> Result<(), TreeError> {
        self.call(&RelPath::root(), || self.replica.seal())
    }
}

impl Replica for FaultyReplica<'_> {
    fn remove(&self, path: &RelPath) -> Result<(), TreeError> {
        self.call(path, || self.replica.remove(path))
    }

    fn dress(&self, entry: &Entry) -> Result<(), TreeError> {
        self.call(&entry.path, || self.replica.dress(entry))
    }

    fn sync(&self) -> Result<(), TreeError> {
        self.call(&RelPath::root(), || self.replica.sync())
    }
}
