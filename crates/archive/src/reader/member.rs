//! A member where the index has it: its headers beside its record, its data.

use strongroom_tree::{Kind, Meta};

use super::{Archive, frames::Frames};
use crate::{
    ArchiveError, Location, Record,
    index::member_name,
    pax::{self, Decoded, Is, Malformed, Map, padded},
};

/// Where the data of a member is.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its headers.
    pub header: Decoded,
    /// Where in the tar stream its first byte of data is.
    pub data_at: u64,
    /// Where in the file its data belongs.
    pub map: Map,
    /// Where in the tar stream it ends.
    pub end: u64,
}

impl Member {
    /// Reads the headers of what is at `at`.
    pub fn read(frames: &mut dyn Frames, at: &Location) -> Result<Self, ArchiveError> {
        let refused = |why| ArchiveError::Tar { offset: at.tar_offset, why };
        let (begins, tar) = frames.at(at.tar_offset)?;
        let tar = &tar[(at.tar_offset - begins) as usize..];
        let header = pax::decode(tar).map_err(|Malformed(why)| refused(why))?;
        let header = header.ok_or(refused("there is the end of the stream where a member should be"))?;
        let data = header.data_len;
        if padded(data.min(1 << 62)).checked_add(header.header_len as u64) != Some(at.tar_len) || data > 1 << 62 {
            return Err(refused("a member is not as long as the index says"));
        }
        let data_at = at.tar_offset + header.header_len as u64;
        let end = at.tar_offset + at.tar_len;
        let Is::Sparse { len } = header.what else {
            return Ok(Self { map: Map::solid(data), header, data_at, end });
        };
        let (map, taken) = Map::decode(&tar[header.header_len..], len).map_err(|Malformed(why)| refused(why))?;
        if taken as u64 + map.data_len() != data {
            return Err(refused("a sparse file has more or less data than its map says"));
        }
        Ok(Self { map, header, data_at: data_at + taken as u64, end })
    }

    /// Whether it is the file that the record is of. Its name is compared only if it is the archive's own record: a later
    /// archive may have it by another.
    pub fn is_file_of(&self, archive: &Archive, record: &Record) -> Result<(), ArchiveError> {
        let is_file = matches!(self.header.what, Is::File | Is::Sparse { .. });
        if !is_file || self.map.len() != record.entry.len() {
            return Err(mismatch(record, "the tar header tells another kind or length than the index"));
        }
        let is_own = record.at.is_some_and(|at| at.archive == 0);
        if is_own && self.header.name != archive.member_name(record)? {
            return Err(mismatch(record, "the tar header tells another name than the index"));
        }
        Ok(())
    }

    /// Whether the headers tell all that the record tells.
    pub fn agrees_with(&self, archive: &Archive, record: &Record) -> Result<(), ArchiveError> {
        let header = &self.header;
        if header.name != archive.member_name(record)? {
            return Err(mismatch(record, "the tar header tells another name than the index"));
        }
        if !self.is_kind_of(archive, record)? {
            return Err(mismatch(record, "the tar header tells another kind, length or target than the index"));
        }
        if !agrees(header, &record.entry.meta) {
            return Err(mismatch(
                record,
                "the tar header tells other permissions, owners, times or attributes than the index",
            ));
        }
        Ok(())
    }

    fn is_kind_of(&self, archive: &Archive, record: &Record) -> Result<bool, ArchiveError> {
        let device = |rdev: u64| (u64::from(rustix::fs::major(rdev)), u64::from(rustix::fs::minor(rdev)));
        Ok(match (&record.entry.kind, &self.header.what) {
            (Kind::Directory, Is::Directory) | (Kind::Fifo, Is::Fifo) => true,
            (Kind::File { len }, Is::File | Is::Sparse { .. }) => self.map.len() == *len,
            (Kind::Link { to: path }, Is::Link { to }) => *to == member_name(archive.prefix(record)?, path),
            (Kind::Symlink { target }, Is::Symlink { target: said }) => target == said,
            (Kind::CharDevice { rdev }, Is::CharDevice { number })
            | (Kind::BlockDevice { rdev }, Is::BlockDevice { number }) => device(*rdev) == *number,
            _ => false,
        })
    }
}

fn agrees(header: &Decoded, meta: &Meta) -> bool {
    let name = |name: &Option<std::sync::Arc<str>>| name.as_deref().unwrap_or_default().as_bytes().to_vec();
    header.mode == meta.mode
        && (header.uid, header.gid) == (meta.uid.into(), meta.gid.into())
        && (&header.user, &header.group) == (&name(&meta.user), &name(&meta.group))
        && header.mtime == meta.mtime
        && header.xattr_count() == meta.xattrs.len()
        && meta.xattrs.iter().all(|xattr| header.has_xattr(xattr))
}

/// The index says something of a record that is not so.
pub fn mismatch(record: &Record, why: &'static str) -> ArchiveError {
    ArchiveError::Entry { path: record.entry.path.clone(), why }
}
