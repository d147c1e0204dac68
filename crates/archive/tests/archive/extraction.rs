//! How files are handed out, and what happens when whoever gets them gives up.

use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_archive::{Algorithm, Archive, ArchiveError, Body, Item};
use strongroom_tree::{Content, Entry, Kind, Meta, Stamp};

use crate::kit::*;

/// Twenty files of a kilobyte to ten megabytes.
fn archive() -> Archive {
    let item = |n: usize| {
        let bytes = content(n);
        let kind = Kind::File { len: bytes.len() as u64 };
        let entry = Entry { path: path(&format!("{n:02}")), kind, meta: Meta::default(), stamp: Stamp::default() };
        Ok(Item { component: 0, entry, body: Body::Bytes(bytes), renamed_from: None })
    };
    opened(&Making::default().write(&mut (0..20).map(item)).unwrap().0).unwrap()
}

fn content(n: usize) -> Vec<u8> {
    noise(1000, n as u64).repeat(if n % 5 == 4 { 10_000 } else { n + 1 })
}

fn number(record: &strongroom_archive::Record) -> usize {
    record.entry.path.to_string().parse().unwrap()
}

#[derive(Debug)]
enum Stopped {
    At(usize),
    Archive(#[expect(dead_code, reason = "shown when a test fails")] ArchiveError),
}

impl From<ArchiveError> for Stopped {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

/// Extracts everything.
fn extract(each: impl Fn(usize, &mut dyn Content) -> Result<(), Stopped> + Sync) -> Result<(), Stopped> {
    let archive = archive();
    let mut records = archive.records()?.map(|record| record.map_err(Stopped::from));
    archive.extract(&mut records, 2, &|record, content| each(number(record), content.unwrap()))
}

#[test]
fn an_error_of_the_receiver_ends_it_and_comes_back() {
    for stop in [0, 4, 10, 19] {
        let outcome = extract(|n, _| if n == stop { Err(Stopped::At(n)) } else { Ok(()) });
        assert!(matches!(outcome, Err(Stopped::At(n)) if n == stop), "{outcome:?}");
    }
}

#[test]
fn a_receiver_may_read_as_it_likes_or_not_at_all() {
    let seen = AtomicU64::new(0);
    extract(|n, stored| {
        let whole = content(n);
        let mut read = vec![0; 700];
        for offset in [whole.len() - 700, 0, whole.len() / 2].into_iter().take(n % 4) {
            assert_eq!(stored.read_at(offset as u64, &mut read).unwrap(), read.len());
            assert_eq!(read, whole[offset..offset + 700]);
        }
        assert_eq!(stored.read_at(whole.len() as u64, &mut read).unwrap(), 0);
        assert_eq!(stored.read_at(u64::MAX, &mut read).unwrap(), 0);
        assert_eq!(stored.look().unwrap().len, whole.len() as u64);
        seen.fetch_add(1, Ordering::Relaxed);
        Ok(())
    })
    .unwrap();
    assert_eq!(seen.into_inner(), 20);
}

#[test]
fn records_may_come_in_any_order() {
    let archive = archive();
    let mut records = records(&archive);
    records.reverse();
    let seen = AtomicU64::new(0);
    archive
        .extract::<ArchiveError>(&mut records.into_iter().map(Ok), 2, &|record, stored| {
            let mut read = vec![0; record.entry.len() as usize];
            stored.unwrap().read_at(0, &mut read).unwrap();
            assert_eq!(read, content(number(record)));
            seen.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
    assert_eq!(seen.into_inner(), 20);
}

#[test]
#[should_panic(expected = "a scoped thread panicked")]
fn a_receiver_that_panics_does_not_leave_the_others_waiting() {
    let _ = extract(|_, _| panic!("for all of them"));
}

#[test]
fn the_hash_of_a_big_file_is_checked_however_it_is_read() {
    let len = 9 << 20;
    let entry = Entry { path: path("00"), kind: Kind::File { len }, meta: Meta::default(), stamp: Stamp::default() };
    let body = Body::Bytes(noise(len as usize, 1));
    let items = [Ok(Item { component: 0, entry, body, renamed_from: None })];
    let (mut bytes, _) = Making::of(Algorithm::None, false).write(&mut items.into_iter()).unwrap();
    bytes[5 << 20] ^= 1;
    let archive = opened(&bytes).unwrap();
    let forwards = |n: u64| n << 20;
    let backwards = |n: u64| (8 - n) << 20;
    for order in [&forwards as &(dyn Fn(u64) -> u64 + Sync), &backwards] {
        let refused = archive.extract::<ArchiveError>(&mut archive.records().unwrap(), 2, &|_, content| {
            let content = content.unwrap();
            let mut read = vec![0; 1 << 20];
            (0..9).try_for_each(|n| content.read_at(order(n), &mut read).map(drop)).map_err(|source| {
                assert_eq!(source.kind(), std::io::ErrorKind::InvalidData);
                ArchiveError::Io { attempted: "reading", source }
            })
        });
        assert!(refused.unwrap_err().to_string().contains("hash"));
    }
}
