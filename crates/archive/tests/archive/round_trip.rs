//! What went in comes out.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::{collection::vec, prelude::*};
use strongroom_archive::{Algorithm, ArchiveError, Body, Item};
use strongroom_event::Silent;
use strongroom_tree::{Entry, Kind, Meta, Stamp};

use crate::kit::*;

#[test]
fn a_tree_with_everything_comes_back_whatever_the_algorithm() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    all_kinds(&source);
    for algorithm in Algorithm::ALL {
        for sealed in [false, true] {
            let (bytes, written) = Making::of(algorithm, sealed).write_tree(&source);
            assert_eq!(written.issues, []);
            let archive = opened(&bytes).unwrap();
            assert_eq!(archive.metadata(), &written.metadata);
            let report = archive.verify(2, &Silent).unwrap();
            assert_eq!(report.files, written.metadata.counts.files);
            let target = scratch.path().join(format!("{algorithm}-{sealed}"));
            extract(&archive, &target).unwrap();
            assert_same(&source, &target);
            assert_eq!(archive.keys().unwrap().as_deref(), Some(&b"{\"keys\": true}"[..]));
        }
    }
}

fn file<'a>(name: &str, bytes: Vec<u8>) -> Item<'a> {
    let kind = Kind::File { len: bytes.len() as u64 };
    let entry = Entry { path: path(name), kind, meta: Meta::default(), stamp: Stamp::default() };
    Item { component: 0, entry, body: Body::Bytes(bytes), renamed_from: None }
}

#[test]
fn a_hundred_thousand_small_files_come_back() {
    let content = |n: u32| n.to_string().repeat((n % 50) as usize).into_bytes();
    let mut items = (0..100_000).map(|n| Ok(file(&format!("{n:06}"), content(n))));
    let (bytes, written) = Making::default().write(&mut items).unwrap();
    assert_eq!(written.metadata.counts.files, 100_000);
    let archive = opened(&bytes).unwrap();
    assert_eq!(archive.verify(2, &Silent).unwrap().files, 100_000);
    let seen = AtomicU64::new(0);
    archive
        .extract::<ArchiveError>(&mut archive.records().unwrap(), 3, &|record, stored| {
            let n: u32 = record.entry.path.to_string().parse().unwrap();
            let mut read = vec![1; record.entry.len() as usize];
            stored.unwrap().read_at(0, &mut read).unwrap();
            assert_eq!(read, content(n));
            seen.fetch_add(u64::from(n), Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
    assert_eq!(seen.into_inner(), (0..100_000u64).sum::<u64>());
}

#[test]
fn ten_gibibytes_of_hole_take_no_room() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    std::fs::create_dir(&source).unwrap();
    sparse(&source.join("sparse"), 10 << 30, &[(5 << 30, b"in the middle")]);
    let (bytes, written) = Making::default().write_tree(&source);
    assert_eq!((written.metadata.counts.bytes, written.issues.len()), (10 << 30, 0));
    assert!(bytes.len() < 10_000);
    let archive = opened(&bytes).unwrap();
    let record = &records(&archive)[1];
    let mut content = archive.content(record).unwrap();
    let run = content.data_from(0).unwrap().unwrap();
    assert!(run.start <= 5 << 30 && run.end - run.start < 1 << 20);
    let mut read = [1; 20];
    content.read_at((5 << 30) - 3, &mut read).unwrap();
    assert_eq!(&read, b"\0\0\0in the middle\0\0\0\0");
}

/// Small ones, and some about as long as one frame or two.
fn lens() -> impl Strategy<Value = usize> {
    const FRAME: usize = 4 << 20;
    prop_oneof![0..2000usize, FRAME - 2000..FRAME + 2000, 2 * FRAME - 2000..2 * FRAME + 2000, FRAME / 4..FRAME]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn files_around_the_length_of_a_frame_come_back(
        lens in vec(lens(), 1..12),
        workers in 1..4usize, algorithm in proptest::sample::select(Algorithm::ALL.to_vec()), sealed in any::<bool>(),
        from_files in any::<bool>(),
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let content = |n: usize| noise(lens[n].div_ceil(3), n as u64).repeat(3)[..lens[n]].to_vec();
        for n in 0..lens.len() {
            std::fs::write(root.join(format!("{n:02}")), content(n)).unwrap();
        }
        let making = Making { workers, ..Making::of(algorithm, sealed) };
        let (bytes, written) = match from_files {
            true => making.write_tree(&root),
            false => making.write(&mut (0..lens.len()).map(|n| Ok(file(&format!("{n:02}"), content(n))))).unwrap(),
        };
        prop_assert_eq!(written.metadata.counts.bytes, lens.iter().sum::<usize>() as u64);
        let archive = opened(&bytes).unwrap();
        archive.verify(workers, &Silent).unwrap();
        for record in records(&archive).iter().filter(|record| record.sha256.is_some()) {
            let n: usize = record.entry.path.to_string().parse().unwrap();
            let mut read = vec![1; lens[n] + 1];
            let len = archive.content(record).unwrap().read_at(0, &mut read).unwrap();
            prop_assert!(read[..len] == content(n));
            // What fits into a frame is in one, so that it takes one to read it.
            let at = record.at.unwrap();
            let end = at.tar_offset + at.tar_len;
            let frames = archive.frames().iter();
            let frames = frames.filter(|it| it.tar_offset < end && at.tar_offset < it.tar_offset + it.tar_len);
            prop_assert!(at.tar_len > 4 << 20 || frames.count() == 1);
        }
    }
}
