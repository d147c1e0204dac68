//! Doing what was decided about one entry.

use std::{
    collections::VecDeque,
    io,
    sync::{
        atomic::Ordering,
        mpsc::{channel, sync_channel},
    },
};

use strongroom_crypto::Key;
use strongroom_event::{Event, Observer};

use super::{
    MirrorError, Mirroring,
    batch::Act,
    plan::{Deed, is_same_meta},
    reading::{Fault, FromAhead, Watched, read_ahead},
};
use crate::digest::digest;
use crate::manifest::{is_as, is_same_stamp};
use crate::tick::is_racy;
use crate::{Content, Entry, Kind, Known, Look, Replica, Source, TreeError};

/// From so many bytes on a file is read by one thread while another writes it.
const LARGE: u64 = 4 << 20;
/// Pieces that the one may be ahead of the other.
const AHEAD: usize = 4;

/// What all that is done needs.
pub(super) struct Hands<'a> {
    pub source: &'a dyn Source,
    pub replica: &'a dyn Replica,
    pub how: &'a Mirroring<'a>,
    pub observer: &'a dyn Observer,
    pub key: &'a Key<32>,
}

/// What became of an entry.
pub(super) enum Outcome {
    /// The replica has it.
    Held { known: Box<Known>, was: Was, read: u64 },
    /// It changed while it was read: the replica has something.
    Changed { known: Box<Known>, read: u64 },
    /// It went before it was read: the replica does not have it.
    Vanished,
    /// It could not be read or held: the replica does not have it.
    Failed(TreeError),
    /// Nothing more can be done.
    Ended(MirrorError),
}

/// How the replica came to have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Was {
    Made,
    Dressed,
    Unchanged,
}

impl Hands<'_> {
    pub fn check_stop(&self) -> Result<(), MirrorError> {
        if self.how.stop.load(Ordering::Relaxed) { Err(MirrorError::Stopped) } else { Ok(()) }
    }

    /// Does what was decided about an entry.
    pub fn act(&self, act: &Act) -> Outcome {
        if let Err(stopped) = self.check_stop() {
            return Outcome::Ended(stopped);
        }
        let outcome = match act.deed {
            Deed::Copy { look_first } => self.copy(act, look_first),
            Deed::Dress => self.outcome(self.replica.dress(&act.entry), &act.entry, Was::Dressed),
            Deed::Make | Deed::Link | Deed::DressDirectory => {
                self.outcome(self.replica.put(&act.entry, None), &act.entry, Was::Made)
            }
        };
        if let Outcome::Held { was: Was::Made, .. } | Outcome::Changed { .. } = outcome {
            self.observer.observe(&Event::FileDone { path: act.entry.path.as_bytes().to_vec() });
        }
        match outcome {
            Outcome::Vanished | Outcome::Failed(_) => self.without(&act.entry, outcome),
            outcome => outcome,
        }
    }

    /// Sees to it that the replica has nothing where nothing could be copied.
    pub fn without(&self, entry: &Entry, outcome: Outcome) -> Outcome {
        match self.replica.remove(&entry.path) {
            Ok(()) => outcome,
            Err(error) => Outcome::Ended(MirrorError::of_replica(error)),
        }
    }

    /// What it means for an entry without content that `done` was its making.
    fn outcome(&self, done: Result<(), TreeError>, entry: &Entry, was: Was) -> Outcome {
        match done {
            // A directory is not as it should be before it is dressed.
            Ok(()) => Outcome::Held { known: self.known(entry.clone(), None, entry.is_dir()), was, read: 0 },
            Err(error) if error.cannot_hold().is_some() => Outcome::Failed(error),
            Err(error) => Outcome::Ended(MirrorError::of_replica(error)),
        }
    }

    fn known(&self, entry: Entry, digest: Option<[u8; 32]>, is_dirty: bool) -> Box<Known> {
        let is_busy = matches!(entry.kind, Kind::File { .. }) && (self.how.always_dirty)(&entry);
        let dirty = is_dirty || is_busy || is_racy(&entry.stamp, self.how.round_started, self.how.tick);
        Box::new(Known { entry, digest, dirty, settled: false })
    }

    fn copy(&self, act: &Act, look_first: bool) -> Outcome {
        let mut read = 0;
        if look_first && let Some(known) = &act.known {
            match self.is_content_as_known(&act.entry, known, &mut read) {
                Ok(true) => return self.keep_content(&act.entry, known, read),
                Ok(false) => {}
                Err(outcome) => return outcome,
            }
        }
        self.put(&act.entry, read)
    }

    /// Whether the content of a file that stands still is what is known already.
    fn is_content_as_known(&self, entry: &Entry, known: &Known, read: &mut u64) -> Result<bool, Outcome> {
        let (content, before) = self.open(entry)?;
        if known.digest.is_none() || !is_as(&before, entry) {
            return Ok(false);
        }
        let mut watched = Watched::new(content, before.len, self);
        let digest = digest(&mut watched, self.key, &mut |_| {}).map_err(TreeError::on("reading", &entry.path));
        *read = watched.read;
        let digest = digest.map_err(|error| self.unreadable(watched.fault, error))?;
        Ok(Some(digest) == known.digest && watched.look().is_ok_and(|after| is_same_look(&after, &before)))
    }

    /// The content is there already: only metadata may have to follow.
    fn keep_content(&self, entry: &Entry, before: &Known, read: u64) -> Outcome {
        let was = if is_same_meta(&entry.meta, &before.entry.meta) { Was::Unchanged } else { Was::Dressed };
        // Dressed in any case: it may be dirty because it is not known how it is dressed.
        match self.outcome(self.replica.dress(entry), entry, was) {
            Outcome::Held { known, was, .. } => {
                let known = Box::new(Known { digest: before.digest, settled: before.settled, ..*known });
                Outcome::Held { known, was, read }
            }
            outcome => outcome,
        }
    }

    fn put(&self, walked: &Entry, read_before: u64) -> Outcome {
        let (content, before) = match self.open(walked) {
            Ok(opened) => opened,
            Err(outcome) => return outcome,
        };
        // As it is now, which need not be as it was when the walk came by.
        let mut entry = walked.clone();
        let is_as_walked = is_as(&before, walked);
        entry.kind = Kind::File { len: before.len };
        (entry.meta.mtime, entry.stamp) = (before.mtime, before.stamp);
        let (put, mut watched) = self.pour(&entry, content, before);
        let read = read_before + watched.read;
        match (put, watched.fault) {
            (Ok(()), None) => {
                let stood_still = watched.look().is_ok_and(|after| is_same_look(&after, &before));
                let digest = watched.digest().filter(|_| stood_still);
                let known = self.known(entry, digest, !stood_still || !is_as_walked || digest.is_none());
                match stood_still && is_as_walked {
                    true => Outcome::Held { known, was: Was::Made, read },
                    false => Outcome::Changed { known, read },
                }
            }
            (Ok(()), Some(_)) => Outcome::Vanished,
            (Err(error), None) if error.cannot_hold().is_some() => Outcome::Failed(error),
            (Err(error), None) => Outcome::Ended(MirrorError::of_replica(error)),
            (Err(error), fault) => self.unreadable(fault, error),
        }
    }

    /// Puts the file, with its content as it comes, and gives back what watched it.
    fn pour<'a>(
        &'a self,
        entry: &Entry,
        content: Box<dyn Content + 'a>,
        before: Look,
    ) -> (Result<(), TreeError>, Watched<'a>) {
        let mut watched = Watched::new(content, before.len, self);
        if before.len < LARGE {
            let put = self.replica.put(entry, Some(&mut watched));
            return (put, watched);
        }
        let ((pieces, from_reader), (emptied, to_reader)) = (sync_channel(AHEAD), channel());
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || read_ahead(watched, &pieces, &to_reader));
            let next = VecDeque::new();
            let mut content = FromAhead { look: before, pieces: from_reader, emptied, next, has_ended: false };
            let put = self.replica.put(entry, Some(&mut content));
            drop(content);
            let watched = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (put, watched)
        })
    }

    fn open<'a>(&'a self, entry: &Entry) -> Result<(Box<dyn Content + 'a>, Look), Outcome> {
        let opened = self.source.open(&entry.path).and_then(|mut content| {
            let look = content.look().map_err(TreeError::on("looking at", &entry.path))?;
            Ok((content, look))
        });
        opened.map_err(|error| match error.source.kind() {
            // It went, or something else took its place.
            io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle => Outcome::Vanished,
            _ => Outcome::Failed(error),
        })
    }

    fn unreadable(&self, fault: Option<Fault>, error: TreeError) -> Outcome {
        match fault {
            Some(Fault::Stopped) => Outcome::Ended(MirrorError::Stopped),
            Some(Fault::Short) => Outcome::Vanished,
            Some(Fault::Failed) | None => Outcome::Failed(error),
        }
    }
}

/// Whether two looks were at one state of a file.
fn is_same_look(a: &Look, b: &Look) -> bool {
    (a.len, a.mtime) == (b.len, b.mtime) && is_same_stamp(&a.stamp, &b.stamp)
}
