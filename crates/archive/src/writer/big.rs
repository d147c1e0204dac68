//! A file that does not fit into one frame: read and hashed once, in order, and given away in pieces.

use std::io;

use strongroom_event::Event;
use strongroom_tree::{Content, RelPath, Source, TreeError};

use super::{
    Body, FRAME, Item, Job, gather, member, memory::Memory, pipeline::Note, plan::unreadable, reading::Opened,
};
use crate::{ArchiveError, Issue, Location, Record, content_hash::ContentHash, pax::padding};

/// Longer files are not read again when they were written to meanwhile: what was given away already stays in the archive.
const MOST_AGAIN: u64 = 256 << 20;

/// Takes pieces of tar, each of which becomes a frame.
pub trait Pieces {
    /// Takes one.
    fn piece(&mut self, tar: Vec<u8>) -> Result<(), ArchiveError>;
}

/// What became of a big file.
#[derive(Default)]
pub struct Outcome {
    /// What is to be noted, places counted from the first piece.
    pub notes: Vec<Note>,
    /// How much was given away.
    pub tar_len: u64,
}

/// Gives a file away in pieces.
pub fn store(job: &Job<'_>, item: &Item<'_>, pieces: &mut dyn Pieces) -> Result<Outcome, ArchiveError> {
    let memory;
    let (source, path): (&dyn Source, &RelPath) = match &item.body {
        Body::Read(source, path) => (*source, path),
        Body::Bytes(bytes) => {
            memory = Memory { bytes, entry: &item.entry };
            (&memory, &item.entry.path)
        }
        _ => return Err(ArchiveError::Unfit { path: item.entry.path.clone(), why: "a file has no body" }),
    };
    let mut outcome = Outcome::default();
    for tries in 0.. {
        let last = tries >= job.settings.retries;
        let mut piece = Piece { job, item, pieces, tar: Vec::new(), given: 0, tells: tries == 0 };
        match piece.store(source, path) {
            Ok(stored) => {
                let again = stored.changed && !stored.damaged && !last && stored.len <= MOST_AGAIN;
                note(item, stored, piece.given, again, &mut outcome);
                if !again {
                    break;
                }
            }
            Err(Failed::Reading(error)) => {
                outcome.notes.push(Note::Issue(unreadable(item.component, &gather::at(item, error))));
                break;
            }
            Err(Failed::Giving(error)) => return Err(error),
        }
    }
    Ok(outcome)
}

/// A file that was given away.
struct Stored {
    record: Record,
    len: u64,
    changed: bool,
    damaged: bool,
    issue: Option<Issue>,
}

enum Failed {
    Reading(TreeError),
    Giving(ArchiveError),
}

fn note(item: &Item<'_>, stored: Stored, tar_len: u64, again: bool, outcome: &mut Outcome) {
    let tar_offset = outcome.tar_len;
    outcome.tar_len += tar_len;
    if again {
        outcome.notes.push(Note::Void { tar_offset, tar_len });
        return;
    }
    let at = Some(Location { archive: 0, tar_offset, tar_len });
    let (changed, damaged) = (stored.changed, stored.damaged);
    outcome.notes.push(Note::Record(Box::new(Record { at, changed, damaged, ..stored.record })));
    let (component, path) = (item.component, item.entry.path.clone());
    let issue = stored.issue.or(changed.then_some(Issue::Changed { component, path }));
    outcome.notes.extend(issue.map(Note::Issue));
}

/// The piece that is being filled.
struct Piece<'p> {
    job: &'p Job<'p>,
    item: &'p Item<'p>,
    pieces: &'p mut dyn Pieces,
    tar: Vec<u8>,
    given: u64,
    /// Whether progress is told: not of what is read again.
    tells: bool,
}

impl Piece<'_> {
    fn store(&mut self, source: &dyn Source, path: &RelPath) -> Result<Stored, Failed> {
        let content: Box<dyn Content + '_> = source.open(path).map_err(Failed::Reading)?;
        let reading = |error| Failed::Reading(TreeError::on::<io::Error>("reading", path)(error));
        let mut file = Opened::new(content).map_err(reading)?;
        let mut entry = self.item.entry.clone();
        file.describe(&mut entry);
        member::put_headers(&self.job.components[self.item.component as usize], &entry, &file.map, &mut self.tar);
        let mut hash = ContentHash::default();
        let mut damage = None;
        let mut is_whole = true;
        for run in file.map.runs().to_vec() {
            let mut at = run.start;
            while at < run.end {
                self.give_full().map_err(Failed::Giving)?;
                let start = self.tar.len();
                let len = (run.end - at).min((FRAME - start) as u64);
                self.tar.resize(start + len as usize, 0);
                match self.fill(&mut file, at, start, &damage) {
                    Ok(read) => is_whole &= read as u64 == len,
                    // Nothing was given away yet: it can still be left out.
                    Err(error) if self.given == 0 => return Err(reading(error)),
                    Err(error) => damage = Some(error),
                }
                self.tell(at + len - hash.position());
                hash.data(at, &self.tar[start..]);
                at += len;
            }
        }
        self.tell(file.look.len - hash.position());
        let hash = hash.finish(file.look.len);
        self.tar.resize(self.tar.len() + padding(file.map.data_len()), 0);
        self.give().map_err(Failed::Giving)?;
        let held_still = is_whole && file.held_still().unwrap_or(false);
        let (component, path) = (self.item.component, self.item.entry.path.clone());
        let record = member::record(component, entry, self.item.renamed_from.clone(), None);
        Ok(Stored {
            record: Record { sha256: Some(hash), ..record },
            len: file.look.len,
            changed: damage.is_none() && !held_still,
            damaged: damage.is_some(),
            issue: damage.map(|why| Issue::Unreadable { component, path, why: format!("reading: {why}") }),
        })
    }

    /// Reads into the piece from `start` on. After damage nothing more is read: what could not be read stays zeros.
    fn fill(&mut self, file: &mut Opened<'_>, at: u64, start: usize, damage: &Option<io::Error>) -> io::Result<usize> {
        match damage {
            None => file.read(at, &mut self.tar[start..]),
            Some(_) => Ok(self.tar.len() - start),
        }
    }

    fn tell(&self, bytes: u64) {
        if self.tells {
            self.job.observer.observe(&Event::Progress(bytes));
        }
    }

    fn give_full(&mut self) -> Result<(), ArchiveError> {
        if self.tar.len() < FRAME { Ok(()) } else { self.give() }
    }

    fn give(&mut self) -> Result<(), ArchiveError> {
        if self.tar.is_empty() {
            return Ok(());
        }
        let tar = std::mem::replace(&mut self.tar, Vec::with_capacity(FRAME));
        self.given += tar.len() as u64;
        self.pieces.piece(tar)
    }
}
