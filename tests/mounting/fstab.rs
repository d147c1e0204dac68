//! mount(8), lines of /etc/fstab, and mount.fuse3 that gives its privileges away.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use strongroom_tests::{has, is_mountpoint, output_of, run, wait_until};

use crate::{AS_ROOT, Mounted, PATIENCE, USUAL_PATH, Volume, is_running, words};

/// `mount ARGUMENTS` as an administrator types it.
fn mount(arguments: &[&str]) -> Command {
    let mut command = Command::new("mount");
    command.args(arguments).env("PATH", USUAL_PATH).current_dir("/");
    command
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn holds_a_file(mounted: Mounted) {
    fs::write(mounted.path("file"), "through mount(8)").unwrap();
    assert_eq!(fs::read_to_string(mounted.path("file")).unwrap(), "through mount(8)");
    mounted.unmount();
}

#[test]
fn mount_finds_both_programs_by_type() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = Volume::create();
    volume.install();
    let key = volume.scratch.passphrase_file();
    for (kind, secret) in [("fuse.gocryptfs", "passfile"), ("fuse.strongroom", "passphrase_file")] {
        let options = format!("nofail,allow_other,_netdev,x-systemd.automount,{secret}={}", text(&key));
        run(&mut mount(&["-t", kind, "-o", &options, text(&volume.cipher_dir), text(&volume.mountpoint)]));
        let mounted = Mounted::at(&volume.mountpoint);
        assert_eq!((mounted.kind.as_str(), mounted.source.as_str()), (kind, text(&volume.cipher_dir)));
        assert!(mounted.has("allow_other") && mounted.has("default_permissions"), "{}", mounted.options);
        holds_a_file(mounted);
    }
}

#[test]
fn lines_of_fstab_mount_all_and_each() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = Volume::create();
    volume.install();
    let (cipher, at, key) = (text(&volume.cipher_dir), text(&volume.mountpoint), volume.scratch.passphrase_file());
    let key = text(&key);
    let lines = [
        format!("{cipher} {at} fuse./usr/local/sbin/gocryptfs nofail,allow_other,passfile={key} 0 0"),
        format!("{cipher} {at} fuse.gocryptfs rw,nofail,allow_other,noexec,passfile={key} 0 0"),
        format!("{cipher} {at} fuse.strongroom nofail,allow_other,noatime,_netdev,passphrase_file={key} 0 0"),
        format!("gocryptfs#{cipher} {at} fuse nofail,allow_other,passfile={key} 0 0"),
    ];
    let fstab = volume.scratch.path("fstab");
    for line in lines {
        fs::write(&fstab, format!("{line}\n")).unwrap();
        for arguments in [["-a", "-T", text(&fstab)], ["-T", text(&fstab), at]] {
            let output = run(&mut mount(&arguments));
            assert!(is_mountpoint(&volume.mountpoint), "{line}: {}", words(&output));
            holds_a_file(Mounted::at(&volume.mountpoint));
        }
    }
}

#[test]
fn a_line_that_fails_says_why() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = Volume::create();
    volume.install();
    let fstab = volume.scratch.path("fstab");
    let (cipher, at) = (text(&volume.cipher_dir), text(&volume.mountpoint));
    fs::write(&fstab, format!("{cipher} {at} fuse.gocryptfs passfile=/nonexistent 0 0\n")).unwrap();
    let output = output_of(&mut mount(&["-T", text(&fstab), at]));
    assert!(!output.status.success() && words(&output).contains("/nonexistent"), "{}", words(&output));
}

#[test]
fn a_mount_whose_server_has_no_privileges_is_served() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = Volume::create();
    volume.install();
    let key = volume.scratch.passphrase_file();
    for (kind, secret) in [("fuse.gocryptfs", "passfile"), ("fuse.strongroom", "passphrase_file")] {
        let options = format!("drop_privileges,allow_other,default_permissions,{secret}={}", text(&key));
        run(&mut mount(&["-t", kind, "-o", &options, text(&volume.cipher_dir), text(&volume.mountpoint)]));
        let mounted = Mounted::at(&volume.mountpoint);
        let status = fs::read_to_string(format!("/proc/{}/status", mounted.pid())).unwrap();
        assert!(status.lines().any(|line| line == "CapEff:\t0000000000000000"), "{status}");
        holds_a_file(mounted);
    }
}

#[test]
fn a_server_without_privileges_that_is_told_to_end_loses_nothing() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = Volume::create();
    volume.install();
    let options = format!("drop_privileges,passfile={}", text(&volume.scratch.passphrase_file()));
    run(&mut mount(&["-t", "fuse.gocryptfs", "-o", &options, text(&volume.cipher_dir), text(&volume.mountpoint)]));
    let mounted = Mounted::at(&volume.mountpoint);
    fs::write(mounted.path("file"), [3; 200_000]).unwrap();
    mounted.signal(Signal::TERM);
    let pid = mounted.pid();
    wait_until("it has ended", PATIENCE, || !is_running(pid));
    // It could not unmount. Whoever mounted it can.
    drop(mounted);
    let mounted = volume.mount(&["-q"]);
    assert!(fs::read(mounted.path("file")).unwrap() == [3; 200_000]);
    mounted.unmount();
}

#[test]
fn a_mount_for_all_in_which_nobody_checks_permissions_is_not_served() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = Volume::create();
    volume.install();
    let options = format!("drop_privileges,allow_other,passfile={}", text(&volume.scratch.passphrase_file()));
    let output = output_of(&mut mount(&[
        "-t",
        "fuse.gocryptfs",
        "-o",
        &options,
        text(&volume.cipher_dir),
        text(&volume.mountpoint),
    ]));
    assert_eq!(output.status.code(), Some(19), "{}", words(&output));
    assert!(words(&output).contains("default_permissions"), "{}", words(&output));
}
