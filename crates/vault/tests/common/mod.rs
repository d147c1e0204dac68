//! What the tests of crashes and of full disks share: scenarios, and how trees are compared.
#![allow(dead_code)] // each test binary uses its own part

use std::sync::Arc;

use strongroom_crypto::OsRandom;
use strongroom_testkit::{Answer, Failure, Fixture, Journal, Mounted, Op, ReferenceTree, SimBacking, Snapshot, at};
use strongroom_vault::{Kind, RenameMode, VaultOptions};

/// Names of the pool: short ones and a hashed one.
pub const A: usize = 0;
pub const B: usize = 1;
pub const C: usize = 2;
pub const LONG: usize = 3;
pub const LONGER: usize = 4;

/// A single operation on a tree that others made.
pub struct Scenario {
    pub what: &'static str,
    pub before: Vec<Op>,
    pub op: Op,
}

fn scenario(what: &'static str, before: &[Op], op: Op) -> Scenario {
    Scenario { what, before: before.to_vec(), op }
}

pub fn create(names: &[usize]) -> Op {
    Op::Create { at: at(names), permissions: 0o644 }
}

pub fn mkdir(names: &[usize]) -> Op {
    Op::Mkdir { at: at(names), permissions: 0o755 }
}

pub fn write(names: &[usize], offset: u64, len: usize) -> Op {
    Op::Write { at: at(names), offset, len, seed: offset ^ len as u64 }
}

pub fn truncate(names: &[usize], size: u64) -> Op {
    Op::Truncate { at: at(names), size }
}

pub fn rename(from: &[usize], to: &[usize]) -> Op {
    Op::Rename { from: at(from), to: at(to), mode: RenameMode::Replace }
}

pub fn exchange(from: &[usize], to: &[usize]) -> Op {
    Op::Rename { from: at(from), to: at(to), mode: RenameMode::Exchange }
}

/// Every kind of change that takes more than one call, and those that look as if they did not.
pub fn scenarios() -> Vec<Scenario> {
    let file = |len: usize| vec![create(&[A]), write(&[A], 0, len)];
    let allocate = |offset, len, keep_size| Op::Allocate { at: at(&[A]), offset, len, keep_size };
    let mut dirs = vec![mkdir(&[A]), mkdir(&[B]), create(&[B, A]), write(&[B, A], 0, 5000), mkdir(&[C])];
    dirs.extend([mkdir(&[LONG]), create(&[B, LONG]), mkdir(&[B, LONGER])]);
    vec![
        scenario("create", &[], create(&[A])),
        scenario("create a long name", &[], create(&[LONG])),
        scenario("create in a directory", &dirs, create(&[C, LONG])),
        scenario("first write", &[create(&[A])], write(&[A], 0, 100)),
        scenario("first write of many blocks", &[create(&[A])], write(&[A], 0, 20_000)),
        scenario("first write at a far offset", &[create(&[A])], write(&[A], 100_000, 100)),
        scenario("first write in the middle of a block", &[create(&[A])], write(&[A], 5000, 10)),
        scenario("write in place", &file(10_000), write(&[A], 4096, 4096)),
        scenario("write in place across blocks", &file(20_000), write(&[A], 3000, 9000)),
        scenario("append within the block", &file(100), write(&[A], 100, 50)),
        scenario("append across blocks", &file(5000), write(&[A], 5000, 9000)),
        scenario("append to a full block", &file(8192), write(&[A], 8192, 10)),
        scenario("write into the next block", &file(100), write(&[A], 4096, 4096)),
        scenario("write far beyond the end", &file(5000), write(&[A], 200_000, 5000)),
        scenario("write far beyond a full block", &file(4096), write(&[A], 200_000, 1)),
        scenario("write into a hole", &[create(&[A]), truncate(&[A], 40_960)], write(&[A], 8192, 4096)),
        scenario("write a part into a hole", &[create(&[A]), truncate(&[A], 40_961)], write(&[A], 8200, 100)),
        scenario("truncate to nothing", &file(10_000), truncate(&[A], 0)),
        scenario("shrink into the block", &file(10_000), truncate(&[A], 9000)),
        scenario("shrink into an earlier block", &file(20_000), truncate(&[A], 5000)),
        scenario("shrink to a block border", &file(20_000), truncate(&[A], 8192)),
        scenario("shrink to one byte", &file(20_000), truncate(&[A], 1)),
        scenario("shrink into a hole", &[create(&[A]), truncate(&[A], 40_960)], truncate(&[A], 10_000)),
        scenario("grow within the block", &file(100), truncate(&[A], 200)),
        scenario("grow to the block border", &file(100), truncate(&[A], 4096)),
        scenario("grow far", &file(5000), truncate(&[A], 100_001)),
        scenario("grow far to a border", &file(5000), truncate(&[A], 40_960)),
        scenario("grow an empty file", &[create(&[A])], truncate(&[A], 10_000)),
        scenario("grow an empty file to a border", &[create(&[A])], truncate(&[A], 40_960)),
        scenario("allocate more", &file(5000), allocate(0, 50_000, false)),
        scenario("allocate beyond the end", &file(5000), allocate(20_000, 5000, false)),
        scenario("allocate without growing", &file(5000), allocate(0, 50_000, true)),
        scenario("allocate an empty file", &[create(&[A])], allocate(0, 8192, false)),
        scenario("mkdir", &[], mkdir(&[A])),
        scenario("mkdir with a long name", &dirs, mkdir(&[C, LONG])),
        scenario("mkdir that nobody may enter", &[], Op::Mkdir { at: at(&[A]), permissions: 0o500 }),
        scenario("symlink", &[], Op::Symlink { at: at(&[A]), len: 30 }),
        scenario("symlink with a long name", &[], Op::Symlink { at: at(&[LONG]), len: 30 }),
        scenario("fifo with a long name", &[], Op::Mkfifo { at: at(&[LONG]) }),
        scenario("link with a long name", &file(100), Op::Link { from: at(&[A]), to: at(&[LONG]) }),
        scenario("unlink", &file(100), Op::Unlink { at: at(&[A]) }),
        scenario("unlink a long name", &dirs, Op::Unlink { at: at(&[B, LONG]) }),
        scenario("rename", &dirs, rename(&[B, A], &[A, C])),
        scenario("rename short to long", &dirs, rename(&[B, A], &[C, LONG])),
        scenario("rename long to short", &dirs, rename(&[B, LONG], &[C, A])),
        scenario("rename long to long", &dirs, rename(&[B, LONG], &[C, LONGER])),
        scenario("rename over a file", &dirs, rename(&[B, A], &[B, LONG])),
        scenario("rename a long name over a file", &dirs, rename(&[B, LONG], &[B, A])),
        scenario("rename a directory", &dirs, rename(&[B], &[C, B])),
        scenario("rename a directory over an empty one", &dirs, rename(&[B], &[C])),
        scenario("rename a long directory over an empty one", &dirs, rename(&[B, LONGER], &[C])),
        scenario("rename a directory over a long empty one", &dirs, rename(&[B], &[LONG])),
        scenario("rmdir", &dirs, Op::Rmdir { at: at(&[C]) }),
        scenario("rmdir of a long name", &dirs, Op::Rmdir { at: at(&[B, LONGER]) }),
        scenario("exchange files", &dirs, exchange(&[B, A], &[B, LONG])),
        scenario("exchange a directory and a file", &dirs, exchange(&[C], &[B, LONG])),
        scenario("exchange directories", &dirs, exchange(&[C], &[LONG])),
        scenario("chmod", &file(10), Op::Chmod { at: at(&[A]), permissions: 0o600 }),
        scenario(
            "set an attribute",
            &file(10),
            Op::SetXattr { at: at(&[A]), name: 0, len: 100, mode: strongroom_vault::XattrMode::Any },
        ),
    ]
}

/// A formatted disk, and the operations done to it and to the model; all of it on the disk.
pub fn prepared(fixture: &Fixture, journal: Journal, ops: &[Op]) -> (SimBacking, ReferenceTree) {
    let disk = SimBacking::new(journal);
    fixture.format(&disk);
    let mut model = ReferenceTree::default();
    let mut vault = fixture.open(disk.clone(), VaultOptions::default());
    for op in ops {
        let expected = model.run(op);
        assert_eq!(vault.run(op), expected, "{op:?}");
    }
    vault.vault.sync_all().unwrap();
    drop(vault);
    (disk, model)
}

/// A vault on a disk that another one has used.
pub fn reopen(fixture: &Fixture, disk: &SimBacking) -> Mounted<SimBacking> {
    fixture.open_with(disk.clone(), VaultOptions::default(), Arc::new(OsRandom))
}

/// A tree without what a crash may change: times.
pub fn timeless(mut snapshot: Snapshot) -> Snapshot {
    for entry in snapshot.values_mut() {
        entry.mtime = None;
    }
    snapshot
}

/// The permissions of a directory that was being made may be wider than asked for, for its owner.
pub fn narrowed(mut given: Snapshot, after: &Snapshot) -> Snapshot {
    for (path, entry) in &mut given {
        if let Some(wanted) = after.get(path)
            && entry.kind == Kind::Directory
            && entry.permissions == wanted.permissions | 0o700
        {
            entry.permissions = wanted.permissions;
        }
    }
    given
}

pub fn difference(given: &Snapshot, expected: &Snapshot) -> String {
    let differing: Vec<_> = given
        .keys()
        .chain(expected.keys())
        .filter(|path| given.get(*path) != expected.get(*path))
        .map(|path| (String::from_utf8_lossy(path), given.get(path), expected.get(path)))
        .collect();
    format!("{differing:?}")
}

pub type Outcome = Result<Answer, Failure>;
