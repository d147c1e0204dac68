//! Extended attributes and ACLs.

use std::fs;
use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;
use strongroom_mount::MountOptions;

use crate::place::{Mounted, as_nobody, can_mount, is_root};

fn get(path: &Path, name: &str) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 256];
    let len = getxattr(path, name, &mut value[..])?;
    value.truncate(len);
    Ok(value)
}

fn set(path: &Path, name: &str, value: &[u8]) -> Result<(), Errno> {
    setxattr(path, name, value, XattrFlags::empty())
}

#[test]
fn an_attribute_comes_back_after_a_remount() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let file = mounted.path("file");
    fs::write(&file, "").unwrap();
    assert_eq!(get(&file, "user.colour"), Err(Errno::NODATA));
    set(&file, "user.colour", b"green").unwrap();
    set(&file, "user.empty", b"").unwrap();
    assert_eq!(setxattr(&file, "user.colour", b"red", XattrFlags::CREATE), Err(Errno::EXIST));
    let mounted = mounted.again(&MountOptions::default());
    let file = mounted.path("file");
    assert_eq!(get(&file, "user.colour").unwrap(), b"green");
    assert_eq!(get(&file, "user.empty").unwrap(), b"");
    assert_eq!(getxattr(&file, "user.colour", &mut [0u8; 3][..]), Err(Errno::RANGE));
    removexattr(&file, "user.empty").unwrap();
    let mut list = [0u8; 256];
    let len = listxattr(&file, &mut list[..]).unwrap();
    assert_eq!(&list[..len], b"user.colour\0");
}

#[test]
fn what_the_kernel_asks_all_the_time_is_not_looked_up() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let file = mounted.path("file");
    fs::write(&file, "").unwrap();
    for name in ["security.selinux", "security.capability"] {
        assert_eq!(get(&file, name), Err(Errno::OPNOTSUPP), "{name}");
    }
}

#[test]
fn file_capabilities_are_kept_but_work_with_suid_only() {
    if !can_mount() || !is_root() {
        return;
    }
    // CAP_NET_RAW permitted, as setcap(8) stores it.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let with_suid = MountOptions { suid: true, ..MountOptions::default() };
    let mounted = Mounted::with(&with_suid);
    fs::write(mounted.path("ping"), "").unwrap();
    set(&mounted.path("ping"), "security.capability", &capability).unwrap();
    assert_eq!(get(&mounted.path("ping"), "security.capability").unwrap(), capability);

    let mounted = mounted.again(&MountOptions::default());
    assert_eq!(get(&mounted.path("ping"), "security.capability"), Err(Errno::OPNOTSUPP));
    assert_eq!(listxattr(mounted.path("ping"), &mut [0u8; 64][..]), Ok(0));

    let mounted = mounted.again(&with_suid);
    assert_eq!(get(&mounted.path("ping"), "security.capability").unwrap(), capability);
}

#[test]
fn without_attributes_there_are_none() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::with(&MountOptions { no_xattr: true, ..MountOptions::default() });
    let file = mounted.path("file");
    fs::write(&file, "").unwrap();
    assert_eq!(set(&file, "user.colour", b"green"), Err(Errno::OPNOTSUPP));
    assert_eq!(get(&file, "user.colour"), Err(Errno::OPNOTSUPP));
}

/// `user::rw-,user:65534:rwx,group::---,mask::rwx,other::---`, as the kernel stores it.
fn acl_for_nobody() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, u32::MAX), (2, 7, 65534), (4, 0, u32::MAX), (0x10, 7, u32::MAX), (0x20, 0, u32::MAX)];
    let mut acl = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        acl.extend(tag.to_le_bytes());
        acl.extend(permissions.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}

#[test]
fn an_acl_is_enforced() {
    if !can_mount() || !is_root() {
        return;
    }
    let mounted = Mounted::with(&MountOptions { acl: true, allow_other: true, ..MountOptions::default() });
    let file = mounted.path("file");
    fs::write(&file, "secret").unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(!as_nobody(&mounted.place.mnt(), "cat file").status.success());
    set(&file, "system.posix_acl_access", &acl_for_nobody()).unwrap();
    assert!(as_nobody(&mounted.place.mnt(), "cat file").status.success());
}

#[test]
fn a_default_acl_takes_the_place_of_the_umask() {
    if !can_mount() || !is_root() {
        return;
    }
    let mounted = Mounted::with(&MountOptions { acl: true, allow_other: true, ..MountOptions::default() });
    let dir = mounted.path("dir");
    fs::create_dir(&dir).unwrap();
    let plain = crate::place::sh(&dir, "umask 022; : > plain; mkdir pd; stat -c %a plain pd");
    assert_eq!(plain, "644\n755");
    set(&dir, "system.posix_acl_default", &acl_for_nobody()).unwrap();
    let inherited = crate::place::sh(&dir, "umask 077; : > file; mkdir d; stat -c %a file d");
    assert_eq!(inherited, "660\n670");
    assert!(get(&dir.join("file"), "system.posix_acl_access").is_ok());
}

#[test]
fn a_strangers_acl_takes_setgid_away() {
    if !can_mount() || !is_root() {
        return;
    }
    let mounted = Mounted::with(&MountOptions { acl: true, allow_other: true, ..MountOptions::default() });
    let file = mounted.path("file");
    fs::write(&file, "x").unwrap();
    std::os::unix::fs::chown(&file, Some(65534), Some(12345)).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o2755)).unwrap();
    let output = as_nobody(&mounted.place.mnt(), "setfacl -m u:1:rwx file && stat -c %a file");
    if output.status.code() == Some(127) {
        return; // setfacl is not installed; scripts/test installs it
    }
    assert_eq!(String::from_utf8_lossy(&output.stdout), "775\n", "{}", String::from_utf8_lossy(&output.stderr));
}
