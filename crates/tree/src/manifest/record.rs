//! The bytes of what is recorded in a manifest: operations, one after the other, that turn what was known into what is.
//!
//! Numbers are LEB128, signed ones in zigzag; a string of bytes has its length before it.

use crate::{Entry, Kind, Known, Meta, RelPath, Stamp, Timestamp, Xattr};

/// One change of what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// From now on anything may be there.
    Doubt(RelPath),
    /// Likewise, there and at all that is known within.
    DoubtTree(RelPath),
    /// This is there.
    Know(Known),
    /// What is there is to be looked at again.
    Dirty(RelPath),
    /// Nothing is there, nor within.
    Gone(RelPath),
    /// What is there was compared.
    Settle(RelPath),
    /// Nothing counts as compared.
    UnsettleAll,
}

const DOUBT: u8 = 1;
const DOUBT_TREE: u8 = 2;
const KNOW: u8 = 3;
const DIRTY: u8 = 4;
const GONE: u8 = 5;
const SETTLE: u8 = 6;
const UNSETTLE_ALL: u8 = 7;

const IS_DIRTY: u8 = 1;
const IS_SETTLED: u8 = 2;
const HAS_DIGEST: u8 = 4;

impl Operation {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut named = |tag, path: &RelPath| {
            out.push(tag);
            put_bytes(out, path.as_bytes());
        };
        match self {
            Self::Doubt(path) => named(DOUBT, path),
            Self::DoubtTree(path) => named(DOUBT_TREE, path),
            Self::Dirty(path) => named(DIRTY, path),
            Self::Gone(path) => named(GONE, path),
            Self::Settle(path) => named(SETTLE, path),
            Self::UnsettleAll => out.push(UNSETTLE_ALL),
            Self::Know(known) => encode_known(known, out),
        }
    }

    /// The next one of `bytes`, which are shortened by it; `None` if they are none.
    pub fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let tag = take(bytes, 1)?[0];
        Some(match tag {
            DOUBT => Self::Doubt(take_path(bytes)?),
            DOUBT_TREE => Self::DoubtTree(take_path(bytes)?),
            DIRTY => Self::Dirty(take_path(bytes)?),
            GONE => Self::Gone(take_path(bytes)?),
            SETTLE => Self::Settle(take_path(bytes)?),
            UNSETTLE_ALL => Self::UnsettleAll,
            KNOW => Self::Know(decode_known(bytes)?),
            _ => return None,
        })
    }
}

fn encode_known(known: &Known, out: &mut Vec<u8>) {
    out.push(KNOW);
    let flag = |is_set, bit| if is_set { bit } else { 0 };
    out.push(flag(known.dirty, IS_DIRTY) | flag(known.settled, IS_SETTLED));
    encode_content(known, out);
}

/// All but the marks: what a fingerprint is over.
pub(crate) fn encode_content(known: &Known, out: &mut Vec<u8>) {
    out.push(if known.digest.is_some() { HAS_DIGEST } else { 0 });
    let Known { entry: Entry { path, kind, meta, stamp }, digest, .. } = known;
    put_bytes(out, path.as_bytes());
    encode_kind(kind, out);
    for number in [meta.mode, meta.uid, meta.gid] {
        put_number(out, number.into());
    }
    put_time(out, meta.mtime);
    put_number(out, meta.xattrs.len() as u64);
    for xattr in &meta.xattrs {
        put_bytes(out, &xattr.name);
        put_bytes(out, &xattr.value);
    }
    for number in [stamp.dev, stamp.ino, stamp.links] {
        put_number(out, number);
    }
    put_time(out, stamp.ctime);
    out.extend_from_slice(digest.as_ref().map_or(&[], |digest| digest.as_slice()));
}

fn encode_kind(kind: &Kind, out: &mut Vec<u8>) {
    match kind {
        Kind::Directory => out.push(b'd'),
        Kind::Fifo => out.push(b'p'),
        Kind::Socket => out.push(b's'),
        Kind::File { len } => {
            out.push(b'f');
            put_number(out, *len);
        }
        Kind::Link { to } => {
            out.push(b'h');
            put_bytes(out, to.as_bytes());
        }
        Kind::Symlink { target } => {
            out.push(b'l');
            put_bytes(out, target);
        }
        Kind::CharDevice { rdev } => {
            out.push(b'c');
            put_number(out, *rdev);
        }
        Kind::BlockDevice { rdev } => {
            out.push(b'b');
            put_number(out, *rdev);
        }
    }
}

fn decode_known(bytes: &mut &[u8]) -> Option<Known> {
    let marks = take(bytes, 1)?[0];
    let has_digest = take(bytes, 1)?[0] == HAS_DIGEST;
    let path = take_path(bytes)?;
    let kind = decode_kind(bytes)?;
    let mut small = || u32::try_from(take_number(bytes)?).ok();
    let (mode, uid, gid) = (small()?, small()?, small()?);
    let mtime = take_time(bytes)?;
    let xattrs = (0..take_number(bytes)?)
        .map(|_| Some(Xattr { name: take_bytes(bytes)?.to_vec(), value: take_bytes(bytes)?.to_vec() }))
        .collect::<Option<Vec<_>>>()?;
    let (dev, ino, links) = (take_number(bytes)?, take_number(bytes)?, take_number(bytes)?);
    let ctime = take_time(bytes)?;
    let digest = if has_digest { Some(take(bytes, 32)?.try_into().ok()?) } else { None };
    let meta = Meta { mode, uid, gid, user: None, group: None, mtime, xattrs };
    let entry = Entry { path, kind, meta, stamp: Stamp { dev, ino, ctime, links, blocks: 0 } };
    Some(Known { entry, digest, dirty: marks & IS_DIRTY != 0, settled: marks & IS_SETTLED != 0 })
}

fn decode_kind(bytes: &mut &[u8]) -> Option<Kind> {
    Some(match take(bytes, 1)?[0] {
        b'd' => Kind::Directory,
        b'p' => Kind::Fifo,
        b's' => Kind::Socket,
        b'f' => Kind::File { len: take_number(bytes)? },
        b'h' => Kind::Link { to: take_path(bytes)? },
        b'l' => Kind::Symlink { target: take_bytes(bytes)?.to_vec() },
        b'c' => Kind::CharDevice { rdev: take_number(bytes)? },
        b'b' => Kind::BlockDevice { rdev: take_number(bytes)? },
        _ => return None,
    })
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    put_number(out, ((time.seconds << 1) ^ (time.seconds >> 63)) as u64);
    put_number(out, time.nanoseconds.into());
}

fn take<'b>(bytes: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take_bytes<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let len = usize::try_from(take_number(bytes)?).ok()?;
    take(bytes, len)
}

fn take_path(bytes: &mut &[u8]) -> Option<RelPath> {
    RelPath::parse(take_bytes(bytes)?).ok()
}

fn take_time(bytes: &mut &[u8]) -> Option<Timestamp> {
    let seconds = take_number(bytes)?;
    let seconds = (seconds >> 1) as i64 ^ -((seconds & 1) as i64);
    Some(Timestamp { seconds, nanoseconds: u32::try_from(take_number(bytes)?).ok()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path() -> impl Strategy<Value = RelPath> {
        "[a-z\u{e4}\n]{1,8}(/[a-z]{1,4}){0,3}".prop_map(|text| RelPath::parse(text.as_bytes()).unwrap())
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Directory),
            Just(Kind::Fifo),
            Just(Kind::Socket),
            any::<u64>().prop_map(|len| Kind::File { len }),
            path().prop_map(|to| Kind::Link { to }),
            any::<Vec<u8>>().prop_map(|target| Kind::Symlink { target }),
            any::<u64>().prop_map(|rdev| Kind::CharDevice { rdev }),
            any::<u64>().prop_map(|rdev| Kind::BlockDevice { rdev }),
        ]
    }

    fn time() -> impl Strategy<Value = Timestamp> {
        (any::<i64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds })
    }

    prop_compose! {
        fn known()(
            (path, kind) in (path(), kind()),
            (mode, uid, gid) in any::<(u32, u32, u32)>(),
            (mtime, ctime) in (time(), time()),
            xattrs in any::<Vec<(Vec<u8>, Vec<u8>)>>(),
            (dev, ino, links) in any::<(u64, u64, u64)>(),
            (digest, dirty, settled) in any::<(Option<[u8; 32]>, bool, bool)>(),
        ) -> Known {
            let xattrs = xattrs.into_iter().map(|(name, value)| Xattr { name, value }).collect();
            let meta = Meta { mode, uid, gid, user: None, group: None, mtime, xattrs };
            let stamp = Stamp { dev, ino, ctime, links, blocks: 0 };
            Known { entry: Entry { path, kind, meta, stamp }, digest, dirty, settled }
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(known in known(), path in path()) {
            let operations = [Operation::Know(known), Operation::Doubt(path.clone()), Operation::DoubtTree(path.clone()),
                Operation::Dirty(path.clone()), Operation::Gone(path.clone()), Operation::Settle(path), Operation::UnsettleAll];
            let mut bytes = Vec::new();
            operations.iter().for_each(|operation| operation.encode(&mut bytes));
            let mut rest = bytes.as_slice();
            for operation in &operations {
                prop_assert_eq!(&Operation::decode(&mut rest).unwrap(), operation);
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_bytes_are_too_odd_to_be_refused(bytes: Vec<u8>) {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() && Operation::decode(&mut rest).is_some() {}
        }
    }
}
