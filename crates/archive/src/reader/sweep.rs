//! One pass over many members by several threads, each frame decoded once: small members by whoever decodes their frame,
//! big ones by one thread for which the others decode ahead.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use super::{
    Archive,
    frames::{Ahead, Decoded, Direct, Frames, One},
};
use crate::{ArchiveError, Location, Record};

/// Something in an index to be looked at.
pub enum Stop {
    /// An entry, whether or not it has a member here.
    Record(Box<Record>),
    /// A stretch of no use.
    Void(Location),
}

/// What is done at each stop. Called by several threads.
pub trait Visitor<E>: Sync {
    /// Where the member is that must be decoded for this; `None` if none must.
    fn wants(&self, stop: &Stop) -> Option<Location>;
    /// Visits; `frames` gives the member, if one is wanted.
    fn visit(&self, stop: &Stop, frames: Option<Box<dyn Frames + '_>>) -> Result<(), E>;
}

/// What the threads do that decode.
pub enum Work {
    /// Visits stops whose members are all in one frame, or nowhere.
    Visit(Option<usize>, Vec<Stop>),
    /// Decodes for another thread.
    Decode(usize, SyncSender<Decoded>),
}

/// The most stops that are visited by one thread in one go.
const MOST: usize = 512;

/// Visits all stops.
pub fn sweep<E: From<ArchiveError> + Send>(
    archive: &Archive,
    workers: usize,
    stops: &mut (dyn Iterator<Item = Result<Stop, E>> + Send),
    visitor: &dyn Visitor<E>,
) -> Result<(), E> {
    let (submit, to_do) = sync_channel::<Work>(workers.max(1));
    let (bigs, big_stops) = sync_channel::<(Stop, Location)>(1);
    let to_do = Arc::new(Mutex::new(to_do));
    let sweep = Sweep { archive, visitor, failed: AtomicBool::new(false), error: Mutex::new(None) };
    thread::scope(|scope| {
        for _ in 0..workers.max(1) {
            let to_do = Arc::clone(&to_do);
            scope.spawn(|| sweep.work(to_do));
        }
        // Those who wait for workers must learn of it if there are none any more.
        drop(to_do);
        let ahead = submit.clone();
        scope.spawn(|| sweep.visit_bigs(big_stops, ahead));
        sweep.plan(stops, submit, bigs);
    });
    match sweep.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

struct Sweep<'s, E> {
    archive: &'s Archive,
    visitor: &'s dyn Visitor<E>,
    failed: AtomicBool,
    /// The first error.
    error: Mutex<Option<E>>,
}

impl<E: From<ArchiveError> + Send> Sweep<'_, E> {
    fn fail(&self, error: E) {
        self.failed.store(true, Ordering::Relaxed);
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn plan(
        &self,
        stops: &mut (dyn Iterator<Item = Result<Stop, E>> + Send),
        submit: SyncSender<Work>,
        bigs: SyncSender<(Stop, Location)>,
    ) {
        let mut frame = None;
        let mut group = Vec::new();
        for stop in stops {
            let placed = stop.and_then(|stop| Ok((self.place(&stop)?, stop)));
            let (place, stop) = match placed {
                Ok(placed) => placed,
                Err(error) => return self.fail(error),
            };
            let wanted = match place {
                Place::Nowhere => None,
                Place::Frame(number) => Some(number),
                Place::Frames(at) => {
                    if bigs.send((stop, at)).is_err() {
                        return;
                    }
                    continue;
                }
            };
            if group.len() >= MOST || (wanted.is_some() && frame.is_some() && wanted != frame) {
                let full = Work::Visit(frame.take(), std::mem::take(&mut group));
                if submit.send(full).is_err() {
                    return;
                }
            }
            frame = frame.or(wanted);
            group.push(stop);
            if self.has_failed() {
                return;
            }
        }
        // If nobody listens any more, that was told where it happened.
        let _ = submit.send(Work::Visit(frame, group));
    }

    fn place(&self, stop: &Stop) -> Result<Place, ArchiveError> {
        let Some(at) = self.visitor.wants(stop) else { return Ok(Place::Nowhere) };
        let end = at.tar_offset.checked_add(at.tar_len).filter(|_| at.tar_len > 0);
        let end = end.ok_or(ArchiveError::Tar { offset: at.tar_offset, why: "a member has no end" })?;
        let (first, last) = (self.archive.frame_number(at.tar_offset)?, self.archive.frame_number(end - 1)?);
        Ok(if first == last { Place::Frame(first) } else { Place::Frames(at) })
    }

    fn work(&self, to_do: Arc<Mutex<Receiver<Work>>>) {
        let mut direct = Direct::new(self.archive);
        loop {
            let next = to_do.lock().unwrap_or_else(PoisonError::into_inner).recv();
            match next {
                Err(_) => return,
                Ok(Work::Decode(number, reply)) => drop(reply.send(direct.take(number))),
                Ok(Work::Visit(..)) if self.has_failed() => {}
                Ok(Work::Visit(frame, stops)) => {
                    if let Err(error) = self.visit(frame, &stops, &mut direct) {
                        self.fail(error);
                    }
                }
            }
        }
    }

    fn visit(&self, frame: Option<usize>, stops: &[Stop], direct: &mut Direct<'_>) -> Result<(), E> {
        let tar = match frame {
            Some(number) => Some((self.archive.frames[number].tar_offset, direct.frame(number)?)),
            None => None,
        };
        for stop in stops {
            let wanted = self.visitor.wants(stop).and(tar);
            let frames = wanted.map(|(tar_offset, tar)| Box::new(One { tar_offset, tar }) as Box<dyn Frames + '_>);
            self.visitor.visit(stop, frames)?;
        }
        Ok(())
    }

    fn visit_bigs(&self, stops: Receiver<(Stop, Location)>, submit: SyncSender<Work>) {
        for (stop, at) in stops {
            if self.has_failed() {
                return;
            }
            let frames = Ahead::new(self.archive, &submit, at.tar_offset + at.tar_len);
            let visited = frames.map_err(E::from).and_then(|frames| self.visitor.visit(&stop, Some(Box::new(frames))));
            if let Err(error) = visited {
                return self.fail(error);
            }
        }
    }
}

enum Place {
    Nowhere,
    Frame(usize),
    Frames(Location),
}
