//! How mounts end, and with which exit codes.

use std::fs::{self, File};
use std::io::Write;
use std::process::Child;

use rustix::process::Signal;
use strongroom_tests::{die_with_the_test, has, is_mountpoint, wait_until};

use crate::{MOUNTS, Mounted, PATIENCE, Volume};

/// Mounts in the foreground, as a child whose exit code can be had.
fn in_foreground(volume: &Volume, flags: &[&str]) -> (Child, Mounted) {
    let flags: Vec<_> = ["-fg", "-q"].iter().chain(flags).copied().collect();
    let mut command = volume.gocryptfs(&flags);
    die_with_the_test(&mut command);
    let child = command.spawn().unwrap();
    wait_until("it is mounted", PATIENCE, || is_mountpoint(&volume.mountpoint));
    wait_until("it answers", PATIENCE, || fs::metadata(&volume.mountpoint).is_ok());
    (child, Mounted::at(&volume.mountpoint))
}

#[test]
fn an_unmount_from_outside_ends_well() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let (mut child, mounted) = in_foreground(&volume, &[]);
    fs::write(mounted.path("file"), "x").unwrap();
    strongroom_tests::unmount(&mounted.at);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_signal_unmounts_with_a_code_of_its_own() {
    if !has(MOUNTS) {
        return;
    }
    for signal in [Signal::INT, Signal::TERM] {
        let volume = Volume::create();
        let (mut child, mounted) = in_foreground(&volume, &[]);
        fs::write(mounted.path("file"), "kept").unwrap();
        mounted.signal(signal);
        assert_eq!(child.wait().unwrap().code(), Some(15), "{signal:?}");
        assert!(!is_mountpoint(&volume.mountpoint));
        let (_child, mounted) = in_foreground(&volume, &[]);
        assert_eq!(fs::read_to_string(mounted.path("file")).unwrap(), "kept");
    }
}

#[test]
fn a_signal_ends_a_mount_in_use_and_what_was_written_is_kept() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let (mut child, mounted) = in_foreground(&volume, &[]);
    let mut file = File::create(mounted.path("file")).unwrap();
    file.write_all(&[7; 300_000]).unwrap();
    mounted.signal(Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(15));
    assert!(!is_mountpoint(&volume.mountpoint));
    assert!(file.write_all(b"more").and_then(|()| file.sync_all()).is_err(), "nobody serves it any more");
    drop(file);
    let mounted = volume.mount(&["-q"]);
    assert!(fs::read(mounted.path("file")).unwrap() == [7; 300_000]);
    mounted.unmount();
}

#[test]
fn an_idle_mount_ends_well_but_not_while_something_is_open() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let (mut child, mounted) = in_foreground(&volume, &["-idle", "500ms"]);
    let file = File::create(mounted.path("file")).unwrap();
    // Three times as long as it may be idle.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(is_mountpoint(&volume.mountpoint), "a file is open");
    drop(file);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!is_mountpoint(&volume.mountpoint));
}
