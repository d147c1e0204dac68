//! What looks after an interrupted migration when the machine starts runs before the services, and they start on what it
//! leaves.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use strongroom_actions::migrate::BootKind;
use strongroom_migrate::boot::{self, Record};
use strongroom_tests::{has, wait_until};

use crate::{
    AS_ROOT,
    driver::{Fenced, machine},
};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn arming_is_undone_by_disarming() {
    if !has(AS_ROOT) {
        return;
    }
    let fenced = Fenced::new(BootKind::SystemdUser, &["systemd-user:app"]);
    let Some(systemd) = fenced.systemd() else { return };
    fenced.drive_in(&systemd, "arm").unwrap();
    fenced.drive_in(&systemd, "arm").unwrap();
    let unit = format!("strongroom-recover-{}.service", fenced.plan.id);
    assert_eq!(systemd.property(&unit, "UnitFileState"), "enabled");
    assert!(systemd.property(&unit, "Before").contains("app.service"));
    fenced.drive_in(&systemd, "disarm").unwrap();
    assert_eq!(systemd.property(&unit, "LoadState"), "not-found");
    assert_eq!(fs::read_dir(fenced.units()).unwrap().count(), 0);
}

#[test]
fn what_would_be_in_the_way_of_coming_back_is_found_before_anything_is_stopped() {
    if !has(AS_ROOT) {
        return;
    }
    let fenced = Fenced::new(BootKind::Runit, &[]);
    let way = boot::way(&fenced.plan, &machine(&fenced.scratch.path(""))).unwrap();
    fs::create_dir_all(way.service.as_ref().unwrap()).unwrap();
    fs::write(way.service.unwrap().join("run"), "#!/bin/sh\n# somebody's own\n").unwrap();
    let refused = fenced.drive("arm").unwrap_err();
    assert!(refused.contains("not ours") && refused.contains("/run"), "{refused}");
    assert!(!fenced.scratch.path("service").exists(), "nothing was armed");
}

/// The commit point was not reached, but the machine had been told to mount already. What recovers it takes that back while
/// the service waits, and the service then runs on the plaintext.
#[test]
fn a_service_that_waits_for_the_recovery_starts_on_the_plaintext_that_it_brings_back() {
    if !has(AS_ROOT) {
        return;
    }
    let fenced = Fenced::new(BootKind::SystemdUser, &["systemd-user:app"]);
    let Some(systemd) = fenced.systemd() else { return };
    let data = fenced.plan.data.display();
    systemd.unit("app.service", &format!("[Service]\nExecStart=/bin/sh -c 'exec sleep 3600 < {data}/plaintext'\n"));
    let mut machine = machine(&fenced.scratch.path(""));
    let way = boot::way(&fenced.plan, &machine).unwrap();
    let record = Record::at(&fenced.scratch.path("state/boot.json"), fenced.plan.id);
    record.install(&way.artefacts().cloned().collect::<Vec<_>>()).unwrap();

    machine.binary = fenced.scratch.path("recover");
    let recovering = recovery_in_shell(&fenced, &way);
    fs::write(&machine.binary, recovering).unwrap();
    fs::set_permissions(&machine.binary, fs::Permissions::from_mode(0o755)).unwrap();
    let plan_json = fenced.scratch.path("state/migrations").join(fenced.plan.id.to_string()).join("plan.json");
    fs::write(plan_json, "{}").unwrap();
    let recovery = boot::recovery(&fenced.plan, &machine).unwrap();
    let artefacts: Vec<_> = recovery.artefacts().cloned().collect();
    Record::at(&fenced.scratch.path("state/recovery.json"), fenced.plan.id).install(&artefacts).unwrap();
    systemd.systemctl(&["daemon-reload"]);

    // As at boot: all is wanted at once, and the service and its mount wait for the recovery.
    let unit = recovery.unit.unwrap();
    systemd.systemctl(&["start", "--no-block", &unit, "app.service"]);
    wait_until("the service runs", PATIENCE, || systemd.property("app.service", "ActiveState") == "active");
    assert_eq!(systemd.property(&unit, "Result"), "success");
    assert_eq!(fenced.standing_in(&systemd), "Absent");
    let arguments = fs::read_to_string(fenced.scratch.path("arguments")).unwrap();
    assert!(arguments.starts_with("migrate recover --at-boot --state-dir "), "{arguments}");
}

/// What `strongroom migrate recover --at-boot` does before the commit point, as far as systemd can tell; when the service is
/// known to wait.
fn recovery_in_shell(fenced: &Fenced, way: &boot::Way) -> String {
    let (scratch, data) = (fenced.scratch.path(""), fenced.plan.data.display());
    let files: String = way.artefacts().map(|artefact| format!("rm '{}'\n", artefact.path.display())).collect();
    format!(
        "#!/bin/sh\nset -e\necho \"$@\" > {0}/arguments\n\
         until systemctl --user list-jobs | grep -q 'app.service.*waiting'; do :; done\n\
         {files}chmod 755 {data}\necho x > {data}/plaintext\nsystemctl --user daemon-reload\n",
        scratch.display()
    )
}
