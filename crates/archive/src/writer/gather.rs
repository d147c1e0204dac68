//! A batch of small things into a frame of tar (or a few, if files have grown since they were seen).

use strongroom_crypto::Sha256;
use strongroom_event::Event;
use strongroom_tree::{Content, Kind, RelPath, Source, TreeError};

use super::{
    Body, FRAME, Item, Job, member,
    pipeline::{Note, Packed, Step},
    plan::{Task, unreadable},
    reading::Opened,
};
use crate::{
    ArchiveError, Compressor, Issue, Location, Record,
    content_hash::ContentHash,
    pax::{Map, padding},
};

/// Makes frames of batches. One for each thread.
pub struct Gatherer<'j> {
    job: &'j Job<'j>,
    compressor: Compressor,
    tar: Vec<u8>,
    notes: Vec<Note>,
}

/// What became of reading a file.
enum Read {
    /// It is in the tar; its record has yet to be placed.
    Kept(Box<Record>),
    /// It is not.
    Not(Issue),
    /// It has grown too big for a frame.
    Grown,
}

impl<'j> Gatherer<'j> {
    /// With nothing gathered.
    pub fn new(job: &'j Job<'j>) -> Result<Self, ArchiveError> {
        let compressor = Compressor::new(job.settings.compression)?;
        Ok(Self { job, compressor, tar: Vec::new(), notes: Vec::new() })
    }

    /// Does all tasks of a batch.
    pub fn gather<'a>(&mut self, tasks: Vec<Task<'a>>) -> Result<Vec<Step<'a>>, ArchiveError> {
        self.tar.clear();
        self.notes.clear();
        let mut steps = Vec::new();
        for task in tasks {
            match task {
                Task::Tell(issue) => self.notes.push(Note::Issue(issue)),
                Task::Record(item) => self.note_record(*item, None),
                Task::Keep(item) => self.keep(*item, &mut steps)?,
            }
        }
        self.cut(self.tar.len(), &mut steps)?;
        Ok(steps)
    }

    /// Compresses one piece of a big file.
    pub fn pack(&mut self, tar: &[u8]) -> Result<Packed, ArchiveError> {
        let mut bytes = Vec::new();
        self.compressor.frame(tar, &mut bytes)?;
        Ok(Packed { bytes, tar_len: tar.len() as u64 })
    }

    fn keep<'a>(&mut self, mut item: Item<'a>, steps: &mut Vec<Step<'a>>) -> Result<(), ArchiveError> {
        if let Body::Kept { archive, tar_offset, tar_len, len, sha256 } = item.body {
            let at = Location { archive, tar_offset, tar_len };
            item.entry.kind = Kind::File { len };
            let record = member::record(item.component, item.entry, item.renamed_from, None);
            self.job.observer.observe(&Event::Progress(len));
            self.notes.push(Note::Record(Box::new(Record { at: Some(at), sha256: Some(sha256), ..record })));
            return Ok(());
        }
        self.notes.extend(member::fit_xattrs(&mut item).map(Note::Issue));
        let start = self.tar.len();
        match self.put(&mut item) {
            Ok(Read::Kept(record)) => self.place(*record, start, steps),
            Ok(Read::Not(issue)) => {
                self.tar.truncate(start);
                self.notes.push(Note::Issue(issue));
                Ok(())
            }
            Ok(Read::Grown) => {
                self.tar.truncate(start);
                self.cut(start, steps)?;
                steps.push(Step::Grown(Box::new(item)));
                Ok(())
            }
            Err(why) => Err(ArchiveError::Unfit { path: item.entry.path, why }),
        }
    }

    /// Appends the member of an item.
    fn put(&mut self, item: &mut Item<'_>) -> Result<Read, &'static str> {
        let is_file = matches!(item.entry.kind, Kind::File { .. });
        match &item.body {
            Body::Read(source, path) if is_file => Ok(self.put_file(item, *source, path)),
            Body::Bytes(bytes) if is_file => {
                let (len, hash) = (bytes.len() as u64, Sha256::of(bytes));
                item.entry.kind = Kind::File { len };
                self.put_headers(item, &Map::solid(len));
                self.tar.extend_from_slice(bytes);
                self.pad(len);
                self.job.observer.observe(&Event::Progress(len));
                Ok(Read::Kept(Box::new(Record { sha256: Some(hash), ..unplaced(item) })))
            }
            Body::Nothing if !is_file => {
                self.put_headers(item, &Map::default());
                Ok(Read::Kept(Box::new(unplaced(item))))
            }
            _ => Err("a file has no body, or something else has one"),
        }
    }

    /// Reads a file until it holds still, or has been read often enough.
    fn put_file(&mut self, item: &Item<'_>, source: &dyn Source, path: &RelPath) -> Read {
        let start = self.tar.len();
        let mut tries = 0;
        loop {
            self.tar.truncate(start);
            let last = tries >= self.job.settings.retries;
            match self.try_file(item, source, path, last) {
                Ok(Some(read)) => return read,
                Ok(None) => tries += 1,
                Err(error) => return Read::Not(unreadable(item.component, &at(item, error))),
            }
        }
    }

    /// Reads a file; `None` if it was written to meanwhile and may be read again.
    fn try_file(
        &mut self,
        item: &Item<'_>,
        source: &dyn Source,
        path: &RelPath,
        last: bool,
    ) -> Result<Option<Read>, TreeError> {
        let content: Box<dyn Content + '_> = source.open(path)?;
        let mut file = Opened::new(content).map_err(TreeError::on("reading", path))?;
        if file.map.data_len() > FRAME as u64 {
            return Ok(Some(Read::Grown));
        }
        let mut entry = item.entry.clone();
        file.describe(&mut entry);
        member::put_headers(&self.job.components[item.component as usize], &entry, &file.map, &mut self.tar);
        let (hash, is_whole) = self.put_data(&mut file).map_err(TreeError::on("reading", path))?;
        let changed = !is_whole || !file.held_still().map_err(TreeError::on("reading", path))?;
        if changed && !last {
            return Ok(None);
        }
        self.job.observer.observe(&Event::Progress(file.look.len));
        let record = member::record(item.component, entry, item.renamed_from.clone(), None);
        Ok(Some(Read::Kept(Box::new(Record { sha256: Some(hash), changed, ..record }))))
    }

    /// Appends the data of a file: its hash, and whether it was as long as it said.
    fn put_data(&mut self, file: &mut Opened<'_>) -> std::io::Result<([u8; 32], bool)> {
        let mut hash = ContentHash::default();
        let mut is_whole = true;
        for run in file.map.runs().to_vec() {
            let start = self.tar.len();
            self.tar.resize(start + (run.end - run.start) as usize, 0);
            let read = file.read(run.start, &mut self.tar[start..])?;
            // What is missing at its end are zeros: the vector was extended with them.
            is_whole &= read == self.tar.len() - start;
            hash.data(run.start, &self.tar[start..]);
        }
        self.pad(file.map.data_len());
        Ok((hash.finish(file.look.len), is_whole))
    }

    fn put_headers(&mut self, item: &Item<'_>, map: &Map) {
        member::put_headers(&self.job.components[item.component as usize], &item.entry, map, &mut self.tar);
    }

    fn pad(&mut self, len: u64) {
        self.tar.resize(self.tar.len() + padding(len), 0);
    }

    /// Notes where the member that begins at `start` is. What was before it goes into a frame of its own if both are too
    /// much for one.
    fn place(&mut self, mut record: Record, start: usize, steps: &mut Vec<Step<'_>>) -> Result<(), ArchiveError> {
        let tar_len = (self.tar.len() - start) as u64;
        let mut tar_offset = start as u64;
        if self.tar.len() > FRAME && start > 0 {
            self.cut(start, steps)?;
            tar_offset = 0;
        }
        record.at = Some(Location { archive: 0, tar_offset, tar_len });
        let issue =
            record.changed.then(|| Issue::Changed { component: record.component, path: record.entry.path.clone() });
        self.notes.push(Note::Record(Box::new(record)));
        self.notes.extend(issue.map(Note::Issue));
        Ok(())
    }

    fn note_record(&mut self, item: Item<'_>, at: Option<(u64, u64)>) {
        let record = member::record(item.component, item.entry, item.renamed_from, at);
        self.notes.push(Note::Record(Box::new(record)));
    }

    /// Makes a frame of the first bytes gathered, with all notes so far.
    fn cut(&mut self, end: usize, steps: &mut Vec<Step<'_>>) -> Result<(), ArchiveError> {
        let notes = std::mem::take(&mut self.notes);
        let frame = match end {
            0 => None,
            _ => {
                let mut bytes = Vec::new();
                self.compressor.frame(&self.tar[..end], &mut bytes)?;
                Some(Packed { bytes, tar_len: end as u64 })
            }
        };
        self.tar.drain(..end);
        if frame.is_some() || !notes.is_empty() {
            steps.push(Step::Frame { frame, notes });
        }
        Ok(())
    }
}

fn unplaced(item: &Item<'_>) -> Record {
    member::record(item.component, item.entry.clone(), item.renamed_from.clone(), None)
}

/// An error about the item, whatever path its body has.
pub fn at(item: &Item<'_>, error: TreeError) -> TreeError {
    TreeError { path: item.entry.path.clone(), ..error }
}
