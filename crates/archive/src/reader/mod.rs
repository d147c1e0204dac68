//! Reading an archive: its index, single files, all files, the tar stream.

mod content;
mod export;
mod extract;
mod frames;
mod member;
mod sweep;
mod verify;

use std::{
    fs::File,
    io::{Read, Write},
};

use strongroom_event::Observer;
use strongroom_secret::{Passphrase, SecretError};
use strongroom_tree::Content;

pub use self::extract::Each;
use self::{content::Stored, frames::Direct, verify::Tail};
use crate::{
    ArchiveError, BaseRef, Container, Facts, Frame, Gone, Issue, Metadata, Record,
    index::{Hash, IndexReader, Part, member_name},
};

/// An open archive. Shared by threads.
pub struct Archive {
    container: Container,
    metadata: Metadata,
    archives: Vec<BaseRef>,
    frames: Vec<Frame>,
    tail: u64,
    keys: Option<Hash>,
}

/// The lines of an index after its head.
type Parts<'a> = IndexReader<Box<dyn Read + Send + 'a>>;

impl Archive {
    /// Opens an archive, and reads the head of its index. `unlock` is asked for the passphrase of a sealed one, and is
    /// shown facts that nobody has authenticated yet.
    pub fn open(
        file: File,
        unlock: &mut dyn FnMut(&Facts) -> Result<Passphrase, SecretError>,
    ) -> Result<Self, ArchiveError> {
        let container = Container::open(file, unlock)?;
        let (head, frames) = parts(&container)?.into_head();
        check_frames(&container, &frames, head.tail)?;
        check_facts(&container, &head.metadata)?;
        Ok(Self {
            container,
            metadata: head.metadata,
            archives: head.archives,
            frames,
            tail: head.tail,
            keys: head.keys,
        })
    }

    /// The container that it is in.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// The document.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The archives whose bytes it needs: number 1 of a location is the first of these.
    pub fn archives(&self) -> &[BaseRef] {
        &self.archives
    }

    /// Its frames.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Every entry of the whole tree, in walk order, read as it is asked for. Ends with an error if the index is not what
    /// it must be: a path twice, an entry below something that is no directory, a link to what is not before it, ...
    pub fn records(&self) -> Result<Records<'_>, ArchiveError> {
        Ok(Records { parts: self.parts()?, ended: false })
    }

    /// What could not be kept as it was.
    pub fn issues(&self) -> Result<Vec<Issue>, ArchiveError> {
        // The head tells, and it is not worth reading a million lines to see that it is right: `verify` does.
        if self.metadata.issues == 0 {
            return Ok(Vec::new());
        }
        self.collect(|part| if let Part::Issue(issue) = part { Some(issue) } else { None })
    }

    /// Entries of the base that were no longer there.
    pub fn gone(&self) -> Result<Vec<Gone>, ArchiveError> {
        self.collect(|part| if let Part::Gone(gone) = part { Some(gone) } else { None })
    }

    /// The content of one file that this archive holds. Only the frames that are needed are read. Whoever reads it from
    /// beginning to end learns with the last byte whether its hash is right.
    ///
    /// A record of a later archive can be given as it is there: it is here if the number of its archive is that of this
    /// one there, which the caller knows. Its name is compared with the tar header only if that number is 0.
    pub fn content(&self, record: &Record) -> Result<Box<dyn Content + '_>, ArchiveError> {
        Ok(Box::new(Stored::open(self, record, Box::new(Direct::new(self)))?))
    }

    /// Hands every record to `each`, files with their content, several at once and in no certain order. Each frame is
    /// decoded once if the records ascend by location. The hash of a file that is in one frame is checked before `each`
    /// sees it; that of a bigger one while it is read, or after. An error of either ends it.
    ///
    /// Records of a later archive can be given, as with [`Archive::content`].
    pub fn extract<E>(
        &self,
        records: &mut (dyn Iterator<Item = Result<Record, E>> + Send),
        workers: usize,
        each: &Each<'_, E>,
    ) -> Result<(), E>
    where
        E: From<ArchiveError> + Send,
    {
        extract::extract(self, records, workers, each)
    }

    /// Reads all of it: every byte is authenticated (if it is sealed), every hash checked, every tar header compared with
    /// its record, and nothing is in the tar stream that the index does not list.
    pub fn verify(&self, workers: usize, observer: &dyn Observer) -> Result<VerifyReport, ArchiveError> {
        verify::verify(self, workers, observer)
    }

    /// Writes the tar stream, which `workers` threads decode; gives its length.
    pub fn export(&self, out: &mut dyn Write, workers: usize) -> Result<u64, ArchiveError> {
        export::export(self, out, workers)
    }

    /// What `encryption_key.enc` holds, if it is there.
    pub fn keys(&self) -> Result<Option<Vec<u8>>, ArchiveError> {
        Ok(Tail::read(self)?.keys)
    }

    /// The name of a record's member in the tar stream.
    pub fn member_name(&self, record: &Record) -> Result<Vec<u8>, ArchiveError> {
        Ok(member_name(self.prefix(record)?, &record.entry.path))
    }

    fn prefix(&self, record: &Record) -> Result<&str, ArchiveError> {
        let component = self.metadata.components.get(record.component as usize);
        let unknown = || member::mismatch(record, "it is of a component that is not there");
        Ok(&component.ok_or_else(unknown)?.prefix)
    }

    fn parts(&self) -> Result<Parts<'_>, ArchiveError> {
        parts(&self.container)
    }

    fn collect<T>(&self, wanted: impl Fn(Part) -> Option<T>) -> Result<Vec<T>, ArchiveError> {
        let mut parts = self.parts()?;
        let mut found = Vec::new();
        while let Some(part) = parts.part()? {
            found.extend(wanted(part));
            // A line takes more than a byte, however well it is compressed; unless somebody wants to fill the memory.
            if found.len() as u64 > self.container.index_len() {
                return Err(ArchiveError::Index { why: "it tells more than it can hold" });
            }
        }
        Ok(found)
    }

    /// The frame that a byte of the tar stream is in.
    fn frame_number(&self, tar_offset: u64) -> Result<usize, ArchiveError> {
        let after = self.frames.partition_point(|frame| frame.tar_offset <= tar_offset);
        let number = after.checked_sub(1).filter(|&number| {
            let frame = &self.frames[number];
            tar_offset - frame.tar_offset < frame.tar_len
        });
        number.ok_or(ArchiveError::Tar { offset: tar_offset, why: "no frame holds this" })
    }

    fn is_in_one_frame(&self, record: &Record) -> bool {
        let Some(at) = record.at else { return false };
        let last = at.tar_offset.saturating_add(at.tar_len).saturating_sub(1);
        matches!((self.frame_number(at.tar_offset), self.frame_number(last)), (Ok(first), Ok(last)) if first == last)
    }
}

fn parts(container: &Container) -> Result<Parts<'_>, ArchiveError> {
    IndexReader::open(container.index()?, container.index_plain_len(), container.frames_len())
}

/// Frames fill the container up to the index, and are the whole tar stream.
fn check_frames(container: &Container, frames: &[Frame], tail: u64) -> Result<(), ArchiveError> {
    let end = frames.last().map_or((0, 0), |frame| (frame.offset + frame.packed_len, frame.tar_offset + frame.tar_len));
    if end != (container.frames_len(), container.tar_len()) {
        return Err(ArchiveError::Index { why: "its frames are not all there is before it" });
    }
    if tail > end.1 {
        return Err(ArchiveError::Index { why: "its entries reach beyond the tar stream" });
    }
    Ok(())
}

/// What a header says in clear must be what the archive says inside.
fn check_facts(container: &Container, metadata: &Metadata) -> Result<(), ArchiveError> {
    if metadata.compression != container.algorithm() {
        return Err(ArchiveError::Index { why: "it tells another compression than the container has" });
    }
    let Some(facts) = container.facts() else { return Ok(()) };
    let inside = (metadata.id, &metadata.created, &metadata.name, metadata.kind, metadata.compression);
    if inside != (facts.id, &facts.created, &facts.name, facts.kind, facts.compression) {
        return Err(ArchiveError::Index { why: "it is that of another archive than the header's" });
    }
    Ok(())
}

/// The records of an archive, as they are read.
pub struct Records<'a> {
    parts: Parts<'a>,
    ended: bool,
}

impl Iterator for Records<'_> {
    type Item = Result<Record, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.parts.part() {
                Ok(Some(Part::Record(record))) => return Some(Ok(*record)),
                // To the end, whose checks are part of the promise.
                Ok(Some(_)) => {}
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// What was verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Records.
    pub entries: u64,
    /// Files whose content is here and was hashed.
    pub files: u64,
    /// Bytes of their content.
    pub bytes: u64,
    /// Files whose content is in archives before this one: verify those too.
    pub elsewhere: u64,
    /// Records marked as changed while they were read, or damaged.
    pub marked: u64,
}
