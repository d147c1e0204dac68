//! Several mounts of one directory, which gocryptfs allows.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use strongroom_tests::{Program, has, is_mountpoint, output_of, run, without_terminal};

use crate::{MOUNTS, Mounted, Volume, words};

#[test]
fn a_second_mount_of_a_directory_is_allowed_and_warns() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let first = volume.mount(&["-q"]);
    fs::write(first.path("before"), "of the first").unwrap();
    run(Command::new("sync").arg("-f").arg(&first.at));
    let other = Volume { mountpoint: volume.scratch.dir("other"), ..volume };
    let output = run(&mut other.gocryptfs(&["-q"]));
    assert!(words(&output).contains("is mounted already at"), "{}", words(&output));
    let second = Mounted::at(&other.mountpoint);
    assert_eq!(fs::read_to_string(second.path("before")).unwrap(), "of the first");
    fs::write(second.path("after"), "of the second").unwrap();
    assert_eq!(fs::read_to_string(first.path("after")).unwrap(), "of the second");
    second.unmount();
    first.unmount();
    Program::Strongroom.finds_nothing_wrong(&other.scratch, &other.cipher_dir);
}

#[test]
fn what_the_second_mount_replaces_can_be_written_to_by_the_first() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let first = volume.mount(&["-q"]);
    fs::write(first.path("file"), "of the first").unwrap();
    run(Command::new("sync").arg("-f").arg(&first.at));
    let other = Volume { mountpoint: volume.scratch.dir("other"), ..volume };
    let second = other.mount(&["-q"]);
    fs::write(second.path("file"), "new").unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(first.path("file")).unwrap();
    std::io::Write::write_all(&mut file, b", and more").unwrap();
    file.sync_all().unwrap();
    drop(file);
    assert!(fs::read_to_string(second.path("file")).unwrap().ends_with(", and more"));
    second.unmount();
    first.unmount();
    Program::Strongroom.finds_nothing_wrong(&other.scratch, &other.cipher_dir);
}

#[test]
fn mounts_of_shared_storage_see_each_other() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let first = volume.mount(&["-q", "-sharedstorage"]);
    let other = Volume { mountpoint: volume.scratch.dir("other"), ..volume };
    let second = other.mount(&["-q", "-sharedstorage"]);
    for turn in 0..20 {
        fs::write(first.path("file"), format!("turn {turn}")).unwrap();
        assert_eq!(fs::read_to_string(second.path("file")).unwrap(), format!("turn {turn}"));
        fs::rename(second.path("file"), second.path("renamed")).unwrap();
        assert!(!first.path("file").exists());
        fs::rename(first.path("renamed"), first.path("file")).unwrap();
    }
    second.unmount();
    first.unmount();
}

#[test]
fn a_mount_out_of_sight_does_not_keep_the_next_one_out() {
    if !has(crate::AS_ROOT) {
        return;
    }
    let volume = Volume::create();
    let first = volume.mount(&["-q"]);
    let open = fs::File::create(first.path("file")).unwrap();
    run(Command::new("umount").arg("-l").arg(&first.at));
    volume.mount(&["-q"]).unmount();
    drop(open);
}

#[test]
fn whoever_checks_or_repairs_a_volume_is_not_disturbed() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let _checking = strongroom_durable::DirLock::exclusive(&volume.cipher_dir).unwrap();
    let output = output_of(&mut volume.gocryptfs(&["-q"]));
    assert_eq!(output.status.code(), Some(11), "{}", words(&output));
    assert!(words(&output).contains(&std::process::id().to_string()), "{}", words(&output));
    assert!(!is_mountpoint(&volume.mountpoint));
}

#[test]
fn strongrooms_own_mount_is_refused_beside_one_of_these() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let mounted = volume.mount(&["-q"]);
    let second = volume.scratch.dir("second");
    let mut command = Program::Strongroom.mount_command(&volume.scratch, &volume.cipher_dir, &second, &[]);
    let output = output_of(&mut command);
    assert!(!output.status.success() && words(&output).contains(&mounted.pid().to_string()), "{}", words(&output));
    mounted.unmount();
}

#[test]
fn a_mount_that_waits_for_its_password_keeps_no_other_away() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let mut waiting = Command::new(volume.scratch.path("bin/gocryptfs"));
    waiting.arg("-fg").arg(&volume.cipher_dir).arg(volume.scratch.dir("elsewhere"));
    without_terminal(waiting.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut waiting = waiting.spawn().unwrap();
    let mut lines = BufReader::new(waiting.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("Reading Password from stdin")));
    let first = volume.mount(&["-q"]);
    drop(waiting.stdin.take());
    assert_eq!(waiting.wait().unwrap().code(), Some(9));
    first.unmount();
}
