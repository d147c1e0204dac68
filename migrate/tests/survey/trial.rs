//! One of each kind, tried where the copy will be: here a directory, which takes the place of a vault.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};
use strongroom_event::Silent;
use strongroom_migrate::{Refusal, probe};
use strongroom_tree::LocalReplica;

use crate::world::{World, is_root, mount, own_mounts};

fn tried(world: &World, target: &Path) -> Vec<Refusal> {
    let survey = world.survey();
    let replica = LocalReplica::open(target, &Silent).unwrap();
    probe(&replica, &survey.kinds, &|name| name == b"user.dropped").unwrap()
}

/// One of everything that a directory can hold.
fn one_of_each(world: &World) {
    let at = |name: &str| world.data().join(name);
    fs::write(at("file"), b"x").unwrap();
    fs::hard_link(at("file"), at("link")).unwrap();
    fs::write(at(&"n".repeat(255)), b"x").unwrap();
    symlink("t".repeat(3000), at("symlink")).unwrap();
    mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    mknodat(CWD, at("char"), FileType::CharacterDevice, Mode::RUSR, makedev(1, 3)).unwrap();
    fs::write(at("program"), b"x").unwrap();
    fs::set_permissions(at("program"), fs::Permissions::from_mode(0o6755)).unwrap();
    for (name, value) in [("user.one", &b"1"[..]), ("user.two", &[2; 1000])] {
        lsetxattr(at("file"), name, value, XattrFlags::empty()).unwrap();
    }
    std::process::Command::new("setfacl").args(["-m", "u:1234:r,g:99:rw"]).arg(at("file")).status().unwrap();
    fs::create_dir(at("dir")).unwrap();
    std::process::Command::new("setfacl").args(["-d", "-m", "u:1234:rwx"]).arg(at("dir")).status().unwrap();
}

#[test]
fn what_can_be_had_is_tried_and_nothing_is_left() {
    if !is_root() {
        return;
    }
    let world = World::new();
    one_of_each(&world);
    fs::create_dir(world.path("target")).unwrap();
    assert_eq!(tried(&world, &world.path("target")), []);
    assert_eq!(fs::read_dir(world.path("target")).unwrap().count(), 0);
}

#[test]
fn what_an_earlier_trial_left_is_no_matter() {
    let world = World::new();
    fs::create_dir_all(world.path("target/.strongroom-probe/file")).unwrap();
    assert_eq!(tried(&world, &world.path("target")), []);
    assert_eq!(fs::read_dir(world.path("target")).unwrap().count(), 0);
}

#[test]
fn attributes_that_the_target_does_not_have_are_refused_by_name_unless_dropped() {
    if !own_mounts() {
        return;
    }
    let world = World::new();
    fs::write(world.data().join("file"), b"x").unwrap();
    lsetxattr(world.data().join("file"), "user.dropped", b"1", XattrFlags::empty()).unwrap();
    fs::create_dir(world.path("target")).unwrap();
    mount("ramfs", "mode=755", &world.path("target"));
    assert_eq!(tried(&world, &world.path("target")), []);
    lsetxattr(world.data().join("file"), "user.kept", b"1", XattrFlags::empty()).unwrap();
    let refusals = tried(&world, &world.path("target"));
    let is_named = |refusal: &Refusal| matches!(refusal, Refusal::NotKept { what, .. } if what.contains("user.kept"));
    assert!(refusals.iter().any(is_named), "{refusals:?}");
}

#[test]
fn an_attribute_that_is_too_large_for_the_target_is_refused() {
    let Some(mut world) = World::on(&["mkfs.ext4", "-q", "-F"], "", 64) else { return };
    let disk = world.path("disk");
    fs::create_dir(world.path("memory")).unwrap();
    mount("tmpfs", "size=10m", &world.path("memory"));
    world.move_to(&world.path("memory"));
    fs::create_dir(world.data()).unwrap();
    fs::write(world.data().join("file"), b"x").unwrap();
    lsetxattr(world.data().join("file"), "user.large", &[1; 5000], XattrFlags::empty()).unwrap();
    let refusals = tried(&world, &disk);
    let is_told = |refusal: &Refusal| matches!(refusal, Refusal::NotKept { what, .. } if what.contains("user.large, with 5000 bytes"));
    assert!(refusals.iter().any(is_told), "{refusals:?}");
}
