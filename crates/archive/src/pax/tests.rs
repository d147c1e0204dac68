//! What is written is read again, whatever it is.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};
use strongroom_tree::{Meta, Timestamp, Xattr};

use super::{decode::Is, *};

fn meta() -> Meta {
    Meta { mode: 0o644, mtime: Timestamp { seconds: 1_700_000_000, nanoseconds: 0 }, ..Meta::default() }
}

fn written(name: &[u8], what: What<'_>, meta: &Meta) -> Vec<u8> {
    let mut out = Vec::new();
    encode(name, what, meta, &mut out);
    out
}

#[test]
fn a_plain_file_costs_one_block() {
    assert_eq!(written(b"files/a", What::File { len: 3 }, &meta()).len(), BLOCK);
    let deep = [[b'd'; 60].as_slice(), b"/", &[b'n'; 90]].concat();
    assert_eq!(written(&deep, What::File { len: 3 }, &meta()).len(), BLOCK);
}

#[test]
fn numbers_too_large_for_ustar_come_back() {
    let meta = Meta { uid: u32::MAX, gid: 2_097_152, mtime: Timestamp { seconds: -5, nanoseconds: 7 }, ..meta() };
    let bytes = written(b"x", What::File { len: 1 << 40 }, &meta);
    let read = decode(&bytes).unwrap().unwrap();
    assert_eq!((read.uid, read.gid, read.mtime), (u32::MAX.into(), 2_097_152, meta.mtime));
    assert_eq!(read.data_len, 1 << 40);
}

#[test]
fn long_names_are_pax_if_text_and_gnu_if_not() {
    let mut name = [b'n'; 300];
    let bytes = written(&name, What::Fifo, &meta());
    assert_eq!((bytes[block::TYPE], decode(&bytes).unwrap().unwrap().name), (b'x', name.to_vec()));
    name[299] = 0xFF;
    let bytes = written(&name, What::Symlink { target: &name }, &meta());
    let read = decode(&bytes).unwrap().unwrap();
    assert_eq!((bytes[block::TYPE], &read.name), (b'K', &name.to_vec()));
    assert_eq!(read.what, Is::Symlink { target: name.to_vec() });
}

#[test]
fn a_changed_header_is_refused() {
    let bytes = written(b"files/a", What::File { len: 3 }, &meta());
    for at in 0..BLOCK {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_ne!(decode(&changed), decode(&bytes), "at {at}");
    }
}

#[test]
fn a_key_said_twice_is_refused() {
    let mut header =
        written(b"x", What::File { len: 0 }, &Meta { mtime: Timestamp { seconds: 1, nanoseconds: 5 }, ..meta() });
    let record = header[BLOCK..].iter().position(|&byte| byte == b'\n').unwrap() + 1;
    header.copy_within(BLOCK..BLOCK + record, BLOCK + record);
    let mut block = *header.first_chunk::<BLOCK>().unwrap();
    block::SIZE.put_octal(&mut block, 2 * record as u64);
    block::seal(&mut block);
    header[..BLOCK].copy_from_slice(&block);
    assert_eq!(decode(&header), Err(Malformed("an extended header says the same thing twice")));
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>().prop_filter("no NUL", |&byte| byte != 0), 1..400),
        vec(prop_oneof![Just(b'/'), Just(b'a'), Just(b'%'), Just(b'=')], 1..300),
        "[a-zäöü/\n ]{1,200}".prop_map(String::into_bytes),
    ]
    // A slash at the end is how directories are told in names.
    .prop_filter("no slash at the end", |name| !name.ends_with(b"/"))
}

proptest! {
    #[test]
    fn every_member_comes_back(
        (name, target) in (names(), names()),
        kind in 0..8u8,
        (mode, uid, gid) in (0..0o10000u32, any::<u32>(), any::<u32>()),
        (seconds, nanoseconds) in (any::<i64>(), 0..1_000_000_000u32),
        user in proptest::option::of("[^\\x00]{1,40}"),
        xattrs in vec((names(), vec(any::<u8>(), 0..100)), 0..4),
        runs in vec((1..10_000u64, 1..10_000u64), 0..20),
        number in any::<u64>(),
    ) {
        let mut at = 0;
        let runs = runs.into_iter().map(|(hole, data)| { let start = at + hole; at = start + data; start..at }).collect();
        let map = Map::new(runs, at + number % 3).unwrap();
        let mut xattrs: Vec<_> = xattrs.into_iter().map(|(name, value)| Xattr { name, value }).collect();
        xattrs.sort();
        xattrs.dedup_by(|a, b| a.name == b.name);
        let user: Option<Arc<str>> = user.map(Into::into);
        let meta = Meta { mode, uid, gid, user, group: None, mtime: Timestamp { seconds, nanoseconds }, xattrs };
        let (what, is) = match kind {
            0 => (What::Directory, Is::Directory),
            1 => (What::File { len: number }, Is::File),
            2 => (What::Sparse(&map), Is::Sparse { len: map.len() }),
            3 => (What::Link { to: &target }, Is::Link { to: target.clone() }),
            4 => (What::Symlink { target: &target }, Is::Symlink { target: target.clone() }),
            5 => (What::Fifo, Is::Fifo),
            _ => {
                let numbers = (rustix::fs::major(number).into(), rustix::fs::minor(number).into());
                match kind {
                    6 => (What::CharDevice { rdev: number }, Is::CharDevice { number: numbers }),
                    _ => (What::BlockDevice { rdev: number }, Is::BlockDevice { number: numbers }),
                }
            }
        };
        let bytes = written(&name, what, &meta);
        let read = decode(&bytes).unwrap().unwrap();
        prop_assert_eq!(&read.what, &is);
        prop_assert_eq!(&read.name, &name);
        prop_assert_eq!((read.mode, read.uid, read.gid, read.mtime), (mode, uid.into(), gid.into(), meta.mtime));
        prop_assert_eq!(&*read.user, meta.user.as_deref().unwrap_or_default().as_bytes());
        prop_assert_eq!(&read.xattrs, &meta.xattrs);
        if let What::Sparse(map) = what {
            let (again, taken) = Map::decode(&bytes[read.header_len..], map.len()).unwrap();
            prop_assert_eq!((&again, taken), (map, bytes.len() - read.header_len));
            prop_assert_eq!(read.data_len, taken as u64 + map.data_len());
        } else {
            prop_assert_eq!(read.header_len, bytes.len());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(mut tar in vec(any::<u8>(), 0..3000), seal in any::<bool>()) {
        if seal && let Some(block) = tar.first_chunk_mut::<BLOCK>() {
            block::MAGIC.put_text(block, block::USTAR);
            block::seal(block);
        }
        let _ = decode(&tar);
        let _ = Map::decode(&tar, 1 << 20);
    }
}
