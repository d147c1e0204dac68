//! Ordinary users, for whom fusermount3 mounts.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use strongroom_tests::{Program, has, output_of, run};

use crate::{AS_ROOT, Volume, words};

const NOBODY: u32 = 65534;

/// A volume that belongs to a user without privileges, who may open /dev/fuse as on most machines.
fn of_nobody() -> Volume {
    let volume = Volume::create();
    // The user must be able to run the program, wherever it was built.
    let program = volume.scratch.path("bin/gocryptfs");
    fs::remove_file(&program).unwrap();
    fs::copy(Program::Strongroom.command().get_program(), &program).unwrap();
    fs::remove_file(volume.scratch.path("bin/strongroom")).unwrap();
    std::os::unix::fs::symlink("gocryptfs", volume.scratch.path("bin/strongroom")).unwrap();
    let owned = ["cipher", "mount", "passphrase", "cipher/gocryptfs.conf", "cipher/gocryptfs.diriv"];
    owned.iter().for_each(|name| chown(volume.scratch.path(name), Some(NOBODY), Some(NOBODY)).unwrap());
    let device = volume.scratch.path("fuse");
    run(Command::new("mknod").arg(&device).args(["c", "10", "229"]));
    fs::set_permissions(&device, fs::Permissions::from_mode(0o666)).unwrap();
    run(Command::new("mount").arg("--bind").arg(&device).arg("/dev/fuse"));
    volume
}

fn as_nobody(volume: &Volume, script: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    let shell = volume.shell(script);
    command.arg(shell.get_program()).args(shell.get_args()).current_dir(volume.scratch.path(""));
    command.env("PATH", format!("{}:{}", volume.scratch.path("bin").display(), crate::USUAL_PATH));
    command
}

/// Gives the machine's fuse.conf, for this test, this text.
fn fuse_conf(volume: &Volume, text: &str) {
    let conf = volume.scratch.path("fuse.conf");
    fs::write(&conf, text).unwrap();
    run(Command::new("mount").arg("--bind").arg(&conf).arg("/etc/fuse.conf"));
}

#[test]
fn an_ordinary_user_mounts_uses_and_unmounts() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = of_nobody();
    for (mount, kind) in [
        ("gocryptfs -q -passfile passphrase cipher mount | cat", "fuse.gocryptfs"),
        ("strongroom mount -o passphrase_file=passphrase cipher mount > /dev/null", "fuse.strongroom"),
    ] {
        let script = format!(
            "{mount}; grep -q \"$PWD/mount .* {kind} $PWD/cipher .*user_id=65534\" /proc/self/mountinfo
            echo text > mount/file; mv mount/file mount/moved; chmod 600 mount/moved; stat -c %u:%a mount/moved
            fusermount3 -u mount; ! grep -q \"$PWD/mount\" /proc/self/mountinfo
            flock cipher true # until who served it has ended"
        );
        let output = output_of(&mut as_nobody(&volume, &script));
        assert!(output.status.success(), "{kind}: {}", words(&output));
        assert_eq!(words(&output), "65534:600\n");
    }
}

#[test]
fn a_signal_unmounts_an_ordinary_users_mount() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = of_nobody();
    let script = "gocryptfs -q -fg -notifypid=$$ -passfile passphrase cipher mount & server=$!
        trap 'echo ready > ready' USR1; until [ -e ready ]; do kill -0 $server; sleep 0.1; done
        cd /; kill -TERM $server; wait $server || echo ended $?
        ! grep -q /mount /proc/self/mountinfo";
    let script = script.replace("> ready", "> /dev/null; ready=1").replace("[ -e ready ]", "[ -n \"$ready\" ]");
    let output = output_of(&mut as_nobody(&volume, &script));
    assert!(words(&output).contains("ended 15"), "{}", words(&output));
}

#[test]
fn allow_other_without_permission_is_explained() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = of_nobody();
    fuse_conf(&volume, "# nothing is allowed\n");
    for (mount, code) in [
        ("gocryptfs -q -allow_other -passfile passphrase cipher mount", Some(19)),
        ("strongroom mount -o allow_other,passphrase_file=passphrase cipher mount", None),
    ] {
        let output = output_of(&mut as_nobody(&volume, mount));
        assert!(!output.status.success() && code.is_none_or(|code| output.status.code() == Some(code)), "{output:?}");
        assert!(words(&output).contains("user_allow_other") && words(&output).contains("/etc/fuse.conf"), "{output:?}");
    }
    let volume = of_nobody();
    fuse_conf(&volume, "user_allow_other\n");
    let script = "gocryptfs -q -allow_other -passfile passphrase cipher mount
        grep -q \"$PWD/mount .*default_permissions,allow_other\" /proc/self/mountinfo; fusermount3 -u mount";
    let output = output_of(&mut as_nobody(&volume, script));
    assert!(output.status.success(), "{}", words(&output));
}
