//! The lines of the index as JSON.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use strongroom_tree::{Entry, Kind, Meta, RelPath, Stamp, Timestamp, Xattr};

use super::{
    BaseRef, Gone, Issue, Location, Record,
    bytes::{Base64, Bytes},
};
use crate::{Metadata, hex};

/// One line. They come in this order: one head, frames, entries, what is gone, issues, one end.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line<'a> {
    /// What all of the archive has in common.
    Head(Box<Head>),
    /// The next frames: length in the container, length in the tar stream. The first begins at 0 in both, and each
    /// where the one before ends.
    Frames(Vec<[u64; 2]>),
    /// An entry.
    Entry(Box<EntryLine<'a>>),
    /// A stretch of the tar stream, offset and length, that is of no use: what was put there turned out to be wanting
    /// only afterwards. It stands among the entries, in its place.
    Void([u64; 2]),
    /// An entry of the base that is no longer there.
    Gone(Gone),
    /// Something that could not be kept as it was.
    Issue(Issue),
    /// Nothing comes after this, so that an index that was cut short shows.
    End(End),
}

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// [`Metadata::FORMAT_VERSION`].
    pub format: u32,
    /// The document.
    pub metadata: Metadata,
    /// The archives that locations refer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub archives: Vec<BaseRef>,
    /// How many frames there are.
    pub frames: u64,
    /// Where in the tar stream the entries end and `encryption_key.enc` and `metadata.json` begin.
    pub tail: u64,
    /// SHA-256 of `encryption_key.enc`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Hash>,
}

/// As much of a first line as every version has.
#[derive(Deserialize)]
pub struct AnyHead {
    /// The line.
    pub head: AnyFormat,
}

/// The version, whatever else there is.
#[derive(Deserialize)]
pub struct AnyFormat {
    /// [`Head::format`].
    pub format: u32,
}

/// The last line: how many lines of each kind there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Entries.
    pub entries: u64,
    /// Entries of the base that are no longer there.
    pub gone: u64,
    /// Issues.
    pub issues: u64,
}

/// An entry.
#[derive(Serialize, Deserialize)]
pub struct EntryLine<'a> {
    path: Bytes<'a>,
    kind: KindWord,
    #[serde(default, skip_serializing_if = "is_zero")]
    component: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// What a link is another name of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<Bytes<'a>>,
    /// Where a symbolic link points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Bytes<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rdev: Option<u64>,
    mode: u32,
    uid: u32,
    gid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<Cow<'a, str>>,
    mtime: (i64, u32),
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<(Bytes<'a>, Base64<'a>)>,
    /// Device, inode, change time in seconds and nanoseconds, names, units of 512 bytes.
    stamp: (u64, u64, i64, u32, u64, u64),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Hash>,
    /// Archive, offset, length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<(u32, u64, u64)>,
    #[serde(default, skip_serializing_if = "is_false")]
    changed: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    damaged: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renamed_from: Option<Bytes<'a>>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KindWord {
    Directory,
    File,
    Link,
    Symlink,
    Fifo,
    Socket,
    CharDevice,
    BlockDevice,
}

/// A SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hash(#[serde(with = "hex::serde")] pub [u8; 32]);

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_false(mark: &bool) -> bool {
    !mark
}

impl<'a> From<&'a Record> for EntryLine<'a> {
    fn from(record: &'a Record) -> Self {
        let Entry { path, kind, meta, stamp } = &record.entry;
        let mut line = Self {
            path: path.as_bytes().into(),
            kind: KindWord::Directory,
            component: record.component,
            size: None,
            to: None,
            target: None,
            rdev: None,
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            user: meta.user.as_deref().map(Cow::Borrowed),
            group: meta.group.as_deref().map(Cow::Borrowed),
            mtime: (meta.mtime.seconds, meta.mtime.nanoseconds),
            xattrs: meta.xattrs.iter().map(xattr_pair).collect(),
            stamp: stamp_numbers(stamp),
            sha256: record.sha256.map(Hash),
            at: record.at.map(|at| (at.archive, at.tar_offset, at.tar_len)),
            changed: record.changed,
            damaged: record.damaged,
            renamed_from: record.renamed_from.as_ref().map(|path| path.as_bytes().into()),
        };
        line.set_kind(kind);
        line
    }
}

impl<'a> EntryLine<'a> {
    fn set_kind(&mut self, kind: &'a Kind) {
        self.kind = match kind {
            Kind::Directory => KindWord::Directory,
            Kind::File { len } => {
                self.size = Some(*len);
                KindWord::File
            }
            Kind::Link { to } => {
                self.to = Some(to.as_bytes().into());
                KindWord::Link
            }
            Kind::Symlink { target } => {
                self.target = Some((&**target).into());
                KindWord::Symlink
            }
            Kind::Fifo => KindWord::Fifo,
            Kind::Socket => KindWord::Socket,
            Kind::CharDevice { rdev } => {
                self.rdev = Some(*rdev);
                KindWord::CharDevice
            }
            Kind::BlockDevice { rdev } => {
                self.rdev = Some(*rdev);
                KindWord::BlockDevice
            }
        };
    }

    fn kind(&mut self) -> Result<Kind, &'static str> {
        Ok(match self.kind {
            KindWord::Directory => Kind::Directory,
            KindWord::File => Kind::File { len: self.size.ok_or("a file has no size")? },
            KindWord::Link => Kind::Link { to: parse(&self.to.take().ok_or("a link has no `to`")?)? },
            KindWord::Symlink => {
                Kind::Symlink { target: self.target.take().ok_or("a symbolic link has no target")?.0.into_owned() }
            }
            KindWord::Fifo => Kind::Fifo,
            KindWord::Socket => return Err("an archive cannot hold a socket"),
            KindWord::CharDevice => Kind::CharDevice { rdev: self.rdev.ok_or("a device has no number")? },
            KindWord::BlockDevice => Kind::BlockDevice { rdev: self.rdev.ok_or("a device has no number")? },
        })
    }

    /// The record that the line says, if it is one.
    pub fn record(mut self) -> Result<Record, &'static str> {
        let kind = self.kind()?;
        let meta = Meta {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            user: self.user.map(Arc::from),
            group: self.group.map(Arc::from),
            mtime: time(self.mtime)?,
            xattrs: self.xattrs.into_iter().map(xattr).collect(),
        };
        let (dev, ino, seconds, nanoseconds, links, blocks) = self.stamp;
        let stamp = Stamp { dev, ino, ctime: time((seconds, nanoseconds))?, links, blocks };
        if meta.mode & !0o7777 != 0 {
            return Err("a mode has more than permission bits");
        }
        Ok(Record {
            component: self.component,
            entry: Entry { path: parse(&self.path)?, kind, meta, stamp },
            sha256: self.sha256.map(|hash| hash.0),
            at: self.at.map(|(archive, tar_offset, tar_len)| Location { archive, tar_offset, tar_len }),
            changed: self.changed,
            damaged: self.damaged,
            renamed_from: self.renamed_from.map(|path| parse(&path)).transpose()?,
        })
    }
}

fn parse(path: &Bytes<'_>) -> Result<RelPath, &'static str> {
    RelPath::parse(&path.0).map_err(|refused| refused.why)
}

fn time((seconds, nanoseconds): (i64, u32)) -> Result<Timestamp, &'static str> {
    if nanoseconds < 1_000_000_000 {
        Ok(Timestamp { seconds, nanoseconds })
    } else {
        Err("a time has too many nanoseconds")
    }
}

fn xattr_pair(xattr: &Xattr) -> (Bytes<'_>, Base64<'_>) {
    ((&*xattr.name).into(), Base64(Cow::Borrowed(&xattr.value)))
}

fn xattr((name, value): (Bytes<'_>, Base64<'_>)) -> Xattr {
    Xattr { name: name.0.into_owned(), value: value.0.into_owned() }
}

fn stamp_numbers(stamp: &Stamp) -> (u64, u64, i64, u32, u64, u64) {
    (stamp.dev, stamp.ino, stamp.ctime.seconds, stamp.ctime.nanoseconds, stamp.links, stamp.blocks)
}
