//! What is not offered, and how programs are told.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, Mode, OFlags, RenameFlags, fallocate, renameat_with};
use rustix::io::Errno;
use strongroom_event::Event;
use strongroom_mount::MountOptions;

use crate::place::{Mounted, Place, can_mount, sh};

#[test]
fn an_unnamed_temporary_file_is_refused_as_unsupported() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    for _ in 0..2 {
        let made = rustix::fs::open(mounted.place.mnt(), OFlags::TMPFILE | OFlags::RDWR, Mode::RUSR);
        assert_eq!(made.unwrap_err(), Errno::OPNOTSUPP);
    }
}

#[test]
fn an_ioctl_is_inappropriate() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let file = File::create(mounted.path("file")).unwrap();
    assert_eq!(rustix::termios::tcgetattr(&file).unwrap_err(), Errno::NOTTY);
}

#[test]
fn preallocation_is_offered_and_punching_holes_is_not() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let file = File::create(mounted.path("file")).unwrap();
    fallocate(&file, FallocateFlags::empty(), 0, 10_000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 10_000);
    fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 20_000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 10_000);
    let punched = fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 4096);
    assert_eq!(punched.unwrap_err(), Errno::OPNOTSUPP);
    let zeroed = fallocate(&file, FallocateFlags::ZERO_RANGE, 0, 4096);
    assert_eq!(zeroed.unwrap_err(), Errno::OPNOTSUPP);
}

#[test]
fn a_range_is_copied_by_the_kernel() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let content: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    fs::write(mounted.path("from"), &content).unwrap();
    let (from, to) = (File::open(mounted.path("from")).unwrap(), File::create(mounted.path("to")).unwrap());
    let mut copied = 0;
    while copied < content.len() {
        let len = rustix::fs::copy_file_range(&from, None, &to, None, content.len() - copied).unwrap();
        assert_ne!(len, 0);
        copied += len;
    }
    assert_eq!(fs::read(mounted.path("to")).unwrap(), content);
}

#[test]
fn renames_do_what_their_flags_say() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    fs::write(mounted.path("a"), "A").unwrap();
    fs::write(mounted.path("b"), "B").unwrap();
    let rename = |flags| renameat_with(rustix::fs::CWD, mounted.path("a"), rustix::fs::CWD, mounted.path("b"), flags);
    assert_eq!(rename(RenameFlags::NOREPLACE).unwrap_err(), Errno::EXIST);
    rename(RenameFlags::EXCHANGE).unwrap();
    assert_eq!(fs::read_to_string(mounted.path("a")).unwrap(), "B");
    assert_eq!(fs::read_to_string(mounted.path("b")).unwrap(), "A");
    rename(RenameFlags::empty()).unwrap();
    assert_eq!(sh(&mounted.place.mnt(), "ls; cat b"), "b\nB");
}

#[test]
fn a_damaged_block_is_an_io_error_told_with_its_path() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    fs::create_dir(mounted.path("dir")).unwrap();
    fs::write(mounted.path("dir/file"), vec![7; 3 * 4096]).unwrap();
    let mounted = mounted.again(&MountOptions::default());
    let stored = sh(&mounted.place.cipher(), "find . -type f -size +8k");
    let stored = File::options().read(true).write(true).open(mounted.place.cipher().join(stored)).unwrap();
    let mut byte = [0];
    stored.read_exact_at(&mut byte, 18 + 4128 + 100).unwrap();
    stored.write_at(&[!byte[0]], 18 + 4128 + 100).unwrap();

    let file = File::open(mounted.path("dir/file")).unwrap();
    let mut block = [0; 4096];
    let refused = file.read_exact_at(&mut block, 4096).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EIO));
    file.read_exact_at(&mut block, 8192).unwrap();
    let told = mounted.place.told.events();
    assert!(told.iter().any(|event| matches!(event, Event::Damaged { path, .. } if path == b"/dir/file")), "{told:?}");
}

#[test]
fn a_vault_with_a_damaged_root_can_be_mounted_and_says_what_is_wrong() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    fs::write(place.cipher().join("gocryptfs.diriv"), "short").unwrap();
    // An empty directory would heal; the names in this one are lost.
    fs::write(place.cipher().join("AAAAAAAAAAAAAAAAAAAAAA"), "").unwrap();
    let mounted = Mounted::at(place, &MountOptions::default());
    assert!(fs::metadata(mounted.place.mnt()).unwrap().is_dir());
    let refused = fs::write(mounted.path("file"), "x").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EIO));
    let told = mounted.place.told.events();
    assert!(told.iter().any(|event| matches!(event, Event::Damaged { path, .. } if path == b"/")), "{told:?}");
}

#[test]
fn a_read_only_mount_changes_nothing() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    fs::write(mounted.path("file"), "content").unwrap();
    let mounted = mounted.again(&MountOptions { read_only: true, ..MountOptions::default() });
    assert_eq!(fs::read_to_string(mounted.path("file")).unwrap(), "content");
    let refused = fs::write(mounted.path("file"), "other").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
}

#[test]
fn locks_are_kept_by_the_kernel() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let (one, two) = (File::create(mounted.path("f")).unwrap(), File::open(mounted.path("f")).unwrap());
    one.lock().unwrap();
    assert!(matches!(two.try_lock(), Err(fs::TryLockError::WouldBlock)));
    one.unlock().unwrap();
    two.try_lock().unwrap();
    assert_ne!(one.as_raw_fd(), two.as_raw_fd());
}

#[test]
fn space_is_that_of_the_disk_below() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let (above, below) =
        (rustix::fs::statvfs(mounted.place.mnt()).unwrap(), rustix::fs::statvfs(mounted.place.cipher()).unwrap());
    assert_eq!((above.f_frsize, above.f_blocks), (below.f_frsize, below.f_blocks));
}
