//! systemd: services that mount, of each type that waits for the mount, and a mount unit.

use std::path::Path;
use std::process::{Command, Output};

use strongroom_testkit::UserSystemd;
use strongroom_tests::{has, output_of, wait_until};

use crate::{AS_ROOT, PATIENCE, Volume, said, words};

fn within(systemd: &UserSystemd, script: &str) -> Output {
    let mut command = Command::new("nsenter");
    output_of(command.args(["--mount", "--target", &systemd.pid().to_string(), "sh", "-ec", script]))
}

#[track_caller]
fn works(systemd: &UserSystemd, arguments: &[&str]) {
    let output = systemd.systemctl(arguments);
    let status = words(&systemd.systemctl(&["status", arguments[1]]));
    assert!(output.status.success(), "{arguments:?}: {}\n{status}", words(&output));
}

/// Starts and stops the unit, which mounts the volume.
#[track_caller]
fn comes_and_goes(systemd: &UserSystemd, unit: &str, mountpoint: &Path) {
    works(systemd, &["start", unit]);
    let at = mountpoint.display();
    let used = within(systemd, &format!("mountpoint -q {at}; echo text > {at}/file; cat {at}/file"));
    assert_eq!(words(&used), "text\n");
    assert_eq!(systemd.property(unit, "ActiveState"), "active");
    works(systemd, &["stop", unit]);
    wait_until("it is unmounted", PATIENCE, || !within(systemd, &format!("mountpoint -q {at}")).status.success());
    let state = || systemd.property(unit, "ActiveState");
    wait_until("the unit has ended", PATIENCE, || state() != "deactivating");
    assert_eq!(state(), "inactive", "{}", words(&systemd.systemctl(&["status", unit])));
}

#[test]
fn services_and_a_mount_unit_mount_and_unmount() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = Volume::create();
    volume.install();
    let Some(systemd) = UserSystemd::start(&volume.scratch.dir("sd")) else { return };
    let (cipher, at) = (volume.cipher_dir.display(), volume.mountpoint.display());
    let key = volume.scratch.passphrase_file();
    let gocryptfs = format!("/usr/local/sbin/gocryptfs -q -passfile {}", key.display());
    // Whoever is told by a signal to end says so by an exit code of its own.
    let services = [
        ("forking", format!("ExecStart={gocryptfs} {cipher} {at}\nExecStop=fusermount3 -u {at}")),
        ("notify", format!("ExecStart={gocryptfs} -fg {cipher} {at}\nSuccessExitStatus=15")),
    ];
    for (kind, lines) in services {
        let unit = format!("vault-{kind}.service");
        systemd.unit(&unit, &format!("[Service]\nType={kind}\n{lines}\n"));
        comes_and_goes(&systemd, &unit, &volume.mountpoint);
    }
    let unit = said(Command::new("systemd-escape").args(["--path", "--suffix=mount"]).arg(&volume.mountpoint));
    systemd.unit(
        &unit,
        &format!(
            "[Mount]\nWhat={cipher}\nWhere={at}\nType=fuse.gocryptfs\nOptions=allow_other,passfile={}\n",
            key.display()
        ),
    );
    comes_and_goes(&systemd, &unit, &volume.mountpoint);
}
