//! Mount points that nobody can write to while nothing is mounted on them.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::{Command, Output},
};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use strongroom_tests::{Format, Program, Scratch, has, is_mountpoint, output_of, run};

use crate::AS_ROOT;

const NOBODY: u32 = 65_534;

#[test]
fn root_mounts_on_an_immutable_directory() {
    if !has(AS_ROOT) {
        return;
    }
    let scratch = Scratch::new();
    let (cipher, mount) = (scratch.dir("cipher"), scratch.dir("mount"));
    Program::Strongroom.init(&scratch, &cipher, &Format::default());
    run(Command::new("chattr").arg("+i").arg(&mount));
    let _mutable = Mutable(&mount);
    assert!(fs::write(mount.join("file"), "").is_err(), "the guard is up");
    let server = Program::Strongroom.mount(&scratch, &cipher, &mount, &[]);
    fs::write(server.path("file"), "x").unwrap();
    server.unmount();
    assert!(fs::write(mount.join("file"), "").is_err(), "the guard is up again");
}

/// An immutable directory could not be removed.
struct Mutable<'a>(&'a Path);

impl Drop for Mutable<'_> {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(self.0).status();
    }
}

struct User {
    scratch: Scratch,
    binary: std::path::PathBuf,
}

impl User {
    /// An ordinary user with a vault.
    fn new() -> Self {
        let scratch = Scratch::new();
        open_the_device_to_all(&scratch);
        let binary = scratch.path("strongroom");
        fs::copy(Program::Strongroom.command().get_program(), &binary).unwrap();
        for folder in ["cipher", "mount"] {
            chown(scratch.dir(folder), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        chown(scratch.passphrase_file(), Some(NOBODY), Some(NOBODY)).unwrap();
        let user = Self { scratch, binary };
        let made = user.strongroom(&["init", "--scrypt-log-n", "10", "--passphrase-file", "passphrase", "cipher"]);
        assert!(made.status.success(), "{}", words(&made));
        user
    }

    fn strongroom(&self, arguments: &[&str]) -> Output {
        let mut command = as_nobody();
        output_of(command.arg(&self.binary).args(arguments).current_dir(self.scratch.path("")).env_remove("HOME"))
    }

    fn mount(&self) -> Output {
        self.strongroom(&["mount", "--passphrase-file", "passphrase", "cipher", "mount"])
    }

    fn shell(&self, script: &str) -> Output {
        output_of(as_nobody().args(["sh", "-c", script]).current_dir(self.scratch.path("")))
    }

    fn guard(&self, mode: u32) {
        fs::set_permissions(self.scratch.path("mount"), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(&self) -> u32 {
        self.scratch.path("mount").metadata().unwrap().mode() & 0o7777
    }
}

fn as_nobody() -> Command {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()]);
    command
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// /dev/fuse is open to everybody on most machines; on one where it is not, within this test's mounts.
fn open_the_device_to_all(scratch: &Scratch) {
    if fs::metadata("/dev/fuse").unwrap().mode() & 0o666 == 0o666 {
        return;
    }
    let device = scratch.path("fuse");
    mknodat(CWD, &device, FileType::CharacterDevice, Mode::empty(), makedev(10, 229)).unwrap();
    fs::set_permissions(&device, fs::Permissions::from_mode(0o666)).unwrap();
    run(Command::new("mount").arg("--bind").arg(device).arg("/dev/fuse"));
}

#[test]
fn an_ordinary_user_mounts_on_a_directory_that_nobody_can_write_to() {
    if !has(AS_ROOT) {
        return;
    }
    let user = User::new();
    for mode in [0o500, 0o555] {
        user.guard(mode);
        assert!(!user.shell("echo x > mount/file").status.success(), "the guard is up");
        let mounted = user.mount();
        assert!(mounted.status.success(), "{}", words(&mounted));
        assert!(user.shell("echo x > mount/file && cat mount/file").status.success());
        let unmounted = user.strongroom(&["umount", "mount"]);
        assert!(unmounted.status.success(), "{}", words(&unmounted));
        assert_eq!(user.mode(), mode);
        assert!(!user.shell("echo x > mount/file").status.success(), "the guard is up again");
    }
}

#[test]
fn the_guard_is_up_again_after_a_mount_that_failed() {
    if !has(AS_ROOT) {
        return;
    }
    let user = User::new();
    user.guard(0o500);
    // Within this test's mounts there is no device that he could open.
    let closed = user.scratch.path("closed");
    mknodat(CWD, &closed, FileType::CharacterDevice, Mode::empty(), makedev(10, 230)).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o666)).unwrap();
    let helper = user.scratch.path("fusermount3");
    fs::write(&helper, "#!/bin/sh\nstat -c %a \"$4\" > \"${4%/*}/seen\"\necho no such luck >&2\nexit 1\n").unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(user.scratch.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = as_nobody();
    command.env("PATH", format!("{}:{}", user.scratch.path("").display(), std::env::var("PATH").unwrap()));
    command.arg(&user.binary).args(["mount", "--passphrase-file", "passphrase", "cipher", "mount"]);
    let refused = output_of(command.current_dir(user.scratch.path("")).env_remove("HOME"));
    assert!(words(&refused).contains("no such luck"), "{}", words(&refused));
    let seen = fs::read_to_string(user.scratch.path("seen")).unwrap();
    assert_eq!((seen.trim(), user.mode()), ("700", 0o500));
    assert!(!is_mountpoint(&user.scratch.path("mount")));
}
