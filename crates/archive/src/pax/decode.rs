//! Headers of members, read: ustar, pax and GNU long names. Nothing is taken for granted of the bytes.

use std::collections::HashSet;

use strongroom_tree::{Timestamp, Xattr};

use super::{
    acl,
    block::{self, BLOCK, END, Field},
    padded, time,
};

/// Why some bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// A member as its headers tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Its name; that of a directory without the slash at its end.
    pub name: Vec<u8>,
    /// What it is.
    pub what: Is,
    /// Permissions, setuid, setgid, sticky.
    pub mode: u32,
    /// Owner by number.
    pub uid: u64,
    /// Group by number.
    pub gid: u64,
    /// Owner by name; empty if not known.
    pub user: Vec<u8>,
    /// Group by name; empty if not known.
    pub group: Vec<u8>,
    /// Last change.
    pub mtime: Timestamp,
    /// Extended attributes, in the order in which they stand there.
    pub xattrs: Vec<Xattr>,
    /// The text of the ACL.
    pub acl_access: Option<Vec<u8>>,
    /// The text of the ACL for new entries.
    pub acl_default: Option<Vec<u8>>,
    /// Bytes of data after the headers, not counting what fills the last block.
    pub data_len: u64,
    /// Length of all headers.
    pub header_len: usize,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Is {
    /// A directory.
    Directory,
    /// A regular file, whose bytes are the data.
    File,
    /// A regular file of `len` bytes, whose data begins with a map.
    Sparse {
        /// Its length.
        len: u64,
    },
    /// Another name of `to`.
    Link {
        /// A member before it.
        to: Vec<u8>,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Its number: major, minor.
        number: (u64, u64),
    },
    /// A block device.
    BlockDevice {
        /// Its number: major, minor.
        number: (u64, u64),
    },
}

/// Reads the headers of the member at the beginning of `tar`; `None` at the two blocks of zeros.
pub fn decode(tar: &[u8]) -> Result<Option<Decoded>, Malformed> {
    if tar.starts_with(&END) {
        return Ok(None);
    }
    let mut said = Said::default();
    let mut at = 0;
    loop {
        let block =
            tar.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()).ok_or(Malformed("a header is cut off"))?;
        check(block)?;
        at += BLOCK;
        let letter = block[block::TYPE];
        if !matches!(letter, b'x' | b'L' | b'K') {
            return said.finish(block, at).map(Some);
        }
        let size = number(block, block::SIZE)?;
        let end = at as u64 + padded(size.min(1 << 62));
        if end > tar.len() as u64 {
            return Err(Malformed("an extended header is cut off"));
        }
        let (data, padding) = tar[at..end as usize].split_at(size as usize);
        if padding.iter().any(|&byte| byte != 0) {
            return Err(Malformed("an extended header does not end in zeros"));
        }
        at = end as usize;
        match letter {
            b'x' => said.records(data)?,
            b'L' => set_once(&mut said.name, long_name(data)?)?,
            _ => set_once(&mut said.link, long_name(data)?)?,
        }
    }
}

/// What the headers before the last one said.
#[derive(Default)]
struct Said {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    user: Option<Vec<u8>>,
    group: Option<Vec<u8>>,
    mtime: Option<Timestamp>,
    dev_major: Option<u64>,
    dev_minor: Option<u64>,
    xattrs: Vec<Xattr>,
    xattr_names: HashSet<Vec<u8>>,
    acl_access: Option<Vec<u8>>,
    acl_default: Option<Vec<u8>>,
    sparse_major: Option<u64>,
    sparse_minor: Option<u64>,
    sparse_name: Option<Vec<u8>>,
    sparse_len: Option<u64>,
}

impl Said {
    fn records(&mut self, mut data: &[u8]) -> Result<(), Malformed> {
        while !data.is_empty() {
            let (key, value, rest) = record(data).ok_or(Malformed("a record of an extended header is malformed"))?;
            self.record(key, value)?;
            data = rest;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let text = || value.to_vec();
        match key {
            b"path" => set_once(&mut self.name, text()),
            b"linkpath" => set_once(&mut self.link, text()),
            b"size" => set_once(&mut self.size, decimal(value)?),
            b"uid" => set_once(&mut self.uid, decimal(value)?),
            b"gid" => set_once(&mut self.gid, decimal(value)?),
            b"uname" => set_once(&mut self.user, text()),
            b"gname" => set_once(&mut self.group, text()),
            b"mtime" => set_once(&mut self.mtime, time::parse(value).ok_or(Malformed("a time is malformed"))?),
            b"SCHILY.devmajor" => set_once(&mut self.dev_major, decimal(value)?),
            b"SCHILY.devminor" => set_once(&mut self.dev_minor, decimal(value)?),
            b"SCHILY.acl.access" => set_once(&mut self.acl_access, text()),
            b"SCHILY.acl.default" => set_once(&mut self.acl_default, text()),
            b"GNU.sparse.major" => set_once(&mut self.sparse_major, decimal(value)?),
            b"GNU.sparse.minor" => set_once(&mut self.sparse_minor, decimal(value)?),
            b"GNU.sparse.name" => set_once(&mut self.sparse_name, text()),
            b"GNU.sparse.realsize" => set_once(&mut self.sparse_len, decimal(value)?),
            // What others may add and no reader needs.
            b"atime" | b"ctime" | b"comment" | b"LIBARCHIVE.creationtime" => Ok(()),
            _ => match key.strip_prefix(b"SCHILY.xattr.") {
                Some(name) => {
                    let name = xattr_name(name);
                    if !self.xattr_names.insert(name.clone()) {
                        return Err(TWICE);
                    }
                    self.xattrs.push(Xattr { name, value: text() });
                    Ok(())
                }
                None => Err(Malformed("an extended header says something that is not understood")),
            },
        }
    }

    fn finish(mut self, block: &[u8; BLOCK], header_len: usize) -> Result<Decoded, Malformed> {
        let data_len = self.size.map_or_else(|| number(block, block::SIZE), Ok)?;
        let what = self.what(block)?;
        let has_data = matches!(what, Is::File | Is::Sparse { .. });
        if !has_data && data_len != 0 {
            return Err(Malformed("something that is no file has data"));
        }
        let name = self.sparse_name.take().or(self.name.take()).unwrap_or_else(|| ustar_name(block));
        let name = match what {
            Is::Directory => name.strip_suffix(b"/").map(<[u8]>::to_vec).unwrap_or(name),
            _ => name,
        };
        let mtime = || number(block, block::MTIME).and_then(whole_seconds);
        Ok(Decoded {
            name,
            what,
            mode: u32::try_from(number(block, block::MODE)?).map_err(|_| Malformed("a mode is too large"))? & 0o7777,
            uid: self.uid.map_or_else(|| number(block, block::UID), Ok)?,
            gid: self.gid.map_or_else(|| number(block, block::GID), Ok)?,
            user: self.user.unwrap_or_else(|| block::USER.text(block).to_vec()),
            group: self.group.unwrap_or_else(|| block::GROUP.text(block).to_vec()),
            mtime: self.mtime.map_or_else(mtime, Ok)?,
            xattrs: self.xattrs,
            acl_access: self.acl_access,
            acl_default: self.acl_default,
            data_len,
            header_len,
        })
    }

    fn what(&mut self, block: &[u8; BLOCK]) -> Result<Is, Malformed> {
        if self.is_sparse()? {
            let len = self.sparse_len.ok_or(Malformed("a sparse file has no length"))?;
            return match block[block::TYPE] {
                b'0' | 0 => Ok(Is::Sparse { len }),
                _ => Err(Malformed("something that is no file is sparse")),
            };
        }
        let link = self.link.take();
        let link = || link.unwrap_or_else(|| block::LINK.text(block).to_vec());
        match block[block::TYPE] {
            b'0' | 0 => Ok(Is::File),
            b'1' => Ok(Is::Link { to: link() }),
            b'2' => Ok(Is::Symlink { target: link() }),
            b'3' => Ok(Is::CharDevice { number: self.device(block)? }),
            b'4' => Ok(Is::BlockDevice { number: self.device(block)? }),
            b'5' => Ok(Is::Directory),
            b'6' => Ok(Is::Fifo),
            _ => Err(Malformed("a member is of a kind that is not understood")),
        }
    }

    fn is_sparse(&self) -> Result<bool, Malformed> {
        match (self.sparse_major, self.sparse_minor) {
            (None, None) if self.sparse_name.is_none() && self.sparse_len.is_none() => Ok(false),
            (Some(1), Some(0)) => Ok(true),
            _ => Err(Malformed("a sparse file is of a format that is not understood")),
        }
    }

    fn device(&self, block: &[u8; BLOCK]) -> Result<(u64, u64), Malformed> {
        let major = self.dev_major.map_or_else(|| number(block, block::DEV_MAJOR), Ok)?;
        let minor = self.dev_minor.map_or_else(|| number(block, block::DEV_MINOR), Ok)?;
        Ok((major, minor))
    }
}

/// The first record of an extended header: key, value, and what follows.
fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(20).position(|&byte| byte == b' ')?;
    let len = usize::try_from(decimal(&data[..space]).ok()?).ok()?;
    let (record, rest) = data.split_at_checked(len)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

const TWICE: Malformed = Malformed("an extended header says the same thing twice");

/// A second say is a contradiction, or an attempt to tell one reader this and another that.
fn set_once<T>(place: &mut Option<T>, value: T) -> Result<(), Malformed> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(TWICE),
    }
}

fn decimal(digits: &[u8]) -> Result<u64, Malformed> {
    let refused = Malformed("a number in an extended header is malformed");
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(refused);
    }
    str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(refused)
}

fn number(block: &[u8; BLOCK], field: Field) -> Result<u64, Malformed> {
    field.number(block).ok_or(Malformed("a number in a header is malformed"))
}

fn whole_seconds(seconds: u64) -> Result<Timestamp, Malformed> {
    let seconds = i64::try_from(seconds).map_err(|_| Malformed("a time is malformed"))?;
    Ok(Timestamp { seconds, nanoseconds: 0 })
}

fn check(block: &[u8; BLOCK]) -> Result<(), Malformed> {
    if number(block, block::CHECKSUM) != Ok(block::checksum(block)) {
        return Err(Malformed("the checksum of a header is wrong"));
    }
    let magic = &block[block::MAGIC.at..block::MAGIC.at + block::MAGIC.len];
    // GNU's own magic stands before the names of GNU's long name members, as others write them.
    if magic != block::USTAR && magic != b"ustar  \0" {
        return Err(Malformed("a header is not one of ustar"));
    }
    Ok(())
}

fn long_name(data: &[u8]) -> Result<Vec<u8>, Malformed> {
    match data.strip_suffix(b"\0") {
        Some(name) if !name.contains(&0) => Ok(name.to_vec()),
        _ => Err(Malformed("a long name does not end as it must")),
    }
}

fn ustar_name(block: &[u8; BLOCK]) -> Vec<u8> {
    let (prefix, name) = (block::PREFIX.text(block), block::NAME.text(block));
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

fn xattr_name(key: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(key.len());
    let mut rest = key;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match rest {
            [b'%', b'2', b'5', after @ ..] => (b'%', after),
            [b'%', b'3', b'D', after @ ..] => (b'=', after),
            _ => (byte, after),
        };
        name.push(byte);
        rest = after;
    }
    name
}

impl Decoded {
    /// Whether it has this attribute in one of the two forms that there are.
    pub fn has_xattr(&self, xattr: &Xattr) -> bool {
        let acl = match &*xattr.name {
            acl::ACCESS => &self.acl_access,
            acl::DEFAULT => &self.acl_default,
            _ => &None,
        };
        match acl {
            Some(text) => acl::text(&xattr.value).is_some_and(|expected| expected.as_bytes() == text),
            None => self.xattrs.contains(xattr),
        }
    }

    /// How many attributes it has, ACLs among them.
    pub fn xattr_count(&self) -> usize {
        self.xattrs.len() + usize::from(self.acl_access.is_some()) + usize::from(self.acl_default.is_some())
    }
}
