//! pam_mount: a volume is mounted at login with the user's password, and unmounted at logout.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use strongroom_tests::{Need, PASSPHRASE, Program, has, is_mountpoint, output_of, run};

use crate::{Mounted, USUAL_PATH, Volume, words};

const NEEDS: &[Need] = &[Need::Fuse, Need::Root, Need::Program("pamtester"), Need::Program("pmvarrun")];
const STACK: &str = "auth optional pam_mount.so\nauth required pam_permit.so\naccount required pam_permit.so\n\
                     session optional pam_mount.so\n";

/// A volume of the user `nobody`, which pam_mount mounts at login. What is read below /etc is this test's own.
fn with_pam() -> Volume {
    let volume = Volume::create();
    let path = |name: &str| volume.scratch.path(name);
    fs::remove_file(path("bin/gocryptfs")).unwrap();
    fs::copy(Program::Strongroom.command().get_program(), path("bin/gocryptfs")).unwrap();
    volume.install();
    for name in ["cipher", "mount", "cipher/gocryptfs.conf", "cipher/gocryptfs.diriv"] {
        chown(path(name), Some(65534), Some(65534)).unwrap();
    }
    run(Command::new("mknod").arg(path("fuse")).args(["c", "10", "229"]));
    fs::set_permissions(path("fuse"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::write(volume.scratch.dir("pam.d").join("login-of-a-test"), STACK).unwrap();
    fs::write(path("pam_mount.conf.xml"), configuration(&volume)).unwrap();
    volume.scratch.dir("run");
    let places = [
        ("fuse", "/dev/fuse"),
        ("pam.d", "/etc/pam.d"),
        ("pam_mount.conf.xml", "/etc/security/pam_mount.conf.xml"),
        ("run", "/run"),
    ];
    for (own, place) in places {
        run(Command::new("mount").arg("--bind").arg(path(own)).arg(place));
    }
    volume
}

fn configuration(volume: &Volume) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8" ?>
<!DOCTYPE pam_mount SYSTEM "pam_mount.conf.xml.dtd">
<pam_mount>
<volume user="nobody" fstype="fuse" options="nodev,nosuid,quiet,nonempty" path="/usr/local/sbin/gocryptfs#{}" mountpoint="{}" />
<mntoptions allow="*" />
<mntoptions require="nosuid,nodev" />
</pam_mount>
"#,
        volume.cipher_dir.display(),
        volume.mountpoint.display()
    )
}

fn pamtester(password: &str, session: &str) -> Command {
    let script = "printf '%s\\n' \"$1\" | pamtester login-of-a-test nobody authenticate \"$2\"";
    let mut command = Command::new("sh");
    command.args(["-ec", script, "sh", password, session]).env("PATH", USUAL_PATH).current_dir("/");
    command
}

#[test]
fn a_login_mounts_and_a_logout_unmounts() {
    if !has(NEEDS) {
        return;
    }
    let volume = with_pam();
    let output = run(&mut pamtester(PASSPHRASE, "open_session"));
    assert!(is_mountpoint(&volume.mountpoint), "{}", words(&output));
    let mounted = Mounted::at(&volume.mountpoint);
    assert!(mounted.kind == "fuse.gocryptfs" && mounted.has("user_id=65534"), "{}", mounted.options);
    let output = run(&mut pamtester(PASSPHRASE, "close_session"));
    assert!(!is_mountpoint(&volume.mountpoint), "{}", words(&output));
}

#[test]
fn a_login_with_another_password_mounts_nothing() {
    if !has(NEEDS) {
        return;
    }
    let volume = with_pam();
    let output = output_of(&mut pamtester("not this one", "open_session"));
    assert!(!is_mountpoint(&volume.mountpoint), "{}", words(&output));
}
