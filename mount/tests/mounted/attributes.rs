//! Modes, owners and times.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use strongroom_mount::MountOptions;

use crate::place::{Mounted, as_nobody, can_mount, is_root, sh};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn times_keep_their_nanoseconds_also_before_1970() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let cases =
        [(-1, 1), (-1, 999_999_999), (-1_000_000_000, 123_456_789), (-7, 0), (0, 5), (1_700_000_000, 987_654_321)];
    for (tv_sec, tv_nsec) in cases {
        let file = mounted.path(format!("at{tv_sec}.{tv_nsec}"));
        fs::write(&file, "x").unwrap();
        let time = Timespec { tv_sec, tv_nsec };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, &file, &times, AtFlags::empty()).unwrap();
    }
    let mounted = mounted.again(&MountOptions::default());
    for (tv_sec, tv_nsec) in cases {
        let found = fs::metadata(mounted.path(format!("at{tv_sec}.{tv_nsec}"))).unwrap();
        assert_eq!((found.mtime(), found.mtime_nsec()), (tv_sec, tv_nsec), "mtime");
        assert_eq!((found.atime(), found.atime_nsec()), (tv_sec, tv_nsec), "atime");
    }
}

#[test]
fn everything_can_be_shown_as_one_users() {
    if !can_mount() || !is_root() {
        return;
    }
    let options = MountOptions { force_owner: Some((65534, 65534)), allow_other: true, ..MountOptions::default() };
    let mounted = Mounted::with(&options);
    let script = "echo text > file; mkdir dir; ln -s file link; ln file hard; mkfifo pipe; chmod 600 file; cat file";
    let made = as_nobody(&mounted.place.mnt(), script);
    assert!(made.status.success(), "{made:?}");
    let shown = sh(&mounted.place.mnt(), "stat -c %u:%g . *; ls -ln | awk 'NR > 1 { print $3\":\"$4 }'");
    assert!(shown.lines().all(|owner| owner == "65534:65534") && shown.lines().count() == 11, "{shown}");
    let stored = sh(&mounted.place.cipher(), "stat -c %u:%g *");
    assert!(stored.lines().all(|owner| owner == "0:0"), "{stored}");
}

#[test]
fn a_write_by_somebody_else_takes_setuid_and_setgid_away() {
    if !can_mount() || !is_root() {
        return;
    }
    let mounted = Mounted::for_all();
    let file = mounted.path("program");
    fs::write(&file, "first").unwrap();
    for script in ["echo more >> program", "printf x | dd of=program conv=notrunc bs=1 status=none"] {
        fs::set_permissions(&file, Permissions::from_mode(0o6777)).unwrap();
        assert!(as_nobody(&mounted.place.mnt(), script).status.success(), "{script}");
        assert_eq!(mode(&file), 0o777, "{script}");
    }
}

#[test]
fn truncation_by_somebody_else_takes_setuid_and_setgid_away() {
    if !can_mount() || !is_root() {
        return;
    }
    let mounted = Mounted::for_all();
    let file = mounted.path("program");
    fs::write(&file, "first").unwrap();
    for script in [": > program", "truncate -s 3 program", "truncate -s 30000 program"] {
        fs::set_permissions(&file, Permissions::from_mode(0o6777)).unwrap();
        assert!(as_nobody(&mounted.place.mnt(), script).status.success(), "{script}");
        assert_eq!(mode(&file), 0o777, "{script}");
    }
}

#[test]
fn setgid_without_group_execution_survives_a_write() {
    if !can_mount() || !is_root() {
        return;
    }
    let mounted = Mounted::for_all();
    let file = mounted.path("locked");
    fs::write(&file, "first").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o2666)).unwrap();
    assert!(as_nobody(&mounted.place.mnt(), "echo more >> locked").status.success());
    assert_eq!(mode(&file) & 0o777, 0o666);
}

#[test]
fn chown_takes_setuid_away() {
    if !can_mount() || !is_root() {
        return;
    }
    let mounted = Mounted::for_all();
    let file = mounted.path("program");
    fs::write(&file, "x").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o6755)).unwrap();
    chown(&file, Some(1234), None).unwrap();
    assert_eq!(mode(&file), 0o755);
    assert_eq!(fs::metadata(&file).unwrap().uid(), 1234);
}

#[test]
fn roots_own_writes_keep_setuid() {
    if !can_mount() || !is_root() {
        return;
    }
    let mounted = Mounted::for_all();
    let file = mounted.path("program");
    fs::write(&file, "x").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o4755)).unwrap();
    File::options().write(true).open(&file).unwrap().write_at(b"y", 0).unwrap();
    assert_eq!(mode(&file), 0o4755);
}

#[test]
fn the_makers_umask_applies_and_nothing_else() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let made = sh(
        &mounted.place.mnt(),
        "umask 027; : > file; mkdir dir; mkfifo fifo; umask 0; : > open; mkdir -m 1777 sticky; stat -c %a file dir fifo open sticky",
    );
    assert_eq!(made.split_whitespace().collect::<Vec<_>>(), ["640", "750", "640", "666", "1777"]);
}

#[test]
fn a_file_made_without_rights_can_be_written_by_its_maker() {
    if !can_mount() || !is_root() {
        return;
    }
    let mounted = Mounted::for_all();
    fs::set_permissions(mounted.place.mnt(), Permissions::from_mode(0o777)).unwrap();
    let script = "umask 777; echo secret > file && stat -c '%a %u %g %s' file";
    let output = as_nobody(&mounted.place.mnt(), script);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 65534 65534 7\n");
}

#[test]
fn files_belong_to_whoever_makes_them_where_all_may_enter() {
    if !can_mount() || !is_root() {
        return;
    }
    let mounted = Mounted::for_all();
    fs::set_permissions(mounted.place.mnt(), Permissions::from_mode(0o1777)).unwrap();
    let output = as_nobody(&mounted.place.mnt(), ": > f; mkdir d; ln -s x l; mkfifo p; stat -c %u:%g f d l p");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "65534:65534\n".repeat(4));
}

#[test]
fn the_kernel_checks_permissions() {
    if !can_mount() || !is_root() {
        return;
    }
    let mounted = Mounted::for_all();
    let file = mounted.path("private");
    fs::write(&file, "secret").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert!(!as_nobody(&mounted.place.mnt(), "cat private").status.success());
    assert!(!as_nobody(&mounted.place.mnt(), "rm -f private; : > new").status.success());
}

#[test]
fn nobody_enters_a_private_mount() {
    if !can_mount() || !is_root() {
        return;
    }
    let mounted = Mounted::new();
    assert!(!as_nobody(Path::new("/"), &format!("ls {}", mounted.place.mnt().display())).status.success());
}

#[test]
fn exclusive_creation_finds_what_is_there() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    fs::write(mounted.path("there"), "x").unwrap();
    let again = File::options().write(true).create_new(true).mode(0o644).open(mounted.path("there"));
    assert_eq!(again.unwrap_err().raw_os_error(), Some(libc::EEXIST));
}

#[test]
fn an_absence_that_was_remembered_ends_with_the_files_making() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let path = mounted.path("later");
    assert!(!path.exists());
    fs::write(&path, "x").unwrap();
    assert!(path.exists());
    fs::remove_file(&path).unwrap();
    assert!(!path.exists());
}

#[test]
fn a_shared_mount_sees_what_another_did() {
    if !can_mount() {
        return;
    }
    let options = MountOptions { shared_storage: true, ..MountOptions::default() };
    let mounted = Mounted::with(&options);
    let other = tempfile::tempdir().unwrap();
    let mountpoint = strongroom_mount::Mountpoint::check(other.path(), &mounted.place.cipher(), false).unwrap();
    let adapter = std::sync::Arc::new(strongroom_mount::Adapter::new(mounted.place.vault(&options), &options));
    let session = strongroom_mount::Session::mount(
        adapter,
        &mountpoint,
        &mounted.place.cipher(),
        &options,
        mounted.place.told.clone(),
    )
    .unwrap();
    for content in ["first", "second and longer", "3rd"] {
        fs::write(mounted.path("file"), content).unwrap();
        assert_eq!(fs::read_to_string(other.path().join("file")).unwrap(), content);
    }
    fs::remove_file(mounted.path("file")).unwrap();
    assert!(!other.path().join("file").exists());
    drop(session);
}
