//! The file of a manifest: records that are only added to, each with a keyed code, so that whoever lacks the key can neither
//! add nor change one.
//!
//! ```text
//! log    = magic (16 bytes) | MAC(magic) | record*
//! record = length of the payload | number of the record | first 8 bytes of MAC(these 8 bytes)
//!          | payload | MAC(number | payload) | zeros up to a multiple of 16
//! ```
//! Numbers are 32 bits, little-endian. MAC is the first 16 bytes of HMAC-SHA-256. What cannot be read is the torn end if no
//! record follows it, and damage if one does: each was on the disk before the next was begun.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::fs::{self, Mode, OFlags};
use strongroom_crypto::{Key, hmac_sha256};
use strongroom_durable::{AtomicFile, PathError, sync_dir};

use super::ManifestError;

const MAGIC: &[u8; 16] = b"strongroom.mnft2";
const HEAD: usize = 32;
const HEADER: usize = 16;
const MAC: usize = 16;
/// No payload is longer.
const LARGEST: usize = 1 << 28;

/// A log, open to be added to.
pub(super) struct Log {
    path: PathBuf,
    key: Key<32>,
    file: File,
    end: u64,
    number: u32,
    /// Something failed of which it is not known how much reached the disk.
    is_broken: bool,
}

impl Log {
    pub fn create(path: &Path, key: &Key<32>) -> Result<Self, ManifestError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(PathError::on("creating", path))?;
        let mut log = Self::at(path, key, file.into());
        log.begin()?;
        Ok(log)
    }

    /// Opens the log at `path` and hands each payload to `each`, which says whether it makes sense.
    pub fn open(path: &Path, key: &Key<32>, mut each: impl FnMut(&[u8]) -> bool) -> Result<Self, ManifestError> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = fs::open(path, flags, Mode::empty()).map_err(PathError::on("opening", path))?.into();
        let mut log = Self::at(path, key, file);
        if !log.has_head()? {
            log.begin()?;
            return Ok(log);
        }
        let mut reader = io::BufReader::with_capacity(1 << 20, log.file.try_clone().map_err(log.on("reading"))?);
        let mut record = Vec::new();
        loop {
            let read = read_record(&mut reader, &log.key, log.number, &mut record).map_err(log.on("reading"))?;
            match read {
                Some(payload) if each(&record[payload.clone()]) => {
                    log.end += (HEADER + record.len()) as u64;
                    log.number += 1;
                }
                Some(_) => return Err(log.damaged()),
                None => break,
            }
        }
        log.cut_off_torn_end()?;
        Ok(log)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn key(&self) -> &Key<32> {
        &self.key
    }

    /// Bytes of the file.
    pub fn len(&self) -> u64 {
        self.end
    }

    /// Adds a record, and returns when it is on the disk. If it fails, the record is not there, or nothing can be added any
    /// more.
    pub fn append(&mut self, payload: &[u8]) -> Result<(), ManifestError> {
        if self.is_broken {
            return Err(self.on("adding to")(io::Error::other("an earlier failure left it in doubt")).into());
        }
        let record = encode(&self.key, self.number, payload);
        if let Err(error) = self.file.write_all_at(&record, self.end) {
            self.is_broken = self.cut_off().is_err();
            return Err(self.on("adding to")(error).into());
        }
        if let Err(error) = self.file.sync_data() {
            // After a failed fsync nobody knows what is on the disk.
            self.is_broken = true;
            return Err(self.on("writing to disk")(error).into());
        }
        self.end += record.len() as u64;
        self.number += 1;
        Ok(())
    }

    /// Replaces the file by one with these payloads.
    pub fn replace(&mut self, payloads: impl Iterator<Item = Vec<u8>>) -> Result<(), ManifestError> {
        let mut file = AtomicFile::create(&self.path, 0o600)?;
        let (mut end, mut number) = (HEAD as u64, 0);
        let mut write = |bytes: &[u8]| file.write_all(bytes).map_err(PathError::on("writing", &self.path));
        write(&head(&self.key))?;
        for payload in payloads {
            let record = encode(&self.key, number, &payload);
            write(&record)?;
            end += record.len() as u64;
            number += 1;
        }
        // Reading it back by another descriptor later would race with nobody: the name is ours.
        file.replace()?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Should this fail, the old file is open, which nobody will read any more.
        self.is_broken = true;
        self.file = fs::open(&self.path, flags, Mode::empty()).map_err(PathError::on("opening", &self.path))?.into();
        (self.end, self.number, self.is_broken) = (end, number, false);
        Ok(())
    }

    fn at(path: &Path, key: &Key<32>, file: File) -> Self {
        Self { path: path.to_owned(), key: key.duplicate(), file, end: HEAD as u64, number: 0, is_broken: false }
    }

    /// Whether it begins as it should; `false` if the power went while it was created.
    fn has_head(&mut self) -> Result<bool, ManifestError> {
        let mut start = Vec::new();
        (&self.file).take(HEAD as u64).read_to_end(&mut start).map_err(self.on("reading"))?;
        let head = head(&self.key);
        if start == head {
            return Ok(true);
        }
        let len = self.file.metadata().map_err(self.on("looking at"))?.len();
        let is_unfinished = start.iter().zip(&head).all(|(is, wanted)| is == wanted || *is == 0);
        if len <= HEAD as u64 && is_unfinished {
            return Ok(false);
        }
        Err(ManifestError::NotAManifest { path: self.path.clone() })
    }

    fn begin(&mut self) -> Result<(), ManifestError> {
        self.file.write_all_at(&head(&self.key), 0).map_err(self.on("writing"))?;
        self.file.sync_all().map_err(self.on("writing to disk"))?;
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(sync_dir(dir)?)
    }

    /// What follows the last whole record is its torn successor, unless another one follows that.
    fn cut_off_torn_end(&mut self) -> Result<(), ManifestError> {
        let len = self.file.metadata().map_err(self.on("looking at"))?.len();
        if len == self.end {
            return Ok(());
        }
        let mut rest = vec![0; 1 << 20];
        let mut at = self.end;
        while at < len {
            let read = self.file.read_at(&mut rest, at).map_err(self.on("reading"))?;
            let mut headers = rest[..read].chunks_exact(HEADER);
            if headers.any(|header| number_in(header, &self.key).is_some_and(|number| number > self.number)) {
                return Err(self.damaged());
            }
            at += (read.max(1)) as u64;
        }
        Ok(self.cut_off()?)
    }

    fn cut_off(&self) -> Result<(), PathError> {
        self.file.set_len(self.end).map_err(self.on("cutting off the torn end of"))?;
        self.file.sync_all().map_err(self.on("cutting off the torn end of"))
    }

    fn damaged(&self) -> ManifestError {
        ManifestError::Damaged { path: self.path.clone(), at: self.end }
    }

    fn on(&self, attempted: &'static str) -> impl FnOnce(io::Error) -> PathError {
        PathError::on(attempted, &self.path)
    }
}

fn head(key: &Key<32>) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..16].copy_from_slice(MAGIC);
    head[16..].copy_from_slice(&mac(key, MAGIC));
    head
}

fn mac(key: &Key<32>, message: &[u8]) -> [u8; MAC] {
    *hmac_sha256(key.expose(), message).first_chunk().expect("it has 32 bytes")
}

fn encode(key: &Key<32>, number: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a record is far smaller than 4 GiB");
    let mut record = Vec::with_capacity(HEADER + body_len(payload.len()));
    record.extend_from_slice(&len.to_le_bytes());
    record.extend_from_slice(&number.to_le_bytes());
    record.extend_from_slice(&mac(key, &record)[..8]);
    record.extend_from_slice(payload);
    record.extend_from_slice(&mac_of_payload(key, number, payload));
    record.resize(HEADER + body_len(payload.len()), 0);
    record
}

fn mac_of_payload(key: &Key<32>, number: u32, payload: &[u8]) -> [u8; MAC] {
    mac(key, &[&number.to_le_bytes(), payload].concat())
}

/// Payload, code and padding.
fn body_len(payload: usize) -> usize {
    (payload + MAC).next_multiple_of(HEADER)
}

/// Reads the record of this number into `record` (without its header), and tells where in it the payload is; `None` if
/// there is none that is whole.
fn read_record(
    reader: &mut impl Read,
    key: &Key<32>,
    number: u32,
    record: &mut Vec<u8>,
) -> io::Result<Option<std::ops::Range<usize>>> {
    let mut header = [0; HEADER];
    if !read_whole(reader, &mut header)? || number_in(&header, key) != Some(number) {
        return Ok(None);
    }
    let len = u32::from_le_bytes(*header.first_chunk().expect("a header is longer")) as usize;
    record.resize(body_len(len), 0);
    if !read_whole(reader, record)? || record[len..len + MAC] != mac_of_payload(key, number, &record[..len]) {
        return Ok(None);
    }
    Ok(Some(0..len))
}

/// Fills `out`; `false` if the file ends before.
fn read_whole(reader: &mut impl Read, out: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(out) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// The number of the record that this is the header of, if it is one.
fn number_in(header: &[u8], key: &Key<32>) -> Option<u32> {
    let len = u32::from_le_bytes(header[..4].try_into().ok()?) as usize;
    // Most of what is no header is seen without computing anything.
    let is_header = len <= LARGEST && header[8..] != [0; 8] && header[8..] == mac(key, &header[..8])[..8];
    is_header.then(|| u32::from_le_bytes(header[4..8].try_into().expect("four bytes were cut out")))
}
