//! A record, and the name and headers of its member.

use strongroom_tree::{Entry, Kind, RelPath};

use super::{Component, Item};
use crate::{
    Issue, Location, Record,
    index::member_name,
    pax::{self, Map, What},
};

/// The most bytes of extended attributes that an entry can have here; a frame must hold them all.
const MOST_XATTRS: usize = 8 << 20;

/// Appends the headers of an entry's member. A file has the data that `map` says.
pub fn put_headers(component: &Component, entry: &Entry, map: &Map, out: &mut Vec<u8>) {
    let name = member_name(&component.prefix, &entry.path);
    let to;
    let what = match &entry.kind {
        Kind::Directory => What::Directory,
        Kind::File { len } if map.is_solid() => What::File { len: *len },
        Kind::File { .. } => What::Sparse(map),
        Kind::Link { to: path } => {
            to = member_name(&component.prefix, path);
            What::Link { to: &to }
        }
        Kind::Symlink { target } => What::Symlink { target },
        Kind::Fifo | Kind::Socket => What::Fifo,
        Kind::CharDevice { rdev } => What::CharDevice { rdev: *rdev },
        Kind::BlockDevice { rdev } => What::BlockDevice { rdev: *rdev },
    };
    pax::encode(&name, what, &entry.meta, out);
}

/// Takes away attributes that no frame could hold, and tells so.
pub fn fit_xattrs(item: &mut Item<'_>) -> Option<Issue> {
    let xattrs = &mut item.entry.meta.xattrs;
    let size: usize = xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len()).sum();
    if size <= MOST_XATTRS {
        return None;
    }
    xattrs.clear();
    let (component, path) = (item.component, item.entry.path.clone());
    Some(Issue::NotKept { component, path, kind: "with more than 8 MiB of extended attributes".to_owned() })
}

/// The record of an entry whose member is `at` so many bytes after the beginning of its frame, and so long.
pub fn record(component: u32, entry: Entry, renamed_from: Option<RelPath>, at: Option<(u64, u64)>) -> Record {
    let at = at.map(|(tar_offset, tar_len)| Location { archive: 0, tar_offset, tar_len });
    Record { component, entry, sha256: None, at, changed: false, damaged: false, renamed_from }
}
