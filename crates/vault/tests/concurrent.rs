//! Many threads use one vault: nobody waits for ever, nothing is damaged or left over, and what each of them was told is
//! what is there in the end. Longer with CROWD_SECONDS.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use strongroom_crypto::OsRandom;
use strongroom_event::Event;
use strongroom_testkit::{Dice, Failure, Fixture, Journal, Mounted, Op, Place, SimBacking, at, bytes};
use strongroom_vault::{Backing, NodeId, RealBacking, RenameMode, SetAttr, VaultOptions, XattrMode};

const THREADS: u64 = 4;
const POOL: [usize; 4] = [A, B, C, LONG];

fn place(dice: &mut Dice, most: usize) -> Place {
    let depth = 1 + dice.below(most);
    at(&(0..depth).map(|_| POOL[dice.below(POOL.len())]).collect::<Vec<_>>())
}

fn as_deep_as(place: &Place, dice: &mut Dice) -> Place {
    at(&place.names.iter().map(|_| POOL[dice.below(POOL.len())]).collect::<Vec<_>>())
}

fn any_op(dice: &mut Dice) -> Op {
    let at = place(dice, 3);
    let mode = [RenameMode::Replace, RenameMode::Replace, RenameMode::NoReplace, RenameMode::Exchange][dice.below(4)];
    match dice.below(16) {
        0 | 1 => Op::Create { at, permissions: 0o644 },
        2 | 3 => Op::Mkdir { at, permissions: 0o755 },
        4 => Op::Symlink { at, len: 20 },
        5 | 6 => Op::Write { at, offset: dice.below(20_000) as u64, len: 1 + dice.below(9000), seed: dice.throw() },
        7 => Op::Truncate { at, size: dice.below(20_000) as u64 },
        8 => Op::Read { at, offset: dice.below(20_000) as u64, len: 9000 },
        // To a place as deep, or the tree would grow without end.
        9 | 10 => Op::Rename { to: as_deep_as(&at, dice), from: at, mode },
        11 => Op::Unlink { at },
        12 => Op::Rmdir { at },
        13 => Op::List { at },
        14 => Op::Link { from: at, to: place(dice, 3) },
        _ => Op::Sync { at, data_only: false },
    }
}

/// What may become of an operation when others are about.
fn is_ordinary(op: &Op, failure: &Failure) -> bool {
    match failure {
        Failure::NotFound
        | Failure::Exists
        | Failure::NotADirectory
        | Failure::IsADirectory
        | Failure::NotEmpty
        | Failure::NotPermitted => true,
        Failure::InvalidArgument => matches!(op, Op::Rename { .. } | Op::Truncate { .. }),
        _ => false,
    }
}

fn crowd<B: Backing>(fixture: &Fixture, options: VaultOptions, backing: impl Fn() -> B) {
    fixture.format(&backing());
    let vault: Mounted<B> = fixture.open_with(backing(), options, Arc::new(OsRandom));
    let seconds = std::env::var("CROWD_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.7);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    std::thread::scope(|threads| {
        for seed in 0..THREADS {
            let vault = &vault;
            threads.spawn(move || {
                let mut dice = Dice::new(seed);
                while Instant::now() < until {
                    let op = any_op(&mut dice);
                    if let Err(failure) = vault.run_beside_others(&op) {
                        assert!(is_ordinary(&op, &failure), "{op:?}: {failure:?}");
                    }
                }
            });
        }
    });
    let told: Vec<Event> = vault.take_events();
    assert!(told.is_empty(), "{told:?}");
    let known = vault.snapshot();
    drop(vault);
    let vault = fixture.open_with(backing(), options, Arc::new(OsRandom));
    let stored = vault.snapshot();
    assert!(known == stored, "{}", difference(&known, &stored));
    assert!(vault.take_events().is_empty());
}

/// Every name file belongs to an object: nothing was left over.
fn assert_no_leftovers(disk: &SimBacking) {
    let paths = disk.paths();
    for path in paths.keys() {
        if let Some(object) = path.strip_suffix(b".name") {
            assert!(paths.contains_key(object), "{} is left over", String::from_utf8_lossy(path));
        }
    }
}

#[test]
fn a_crowd_in_one_tree_damages_nothing() {
    for options in [
        VaultOptions::default(),
        VaultOptions { open_files: 4, ..VaultOptions::default() },
        VaultOptions { shared: true, ..VaultOptions::default() },
    ] {
        let disk = SimBacking::new(Journal::Ext4Like);
        crowd(Fixture::usual(), options, || disk.clone());
        assert_no_leftovers(&disk);
    }
}

#[test]
fn a_crowd_in_a_real_directory_damages_nothing() {
    rustix::process::umask(rustix::fs::Mode::empty());
    for mode in [0, 2] {
        let dir = tempfile::tempdir().unwrap();
        crowd(Fixture::mode(mode), VaultOptions::default(), || RealBacking::open(dir.path()).unwrap());
    }
}

#[test]
fn readers_see_whole_writes_of_a_block_while_others_write_and_resize() {
    let fixture = Fixture::usual();
    let disk = SimBacking::new(Journal::Ext4Like);
    fixture.format(&disk);
    let mut vault = fixture.open_with(disk, VaultOptions::default(), Arc::new(OsRandom));
    vault.run(&create(&[A])).unwrap();
    let node = vault.vault.lookup(NodeId::ROOT, b"a").unwrap().node;
    let versions: Vec<Vec<u8>> = (0..8).map(|seed| bytes(seed, 4096)).collect();
    let until = Instant::now() + Duration::from_millis(700);
    let (vault, versions) = (&vault.vault, &versions);
    std::thread::scope(|threads| {
        for seed in 0..2 {
            threads.spawn(move || {
                let mut dice = Dice::new(seed);
                while Instant::now() < until {
                    let block = dice.below(6) as u64;
                    match dice.below(8) {
                        0 => drop(
                            vault.set_attr(node, &SetAttr { size: Some(block * 4096), ..SetAttr::default() }).unwrap(),
                        ),
                        _ => drop(vault.write(node, block * 4096, &versions[dice.below(8)]).unwrap()),
                    }
                }
            });
        }
        for seed in 2..4 {
            threads.spawn(move || {
                let mut dice = Dice::new(seed);
                let mut out = vec![0; 3 * 4096];
                while Instant::now() < until {
                    let read = vault.read(node, dice.below(6) as u64 * 4096, &mut out).unwrap();
                    assert_eq!(read % 4096, 0, "the file never ends within a block");
                    for block in out[..read].chunks(4096) {
                        let is_hole = block.iter().all(|byte| *byte == 0);
                        assert!(is_hole || versions.iter().any(|version| version == block), "a mixture was read");
                    }
                }
            });
        }
    });
}

#[test]
fn attributes_go_to_the_file_they_were_meant_for_while_names_are_exchanged() {
    let fixture = Fixture::usual();
    let disk = SimBacking::new(Journal::Ext4Like);
    fixture.format(&disk);
    let vault = &fixture.open_with(disk, VaultOptions::default(), Arc::new(OsRandom)).vault;
    let changed = vault.make_dir(NodeId::ROOT, b"a", &NEW).unwrap().node;
    let other = vault.make_dir(NodeId::ROOT, b"b", &NEW).unwrap().node;
    let until = Instant::now() + Duration::from_millis(500);
    std::thread::scope(|threads| {
        threads.spawn(move || {
            while Instant::now() < until {
                vault.rename(NodeId::ROOT, b"a", NodeId::ROOT, b"b", RenameMode::Exchange).unwrap();
            }
        });
        threads.spawn(move || {
            while Instant::now() < until {
                let set = SetAttr { permissions: Some(0o711), ..SetAttr::default() };
                assert_eq!(vault.set_attr(changed, &set).unwrap().permissions, 0o711);
                vault.set_xattr(changed, b"user.x", b"x", XattrMode::Any).unwrap();
                assert_eq!(vault.attr(other).unwrap().permissions, 0o755);
                assert_eq!(vault.list_xattrs(other).unwrap(), Vec::<Vec<u8>>::new());
                assert_eq!(vault.xattr(changed, b"user.x").unwrap(), b"x");
            }
        });
    });
}

#[test]
fn files_of_many_threads_hold_what_each_thread_wrote() {
    let fixture = Fixture::usual();
    let disk = SimBacking::new(Journal::Ext4Like);
    fixture.format(&disk);
    let vault =
        fixture.open_with(disk.clone(), VaultOptions { open_files: 8, ..VaultOptions::default() }, Arc::new(OsRandom));
    let shared = vault.vault.make_dir(NodeId::ROOT, b"shared", &NEW).unwrap().node;
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let vault = &vault.vault;
            threads.spawn(move || {
                for number in 0..60u64 {
                    let name = format!("{}{thread}-{number}", "long".repeat(if number % 3 == 0 { 50 } else { 1 }));
                    let file = vault.create(shared, name.as_bytes(), &NEW).unwrap().node;
                    let content = bytes(thread * 1000 + number, 100 * number as usize);
                    for (at, piece) in content.chunks(1000).enumerate() {
                        vault.write(file, at as u64 * 1000, piece).unwrap();
                    }
                    if number % 4 == 0 {
                        vault
                            .rename(
                                shared,
                                name.as_bytes(),
                                shared,
                                format!("{name}r").as_bytes(),
                                RenameMode::NoReplace,
                            )
                            .unwrap();
                    }
                    vault.sync(file, false).unwrap();
                    vault.forget(file, 1);
                }
            });
        }
    });
    drop(vault);
    let vault = reopen(fixture, &disk).vault;
    let shared = vault.lookup(NodeId::ROOT, b"shared").unwrap().node;
    assert_eq!(vault.open_dir(shared).unwrap().entries().len(), 60 * THREADS as usize);
    for thread in 0..THREADS {
        for number in 0..60u64 {
            let long = "long".repeat(if number % 3 == 0 { 50 } else { 1 });
            let name = format!("{long}{thread}-{number}{}", if number % 4 == 0 { "r" } else { "" });
            let attr = vault.lookup(shared, name.as_bytes()).unwrap();
            let mut content = vec![0; attr.size as usize];
            vault.read(attr.node, 0, &mut content).unwrap();
            assert!(content == bytes(thread * 1000 + number, 100 * number as usize), "{name}");
        }
    }
    assert_no_leftovers(&disk);
}

const NEW: strongroom_vault::Creation = strongroom_vault::Creation { permissions: 0o755, umask: 0, owner: None };
