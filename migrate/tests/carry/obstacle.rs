//! What cannot be read, or has no room: told, and nothing is lost.

use std::{fs, io, ops::Range, path::Path};

use strongroom_migrate::{Carry, MigrateError, Place, Porter};
use strongroom_tree::{Content, Entry, Filter, LocalTree, Look, RelPath, Source, TreeError};

use crate::{
    random::porter,
    world::{Name, Op, World, listing},
};

/// A vault in which files whose content begins with `!` cannot be read to their end.
struct Torn(LocalTree);

struct TornContent<'a>(Box<dyn Content + 'a>);

impl Source for Torn {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        self.0.entries(filter)
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        Ok(Box::new(TornContent(self.0.open(path)?)))
    }
}

impl Content for TornContent<'_> {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read_at(offset, out)?;
        if offset == 0 && out.first() == Some(&b'!') {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        Ok(read)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        self.0.data_from(from)
    }

    fn look(&mut self) -> io::Result<Look> {
        self.0.look()
    }
}

fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
}

fn frozen() -> World {
    let world =
        World::new(&[Op::Dir(Name(vec![0])), Op::Write(Name(vec![0, 1]), 9, 7), Op::Write(Name(vec![1]), 9, 8)]);
    write(&world.vault().join("a/b"), b"!changed, and torn since");
    write(&world.vault().join("b"), b"changed, and whole");
    write(&world.vault().join("new"), b"!new, and torn");
    world
}

fn carry_torn(world: &World, porter: Porter<'_>) -> Result<strongroom_migrate::Carrying, MigrateError> {
    let carry = Carry::new(&world.plan(), &Place::at(&world.place()), porter);
    let torn = Torn(LocalTree::open(&world.vault()).unwrap());
    carry.apply(&torn, &mut || world.fresh(), &mut |_| Ok(()))
}

#[test]
fn files_that_cannot_be_read_are_all_named_and_nothing_is_changed() {
    let world = frozen();
    let before = listing(&world.original());
    let error = carry_torn(&world, porter()).unwrap_err();
    let MigrateError::Obstructed { unreadable, unholdable } = &error else { panic!("{error}") };
    assert_eq!((unreadable.count, unholdable.count), (2, 0), "{unreadable:?}");
    assert!(unreadable.first.iter().any(|line| line.starts_with("a/b: ")), "{unreadable:?}");
    assert_eq!(listing(&world.original()), before);
    assert!(world.litter().is_empty());
}

#[test]
fn told_to_leave_them_all_else_comes_home_and_there_the_original_stays() {
    let world = frozen();
    let carried = carry_torn(&world, Porter { leaves_obstacles: true, ..porter() }).unwrap();
    assert_eq!((carried.unreadable.count, carried.changed.count), (2, 1));
    assert_eq!(fs::read(world.original().join("a/b")).unwrap(), [7; 9]);
    assert_eq!(fs::read(world.original().join("b")).unwrap(), b"changed, and whole");
    assert!(!world.original().join("new").exists());
    assert!(world.litter().is_empty());
}

#[test]
fn told_to_stop_everything_is_as_it_was() {
    let world = frozen();
    let before = listing(&world.original());
    let error = carry_torn(&world, Porter { is_to_stop: &|| true, ..porter() }).unwrap_err();
    assert!(matches!(error, MigrateError::Stopped { .. }), "{error}");
    assert_eq!(listing(&world.original()), before);
    assert!(world.litter().is_empty());
}

#[test]
fn a_full_file_system_is_a_pause_and_nothing_is_changed() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "mounting a small file system needs root");
        return;
    }
    // SAFETY: only this thread gets another mount namespace; nothing of Rust's depends on it.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
    let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).unwrap();
    for spare in [0, 1 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("none", dir.path(), "tmpfs", flags, c"size=8m").unwrap();
        let path = dir.path().to_owned();
        {
            let world = World::at(dir, &[Op::Write(Name(vec![0]), 9000, 1), Op::Write(Name(vec![1]), 9000, 1)]);
            write(&world.vault().join("new"), &vec![1; 2 << 20]);
            write(&world.vault().join("a"), b"changed");
            // What is left does not do for one copy more, or so the estimate has it until it is tried.
            let filling = fs::File::create(world.place().join("filling")).unwrap();
            let room = rustix::fs::statvfs(&path).unwrap();
            let room = (room.f_bfree * room.f_frsize) as i64 - spare;
            rustix::fs::fallocate(&filling, rustix::fs::FallocateFlags::empty(), 0, room as u64).unwrap();
            let before = listing(&world.original());
            let carry = Carry::new(&world.plan(), &Place::at(&world.place()), porter());
            let vault = LocalTree::open(&world.vault()).unwrap();
            let error = carry.apply(&vault, &mut || world.fresh(), &mut |_| Ok(())).unwrap_err();
            assert!(error.is_full(), "{error}");
            assert_eq!(listing(&world.original()), before);
            drop((vault, filling));
            fs::remove_file(world.place().join("filling")).unwrap();
            let vault = LocalTree::open(&world.vault()).unwrap();
            carry.apply(&vault, &mut || world.fresh(), &mut |_| Ok(())).unwrap();
            assert_eq!(listing(&world.original()), listing(&world.vault()));
            drop(vault);
            rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH).unwrap();
        }
    }
}

#[test]
fn content_that_changed_behind_its_times_is_found_and_carried_too() {
    let world = World::new(&[Op::Write(Name(vec![0]), 900, 1)]);
    Op::Forge(Name(vec![0]), 2).apply(&world.vault());
    let (carry, vault) = (Carry::new(&world.plan(), &Place::at(&world.place()), porter()), world.vault());
    let vault = LocalTree::open(&vault).unwrap();
    assert!(carry.preview(&vault).unwrap().is_empty(), "times do not tell");
    let carried = carry.apply(&vault, &mut || world.fresh(), &mut |_| Ok(())).unwrap();
    assert_eq!(carried.changed.first, ["a"]);
    assert_eq!(fs::read(world.original().join("a")).unwrap(), [2; 900]);
}

#[test]
fn sockets_are_nobodys_data() {
    let world = World::new(&[Op::Write(Name(vec![0]), 5, 1)]);
    drop(std::os::unix::net::UnixListener::bind(world.vault().join("socket")).unwrap());
    drop(std::os::unix::net::UnixListener::bind(world.original().join("stale")).unwrap());
    write(&world.vault().join("a"), b"changed");
    let carry = Carry::new(&world.plan(), &Place::at(&world.place()), porter());
    let vault = LocalTree::open(&world.vault()).unwrap();
    carry.apply(&vault, &mut || world.fresh(), &mut |_| Ok(())).unwrap();
    assert_eq!(fs::read(world.original().join("a")).unwrap(), b"changed");
    assert!(world.original().join("stale").exists() && !world.original().join("socket").exists());
}
