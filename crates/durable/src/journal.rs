//! A file of records that is only added to. Once [`Journal::append`] has returned, the record survives a power cut; a
//! record that a power cut tore is not there.
//!
//! ```text
//! journal = magic (16 bytes) | record*
//! record  = length of the payload | CRC-32 of the payload | number of the record | CRC-32 of these 12 bytes
//!           | payload | zeros up to a multiple of 16
//! ```
//! Numbers are 32 bits, little-endian. Since a record begins at a multiple of 16, its header never lies in two sectors:
//! it is on the disk, or it is not.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, FlockOperation, Mode, OFlags},
    io::Errno,
};

use crate::{PathError, crc::crc32, sync_dir};

const MAGIC: &[u8; 16] = b"strongroom.jrnl1";
const HEADER: usize = 16;
/// Larger than any journal that was ever written.
const LARGEST: u64 = 1 << 30;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A system call failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A record may be there or not, and nobody can tell: whoever opens the journal next will see.
    #[error("{0}, and whether the record is there is not known")]
    InDoubt(#[source] PathError),
    /// Another process writes it.
    #[error("{} is in use by another process", path.display())]
    Busy {
        /// The journal.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{} is not a journal", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// Not torn at the end, as after a power cut, but damaged before it: what was recorded is not known.
    #[error("{} is damaged in record {record}", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Which record.
        record: usize,
    },
}

/// A journal, which no other process has open as long as this lives.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    records: Vec<Vec<u8>>,
    end: u64,
    /// Something failed of which it is not known how much reached the disk.
    is_broken: bool,
    was_torn: bool,
}

impl Journal {
    /// A new journal at `path`, where nothing may be.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(PathError::on("creating", path))?;
        let mut journal = Self::locked(path, file.into())?;
        journal.begin()?;
        Ok(journal)
    }

    /// The journal at `path`, if there is one.
    pub fn open(path: &Path) -> Result<Option<Self>, JournalError> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = match fs::open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.map_err(PathError::on("opening", path))?.into(),
        };
        let mut journal = Self::locked(path, file)?;
        let contents = contents(path, &journal.file)?;
        let Some(Contents { records, end, is_torn }) = contents else {
            journal.begin()?;
            return Ok(Some(journal));
        };
        (journal.records, journal.end, journal.was_torn) = (records, end, is_torn);
        if is_torn {
            journal.cut_off()?;
        }
        Ok(Some(journal))
    }

    /// What is recorded in the journal at `path`, if there is one, for somebody who only looks: no lock is asked for, and
    /// nothing is cut off. Whoever writes it may add more meanwhile.
    pub fn read(path: &Path) -> Result<Option<Vec<Vec<u8>>>, JournalError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = match fs::open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.map_err(PathError::on("opening", path))?.into(),
        };
        Ok(Some(contents(path, &file)?.map_or_else(Vec::new, |contents| contents.records)))
    }

    /// Whether a record at the end was torn when it was opened, and is not there any more.
    pub fn was_torn(&self) -> bool {
        self.was_torn
    }

    /// What was recorded, in order.
    pub fn records(&self) -> &[Vec<u8>] {
        &self.records
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a record, and returns when it is on the disk. If it fails, the record is not there, but for
    /// [`JournalError::InDoubt`]; and perhaps nothing can be added any more.
    pub fn append(&mut self, payload: &[u8]) -> Result<(), JournalError> {
        if self.is_broken {
            let broken = io::Error::other("an earlier failure left it in doubt");
            return Err(PathError::on("adding to", &self.path)(broken).into());
        }
        let record = encode(self.records.len() as u32, payload);
        if let Err(error) = self.file.write_all_at(&record, self.end) {
            self.is_broken = self.cut_off().is_err();
            return Err(PathError::on("adding to", &self.path)(error).into());
        }
        if let Err(error) = self.file.sync_data() {
            // After a failed fsync nobody knows what is on the disk. Cut off, the record is not there at least.
            self.is_broken = true;
            let failed = PathError::on("writing to disk", &self.path)(error);
            return Err(if self.cut_off().is_ok() { failed.into() } else { JournalError::InDoubt(failed) });
        }
        self.end += record.len() as u64;
        self.records.push(payload.to_vec());
        Ok(())
    }

    /// Removes the file: what it was for is over.
    pub fn remove(self) -> Result<(), JournalError> {
        self.unlink()
    }

    pub(crate) fn unlink(&self) -> Result<(), JournalError> {
        fs::unlink(&self.path).map_err(PathError::on("removing", &self.path))?;
        Ok(sync_dir(parent(&self.path))?)
    }

    fn locked(path: &Path, file: File) -> Result<Self, JournalError> {
        match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(JournalError::Busy { path: path.to_owned() }),
            // A file system without locks: two at once are the caller's to prevent.
            Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOLCK) => {}
            Err(errno) => return Err(PathError::on("locking", path)(errno).into()),
        }
        Ok(Self { path: path.to_owned(), file, records: Vec::new(), end: 0, is_broken: false, was_torn: false })
    }

    fn begin(&mut self) -> Result<(), JournalError> {
        let writing = || PathError::on("writing", &self.path);
        self.file.write_all_at(MAGIC, 0).map_err(writing())?;
        self.file.sync_all().map_err(writing())?;
        sync_dir(parent(&self.path))?;
        self.end = MAGIC.len() as u64;
        Ok(())
    }

    /// Cuts off what follows the last whole record.
    fn cut_off(&self) -> Result<(), JournalError> {
        let cutting = || PathError::on("cutting off the torn end of", &self.path);
        self.file.set_len(self.end).map_err(cutting())?;
        Ok(self.file.sync_all().map_err(cutting())?)
    }
}

struct Contents {
    records: Vec<Vec<u8>>,
    end: u64,
    is_torn: bool,
}

/// What is in `file`; `None` if the power went while it was created.
fn contents(path: &Path, file: &File) -> Result<Option<Contents>, JournalError> {
    let mut bytes = Vec::new();
    let read = file.take(LARGEST).read_to_end(&mut bytes);
    read.map_err(PathError::on("reading", path))?;
    if bytes.len() < MAGIC.len() && (MAGIC.starts_with(&bytes) || is_zero(&bytes)) || bytes == [0; MAGIC.len()] {
        return Ok(None);
    }
    let records = bytes.strip_prefix(MAGIC).ok_or_else(|| JournalError::NotAJournal { path: path.to_owned() })?;
    let (records, len) = decode(records).map_err(|record| JournalError::Damaged { path: path.to_owned(), record })?;
    let end = (MAGIC.len() + len) as u64;
    Ok(Some(Contents { records, end, is_torn: end < bytes.len() as u64 }))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn encode(number: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a record is far smaller than 4 GiB");
    let mut record = Vec::with_capacity(padded(payload.len()) + HEADER);
    for part in [len, crc32(payload), number] {
        record.extend_from_slice(&part.to_le_bytes());
    }
    record.extend_from_slice(&crc32(&record).to_le_bytes());
    record.extend_from_slice(payload);
    record.resize(HEADER + padded(payload.len()), 0);
    record
}

/// The records in `bytes`, and how many bytes they take; `Err` with the number of one that is damaged.
fn decode(bytes: &[u8]) -> Result<(Vec<Vec<u8>>, usize), usize> {
    let (mut records, mut at) = (Vec::new(), 0);
    while let Some(header) = bytes.get(at..at + HEADER) {
        let damaged = Err(records.len());
        if is_zero(header) {
            // The file grew before the record was on the disk.
            break;
        }
        let [len, crc, number, header_crc] =
            [0, 4, 8, 12].map(|at| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes were cut out")));
        if header_crc != crc32(&header[..12]) || number as usize != records.len() {
            return damaged;
        }
        let start = at + HEADER;
        let end = start + padded(len as usize);
        let Some(payload) = bytes.get(start..end) else { break };
        if crc32(&payload[..len as usize]) != crc {
            // The last one was torn. What follows one was written after it was on the disk.
            if end == bytes.len() {
                break;
            }
            return damaged;
        }
        records.push(payload[..len as usize].to_vec());
        at = end;
    }
    Ok((records, at))
}

fn padded(len: usize) -> usize {
    len.next_multiple_of(HEADER)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const RECORDS: [&[u8]; 4] = [b"one", b"", b"a record of exactly 32 bytes :-)", b"four"];

    fn written(dir: &Path) -> PathBuf {
        let path = dir.join("journal");
        let mut journal = Journal::create(&path).unwrap();
        for record in RECORDS {
            journal.append(record).unwrap();
        }
        path
    }

    fn reopened(path: &Path) -> Result<Vec<Vec<u8>>, JournalError> {
        Ok(Journal::open(path)?.unwrap().records().to_vec())
    }

    #[test]
    fn what_was_recorded_is_read_again_and_added_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        assert_eq!(reopened(&path).unwrap(), RECORDS);
        Journal::open(&path).unwrap().unwrap().append(b"five").unwrap();
        assert_eq!(reopened(&path).unwrap().last().unwrap(), b"five");
    }

    #[test]
    fn wherever_it_is_cut_off_whole_records_are_left_and_it_can_be_added_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let records = reopened(&path).unwrap();
            assert!(RECORDS.starts_with(&records.iter().map(Vec::as_slice).collect::<Vec<_>>()), "cut at {len}");
            Journal::open(&path).unwrap().unwrap().append(b"after").unwrap();
            assert_eq!(reopened(&path).unwrap().len(), records.len() + 1, "cut at {len}");
        }
    }

    #[test]
    fn a_last_record_of_which_some_pages_are_zeros_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::create(&path).unwrap();
        journal.append(b"kept").unwrap();
        journal.append(&[7; 10_000]).unwrap();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        for page in (0..whole.len()).step_by(4096) {
            let mut torn = whole.clone();
            let end = torn.len().min(page + 4096);
            torn[page.max(48)..end].fill(0);
            fs::write(&path, &torn).unwrap();
            assert_eq!(reopened(&path).unwrap(), [b"kept".to_vec()], "page at {page}");
        }
    }

    #[test]
    fn a_flipped_bit_never_changes_what_was_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            match reopened(&path) {
                Ok(records) => assert!(RECORDS.starts_with(&records.iter().map(Vec::as_slice).collect::<Vec<_>>())),
                Err(JournalError::Damaged { .. } | JournalError::NotAJournal { .. }) => {}
                Err(other) => panic!("bit {bit}: {other}"),
            }
        }
    }

    #[test]
    fn a_record_that_others_follow_is_damaged_and_not_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let mut bytes = fs::read(&path).unwrap();
        bytes[MAGIC.len() + HEADER] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(reopened(&path), Err(JournalError::Damaged { record: 0, .. })));
    }

    #[test]
    fn two_do_not_write_one_journal() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let _first = Journal::open(&path).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::Busy { .. })));
    }

    #[test]
    fn who_only_looks_asks_for_no_lock_and_cuts_nothing_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(Journal::read(&path).unwrap().unwrap().len(), RECORDS.len() - 1);
        assert_eq!(fs::read(&path).unwrap().len(), whole.len() - 1);
        let writer = Journal::open(&path).unwrap().unwrap();
        assert!(writer.was_torn());
        assert_eq!(Journal::read(&path).unwrap().unwrap(), writer.records());
    }

    #[test]
    fn another_file_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        fs::write(&path, b"somebody's text, long enough to be a journal").unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::NotAJournal { .. })));
        assert!(Journal::create(&path).is_err());
        assert!(fs::read(&path).unwrap().starts_with(b"somebody"));
    }

    #[test]
    fn a_removed_journal_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        Journal::open(&path).unwrap().unwrap().remove().unwrap();
        assert!(Journal::open(&path).unwrap().is_none());
    }
}
