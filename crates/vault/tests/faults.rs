//! The disk is full, cannot be read for a moment, or gives back other bytes than it was given.

mod common;

use std::sync::Arc;

use common::*;
use proptest::prelude::*;
use strongroom_crypto::OsRandom;
use strongroom_testkit::{Failure, Fixture, Journal, Mounted, Op, ReferenceTree, SimBacking, at, bytes, ops};
use strongroom_vault::backing::Target;
use strongroom_vault::{Backing, Kind, NodeId, OpenMode, VaultOptions};

fn open(fixture: &Fixture, disk: &SimBacking) -> Mounted<SimBacking> {
    fixture.open_with(disk.clone(), VaultOptions::default(), Arc::new(OsRandom))
}

/// Gives `op` every amount of space up to where it succeeds.
fn run_short_of_space(fixture: &Fixture, disk: &SimBacking, model: &ReferenceTree, op: &Op, what: &str) {
    let before = timeless(model.snapshot());
    let mut after_model = model.clone();
    let expected = after_model.run(op);
    let after = timeless(after_model.snapshot());
    for pages in 0.. {
        assert!(pages < 200, "{what}: it never succeeds");
        let what = format!("{what} with {pages} pages left");
        let disk = disk.fork();
        let mut vault = open(fixture, &disk);
        disk.limit_space(Some(pages));
        let given = vault.run(op);
        let succeeded = given == expected;
        assert!(succeeded || given == Err(Failure::NoSpace), "{what}: {given:?}");
        let wanted = if succeeded { &after } else { &before };
        let found = timeless(vault.snapshot());
        assert!(found == *wanted, "{what}, at once: {}", difference(&found, wanted));
        if succeeded {
            return;
        }
        // Nothing has to be there for reading it anew, either, and with space it works.
        let mut anew = open(fixture, &disk);
        let found = timeless(anew.snapshot());
        assert!(found == before, "{what}, opened anew: {}", difference(&found, &before));
        assert_eq!(anew.take_damage(), Vec::<String>::new(), "{what}");
        drop(anew);
        disk.limit_space(None);
        assert_eq!(vault.run(op), expected, "{what}, then with space");
        drop(vault);
        anew = open(fixture, &disk);
        let found = timeless(anew.snapshot());
        assert!(found == after, "{what}, then with space: {}", difference(&found, &after));
        assert_eq!(anew.take_damage(), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn a_full_disk_leaves_everything_as_it_was() {
    for mode in [0, 2, 8] {
        let fixture = Fixture::mode(mode);
        for Scenario { what, before, op } in scenarios() {
            let (disk, model) = prepared(fixture, Journal::Ext4Like, &before);
            run_short_of_space(fixture, &disk, &model, &op, what);
        }
    }
}

#[test]
fn a_full_disk_that_cannot_reserve_space_leaves_everything_as_it_was() {
    let fixture = Fixture::usual();
    for Scenario { what, before, op } in scenarios() {
        // What a truncation cut off before it found no room for its last block does not come back.
        if matches!(op, Op::Allocate { .. }) || what == "shrink into a hole" {
            continue;
        }
        let (disk, model) = prepared(fixture, Journal::Ext4Like, &before);
        disk.set_reserves(false);
        run_short_of_space(fixture, &disk, &model, &op, what);
    }
}

/// Lets each read that `op` makes fail once.
fn run_with_failing_reads(fixture: &Fixture, disk: &SimBacking, model: &ReferenceTree, op: &Op, what: &str) {
    let before = timeless(model.snapshot());
    let mut after_model = model.clone();
    let expected = after_model.run(op);
    let after = timeless(after_model.snapshot());
    let most = {
        let disk = disk.fork();
        let mut vault = open(fixture, &disk);
        let _ = vault.run(op);
        disk.reads()
    };
    for reads in 0..most {
        let what = format!("{what}, read {reads} fails");
        let disk = disk.fork();
        let mut vault = open(fixture, &disk);
        disk.fail_read_after(reads);
        let given = vault.run(op);
        let found = timeless(vault.snapshot());
        let wanted = if given == expected { &after } else { &before };
        // A directory whose IV cannot be read is damaged for the moment, other reads are refused as they are.
        let refused = matches!(&given, Err(Failure::Other(_) | Failure::Damaged(_)));
        assert!(given == expected || refused, "{what}: {given:?}");
        assert!(found == *wanted, "{what}, {given:?}: {}", difference(&found, wanted));
        drop(vault);
        let found = timeless(open(fixture, &disk).snapshot());
        assert!(found == *wanted, "{what}, {given:?}, opened anew: {}", difference(&found, wanted));
    }
}

#[test]
fn a_read_that_fails_for_a_moment_changes_nothing_but_the_answer() {
    for mode in [0, 2] {
        let fixture = Fixture::mode(mode);
        for Scenario { what, before, op } in scenarios() {
            let (disk, model) = prepared(fixture, Journal::Ext4Like, &before);
            run_with_failing_reads(fixture, &disk, &model, &op, what);
        }
    }
}

fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(300))]
    #[test]
    fn a_disk_that_fills_up_in_any_sequence_refuses_and_loses_nothing(
        mode in prop_oneof![2 => Just(0usize), 1 => 0..9usize],
        reserves: bool,
        pages in 0..30u64,
        ops in ops(40),
    ) {
        let fixture = Fixture::mode(mode);
        let (disk, mut model) = prepared(fixture, Journal::Ext4Like, &[]);
        disk.set_reserves(reserves);
        disk.limit_space(Some(pages));
        let mut vault = open(fixture, &disk);
        let mut done = Vec::new();
        for op in &ops {
            let op = model.settle(op);
            if !reserves && matches!(op, Op::Allocate { .. }) {
                continue;
            }
            let given = vault.run(&op);
            done.push(op.clone());
            let mut tried = model.clone();
            let expected = tried.run(&op);
            if given == Err(Failure::NoSpace) {
                prop_assert!(op.is_change(), "{:?} needs no space", op);
                if !reserves && matches!(op, Op::Truncate { .. }) {
                    vault.snapshot(); // it may have gone part of the way, but nothing is damaged
                    return Ok(());
                }
            } else {
                prop_assert_eq!(&given, &expected, "{:?}", done);
                model = tried;
            }
            if op == Op::Remount {
                drop(vault);
                vault = open(fixture, &disk);
            }
        }
        let wanted = timeless(model.snapshot());
        let found = timeless(vault.snapshot());
        prop_assert!(found == wanted, "{:?}: {}", done, difference(&found, &wanted));
        drop(vault);
        let vault = open(fixture, &disk);
        let found = timeless(vault.snapshot());
        prop_assert!(found == wanted, "{:?}, opened anew: {}", done, difference(&found, &wanted));
        prop_assert_eq!(vault.take_damage(), Vec::<String>::new());
    }
}

/// The one object in the root of the disk that is no file of the format.
fn disk_name(disk: &SimBacking) -> Vec<u8> {
    let is_own = |path: &&Vec<u8>| !path.starts_with(b"/gocryptfs.conf") && !path.starts_with(b"/gocryptfs.diriv");
    disk.paths().keys().find(is_own).unwrap()[1..].to_vec()
}

fn flip(disk: &SimBacking, offset: u64) {
    let root = disk.root().unwrap();
    let file = disk.open(&root, &disk_name(disk), OpenMode::ReadWrite).unwrap();
    let mut byte = [0];
    assert_eq!(disk.read_at(&file, offset, &mut byte), Ok(1));
    disk.write_at(&file, offset, &[byte[0] ^ 1]).unwrap();
}

#[test]
fn a_damaged_block_is_an_error_for_that_block_alone_and_is_told_with_its_path() {
    for mode in 0..9 {
        let fixture = Fixture::mode(mode);
        let (disk, _) = prepared(fixture, Journal::Ext4Like, &[create(&[A]), write(&[A], 0, 20_000)]);
        let content = bytes(20_000, 20_000);
        let cipher_block = if mode < 6 { 4128 } else { 4136 };
        for (place, damaged) in
            [(0, 0), (500, 0), (2 * cipher_block + 5, 2), (3 * cipher_block - 1, 2), (4 * cipher_block + 3000, 4)]
        {
            let disk = disk.fork();
            flip(&disk, 18 + place);
            let mut vault = open(fixture, &disk);
            let node = vault.vault.lookup(NodeId::ROOT, b"a").unwrap().node;
            for block in 0..5 {
                let mut out = vec![0; 4096];
                let read = vault.vault.read(node, block * 4096, &mut out);
                if block == damaged {
                    assert!(matches!(read.map_err(Failure::from), Err(Failure::Damaged(_))), "mode {mode}, {place}");
                    let told = vault.take_damage();
                    assert_eq!(told.len(), 1, "{told:?}");
                    assert!(told[0].starts_with(&format!("/a: block {damaged} ")), "{told:?}");
                } else {
                    out.truncate(read.unwrap());
                    assert!(out == content[block as usize * 4096..][..out.len()], "mode {mode}, block {block}");
                }
            }
            // A part of it cannot be written, the whole can, and heals it.
            let part = write(&[A], damaged * 4096 + 5, 5);
            assert!(matches!(vault.run(&part), Err(Failure::Damaged(_))), "mode {mode}, {place}");
            vault.run(&write(&[A], damaged * 4096, 4096)).unwrap();
            assert_eq!(
                vault.content(&at(&[A])).map(|content| content.len()),
                Ok(20_480.min(20_000.max((damaged as usize + 1) * 4096)))
            );
        }
    }
}

#[test]
fn a_damaged_block_is_in_nobodys_way() {
    let fixture = Fixture::usual();
    let (disk, _) = prepared(fixture, Journal::Ext4Like, &[create(&[A]), write(&[A], 0, 20_480)]);
    flip(&disk, 18 + 4 * 4128 + 100);
    let mut vault = open(fixture, &disk);
    vault.run(&write(&[A], 20_480, 100)).unwrap();
    vault.run(&write(&[A], 0, 100)).unwrap();
    vault.run(&truncate(&[A], 30_000)).unwrap();
    vault.run(&truncate(&[A], 12_288)).unwrap();
    assert_eq!(vault.content(&at(&[A])).map(|content| content.len()), Ok(12_288));
}

#[test]
fn a_damaged_header_is_an_error_for_the_file_and_no_other() {
    let fixture = Fixture::usual();
    let (disk, _) = prepared(fixture, Journal::Ext4Like, &[create(&[A]), write(&[A], 0, 5000)]);
    flip(&disk, 1);
    let mut vault = open(fixture, &disk);
    assert!(matches!(vault.content(&at(&[A])), Err(Failure::Damaged(_))));
    assert!(matches!(vault.run(&write(&[A], 0, 10)), Err(Failure::Damaged(_))));
    assert_eq!(vault.take_damage().len(), 1);
    for op in [create(&[B]), write(&[B], 0, 10), truncate(&[A], 0), write(&[A], 0, 10)] {
        vault.run(&op).unwrap();
    }
    assert_eq!(vault.content(&at(&[A])), Ok(bytes(10, 10)));
}

#[test]
fn a_damaged_name_is_told_and_its_neighbours_are_listed() {
    let fixture = Fixture::usual();
    let (disk, _) = prepared(fixture, Journal::Ext4Like, &[create(&[A])]);
    let damaged = disk_name(&disk);
    let root = disk.root().unwrap();
    let mut other = damaged.clone();
    other[3] = if other[3] == b'A' { b'B' } else { b'A' };
    disk.rename(&root, &damaged, &root, &other, strongroom_vault::RenameMode::NoReplace).unwrap();
    let mut vault = open(fixture, &disk);
    vault.run(&create(&[B])).unwrap();
    let seen = vault.snapshot();
    assert!(seen.contains_key(b"/b".as_slice()) && seen.len() == 2, "{seen:?}");
    let told = vault.take_damage();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("/: ") && told[0].contains(std::str::from_utf8(&other).unwrap()), "{told:?}");
}

#[test]
fn a_damaged_link_or_attribute_is_an_error_for_itself_alone() {
    let fixture = Fixture::usual();
    let set = |name| Op::SetXattr { at: at(&[A]), name, len: 20, mode: strongroom_vault::XattrMode::Any };
    let (disk, _) = prepared(fixture, Journal::Ext4Like, &[create(&[A]), set(0), set(1)]);
    let root = disk.root().unwrap();
    let name = disk_name(&disk);
    let entry = Target::Entry(&root, name.as_slice());
    let stored = disk.list_xattrs(entry).unwrap();
    let mut value = disk.xattr(entry, &stored[0]).unwrap();
    value[30] ^= 1;
    disk.set_xattr(entry, &stored[0], &value, strongroom_vault::XattrMode::Any).unwrap();
    let mut vault = open(fixture, &disk);
    let given = [0, 1].map(|name| vault.run(&Op::Xattr { at: at(&[A]), name }).is_ok());
    assert_eq!(given.iter().filter(|ok| **ok).count(), 1, "{given:?}");
    assert_eq!(vault.take_damage().len(), 1);
    drop(vault);
    let (disk, _) = prepared(fixture, Journal::Ext4Like, &[Op::Symlink { at: at(&[A]), len: 20 }]);
    let root = disk.root().unwrap();
    let name = disk_name(&disk);
    let mut target = disk.read_link(Target::Entry(&root, &name)).unwrap();
    target[25] = if target[25] == b'A' { b'B' } else { b'A' };
    disk.unlink(&root, &name).unwrap();
    disk.make_symlink(&root, &name, &target, None).unwrap();
    let mut vault = open(fixture, &disk);
    assert!(matches!(vault.run(&Op::ReadLink { at: at(&[A]) }), Err(Failure::Damaged(_))));
    assert_eq!(vault.take_damage().len(), 1);
    assert_eq!(vault.vault.lookup(NodeId::ROOT, b"a").unwrap().kind, Kind::Symlink);
}
