//! The process at the terminal, the one it starts, and how they part.

use std::fs::{self, File};
use std::io::Read;
use std::process::Stdio;

use rustix::process::{Signal, getpid};
use strongroom_tests::{has, is_mountpoint, output_of, wait_until, without_terminal};

use crate::{MOUNTS, Mounted, PATIENCE, Volume, words};

#[test]
fn a_start_returns_when_the_mount_answers_and_a_pipe_from_it_ends() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    // The reader waits for the end of what the program wrote to, which the background process must not keep.
    let output = output_of(
        &mut volume
            .shell("gocryptfs -passfile passphrase cipher mount 2>&1 | cat; echo text > mount/file; cat mount/file"),
    );
    let mounted = Mounted::at(&volume.mountpoint);
    assert!(words(&output).ends_with("Filesystem mounted and ready.\ntext\n"), "{}", words(&output));
    mounted.unmount();
}

#[test]
fn the_background_process_has_left_the_terminal_and_the_directory() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let mounted = volume.mount(&["-q"]);
    let proc = |name: &str| format!("/proc/{}/{name}", mounted.pid());
    assert_eq!(fs::read_link(proc("cwd")).unwrap().to_str(), Some("/"));
    assert_eq!(fs::read_link(proc("fd/0")).unwrap().to_str(), Some("/dev/null"));
    let stat = fs::read_to_string(proc("stat")).unwrap();
    let session = stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().to_owned();
    assert_eq!(session, mounted.pid().to_string());
    assert_eq!(fs::read_to_string(proc("comm")).unwrap(), "gocryptfs\n");
    mounted.unmount();
}

#[test]
fn who_has_it_notify_them_gets_a_signal() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    // The shell is the one to be notified: only the signal ends its sleep before time.
    let script = "trap 'echo notified; exit 0' USR1
        gocryptfs -q -passfile passphrase -fg -notifypid=$$ cipher mount > words 2>&1 &
        for turn in $(seq 600); do sleep 0.1; done; exit 9";
    let output = output_of(&mut volume.shell(script));
    let mounted = Mounted::at(&volume.mountpoint);
    assert_eq!((output.status.code(), words(&output).as_str()), (Some(0), "notified\n"));
    mounted.unmount();
}

#[test]
fn the_exit_code_of_the_background_process_is_passed_on() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    volume.scratch.write_passphrase("passphrase", "not this one");
    let output = output_of(&mut volume.gocryptfs(&[]));
    assert_eq!(output.status.code(), Some(12), "{}", words(&output));
    assert!(words(&output).contains("Password incorrect."));
    assert!(!is_mountpoint(&volume.mountpoint));
}

#[test]
fn without_the_system_log_standard_output_stays() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let log = File::create(volume.scratch.path("log")).unwrap();
    let mut command = volume.gocryptfs(&["-nosyslog"]);
    strongroom_tests::run(command.stdout(log.try_clone().unwrap()).stderr(log));
    let mounted = Mounted::at(&volume.mountpoint);
    let output = fs::read_link(format!("/proc/{}/fd/1", mounted.pid())).unwrap();
    assert_eq!(output, volume.scratch.path("log").canonicalize().unwrap());
    mounted.unmount();
}

#[test]
fn in_the_foreground_it_stays_where_it_is() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let mut command = volume.gocryptfs(&["-fg"]);
    strongroom_tests::die_with_the_test(&mut command);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    wait_until("it is mounted", PATIENCE, || is_mountpoint(&volume.mountpoint));
    let mounted = Mounted::at(&volume.mountpoint);
    assert_eq!(mounted.pid(), child.id());
    mounted.signal(Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(15));
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("Filesystem mounted and ready."), "{text}");
}

#[test]
fn it_is_also_a_command_of_strongroom() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let mut command = volume.shell("strongroom gocryptfs -q -passfile passphrase cipher mount | cat");
    strongroom_tests::run(without_terminal(&mut command));
    let mounted = Mounted::at(&volume.mountpoint);
    assert_eq!(mounted.kind, "fuse.gocryptfs");
    assert_ne!(mounted.pid(), getpid().as_raw_nonzero().get() as u32);
    mounted.unmount();
}
