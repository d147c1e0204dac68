//! What is written, in its order: frames to the container, records to the index.

use std::io::Write;

use strongroom_crypto::Sha256;
use strongroom_event::Event;
use strongroom_tree::{Kind, Meta};

use super::{
    Ending, Job, Totals, Written,
    big::{self, Pieces},
    gather::Gatherer,
    pipeline::{Note, Packed, Step},
};
use crate::{
    ArchiveError, ContainerWriter, Issue, KeysInfo, Metadata, Record,
    index::{Checker, Hash, Head, IndexWriter},
    pax::{self, END, What, padding},
    tally::Tally,
};

/// Where everything comes together.
pub struct Output<'j, W: Write> {
    job: &'j Job<'j>,
    container: ContainerWriter<W>,
    index: IndexWriter,
    checker: Checker,
    tally: Tally,
    issues: Vec<Issue>,
    /// For what is compressed here: grown files, and the end.
    gatherer: Gatherer<'j>,
}

impl<'j, W: Write> Output<'j, W> {
    /// An archive that nothing was put into.
    pub fn new(container: ContainerWriter<W>, job: &'j Job<'j>) -> Result<Self, ArchiveError> {
        Ok(Self {
            job,
            container,
            index: IndexWriter::new()?,
            checker: Checker::of(job.components.len(), job.archives.len(), u64::MAX),
            tally: Tally::new(&job.components),
            issues: Vec::new(),
            gatherer: Gatherer::new(job)?,
        })
    }

    /// Writes what comes next.
    pub fn take(&mut self, step: Step<'_>) -> Result<(), ArchiveError> {
        match step {
            Step::Frame { frame, notes } => {
                let base = self.container.tar_len();
                frame.map_or(Ok(()), |frame| self.push(&frame))?;
                self.notes(notes, base)
            }
            Step::Piece(packed) => {
                let gone =
                    |_| ArchiveError::Io { attempted: "compressing", source: std::io::ErrorKind::BrokenPipe.into() };
                self.push(&packed.recv().map_err(gone)??)
            }
            Step::Big(outcome) => self.big(outcome),
            Step::Grown(item) => {
                let outcome = big::store(self.job, &item, self)?;
                self.big(outcome)
            }
        }
    }

    /// Writes what stands at the end.
    pub fn finish(mut self, ending: impl FnOnce(&Totals) -> Ending) -> Result<(W, Written), ArchiveError> {
        let tally = std::mem::replace(&mut self.tally, Tally::new(&[]));
        let Ending { mut metadata, gone, issues } = ending(&tally.totals(self.issues.len() as u64));
        self.issues.extend(issues);
        metadata.counts.gone = gone.len() as u64;
        metadata.issues = self.issues.len() as u64;
        let tail = self.container.tar_len();
        let last = self.last_members(&metadata)?;
        let last = self.gatherer.pack(&last)?;
        self.push(&last)?;
        let head = Head {
            format: Metadata::FORMAT_VERSION,
            metadata: metadata.clone(),
            archives: self.job.archives.clone(),
            frames: self.container.frames().len() as u64,
            tail,
            keys: self.job.keys.as_ref().map(|keys| Hash(Sha256::of(keys))),
        };
        let (mut index, plain_len) = self.index.finish(head, self.container.frames(), &gone, &self.issues)?;
        let (out, finished) = self.container.finish(&mut index, plain_len)?;
        let written = Written {
            metadata,
            issues: self.issues,
            index_sha256: finished.index_sha256,
            file_sha256: finished.file_sha256,
            bytes: finished.bytes,
        };
        Ok((out, written))
    }

    fn push(&mut self, frame: &Packed) -> Result<(), ArchiveError> {
        self.container.push(&frame.bytes, frame.tar_len)
    }

    fn big(&mut self, outcome: big::Outcome) -> Result<(), ArchiveError> {
        let base = self.container.tar_len() - outcome.tar_len;
        self.notes(outcome.notes, base)
    }

    fn notes(&mut self, notes: Vec<Note>, base: u64) -> Result<(), ArchiveError> {
        for note in notes {
            match note {
                Note::Issue(issue) => self.issues.push(issue),
                Note::Void { tar_offset, tar_len } => self.void(base + tar_offset, tar_len)?,
                Note::Record(record) => self.record(*record, base)?,
            }
        }
        Ok(())
    }

    fn record(&mut self, mut record: Record, base: u64) -> Result<(), ArchiveError> {
        if let Some(at) = &mut record.at
            && at.archive == 0
        {
            at.tar_offset += base;
        }
        if let Kind::Link { to } = &record.entry.kind
            && !self.checker.is_linkable(record.component, to)
        {
            return self.leave_out_link(&record);
        }
        self.checker.entry(&record).map_err(|error| match error {
            ArchiveError::Entry { path, why } => ArchiveError::Unfit { path, why },
            other => other,
        })?;
        self.index.entry(&record)?;
        self.tally.add(&record);
        self.job.observer.observe(&Event::FileDone { path: record.entry.path.as_bytes().to_vec() });
        Ok(())
    }

    /// What it is another name of could not be read, which was not known when its member was made.
    fn leave_out_link(&mut self, record: &Record) -> Result<(), ArchiveError> {
        let why = "what it is another name of could not be read".to_owned();
        self.issues.push(Issue::Unreadable { component: record.component, path: record.entry.path.clone(), why });
        record.at.map_or(Ok(()), |at| self.void(at.tar_offset, at.tar_len))
    }

    fn void(&mut self, tar_offset: u64, tar_len: u64) -> Result<(), ArchiveError> {
        self.checker.void(tar_offset, tar_len)?;
        self.index.void(tar_offset, tar_len)
    }

    /// The members of our own, and the end of the tar stream.
    fn last_members(&self, metadata: &Metadata) -> Result<Vec<u8>, ArchiveError> {
        let document = serde_json::to_vec_pretty(metadata)
            .map_err(|error| ArchiveError::io("writing the metadata")(error.into()))?;
        let mut tar = Vec::new();
        for (name, bytes) in [(KeysInfo::MEMBER, self.job.keys.as_ref()), (Metadata::MEMBER, Some(&document))] {
            let Some(bytes) = bytes else { continue };
            if bytes.len() > Metadata::MAX_LEN {
                return Err(ArchiveError::TooLong { name });
            }
            let meta = Meta { mode: 0o600, mtime: self.job.time, ..Meta::default() };
            let len = bytes.len() as u64;
            pax::encode(name.as_bytes(), What::File { len }, &meta, &mut tar);
            tar.extend_from_slice(bytes);
            tar.resize(tar.len() + padding(len), 0);
        }
        tar.extend_from_slice(&END);
        Ok(tar)
    }
}

impl<W: Write> Pieces for Output<'_, W> {
    fn piece(&mut self, tar: Vec<u8>) -> Result<(), ArchiveError> {
        let packed = self.gatherer.pack(&tar)?;
        self.push(&packed)
    }
}
