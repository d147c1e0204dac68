//! The fence of somebody who is not root.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
};

use strongroom_migrate::{FenceError, Fenced, Guard};

use crate::world::{World, is_root};

const NOBODY: u32 = 65534;

/// Runs `what` on a thread that is an ordinary user.
fn as_nobody<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    let as_nobody = || {
        // SAFETY: made without the C library, these change the credentials of this thread alone, which ends with `what`.
        let changed = unsafe {
            [
                libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()),
                libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY),
                libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY),
            ]
        };
        assert_eq!(changed, [0; 3]);
        what()
    };
    std::thread::scope(|scope| scope.spawn(as_nobody).join().unwrap())
}

/// Data that belong to an ordinary user, in a directory of this mode that belongs to `parent`.
fn of_nobody(parent: u32, mode: u32) -> World {
    let world = World::new();
    let dir = world.beside("");
    chown(&dir, Some(parent), Some(parent)).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
    for path in [world.data(), world.data().join("file")] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    world
}

#[test]
fn a_user_fences_his_own_directory_by_permissions() {
    if !is_root() {
        return;
    }
    let world = of_nobody(NOBODY, 0o755);
    as_nobody(|| {
        assert_eq!(world.fence().raise().unwrap(), Guard::Permissions);
        let error = fs::write(world.data().join("new"), b"lost").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EACCES));
        assert_eq!(world.fence().look().unwrap(), Fenced::Up(Guard::Permissions));
        world.fence().lower().unwrap();
        assert_eq!(fs::read(world.data().join("file")).unwrap(), b"content");
    });
}

fn is_refused(world: &World, expected: &str) {
    as_nobody(|| {
        let error = world.fence().raise().unwrap_err();
        assert!(matches!(&error, FenceError::NotOurs { why, .. } if why.contains(expected)), "{error}");
        assert!(world.data().join("file").exists());
    });
}

#[test]
fn a_parent_that_may_not_be_written_to_is_named() {
    if is_root() {
        is_refused(&of_nobody(0, 0o755), "cannot be written to");
    }
}

/// As in /tmp, where everybody may make names, and rename his own alone.
#[test]
fn a_sticky_parent_is_named_where_the_directory_is_somebody_elses() {
    if !is_root() {
        return;
    }
    let world = of_nobody(0, 0o1777);
    chown(world.data(), Some(1), Some(1)).unwrap();
    is_refused(&world, "sticky");
    as_nobody(|| world.fence().lower().unwrap());
    chown(world.data(), Some(NOBODY), Some(NOBODY)).unwrap();
    as_nobody(|| assert_eq!(world.fence().raise().unwrap(), Guard::Permissions));
}

#[test]
fn an_immutable_parent_is_named_for_root_too() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let parent = fs::File::open(world.beside("")).unwrap();
    let flags = rustix::fs::ioctl_getflags(&parent).unwrap();
    rustix::fs::ioctl_setflags(&parent, flags | rustix::fs::IFlags::IMMUTABLE).unwrap();
    let error = world.fence().raise().unwrap_err();
    rustix::fs::ioctl_setflags(&parent, flags).unwrap();
    assert!(matches!(&error, FenceError::NotOurs { why, .. } if why.contains("immutable")), "{error}");
}

#[test]
fn a_directory_of_somebody_else_aside_is_strange() {
    if !is_root() {
        return;
    }
    let world = World::new();
    fs::create_dir(world.aside()).unwrap();
    chown(world.aside(), Some(NOBODY), Some(NOBODY)).unwrap();
    assert!(matches!(world.fence().look().unwrap(), Fenced::Strange(_)));
}
