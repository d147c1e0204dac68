//! Reading an archive: its index, single files, all files, the tar stream.

use std::{fs::File, io::Write};

use strongroom_event::Observer;
use strongroom_secret::{Passphrase, SecretError};
use strongroom_tree::Content;

use crate::{ArchiveError, BaseRef, Container, Facts, Frame, Gone, Issue, Metadata, Record};

/// An open archive. Shared by threads.
pub struct Archive {
    container: Container,
    metadata: Metadata,
    archives: Vec<BaseRef>,
    frames: Vec<Frame>,
}

impl Archive {
    /// Opens an archive, and reads the head of its index. `unlock` is asked for the passphrase of a sealed one, and is
    /// shown facts that nobody has authenticated yet.
    pub fn open(
        file: File,
        unlock: &mut dyn FnMut(&Facts) -> Result<Passphrase, SecretError>,
    ) -> Result<Self, ArchiveError> {
        let _container = Container::open(file, unlock)?;
        todo!()
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
        todo!()
    }

    /// What could not be kept as it was.
    pub fn issues(&self) -> Result<Vec<Issue>, ArchiveError> {
        todo!()
    }

    /// Entries of the base that were no longer there.
    pub fn gone(&self) -> Result<Vec<Gone>, ArchiveError> {
        todo!()
    }

    /// The content of one file that this archive holds. Only the frames that are needed are read. Whoever reads it from
    /// beginning to end learns with the last byte whether its hash is right.
    ///
    /// The location's number of the archive is not looked at, so that a record of a later archive can be given.
    pub fn content(&self, _record: &Record) -> Result<Box<dyn Content + '_>, ArchiveError> {
        todo!()
    }

    /// Hands every record to `each`, files with their content, several at once and in no certain order. Each frame is
    /// decoded once if the records ascend by location. The hash of a file is checked before `each` returns for small
    /// files, and after for big ones; an error of either ends it.
    ///
    /// The locations' number of the archive is not looked at, so that records of a later archive can be given.
    pub fn extract<E>(
        &self,
        _records: &mut (dyn Iterator<Item = Result<Record, E>> + Send),
        _workers: usize,
        _each: &(dyn Fn(&Record, Option<&mut dyn Content>) -> Result<(), E> + Sync),
    ) -> Result<(), E>
    where
        E: From<ArchiveError> + Send,
    {
        todo!()
    }

    /// Reads all of it: every byte is authenticated (if it is sealed), every hash checked, every tar header compared with
    /// its record, and nothing is in the tar stream that the index does not list.
    pub fn verify(&self, _workers: usize, _observer: &dyn Observer) -> Result<VerifyReport, ArchiveError> {
        todo!()
    }

    /// Writes the tar stream. `workers` threads decode.
    pub fn export(&self, _out: &mut (dyn Write + Send), _workers: usize) -> Result<u64, ArchiveError> {
        todo!()
    }

    /// What `encryption_key.enc` holds, if it is there.
    pub fn keys(&self) -> Result<Option<Vec<u8>>, ArchiveError> {
        todo!()
    }
}

/// The records of an archive, as they are read.
pub struct Records<'a> {
    _archive: &'a Archive,
}

impl Iterator for Records<'_> {
    type Item = Result<Record, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        todo!()
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
