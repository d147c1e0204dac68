//! Machines without systemd: runit, fstab, and mounting by hand.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use strongroom_actions::migrate::{BootKind, BootSecret};
use strongroom_tests::{Need, PASSPHRASE, Program, die_with_the_test, has, run};

use crate::{AS_ROOT, driver::Fenced};

/// A runsvdir of this test's own.
struct Runsvdir(Child);

impl Runsvdir {
    fn start(dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let mut command = Command::new("runsvdir");
        command.args(["-P"]).arg(dir).stdout(Stdio::null()).stderr(Stdio::null());
        die_with_the_test(&mut command);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Runsvdir {
    fn drop(&mut self) {
        // SIGHUP has it end its supervisors, and those their services.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::HUP);
        let _ = self.0.wait();
    }
}

#[test]
fn runit_mounts_it_unmounts_it_and_mounts_it_again() {
    if !has(AS_ROOT) || !has(&[Need::Program("runsvdir")]) {
        return;
    }
    let fenced = Fenced::named("it's data", BootKind::Runit, &[]);
    let _runsvdir = Runsvdir::start(&fenced.scratch.path("service"));
    fenced.drive("prepare").unwrap();
    assert_eq!(fenced.standing(), "Absent");
    for _ in 0..2 {
        fenced.drive("mount").unwrap();
        assert_eq!(fenced.standing(), "Ours");
        assert_eq!(fs::read(fenced.plan.data.join("hello")).unwrap(), b"from the vault");
        let held = fs::File::open(fenced.plan.data.join("hello")).unwrap();
        assert!(fenced.drive("umount").unwrap_err().starts_with("Busy"));
        drop(held);
        fenced.drive("umount").unwrap();
        assert_eq!(fenced.standing(), "Absent");
    }
    fenced.drive("withdraw").unwrap();
    for dir in ["sv", "service"] {
        let left: Vec<_> = fs::read_dir(fenced.scratch.path(dir)).into_iter().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn the_check_of_the_service_of_runit_tells_whether_it_is_mounted() {
    if !has(AS_ROOT) {
        return;
    }
    let fenced = Fenced::new(BootKind::Runit, &[]);
    fenced.drive("prepare").unwrap();
    let dir = fs::read_dir(fenced.scratch.path("sv")).unwrap().next().unwrap().unwrap().path();
    let is_mounted = || Command::new(dir.join("check")).status().unwrap().success();
    assert!(!is_mounted());
    let server = Program::Strongroom.mount(&fenced.scratch, &fenced.plan.vault, &fenced.plan.data, &[]);
    assert!(is_mounted());
    server.unmount();
}

#[test]
fn a_line_of_fstab_mounts_it_and_goes_again() {
    if !has(AS_ROOT) || !has(&[Need::Program("mount.fuse3")]) {
        return;
    }
    let fenced = Fenced::named("a b\\c#", BootKind::Fstab, &[]);
    let folder = fenced.scratch.dir("bin");
    fs::copy(Program::Strongroom.command().get_program(), folder.join("strongroom")).unwrap();
    run(Command::new("mount").arg("--bind").arg(folder).arg("/usr/local/sbin"));
    let table = fenced.scratch.path("fstab");
    fs::write(&table, "# a table\nnone /nonexistent tmpfs noauto 0 0\n").unwrap();
    fenced.drive("prepare").unwrap();
    let verified = Command::new("findmnt").args(["--verify", "--tab-file"]).arg(&table).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(!said.contains("parse error"), "{said}");
    fenced.drive("mount").unwrap();
    assert_eq!(fenced.standing(), "Ours");
    assert_eq!(fs::read(fenced.plan.data.join("hello")).unwrap(), b"from the vault");
    fenced.drive("umount").unwrap();
    assert_eq!(fenced.standing(), "Absent");
    fenced.drive("withdraw").unwrap();
    assert_eq!(fs::read_to_string(&table).unwrap(), "# a table\nnone /nonexistent tmpfs noauto 0 0\n");
}

#[test]
fn what_is_mounted_by_hand_has_its_passphrase_through_a_pipe() {
    if !has(AS_ROOT) {
        return;
    }
    let mut fenced = Fenced::new(BootKind::Manual, &[]);
    fenced.plan.boot_secret = BootSecret::Asked;
    fenced.drive("prepare").unwrap();
    fenced.drive("mount").unwrap();
    assert_eq!(fenced.standing(), "Ours");
    let holds = |file: fs::DirEntry| {
        let seen = ["cmdline", "environ"].map(|name| fs::read(file.path().join(name)).unwrap_or_default());
        seen.iter().any(|bytes| bytes.windows(PASSPHRASE.len()).any(|window| window == PASSPHRASE.as_bytes()))
    };
    assert!(!fs::read_dir("/proc").unwrap().any(|entry| holds(entry.unwrap())), "it is in sight of everybody");
    fenced.drive("umount").unwrap();
    assert_eq!(fenced.standing(), "Absent");
}

#[test]
fn what_is_mounted_there_and_not_ours_is_left_alone() {
    if !has(AS_ROOT) {
        return;
    }
    let mut fenced = Fenced::new(BootKind::Manual, &[]);
    run(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&fenced.plan.data));
    assert_eq!(fenced.standing(), "Foreign");
    assert!(fenced.drive("mount").is_err() && fenced.drive("umount").is_err());
    assert_eq!(fenced.standing(), "Foreign");
    run(Command::new("umount").arg(&fenced.plan.data));

    // Another vault is not ours either.
    let server = Program::Strongroom.mount(&fenced.scratch, &fenced.plan.vault, &fenced.plan.data, &[]);
    fenced.plan.vault = fenced.scratch.dir("other.vault");
    assert_eq!(fenced.standing(), "Foreign");
    server.unmount();
}

#[test]
fn a_dead_mount_is_told_and_cleared_by_the_next() {
    if !has(AS_ROOT) {
        return;
    }
    let fenced = Fenced::new(BootKind::Manual, &[]);
    let mut server = Program::Strongroom.mount(&fenced.scratch, &fenced.plan.vault, &fenced.plan.data, &[]);
    server.kill();
    assert_eq!(fenced.standing(), "Dead");
    fenced.drive("mount").unwrap();
    assert_eq!(fenced.standing(), "Ours");
    fenced.drive("umount").unwrap();
    let guard = fenced.plan.data.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((fenced.standing().as_str(), guard), ("Absent", 0o555));
}

#[test]
fn a_wrong_passphrase_is_told_as_such() {
    if !has(AS_ROOT) {
        return;
    }
    let mut fenced = Fenced::new(BootKind::Manual, &[]);
    fenced.plan.boot_secret = BootSecret::File(fenced.scratch.write_passphrase("other", "something else"));
    let refused = fenced.drive("mount").unwrap_err();
    assert!(refused.starts_with("WrongPassphrase"), "{refused}");
}
