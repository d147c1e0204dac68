//! Every byte of an archive, looked at.

use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_crypto::Sha256;
use strongroom_event::{Event, Observer};
use strongroom_tree::Kind;

use super::{
    Archive, VerifyReport,
    content::Stored,
    frames::{Direct, Frames},
    member::Member,
    sweep::{Stop, Visitor, sweep},
};
use crate::{
    ArchiveError, Counts, KeysInfo, Location, Metadata,
    index::{Hash, Part},
    pax::{self, Is, Malformed, padded},
    tally::{Tally, content_sha256},
};

/// See [`Archive::verify`].
pub fn verify(archive: &Archive, workers: usize, observer: &dyn Observer) -> Result<VerifyReport, ArchiveError> {
    let total = Some(archive.metadata.counts.stored_bytes);
    observer.observe(&Event::Phase { name: "verifying", total });
    archive.container.verify_all(workers, &|_| {})?;
    let mut stops = Stops { parts: archive.parts()?, seen: Seen::new(archive), ended: false };
    let verification = Verification { archive, observer, files: AtomicU64::new(0), bytes: AtomicU64::new(0) };
    sweep(archive, workers, &mut stops, &verification)?;
    stops.seen.compare(archive)?;
    let tail = Tail::read(archive)?;
    if tail.metadata != archive.metadata {
        return Err(ArchiveError::Index { why: "its head is not what metadata.json says" });
    }
    if tail.keys.is_some() != archive.metadata.keys.is_some() {
        return Err(ArchiveError::Index { why: "its head does not tell truly whether encryption_key.enc is there" });
    }
    Ok(VerifyReport {
        entries: stops.seen.entries,
        files: verification.files.into_inner(),
        bytes: verification.bytes.into_inner(),
        elsewhere: stops.seen.elsewhere,
        marked: stops.seen.marked,
    })
}

/// The stops of a whole index, counted and hashed as they go by.
struct Stops<'a> {
    parts: super::Parts<'a>,
    seen: Seen,
    ended: bool,
}

impl Iterator for Stops<'_> {
    type Item = Result<Stop, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.parts.part() {
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                Ok(None) => self.ended = true,
                Ok(Some(Part::Gone(_))) => self.seen.gone += 1,
                Ok(Some(Part::Issue(_))) => self.seen.issues += 1,
                Ok(Some(Part::Void(tar_offset, tar_len))) => {
                    return Some(Ok(Stop::Void(Location { archive: 0, tar_offset, tar_len })));
                }
                Ok(Some(Part::Record(record))) => {
                    self.seen.entries += 1;
                    self.seen.elsewhere += u64::from(record.at.is_some_and(|at| at.archive > 0));
                    self.seen.marked += u64::from(record.changed || record.damaged);
                    self.seen.tally.add(&record);
                    return Some(Ok(Stop::Record(record)));
                }
            }
        }
        None
    }
}

/// What an index turned out to have.
struct Seen {
    entries: u64,
    elsewhere: u64,
    marked: u64,
    gone: u64,
    issues: u64,
    tally: Tally,
}

impl Seen {
    fn new(archive: &Archive) -> Self {
        let tally = Tally::of(&archive.metadata.components);
        Self { entries: 0, elsewhere: 0, marked: 0, gone: 0, issues: 0, tally }
    }

    /// Whether the metadata says so too.
    fn compare(&mut self, archive: &Archive) -> Result<(), ArchiveError> {
        let said = &archive.metadata;
        let totals = std::mem::replace(&mut self.tally, Tally::of(&[])).totals(self.issues);
        let counts = Counts { gone: self.gone, ..totals.counts };
        let same = |(said, seen): (&crate::ComponentInfo, &crate::ComponentInfo)| {
            (said.entries, said.bytes, said.sha256) == (seen.entries, seen.bytes, seen.sha256)
        };
        let is_same = counts == said.counts
            && self.issues == said.issues
            && said.content_sha256 == content_sha256(&said.components)
            && said.components.iter().zip(&totals.components).all(same);
        if is_same {
            Ok(())
        } else {
            Err(ArchiveError::Index { why: "its entries are not those that its head tells of" })
        }
    }
}

struct Verification<'v> {
    archive: &'v Archive,
    observer: &'v dyn Observer,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Visitor<ArchiveError> for Verification<'_> {
    fn wants(&self, stop: &Stop) -> Option<Location> {
        match stop {
            Stop::Record(record) => record.at.filter(|at| at.archive == 0),
            Stop::Void(at) => Some(*at),
        }
    }

    fn visit(&self, stop: &Stop, frames: Option<Box<dyn Frames + '_>>) -> Result<(), ArchiveError> {
        let Some(mut frames) = frames else { return Ok(()) };
        let record = match stop {
            Stop::Void(at) => return void(&mut *frames, at),
            Stop::Record(record) => record,
        };
        let at = record.at.expect("a member was wanted");
        let member = Member::read(&mut *frames, &at)?;
        member.agrees_with(self.archive, record)?;
        check_padding(&mut *frames, &member)?;
        if !matches!(record.entry.kind, Kind::File { .. }) {
            return Ok(());
        }
        Stored::open(self.archive, record, frames)?.check_all()?;
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(record.entry.len(), Ordering::Relaxed);
        self.observer.observe(&Event::Progress(record.entry.len()));
        Ok(())
    }
}

/// A stretch of no use must be a member all the same, or tar could not pass over it; and each of its frames decodes.
fn void(frames: &mut dyn Frames, at: &Location) -> Result<(), ArchiveError> {
    let member = Member::read(frames, at)?;
    let mut tar_offset = at.tar_offset;
    while tar_offset < member.end {
        let (begins, tar) = frames.at(tar_offset)?;
        tar_offset = begins + tar.len() as u64;
    }
    check_padding(frames, &member)
}

/// Nothing hides between the data and the end of its last block.
fn check_padding(frames: &mut dyn Frames, member: &Member) -> Result<(), ArchiveError> {
    let data_end = member.data_at + member.map.data_len();
    if data_end == member.end {
        return Ok(());
    }
    let (begins, tar) = frames.at(data_end)?;
    let padding = tar.get((data_end - begins) as usize..(member.end - begins) as usize);
    match padding {
        Some(zeros) if zeros.iter().all(|&byte| byte == 0) => Ok(()),
        _ => Err(ArchiveError::Tar { offset: data_end, why: "a member does not end in zeros" }),
    }
}

/// The members of our own, at the end of the tar stream.
pub struct Tail {
    /// The document.
    pub metadata: Metadata,
    /// What `encryption_key.enc` holds.
    pub keys: Option<Vec<u8>>,
}

/// The longest end of a tar stream: two members of at most 1 MiB, and their headers.
const MAX_TAIL: u64 = 3 << 20;

impl Tail {
    /// Reads all of it: there must be nothing else.
    pub fn read(archive: &Archive) -> Result<Self, ArchiveError> {
        let refused = |why| ArchiveError::Tar { offset: archive.tail, why };
        let bytes = tail_bytes(archive)?;
        let mut rest = &bytes[..];
        let mut keys = None;
        let mut metadata = None;
        while let Some(header) = pax::decode(rest).map_err(|Malformed(why)| refused(why))? {
            let end = header.header_len + padded(header.data_len.min(MAX_TAIL)) as usize;
            if end > rest.len() || header.what != Is::File || header.data_len > Metadata::MAX_LEN as u64 {
                return Err(refused("a member at its end is not as it must be"));
            }
            let (data, padding) = rest[header.header_len..end].split_at(header.data_len as usize);
            if padding.iter().any(|&byte| byte != 0) {
                return Err(refused("a member does not end in zeros"));
            }
            let place = match &*header.name {
                name if name == KeysInfo::MEMBER.as_bytes() && metadata.is_none() => &mut keys,
                name if name == Metadata::MEMBER.as_bytes() => &mut metadata,
                _ => return Err(refused("there is a member at its end that does not belong there")),
            };
            if place.replace(data.to_vec()).is_some() {
                return Err(refused("a member at its end is there twice"));
            }
            rest = &rest[end..];
        }
        if rest.len() != pax::END.len() {
            return Err(refused("something comes after its end"));
        }
        if keys.as_deref().map(|keys| Hash(Sha256::of(keys))) != archive.keys {
            return Err(refused("encryption_key.enc is not what the index has the hash of"));
        }
        let metadata = metadata.ok_or(refused("there is no metadata.json at its end"))?;
        let metadata = serde_json::from_slice(&metadata).map_err(|source| ArchiveError::Metadata { source })?;
        Ok(Self { metadata, keys })
    }
}

fn tail_bytes(archive: &Archive) -> Result<Vec<u8>, ArchiveError> {
    let end = archive.container.tar_len();
    if archive.tail >= end || end - archive.tail > MAX_TAIL {
        return Err(ArchiveError::Tar { offset: archive.tail, why: "its end is too long, or missing" });
    }
    let mut frames = Direct::new(archive);
    let mut bytes = Vec::new();
    let mut tar_offset = archive.tail;
    while tar_offset < end {
        let (begins, tar) = frames.at(tar_offset)?;
        bytes.extend_from_slice(&tar[(tar_offset - begins) as usize..]);
        tar_offset = begins + tar.len() as u64;
    }
    Ok(bytes)
}
