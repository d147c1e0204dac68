//! Room that is taken before it is needed.

use std::{fs, path::Path};

use strongroom_migrate::{Ballast, MigrateError, MigrationId};

use crate::world::{World, mount, own_mounts};

const ID: MigrationId = MigrationId([7; 8]);

fn free(at: &Path) -> u64 {
    let room = rustix::fs::statvfs(at).unwrap();
    room.f_bavail * room.f_frsize
}

/// A file system of 40 MiB.
fn disk() -> Option<(World, std::path::PathBuf)> {
    if !own_mounts() {
        return None;
    }
    let world = World::new();
    let disk = world.path("memory");
    fs::create_dir(&disk).unwrap();
    mount("tmpfs", "size=40m", &disk);
    Some((world, disk))
}

#[test]
fn what_is_reserved_is_gone_for_others_and_given_back_bit_by_bit() {
    let Some((_world, disk)) = disk() else { return };
    let (copy, all) = (disk.join("vault"), free(&disk));
    let mut ballast = Ballast::reserve(&copy, ID, 32 << 20).unwrap().unwrap();
    assert_eq!(free(&disk), all - (32 << 20));
    ballast.shrink(1000).unwrap();
    assert_eq!(free(&disk), all - (32 << 20), "too little to be worth a call");
    ballast.shrink(16 << 20).unwrap();
    assert_eq!(free(&disk), all - ballast.kept().next_multiple_of(4096));
    assert_eq!(ballast.kept(), (16 << 20) - 1000);
    ballast.shrink(u64::MAX).unwrap();
    assert_eq!((ballast.kept(), free(&disk)), (0, all));
    ballast.release().unwrap();
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 0);
}

#[test]
fn a_copy_that_grows_as_it_shrinks_fits_to_the_last_block() {
    let Some((_world, disk)) = disk() else { return };
    let copy = disk.join("vault");
    let all = free(&disk);
    let mut ballast = Ballast::reserve(&copy, ID, all).unwrap().unwrap();
    assert!(fs::write(disk.join("somebody else"), [1; 4096]).is_err(), "nobody takes the room");
    fs::remove_file(disk.join("somebody else")).unwrap();
    for n in 0..4 {
        ballast.shrink(8 << 20).unwrap();
        fs::write(disk.join(format!("{n}")), vec![1; 8 << 20]).unwrap();
    }
}

#[test]
fn too_little_room_is_told_as_such_and_nothing_stays() {
    let Some((_world, disk)) = disk() else { return };
    let error = Ballast::reserve(&disk.join("vault"), ID, 41 << 20).unwrap_err();
    assert!(matches!(error, MigrateError::NoRoom { .. }) && error.is_full(), "{error}");
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 0);
}

#[test]
fn what_a_run_that_was_killed_left_is_counted_in_and_can_be_cleared() {
    let Some((_world, disk)) = disk() else { return };
    let (copy, all) = (disk.join("vault"), free(&disk));
    drop(Ballast::reserve(&copy, ID, 32 << 20).unwrap());
    assert_eq!(free(&disk), all - (32 << 20), "a process that ends leaves it");
    drop(Ballast::reserve(&copy, ID, 30 << 20).unwrap());
    assert_eq!(free(&disk), all - (30 << 20));
    Ballast::clear(&copy, ID).unwrap();
    Ballast::clear(&copy, ID).unwrap();
    assert_eq!(free(&disk), all);
}

#[test]
fn a_file_system_that_cannot_reserve_is_told_as_such() {
    if !own_mounts() {
        return;
    }
    let world = World::new();
    let disk = world.path("memory");
    fs::create_dir(&disk).unwrap();
    mount("ramfs", "mode=755", &disk);
    assert!(Ballast::reserve(&disk.join("vault"), ID, 1 << 20).unwrap().is_none());
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 0);
}
