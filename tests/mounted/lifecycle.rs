//! A mount from its beginning to its end: background starts, refusals, signals, idleness.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use strongroom_tests::{Format, Program, Server, has, is_mountpoint, output_of, run, wait_until};

use crate::{MOUNTS, Vault, words};

#[test]
fn a_background_start_returns_when_the_mount_answers() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    run(&mut vault.mount_in_background(&[]));
    fs::write(vault.mountpoint.join("file"), "at once").unwrap();
    assert_eq!(fs::read(vault.mountpoint.join("file")).unwrap(), b"at once");
    run(Program::Strongroom.command().arg("umount").arg(&vault.mountpoint));
    assert!(!is_mountpoint(&vault.mountpoint));
    vault.mount(&[]).unmount(); // The directory's lock is free again.
    vault.is_sound();
}

#[test]
fn a_background_start_with_a_wrong_passphrase_fails_with_the_reason() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    vault.scratch.write_passphrase("passphrase", "not this one");
    let output = output_of(&mut vault.mount_in_background(&[]));
    assert!(!output.status.success());
    assert!(words(&output).contains("passphrase"), "{}", words(&output));
    assert!(!is_mountpoint(&vault.mountpoint));
}

#[test]
fn a_directory_that_is_no_vault_is_not_mounted() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    fs::remove_file(vault.cipher_dir.join("gocryptfs.conf")).unwrap();
    let output = output_of(&mut vault.mount_in_background(&[]));
    assert!(!output.status.success());
    assert!(words(&output).contains("gocryptfs.conf"), "{}", words(&output));
}

#[test]
fn a_mount_point_with_files_is_refused_unless_told() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    fs::write(vault.mountpoint.join("mine"), "").unwrap();
    let output = output_of(&mut vault.mount_in_background(&[]));
    assert!(!output.status.success());
    assert!(words(&output).contains("empty"), "{}", words(&output));
    vault.mount(&["--nonempty"]).unmount();
}

#[test]
fn a_second_mount_is_refused_and_names_the_first() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let second = Vault { mountpoint: vault.scratch.dir("second"), ..vault };
    let output = output_of(&mut second.mount_in_background(&[]));
    assert!(!output.status.success());
    assert!(words(&output).contains(&server.pid().to_string()), "{}", words(&output));
    server.unmount();
}

#[test]
fn two_mounts_of_shared_storage_see_each_other() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let first = vault.mount(&["--shared-storage"]);
    let other = vault.scratch.dir("other");
    let second = Program::Strongroom.mount(&vault.scratch, &vault.cipher_dir, &other, &["--shared-storage"]);
    for turn in 0..20 {
        fs::write(first.path("file"), format!("turn {turn}")).unwrap();
        assert_eq!(fs::read_to_string(second.path("file")).unwrap(), format!("turn {turn}"));
        fs::rename(second.path("file"), second.path("renamed")).unwrap();
        assert_eq!(fs::metadata(first.path("file")).unwrap_err().kind(), ErrorKind::NotFound);
        fs::rename(first.path("renamed"), first.path("file")).unwrap();
    }
    second.unmount();
    first.unmount();
    vault.is_sound();
}

#[test]
fn nothing_changes_through_a_read_only_mount() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    fs::write(server.path("file"), "content").unwrap();
    server.unmount();
    let server = vault.mount(&["--read-only"]);
    assert_eq!(fs::read(server.path("file")).unwrap(), b"content");
    let refusals = [
        fs::write(server.path("file"), "").unwrap_err(),
        fs::write(server.path("new"), "").unwrap_err(),
        fs::create_dir(server.path("folder")).unwrap_err(),
        fs::remove_file(server.path("file")).unwrap_err(),
        fs::rename(server.path("file"), server.path("other")).unwrap_err(),
    ];
    assert!(refusals.iter().all(|refusal| refusal.kind() == ErrorKind::ReadOnlyFilesystem), "{refusals:?}");
}

#[test]
fn sigterm_unmounts_and_loses_nothing() {
    unmounts_on(Signal::TERM);
}

#[test]
fn sigint_unmounts_and_loses_nothing() {
    unmounts_on(Signal::INT);
}

fn unmounts_on(signal: Signal) {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let mut server = vault.mount(&[]);
    fs::write(server.path("file"), [5; 300_000]).unwrap();
    server.signal(signal);
    server.ended();
    assert!(server.is_unmounted());
    let server = vault.mount(&[]);
    assert!(fs::read(server.path("file")).unwrap() == [5; 300_000]);
    server.unmount();
    vault.is_sound();
}

#[test]
fn an_idle_mount_goes_away() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let mut server = vault.mount(&["--idle", "1s"]);
    fs::write(server.path("file"), "x").unwrap();
    assert!(server.ended().success());
    assert!(server.is_unmounted());
}

#[test]
fn a_mount_with_an_open_file_is_not_idle() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&["--idle", "1s"]);
    let mut file = File::create_new(server.path("file")).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert!(!server.is_unmounted());
    std::io::Write::write_all(&mut file, b"still here").unwrap();
}

#[test]
fn systemd_is_told_when_the_mount_is_ready() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let path = vault.scratch.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut command = Program::Strongroom.mount_command(&vault.scratch, &vault.cipher_dir, &vault.mountpoint, &[]);
    command.env("NOTIFY_SOCKET", &path);
    let server = Server::start(command, &vault.mountpoint, vault.scratch.path("server.log"));
    let mut message = [0; 500];
    let len = socket.recv(&mut message).unwrap();
    assert!(String::from_utf8_lossy(&message[..len]).lines().any(|line| line == "READY=1"));
    server.unmount();
}

#[test]
fn the_server_leaves_no_core_dump() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn a_server_at_rest_holds_less_than_64_mebibytes() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    fs::write(server.path("large"), vec![1; 64 << 20]).unwrap();
    for number in 0..500 {
        fs::write(server.path(&format!("small-{number}")), "x").unwrap();
    }
    let mut content = Vec::new();
    File::open(server.path("large")).unwrap().read_to_end(&mut content).unwrap();
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    wait_until("the server has let go of its buffers", Duration::from_secs(5), || resident() < 64 << 10);
}

#[test]
fn unmounting_what_is_not_mounted_says_so() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let output = output_of(Program::Strongroom.command().arg("umount").arg(&vault.mountpoint));
    assert!(!output.status.success());
    assert!(words(&output).contains("mount"), "{}", words(&output));
}

#[test]
fn a_volume_made_by_init_says_what_it_is() {
    let vault = Vault::create();
    let mut info = Program::Strongroom.command();
    let output = run(info.args(["info", "--json"]).arg(&vault.cipher_dir));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report.to_string().contains("aes"), "{report}");
}

#[test]
fn init_refuses_a_directory_that_is_not_empty() {
    let vault = Vault::create();
    let output = vault.ask("init", &["--scrypt-log-n", "10"]);
    assert!(!output.status.success());
    Program::Strongroom.init(&vault.scratch, &vault.scratch.dir("another"), &Format::default());
}

#[test]
fn a_mount_is_listed_as_ours() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&["--fsname", "the-vault"]);
    let output = run(Command::new("findmnt").args(["-n", "-o", "FSTYPE,SOURCE"]).arg(server.root()));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>(),
        ["fuse.strongroom", "the-vault"]
    );
}
