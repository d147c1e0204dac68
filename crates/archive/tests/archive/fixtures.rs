//! Archives of each version of the format that was ever released, which must open for ever.
//!
//! They were made by `make_the_archives_of_this_version`, an ignored test, and are never made again: a change that
//! cannot read them breaks the backups of everybody.

use std::{fs, path::PathBuf, sync::Arc};

use proptest::prelude::*;
use strongroom_archive::{Algorithm, Archive, ArchiveId, ArchiveKind, Body, Item};
use strongroom_crypto::{Random, Sha256};
use strongroom_event::Silent;
use strongroom_tree::{Entry, Kind, Meta, Stamp, Timestamp, TreeError, Xattr};

use crate::kit::*;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

fn file_name(algorithm: Algorithm, sealed: bool) -> String {
    format!("fixture-20261121-080000{}{}", algorithm.suffix(), if sealed { ".enc" } else { "" })
}

fn entry(name: &[u8], kind: Kind) -> Entry {
    let mtime = Timestamp { seconds: 1_790_000_000, nanoseconds: 123_456_789 };
    let meta = Meta {
        mode: 0o640,
        uid: 1000,
        gid: 100,
        user: Some("ada".into()),
        group: Some("users".into()),
        mtime,
        xattrs: vec![],
    };
    let stamp = Stamp { dev: 2049, ino: 4711, ctime: mtime, links: 1, blocks: 8 };
    Entry { path: strongroom_tree::RelPath::parse(name).unwrap(), kind, meta, stamp }
}

/// What is in them. Uncompressed ones do without the file of more than one frame, not to lie around for ever as megabytes.
fn items(algorithm: Algorithm) -> Vec<(Entry, Vec<u8>)> {
    let file = |name: &[u8], bytes: &[u8]| (entry(name, Kind::File { len: bytes.len() as u64 }), bytes.to_vec());
    let other = |name: &[u8], kind| (entry(name, kind), vec![]);
    let mut linked = file(b"linked", b"one file, two names\n");
    linked.0.stamp.links = 2;
    let mut attributed = file(b"attributed", b"");
    let acl = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xe8\x03\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    attributed.0.meta.xattrs = vec![
        Xattr { name: b"system.posix_acl_access".to_vec(), value: acl.to_vec() },
        Xattr { name: b"user.a=b%".to_vec(), value: b"\0\xff".to_vec() },
    ];
    let mut old = file(b"old", b"before 1970");
    old.0.meta.mtime = Timestamp { seconds: -1, nanoseconds: 500_000_000 };
    let mut owned = file(b"owned", b"by large numbers");
    (owned.0.meta.uid, owned.0.meta.gid, owned.0.meta.user) =
        (u32::MAX - 1, 3_000_000, Some(Arc::from("x".repeat(40))));
    let mut all = vec![
        other(b"", Kind::Directory),
        attributed,
        file(b"big", &noise(1000, 8).repeat(if algorithm == Algorithm::None { 20 } else { 4300 })),
        other(b"char", Kind::CharDevice { rdev: 259 }),
        other(b"dir", Kind::Directory),
        file(b"dir/inner", b"inner"),
        other(b"fifo", Kind::Fifo),
        file(b"latin-\xe9", b"not UTF-8"),
        linked,
        file(&[[b'n'; 120].as_slice(), b"/"].concat()[..120], b"a long name"),
        old,
        owned,
        other(b"second", Kind::Link { to: path("linked") }),
        other(b"symlink", Kind::Symlink { target: b"../elsewhere".to_vec() }),
    ];
    all.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    all
}

/// The same bytes each time.
struct Fixed;

impl Random for Fixed {
    fn fill(&self, out: &mut [u8]) {
        for (n, piece) in out.chunks_mut(32).enumerate() {
            piece.copy_from_slice(&Sha256::of(&[n as u8])[..piece.len()]);
        }
    }
}

#[test]
#[ignore = "makes fixtures, once for each version"]
fn make_the_archives_of_this_version() {
    fs::create_dir_all(directory()).unwrap();
    for algorithm in Algorithm::ALL {
        for sealed in [false, true] {
            let making = Making { random: &Fixed, ..Making::of(algorithm, sealed) };
            let item = |(entry, bytes): (Entry, Vec<u8>)| {
                let body = if matches!(entry.kind, Kind::File { .. }) { Body::Bytes(bytes) } else { Body::Nothing };
                Ok::<_, TreeError>(Item { component: 0, entry, body, renamed_from: None })
            };
            let (bytes, _) = making.write(&mut items(algorithm).into_iter().map(item)).unwrap();
            fs::write(directory().join(file_name(algorithm, sealed)), bytes).unwrap();
        }
    }
}

#[test]
fn archives_of_version_1_open_for_ever() {
    for algorithm in Algorithm::ALL {
        for sealed in [false, true] {
            let file = directory().join(file_name(algorithm, sealed));
            let bytes = fs::read(&file).unwrap();
            let archive = opened(&bytes).unwrap_or_else(|error| panic!("{file:?}: {error}"));
            archive.verify(2, &Silent).unwrap_or_else(|error| panic!("{file:?}: {error}"));
            let metadata = archive.metadata();
            assert_eq!(
                (metadata.format_version, metadata.id, metadata.kind),
                (1, ArchiveId([7; 16]), ArchiveKind::Full)
            );
            assert_eq!(archive.keys().unwrap().as_deref(), Some(&b"{\"keys\": true}"[..]));
            let found = records(&archive);
            assert_eq!(found.len(), items(algorithm).len());
            for (record, (entry, bytes)) in found.iter().zip(items(algorithm)) {
                assert_eq!(record.entry, entry, "{file:?}");
                if record.sha256.is_some() {
                    let mut read = vec![0; bytes.len() + 1];
                    let len = archive.content(record).unwrap().read_at(0, &mut read).unwrap();
                    assert_eq!(read[..len], bytes, "{file:?}: {}", entry.path);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_in_an_archive_can_be_changed_or_lost_unnoticed(
        algorithm in proptest::sample::select(Algorithm::ALL.to_vec()), sealed in any::<bool>(),
        at in any::<proptest::sample::Index>(), bit in 0..8u8, cut in any::<bool>(),
    ) {
        let whole = fs::read(directory().join(file_name(algorithm, sealed))).unwrap();
        let mut bytes = whole.clone();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << bit;
        }
        if let Ok(archive) = opened(&bytes) && archive.verify(1, &Silent).is_ok() {
            // Some bytes of compressed data have others that decompress to the same.
            prop_assert!(!sealed && !cut, "{algorithm} {sealed}: byte {at}");
            let whole = opened(&whole).unwrap();
            prop_assert_eq!(records(&archive), records(&whole));
            prop_assert!(exported(&archive) == exported(&whole), "{algorithm}: byte {at}");
        }
    }
}

fn exported(archive: &Archive) -> Vec<u8> {
    let mut tar = Vec::new();
    archive.export(&mut tar, 1).unwrap();
    tar
}
