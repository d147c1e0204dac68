//! A real systemd mounts a vault by the unit that was written, and its services do not run without it.

use std::{fs, os::unix::fs::PermissionsExt, process::Command, time::Duration};

use strongroom_actions::migrate::{BootKind, BootSecret};
use strongroom_migrate::{Direction, MigrationId, boot};
use strongroom_testkit::UserSystemd;
use strongroom_tests::{Need, has, output_of, wait_until};

use crate::{
    AS_ROOT,
    driver::{Fenced, machine, within},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A fenced directory, a systemd, and a service in it that holds a file of the data open.
fn scene(name: &str) -> Option<(Fenced, UserSystemd, String)> {
    has(AS_ROOT).then(|| Fenced::named(name, BootKind::SystemdUser, &["systemd-user:app"])).and_then(scene_of)
}

fn scene_of(fenced: Fenced) -> Option<(Fenced, UserSystemd, String)> {
    let systemd = fenced.systemd()?;
    let data = fenced.plan.data.to_str().unwrap().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    systemd.unit(
        "app.service",
        &format!("[Service]\nExecStart=:/bin/sh -c 'exec sleep 3600 < \"$0/hello\"' \"{data}\"\n"),
    );
    let unit = boot::way(&fenced.plan, &machine(&fenced.scratch.path(""))).unwrap().unit.unwrap();
    Some((fenced, systemd, unit))
}

fn is_active(systemd: &UserSystemd, unit: &str) -> bool {
    systemd.property(unit, "ActiveState") == "active"
}

#[track_caller]
fn starts(systemd: &UserSystemd, unit: &str) {
    let output = systemd.systemctl(&["start", unit]);
    let status = systemd.systemctl(&["status", unit]);
    assert!(output.status.success() && is_active(systemd, unit), "{output:?}\n{status:?}");
}

#[track_caller]
fn does_not_start(systemd: &UserSystemd, unit: &str) -> String {
    let output = systemd.systemctl(&["start", unit]);
    assert!(!output.status.success() && !is_active(systemd, unit), "{unit} started");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_unit_mounts_unmounts_and_mounts_again_and_the_service_goes_with_it() {
    let Some((fenced, systemd, unit)) = scene("data") else { return };
    fenced.drive_in(&systemd, "prepare").unwrap();
    assert_eq!(fenced.standing_in(&systemd), "Absent");
    let wanted = fenced.units().join("default.target.wants").join(&unit);
    assert!(wanted.symlink_metadata().is_err(), "nothing is enabled yet");

    fenced.drive_in(&systemd, "mount").unwrap();
    assert_eq!(fenced.standing_in(&systemd), "Ours");
    assert!(is_active(&systemd, &unit) && wanted.exists());
    assert_eq!(systemd.property(&unit, "UnitFileState"), "enabled");
    assert_eq!(within(&systemd, "cat \"$1/hello\"", &fenced.plan.data).stdout, b"from the vault");
    starts(&systemd, "app.service");
    fenced.drive_in(&systemd, "mount").unwrap();

    let busy = fenced.drive_in(&systemd, "umount").unwrap_err();
    assert!(busy.starts_with("Busy") && busy.contains("sleep"), "{busy}");
    assert_eq!(fenced.standing_in(&systemd), "Ours");

    systemd.systemctl(&["stop", "app.service"]);
    fenced.drive_in(&systemd, "umount").unwrap();
    assert_eq!(fenced.standing_in(&systemd), "Absent");
    assert!(!is_active(&systemd, &unit));

    // Mounted by nobody but whoever needs it.
    starts(&systemd, "app.service");
    assert_eq!(fenced.standing_in(&systemd), "Ours");
    systemd.systemctl(&["stop", &unit]);
    assert!(!is_active(&systemd, "app.service"), "the service does not outlive the mount");
    assert_eq!(fenced.standing_in(&systemd), "Absent");

    fenced.drive_in(&systemd, "withdraw").unwrap();
    fenced.drive_in(&systemd, "withdraw").unwrap();
    let left: Vec<_> = fs::read_dir(fenced.units()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["app.service"], "what was there before is what is left");
    assert_eq!(systemd.property("app.service", "DropInPaths"), "");
}

/// The instance is a user's; the unit is as it would be for the one that starts the machine.
#[test]
fn the_unit_of_the_system_mounts_too() {
    let fenced = has(AS_ROOT).then(|| Fenced::new(BootKind::Systemd, &["systemd:app"]));
    let Some((fenced, systemd, unit)) = fenced.and_then(scene_of) else { return };
    fenced.drive_in(&systemd, "arm").unwrap();
    fenced.drive_in(&systemd, "prepare").unwrap();
    fenced.drive_in(&systemd, "mount").unwrap();
    assert_eq!(fenced.standing_in(&systemd), "Ours");
    assert!(fenced.units().join("multi-user.target.wants").join(&unit).exists());
    starts(&systemd, "app.service");
    let score = systemd.property(&unit, "OOMScoreAdjust");
    assert_eq!(score, "-900");
    systemd.systemctl(&["stop", &unit]);
    assert!(!is_active(&systemd, "app.service"));
    fenced.drive_in(&systemd, "withdraw").unwrap();
    fenced.drive_in(&systemd, "disarm").unwrap();
    assert_eq!(fs::read_dir(fenced.units()).unwrap().count(), 1);
}

#[test]
fn a_service_never_starts_on_the_bare_directory() {
    let Some((fenced, systemd, unit)) = scene("data") else { return };
    fenced.drive_in(&systemd, "prepare").unwrap();
    // The unit is up, as far as systemd knows, and yet nothing is mounted.
    let lie = fenced.units().join(format!("{unit}.d"));
    fs::create_dir(&lie).unwrap();
    let nothing = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=\nExecStart=/bin/true\nLoadCredential=\n";
    fs::write(lie.join("lie.conf"), nothing).unwrap();
    systemd.systemctl(&["daemon-reload"]);
    let said = does_not_start(&systemd, "app.service");
    assert!(is_active(&systemd, &unit), "{said}");
    assert!(said.to_lowercase().contains("assert"), "{said}");
}

#[test]
fn without_the_passphrase_nothing_starts_and_nothing_can_be_written() {
    let Some((fenced, systemd, unit)) = scene("data") else { return };
    fenced.drive_in(&systemd, "prepare").unwrap();
    fs::remove_file(fenced.scratch.passphrase_file()).unwrap();
    does_not_start(&systemd, "app.service");
    assert!(!is_active(&systemd, &unit));
    let failed = fenced.drive_in(&systemd, "mount").unwrap_err();
    assert!(failed.contains(&unit), "{failed}");
    assert_eq!(fenced.standing_in(&systemd), "Absent");
}

#[test]
fn a_killed_server_takes_the_service_down_and_leaves_no_dead_mount() {
    let Some((fenced, systemd, unit)) = scene("data") else { return };
    fenced.drive_in(&systemd, "prepare").unwrap();
    fenced.drive_in(&systemd, "mount").unwrap();
    starts(&systemd, "app.service");
    let server = systemd.property(&unit, "MainPID").parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(server).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    wait_until("the service is down", PATIENCE, || {
        !is_active(&systemd, "app.service") && systemd.property(&unit, "ActiveState") == "failed"
    });
    assert_eq!(fenced.standing_in(&systemd), "Absent");
    starts(&systemd, "app.service");
    assert_eq!(fenced.standing_in(&systemd), "Ours");
    systemd.systemctl(&["stop", &unit]);
}

#[test]
fn a_path_with_every_oddity_is_mounted_by_its_unit() {
    let Some((fenced, systemd, unit)) = scene("a b%n\"$HOME\\x'é;#") else { return };
    fenced.drive_in(&systemd, "prepare").unwrap();
    fenced.drive_in(&systemd, "mount").unwrap();
    assert_eq!(fenced.standing_in(&systemd), "Ours");
    starts(&systemd, "app.service");
    assert!(is_active(&systemd, &unit));
    systemd.systemctl(&["stop", &unit]);
    assert_eq!(fenced.standing_in(&systemd), "Absent");
}

#[test]
fn the_passphrase_comes_from_a_command() {
    let Some((mut fenced, systemd, unit)) = scene("data") else { return };
    let file = fenced.scratch.passphrase_file();
    fenced.plan.boot_secret = BootSecret::Command(format!("printf '%s\\n' \"$(cat '{}')\"", file.display()));
    fenced.drive_in(&systemd, "prepare").unwrap();
    fenced.drive_in(&systemd, "mount").unwrap();
    assert_eq!(fenced.standing_in(&systemd), "Ours");
    systemd.systemctl(&["stop", &unit]);
}

#[test]
fn the_passphrase_is_sealed_for_this_machine_and_not_in_any_unit() {
    if !has(&[Need::Program("systemd-creds")]) {
        return;
    }
    let Some((mut fenced, systemd, unit)) = scene("data") else { return };
    // The key of the machine is one of this test's own.
    let hidden = within(&systemd, "mount --bind \"$1\" /var/lib/systemd", &fenced.scratch.dir("key"));
    assert!(hidden.status.success(), "{hidden:?}");
    let sealed = fenced.scratch.path("credstore/app");
    fenced.plan.boot_secret = BootSecret::Credential(sealed.clone());
    fenced.drive_in(&systemd, "prepare").unwrap();
    let passphrase = strongroom_tests::PASSPHRASE.as_bytes();
    let holds = |bytes: &[u8]| bytes.windows(passphrase.len()).any(|window| window == passphrase);
    assert!(!holds(&fs::read(&sealed).unwrap()) && !holds(&fs::read(fenced.units().join(&unit)).unwrap()));
    fenced.drive_in(&systemd, "mount").unwrap();
    assert_eq!(fenced.standing_in(&systemd), "Ours");
    systemd.systemctl(&["stop", &unit]);
    fenced.drive_in(&systemd, "withdraw").unwrap();
    assert!(!sealed.exists(), "what was sealed for this is gone with it");
}

#[test]
fn a_decryption_withdraws_what_the_encryption_wrote_and_has_it_back_if_it_is_called_off() {
    let Some((mut fenced, systemd, unit)) = scene("data") else { return };
    fenced.drive_in(&systemd, "prepare").unwrap();
    fenced.drive_in(&systemd, "mount").unwrap();
    let migrations = fenced.scratch.path("state/migrations");
    let json = serde_json::to_vec(&fenced.plan).unwrap();
    fs::write(migrations.join(fenced.plan.id.to_string()).join("plan.json"), json).unwrap();

    (fenced.plan.direction, fenced.plan.id) = (Direction::Decrypt, MigrationId([8; 8]));
    (fenced.plan.boot, fenced.plan.boot_secret) = (BootKind::Manual, BootSecret::Asked);
    fs::create_dir(migrations.join(fenced.plan.id.to_string())).unwrap();
    fenced.drive_in(&systemd, "umount").unwrap();
    fenced.drive_in(&systemd, "withdraw").unwrap();
    assert_eq!(systemd.property(&unit, "LoadState"), "not-found");
    assert_eq!(systemd.property("app.service", "DropInPaths"), "");

    fenced.drive_in(&systemd, "prepare").unwrap();
    fenced.drive_in(&systemd, "mount").unwrap();
    assert!(is_active(&systemd, &unit));
    assert!(systemd.property("app.service", "DropInPaths").contains("50-strongroom-0707070707070707.conf"));
    systemd.systemctl(&["stop", &unit]);
}

#[test]
fn a_passphrase_file_that_others_can_read_is_refused() {
    if !has(AS_ROOT) {
        return;
    }
    let fenced = Fenced::new(BootKind::SystemdUser, &[]);
    fs::set_permissions(fenced.scratch.passphrase_file(), fs::Permissions::from_mode(0o644)).unwrap();
    for verb in ["arm", "prepare"] {
        let refused = fenced.drive(verb).unwrap_err();
        assert!(refused.contains("can be read by others") && refused.contains("chmod 600"), "{verb}: {refused}");
    }
}

#[test]
fn units_of_the_system_have_no_mistakes_in_them() {
    if !has(&[Need::Root, Need::Fuse, Need::Program("systemd-analyze")]) {
        return;
    }
    let mut fenced = Fenced::named("a b%c", BootKind::Systemd, &["systemd:app", "docker:web"]);
    fenced.plan.boot_secret = BootSecret::Credential(fenced.scratch.path("sealed cred"));
    let machine = machine(&fenced.scratch.path(""));
    let ways = [boot::way(&fenced.plan, &machine).unwrap(), boot::recovery(&fenced.plan, &machine).unwrap()];
    let record = boot::Record::at(&fenced.scratch.path("record"), fenced.plan.id);
    for way in &ways {
        let all: Vec<_> = way.artefacts().cloned().collect();
        record.install(&all).unwrap();
    }
    fs::write(machine.system_units.join("app.service"), "[Service]\nExecStart=/bin/true\n").unwrap();
    fs::write(machine.system_units.join("docker.service"), "[Service]\nExecStart=/bin/true\n").unwrap();
    let units: Vec<_> = ways.iter().map(|way| machine.system_units.join(way.unit.as_ref().unwrap())).collect();
    let mut verify = Command::new("systemd-analyze");
    verify
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args(&units)
        .arg(machine.system_units.join("app.service"));
    verify.env("SYSTEMD_UNIT_PATH", format!("{}:", machine.system_units.display()));
    let output = output_of(&mut verify);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let ours: Vec<_> = said.lines().filter(|line| line.contains("strongroom-")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}
