//! The fence: what is seen at the path, by whom, and that it can be raised and lowered from wherever a kill left it.

mod killed;
mod users;
mod world;

use std::{fs, os::unix::fs::PermissionsExt};

use strongroom_migrate::{FenceError, Fenced, Guard};
use world::{World, is_root, own_mounts};

#[test]
fn raised_and_lowered_everything_is_as_it_was() {
    let world = World::new();
    let before = world.tree(&world.data());
    let fence = world.fence();
    assert_eq!(fence.look().unwrap(), Fenced::Down);
    let guard = fence.raise().unwrap();
    assert_eq!(fence.look().unwrap(), Fenced::Up(guard));
    assert_eq!(world.tree(&world.aside()), before, "the original is aside, untouched");
    assert_eq!(fs::read_dir(world.data()).unwrap().count(), 0);
    fence.lower().unwrap();
    assert_eq!(fence.look().unwrap(), Fenced::Down);
    assert_eq!(world.tree(&world.data()), before);
    assert!(!world.aside().exists());
}

#[test]
fn a_write_at_the_fenced_path_fails_loudly_even_for_root() {
    if !is_root() {
        return;
    }
    let world = World::new();
    assert_eq!(world.fence().raise().unwrap(), Guard::Immutable);
    let error = fs::write(world.data().join("new"), b"lost").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    assert_eq!(fs::create_dir(world.data().join("sub")).unwrap_err().raw_os_error(), Some(libc::EPERM));
    assert_eq!(fs::rename(world.data(), world.beside("gone")).unwrap_err().raw_os_error(), Some(libc::EPERM));
}

#[test]
fn twice_is_the_same_as_once() {
    let world = World::new();
    let fence = world.fence();
    fence.lower().unwrap();
    assert_eq!(fence.raise().unwrap(), fence.raise().unwrap());
    fence.lower().unwrap();
    fence.lower().unwrap();
    assert_eq!(fence.look().unwrap(), Fenced::Down);
}

#[test]
fn what_is_open_stays_open_and_goes_aside_with_the_original() {
    use std::io::Write;
    let world = World::new();
    let mut open = fs::OpenOptions::new().append(true).open(world.data().join("file")).unwrap();
    world.fence().raise().unwrap();
    open.write_all(b" and more").unwrap();
    assert_eq!(fs::read(world.aside().join("file")).unwrap(), b"content and more");
}

#[test]
fn an_empty_directory_made_aside_beforehand_is_used() {
    let world = World::new();
    fs::create_dir(world.aside()).unwrap();
    fs::set_permissions(world.aside(), fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(world.fence().look().unwrap(), Fenced::Down);
    world.fence().raise().unwrap();
    assert_eq!(fs::metadata(world.data()).unwrap().permissions().mode() & 0o7777, 0o500);
}

#[test]
fn lowering_removes_the_empty_directory_that_a_kill_left_aside() {
    let world = World::new();
    fs::create_dir(world.aside()).unwrap();
    world.fence().lower().unwrap();
    assert!(!world.aside().exists());
}

fn is_strange(world: &World) -> bool {
    let before = world.tree(&world.beside(""));
    let fence = world.fence();
    let looked = fence.look().unwrap();
    let refused = [fence.raise().unwrap_err(), fence.lower().unwrap_err()];
    assert_eq!(world.tree(&world.beside("")), before, "nothing was touched");
    matches!(looked, Fenced::Strange(_)) && refused.iter().all(|error| matches!(error, FenceError::Strange { .. }))
}

#[test]
fn something_in_the_directory_aside_is_strange() {
    let world = World::new();
    fs::create_dir(world.aside()).unwrap();
    fs::write(world.aside().join("whose"), b"").unwrap();
    assert!(is_strange(&world));
}

#[test]
fn a_file_aside_is_strange() {
    let world = World::new();
    fs::write(world.aside(), b"").unwrap();
    assert!(is_strange(&world));
}

#[test]
fn another_directory_at_the_path_is_strange() {
    let world = World::new();
    fs::rename(world.data(), world.aside()).unwrap();
    fs::create_dir(world.data()).unwrap();
    fs::write(world.data().join("written by a service"), b"").unwrap();
    assert!(is_strange(&world));
}

#[test]
fn a_link_to_the_original_at_the_path_is_strange() {
    let world = World::new();
    fs::rename(world.data(), world.aside()).unwrap();
    std::os::unix::fs::symlink(world.aside(), world.data()).unwrap();
    assert!(is_strange(&world));
}

#[test]
fn nothing_at_the_path_is_strange() {
    let world = World::new();
    fs::rename(world.data(), world.aside()).unwrap();
    assert!(is_strange(&world));
}

#[test]
fn an_original_that_is_at_neither_place_is_strange() {
    let world = World::new();
    fs::rename(world.data(), world.beside("elsewhere")).unwrap();
    fs::create_dir(world.data()).unwrap();
    assert!(is_strange(&world));
}

/// As an operator does who sees an empty directory and makes it anew.
#[test]
fn an_empty_directory_of_ours_at_the_path_is_guarded_again() {
    let world = World::new();
    let guard = world.fence().raise().unwrap();
    world.clear_flags();
    fs::remove_dir(world.data()).unwrap();
    fs::create_dir(world.data()).unwrap();
    assert_eq!(world.fence().raise().unwrap(), guard);
    assert_eq!(fs::metadata(world.data()).unwrap().permissions().mode() & 0o7777, 0o500);
}

#[test]
fn a_file_system_without_the_flag_is_guarded_by_permissions_and_that_is_said() {
    if !own_mounts() {
        return;
    }
    let world = World::on("ramfs");
    assert_eq!(world.fence().raise().unwrap(), Guard::Permissions);
    assert_eq!(world.fence().look().unwrap(), Fenced::Up(Guard::Permissions));
    world.fence().lower().unwrap();
    assert_eq!(fs::read(world.data().join("file")).unwrap(), b"content");
}

#[test]
fn what_is_mounted_on_the_path_is_seen_and_not_pulled_away_from_under() {
    if !own_mounts() {
        return;
    }
    let world = World::new();
    world.fence().raise().unwrap();
    world::mount("tmpfs", &world.data());
    assert_eq!(world.fence().look().unwrap(), Fenced::Up(Guard::Covered));
    assert_eq!(world.fence().raise().unwrap(), Guard::Covered);
    assert!(matches!(world.fence().lower(), Err(FenceError::Covered { .. })));
    world::unmount(&world.data());
    world.fence().lower().unwrap();
    assert_eq!(fs::read(world.data().join("file")).unwrap(), b"content");
}

#[test]
fn a_path_on_another_file_system_is_refused_before_anything_changes() {
    if !own_mounts() {
        return;
    }
    let world = World::new();
    fs::create_dir(world.beside("other")).unwrap();
    world::mount("tmpfs", &world.beside("other"));
    let aside = world.beside("other/aside");
    let identity = world.identity();
    let data = world.data();
    let fence = strongroom_migrate::Fence::between(&data, &aside, &identity);
    assert!(matches!(fence.raise(), Err(FenceError::Exchange(_))));
    assert_eq!(fs::read(world.data().join("file")).unwrap(), b"content");
    fence.lower().unwrap();
    assert!(!aside.exists());
}
