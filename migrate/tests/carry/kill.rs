//! Killed by the kernel at one system call after the other, by strace: before the commit the original is as it was, after it
//! what the vault is; and what a kill left half done is made whole by whoever comes next.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use strongroom_migrate::{Carry, Place};
use strongroom_tree::LocalTree;

use crate::{
    random::porter,
    world::{Name, Op, World, listing, plan},
};

/// Tells the process that is to be killed where its world is.
const DIR: &str = "STRONGROOM_TEST_CARRY";

/// The calls that change something on the disk, or make it survive.
const CALLS: [&str; 12] = [
    "renameat2",
    "linkat",
    "mkdirat",
    "unlinkat",
    "unlink",
    "rmdir",
    "fsync",
    "fdatasync",
    "syncfs",
    "fchmod",
    "utimensat",
    "ftruncate",
];

fn world() -> World {
    let (a, b, c) = (|| Name(vec![0]), || Name(vec![1]), || Name(vec![2]));
    let world = World::new(&[
        Op::Dir(a()),
        Op::Write(Name(vec![0, 0]), 5000, 1),
        Op::Link(Name(vec![0, 0]), Name(vec![0, 1])),
        Op::Write(b(), 100, 2),
        Op::Symlink(c(), 1),
    ]);
    for op in [
        Op::Write(Name(vec![0, 0]), 300, 3),
        Op::Remove(b()),
        Op::Dir(Name(vec![1, 1])),
        Op::Write(Name(vec![1, 1, 2]), 10, 1),
        Op::Link(Name(vec![0, 1]), Name(vec![1, 0])),
        Op::Remove(c()),
        Op::Chmod(a(), 0o1751),
        Op::Xattr(a(), 2),
    ] {
        op.apply(&world.vault());
    }
    world
}

fn carry(dir: &Path) -> Carry<'static> {
    Carry::new(&plan(dir), &Place::at(&dir.join("place")), porter())
}

/// Not a test: the process that is killed.
#[test]
fn a_process_that_carries() {
    let Some(dir) = env::var_os(DIR).map(PathBuf::from) else { return };
    let vault = LocalTree::open(&dir.join("vault")).unwrap();
    let fresh = || -> Result<Box<dyn strongroom_migrate::Staged>, strongroom_migrate::MigrateError> {
        Ok(Box::new(crate::world::Shown(dir.join("vault"))))
    };
    let mut fresh = fresh;
    let mut note = |point: strongroom_migrate::Point<'_>| {
        if let strongroom_migrate::Point::Committed(_) = point {
            fs::write(dir.join("committed"), b"").unwrap();
        }
        Ok(())
    };
    carry(&dir).apply(&vault, &mut fresh, &mut note).unwrap();
}

/// Whether it was killed, at the call of that name and number.
fn is_killed_at(world: &World, call: &str, number: usize) -> bool {
    let ended = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:signal=KILL:when={number}")])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "kill::a_process_that_carries", "--test-threads", "1"])
        .env(DIR, world.dir())
        .output()
        .unwrap();
    !ended.status.success()
}

#[test]
#[allow(clippy::print_stderr)] // a skipped test says so to whoever ran it
fn killed_at_any_system_call_the_original_is_the_old_or_the_new_and_can_be_carried_to_again() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: there is no strace");
        assert!(env::var_os("CI").is_none(), "CI has strace");
        return;
    }
    let mut kills = 0;
    for call in CALLS {
        for number in 1.. {
            let world = world();
            let before = listing(&world.original());
            if !is_killed_at(&world, call, number) {
                break;
            }
            kills += 1;
            let when = format!("killed at {call} {number}");
            let mut told = false;
            let is_committed = carry(world.dir()).recover(&mut || {
                told = true;
                Ok(())
            });
            let is_committed = is_committed.unwrap() || world.dir().join("committed").exists();
            let expected = if is_committed { listing(&world.vault()) } else { before };
            assert_eq!(listing(&world.original()), expected, "{when}");
            let _ = fs::remove_file(world.dir().join("committed"));
            assert!(
                world.litter().iter().all(|name| name.starts_with('.') || name.contains("carry.was")),
                "{when}: {:?}",
                world.litter()
            );
            let vault = LocalTree::open(&world.vault()).unwrap();
            carry(world.dir()).apply(&vault, &mut || world.fresh(), &mut |_| Ok(())).unwrap();
            assert_eq!(listing(&world.original()), listing(&world.vault()), "{when}, and carried again");
        }
    }
    assert!(kills > 30, "{kills}");
}
