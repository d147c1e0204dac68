//! The threads of writing: one that plans, some that gather and compress, one that reads big files, and the caller's,
//! which writes.
//!
//! Nobody waits in a circle: those who gather and compress wait for nobody (each answers with one message, for which
//! there is room), so whatever the caller's thread waits for will come; the reader of big files and the planner wait for
//! the others only. Big files are read in the order in which they are to be written, so the first of them never waits
//! for another.

use std::{
    io::Write,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use strongroom_tree::TreeError;

use super::{
    Item, Job,
    big::{self, Pieces},
    gather::Gatherer,
    output::Output,
    plan::{Batch, Planner, Task},
};
use crate::{ArchiveError, Issue, Record};

/// A compressed frame.
pub struct Packed {
    /// It.
    pub bytes: Vec<u8>,
    /// How much tar is in it.
    pub tar_len: u64,
}

/// Something for the index.
pub enum Note {
    /// A record, whose place in this archive is counted from where its frame begins.
    Record(Box<Record>),
    /// A stretch of no use.
    Void {
        /// Counted from where its frame begins.
        tar_offset: u64,
        /// How long it is.
        tar_len: u64,
    },
    /// Something to tell.
    Issue(Issue),
}

/// What is written next.
pub enum Step<'a> {
    /// A frame, if there is anything to put into it, and what is to be noted of it.
    Frame {
        /// The frame.
        frame: Option<Packed>,
        /// The notes.
        notes: Vec<Note>,
    },
    /// A piece of a big file.
    Piece(Receiver<Result<Packed, ArchiveError>>),
    /// The end of a big file.
    Big(big::Outcome),
    /// A file that was small when it was planned, and is no longer: to be read when all before it is written.
    Grown(Box<Item<'a>>),
}

/// What one batch becomes; nothing is the end of it.
type Steps<'a> = Receiver<Result<Vec<Step<'a>>, ArchiveError>>;
type StepsOut<'a> = SyncSender<Result<Vec<Step<'a>>, ArchiveError>>;

/// What the threads that gather and compress do.
enum Work<'a> {
    Gather(Vec<Task<'a>>, StepsOut<'a>),
    Pack(Vec<u8>, SyncSender<Result<Packed, ArchiveError>>),
}

/// Pieces of a big file that may wait to be written.
const PIECES_AHEAD: usize = 4;

/// Runs all items through to `output`.
pub fn run<'a, W: Write>(
    job: &Job<'_>,
    items: &mut (dyn Iterator<Item = Result<Item<'a>, TreeError>> + Send),
    output: &mut Output<'_, W>,
) -> Result<(), ArchiveError> {
    // One more than asked for: one of them mostly waits for the disk.
    let workers = job.settings.workers.max(1) + 1;
    let (order, ordered) = sync_channel::<Steps<'a>>(workers + 2);
    let (work, to_do) = sync_channel::<Work<'a>>(workers);
    let (bigs, big_files) = sync_channel::<(Box<Item<'a>>, StepsOut<'a>)>(1);
    let to_do = Arc::new(Mutex::new(to_do));
    // Made here, so that a level that does not exist is refused before any thread runs.
    let gatherers: Vec<_> = (0..workers).map(|_| Gatherer::new(job)).collect::<Result<_, _>>()?;
    thread::scope(|scope| {
        for gatherer in gatherers {
            let to_do = Arc::clone(&to_do);
            scope.spawn(move || gather_and_pack(gatherer, &to_do));
        }
        // Those who wait for workers must learn of it if there are none any more.
        drop(to_do);
        let pack = work.clone();
        scope.spawn(move || read_big_files(job, &big_files, &pack));
        scope.spawn(move || plan(items, &order, &work, &bigs));
        // Dropping `ordered` on an error is what stops the others: each finds that nobody listens.
        write_in_order(ordered, output)
    })
}

fn write_in_order<'a, W: Write>(ordered: Receiver<Steps<'a>>, output: &mut Output<'_, W>) -> Result<(), ArchiveError> {
    for batch in ordered {
        for steps in batch {
            for step in steps? {
                output.take(step)?;
            }
        }
    }
    Ok(())
}

fn plan<'a>(
    items: &mut (dyn Iterator<Item = Result<Item<'a>, TreeError>> + Send),
    order: &SyncSender<Steps<'a>>,
    work: &SyncSender<Work<'a>>,
    bigs: &SyncSender<(Box<Item<'a>>, StepsOut<'a>)>,
) {
    let submit = |batch| {
        let room = if matches!(batch, Batch::Small(_)) { 1 } else { PIECES_AHEAD };
        let (out, steps) = sync_channel(room);
        order.send(steps).ok()?;
        match batch {
            Batch::Small(tasks) => work.send(Work::Gather(tasks, out)).ok(),
            Batch::Big(item) => bigs.send((item, out)).ok(),
        }
    };
    let mut planner = Planner::default();
    for item in items {
        for batch in planner.take(item) {
            if submit(batch).is_none() {
                return;
            }
        }
    }
    planner.rest().and_then(submit);
}

fn gather_and_pack<'a>(mut gatherer: Gatherer<'_>, to_do: &Mutex<Receiver<Work<'a>>>) {
    loop {
        let next = to_do.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next.ok() {
            None => return,
            // That nobody listens any more is learnt by those who wait.
            Some(Work::Gather(tasks, out)) => drop(out.send(gatherer.gather(tasks))),
            Some(Work::Pack(tar, out)) => drop(out.send(gatherer.pack(&tar))),
        }
    }
}

fn read_big_files<'a>(job: &Job<'_>, files: &Receiver<(Box<Item<'a>>, StepsOut<'a>)>, pack: &SyncSender<Work<'a>>) {
    while let Ok((item, out)) = files.recv() {
        let outcome = big::store(job, &item, &mut Submitted { pack, out: &out });
        let _ = out.send(outcome.map(|outcome| vec![Step::Big(outcome)]));
    }
}

/// Pieces that other threads compress.
struct Submitted<'s, 'a> {
    pack: &'s SyncSender<Work<'a>>,
    out: &'s StepsOut<'a>,
}

impl Pieces for Submitted<'_, '_> {
    fn piece(&mut self, tar: Vec<u8>) -> Result<(), ArchiveError> {
        let (packed, piece) = sync_channel(1);
        // What fails here has failed elsewhere, where it was told.
        let stopped =
            || ArchiveError::Io { attempted: "writing the archive", source: std::io::ErrorKind::BrokenPipe.into() };
        self.out.send(Ok(vec![Step::Piece(piece)])).map_err(|_| stopped())?;
        self.pack.send(Work::Pack(tar, packed)).map_err(|_| stopped())
    }
}
