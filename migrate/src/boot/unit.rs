//! The unit of systemd that mounts a vault, and drop-ins that keep services from starting without it.
//!
//! It is a service and no mount unit, for those have no credentials in the systemd of most machines. It says that it is ready
//! when the mount answers. Services are bound to it: without it they do not start, and when it ends they are stopped. That
//! they do not start on the bare directory is asserted besides, for whoever mounts and unmounts by hand.

use std::path::Path;

use super::{
    Artefact, BootError, Machine, Shape, Way,
    escape::{is_short_enough, rest_of_line, specifiers, unit_command, unit_path, unit_word},
    hosts_of, mark, mount_arguments, parent,
    recovery::recovery_unit,
    text, units_of,
};
use crate::{BootKind, BootSecret, Plan};

pub(super) fn way(plan: &Plan, machine: &Machine, units: &Path) -> Result<Way, BootError> {
    let unit = mount_unit(plan)?;
    let mut prepared = vec![file(units.join(&unit), mounting(plan, machine)?)];
    prepared.extend(drop_ins(plan, units, Some(&unit))?);
    Ok(Way { prepared, enabling: vec![wanted(units, is_user(plan), &unit)], unit: Some(unit), ..Way::default() })
}

/// The link that `systemctl enable` makes for a unit whose [Install] says [`target`].
pub(super) fn wanted(units: &Path, user: bool, unit: &str) -> Artefact {
    let path = units.join(format!("{}.wants", target(user))).join(unit);
    Artefact { path, shape: Shape::Link(units.join(unit)) }
}

/// What is reached when the machine, or the user's sessions, have started.
pub(super) fn target(user: bool) -> &'static str {
    if user { "default.target" } else { "multi-user.target" }
}

/// What the unit is called that mounts: by the path of the data, or where that is too long, by the migration.
pub(super) fn mount_unit(plan: &Plan) -> Result<String, BootError> {
    let by_path = format!("strongroom-{}.service", unit_path(text(&plan.data)?));
    Ok(if is_short_enough(&by_path) { by_path } else { format!("strongroom-{}.service", plan.id) })
}

pub(super) fn file(path: impl Into<std::path::PathBuf>, content: String) -> Artefact {
    Artefact { path: path.into(), shape: Shape::File { content, mode: 0o644 } }
}

fn is_user(plan: &Plan) -> bool {
    plan.boot == BootKind::SystemdUser
}

fn mounting(plan: &Plan, machine: &Machine) -> Result<String, BootError> {
    let (binary, data) = (text(&machine.binary)?, text(&plan.data)?);
    let arguments = mount_arguments(plan)?;
    let words: Vec<&str> = std::iter::once(binary).chain(arguments.iter().map(String::as_str)).collect();
    let unmount = [binary, "umount", "--", data];
    // A server that was killed leaves a mount that answers nothing, and on which nothing can be mounted.
    let clear = r#"test "$SERVICE_RESULT" = success || exec "$0" umount -- "$1""#;
    let lines = [
        mark(plan.id),
        "# It mounts the vault before the services start that use it. `strongroom migrate rollback` removes it.".into(),
        "[Unit]".into(),
        format!("Description=Encrypted data at {}", specifiers(data)),
        format!("RequiresMountsFor={} {}", unit_word(text(&plan.vault)?), unit_word(text(parent(plan))?)),
        format!("After={}", recovery_unit(plan.id)),
        before(plan)?,
        String::new(),
        "[Service]".into(),
        "Type=notify".into(),
        credential(&plan.boot_secret)?,
        format!("ExecStart={}", unit_command("", &words)),
        format!("ExecStop={}", unit_command("-", &unmount)),
        format!("ExecStopPost={}", unit_command("-", &["/bin/sh", "-c", clear, binary, data])),
        "# What programs wrote last is on its way to the disk: it is not to be killed for being slow.".into(),
        "TimeoutStartSec=5min".into(),
        "TimeoutStopSec=10min".into(),
        "KillMode=mixed".into(),
        if is_user(plan) { String::new() } else { "OOMScoreAdjust=-900".into() },
        String::new(),
        "[Install]".into(),
        format!("WantedBy={}", target(is_user(plan))),
    ];
    Ok(joined(&lines))
}

/// Lines to a text; an empty one is a blank line, and of two such one is enough.
pub(super) fn joined(lines: &[String]) -> String {
    let mut joined = String::new();
    for line in lines {
        if !line.is_empty() || !joined.ends_with("\n\n") {
            joined.push_str(line);
            joined.push('\n');
        }
    }
    joined
}

fn before(plan: &Plan) -> Result<String, BootError> {
    let mut units = units_of(plan, is_user(plan))?;
    if !is_user(plan) {
        units.extend(hosts_of(plan).into_iter().map(str::to_owned));
    }
    Ok(if units.is_empty() { String::new() } else { format!("Before={}", units.join(" ")) })
}

fn credential(secret: &BootSecret) -> Result<String, BootError> {
    let (setting, path) = match secret {
        BootSecret::Credential(path) => ("LoadCredentialEncrypted", path),
        BootSecret::File(path) => ("LoadCredential", path),
        BootSecret::Command(_) | BootSecret::Asked => return Ok(String::new()),
    };
    Ok(format!("{setting}={}:{}", super::CREDENTIAL, rest_of_line(text(path)?)?))
}

/// One for each service of the plan that is a unit; and for what starts others, such as Docker, one that has it wait but not
/// fail, as it may start much else.
pub(super) fn drop_ins(plan: &Plan, units: &Path, mount: Option<&str>) -> Result<Vec<Artefact>, BootError> {
    let data = text(&plan.data)?;
    let place = |unit: &str| units.join(format!("{unit}.d")).join(format!("50-strongroom-{}.conf", plan.id));
    let bound = [
        mark(plan.id),
        "# This service uses data that are encrypted: it neither starts nor runs without them.".into(),
        "[Unit]".into(),
        mount.map(|mount| format!("BindsTo={mount}\nAfter={mount}")).unwrap_or_default(),
        format!("RequiresMountsFor={}", unit_word(data)),
        format!("AssertPathIsMountPoint={}", rest_of_line(data)?),
    ];
    let bound = bound.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>();
    let services = units_of(plan, is_user(plan))?;
    let mut artefacts: Vec<_> = services.iter().map(|unit| file(place(unit), joined(&bound))).collect();
    if let Some(mount) = mount.filter(|_| !is_user(plan)) {
        let waiting = [
            mark(plan.id),
            "# Something that it starts uses data that are encrypted.".into(),
            "[Unit]".into(),
            format!("Wants={mount}\nAfter={mount}"),
        ];
        artefacts.extend(hosts_of(plan).into_iter().map(|unit| file(place(unit), joined(&waiting))));
    }
    Ok(artefacts)
}

#[cfg(test)]
mod tests {
    use crate::{
        BootSecret,
        boot::{BootError, Shape, tests::*, way},
    };

    fn texts(way: &super::Way) -> Vec<(String, String)> {
        let text = |artefact: &super::Artefact| match &artefact.shape {
            Shape::File { content, mode: 0o644 } => content.clone(),
            other => panic!("{other:?}"),
        };
        way.prepared.iter().map(|artefact| (artefact.path.display().to_string(), text(artefact))).collect()
    }

    #[test]
    fn the_unit_mounts_by_credential_and_is_ready_when_it_says_so() {
        let way = way(&plan(), &machine()).unwrap();
        assert_eq!(way.unit.as_deref(), Some("strongroom-srv-app.service"));
        let (path, unit) = &texts(&way)[0];
        assert_eq!(path, "/etc/systemd/system/strongroom-srv-app.service");
        for line in [
            "# strongroom migration 0101010101010101",
            "Type=notify",
            "LoadCredentialEncrypted=strongroom.passphrase:/etc/credstore.encrypted/app",
            r#"ExecStart=:"/usr/bin/strongroom" "mount" "--foreground" "--passphrase-credential" "strongroom.passphrase" "-o" "allow_other,acl" "--" "/srv/app.vault" "/srv/app""#,
            r#"RequiresMountsFor="/srv/app.vault" "/srv""#,
            "Before=db.service web.service",
            "WantedBy=multi-user.target",
        ] {
            assert!(unit.lines().any(|found| found == line), "{line} is not in\n{unit}");
        }
    }

    #[test]
    fn a_service_is_bound_to_it_and_asserts_that_it_is_mounted() {
        let texts = texts(&way(&plan(), &machine()).unwrap());
        assert_eq!(texts[1].0, "/etc/systemd/system/db.service.d/50-strongroom-0101010101010101.conf");
        for line in [
            "BindsTo=strongroom-srv-app.service",
            "After=strongroom-srv-app.service",
            "RequiresMountsFor=\"/srv/app\"",
            "AssertPathIsMountPoint=/srv/app",
        ] {
            assert!(texts[1].1.lines().any(|found| found == line), "{line} is not in\n{}", texts[1].1);
        }
        assert!(texts[2].0.contains("/web.service.d/"));
    }

    #[test]
    fn docker_waits_but_does_not_depend_on_one_of_its_containers() {
        let mut plan = plan();
        plan.services = vec!["docker:web".parse().unwrap(), "compose:/c.yml".parse().unwrap()];
        let texts = texts(&way(&plan, &machine()).unwrap());
        assert_eq!(texts.iter().filter(|(path, _)| path.contains("/docker.service.d/")).count(), 1);
        assert!(texts[1].1.contains("Wants=strongroom-srv-app.service"));
        assert!(!texts[1].1.contains("Assert") && !texts[1].1.contains("BindsTo"));
    }

    #[test]
    fn odd_paths_mean_in_the_unit_what_they_are() {
        let mut plan = plan();
        plan.data = "/srv/a b%n\"$HOME".into();
        plan.vault = "/srv/back\\slash".into();
        let way = way(&plan, &machine()).unwrap();
        assert_eq!(way.unit.as_deref(), Some("strongroom-srv-a\\x20b\\x25n\\x22\\x24HOME.service"));
        let (_, unit) = &texts(&way)[0];
        assert!(unit.contains(r#""--" "/srv/back\\slash" "/srv/a b%%n\"$HOME""#), "{unit}");
    }

    #[test]
    fn a_path_that_is_too_long_for_a_name_gives_way_to_the_migrations() {
        let mut plan = plan();
        plan.data = format!("/srv/{}", "d".repeat(230)).into();
        assert_eq!(way(&plan, &machine()).unwrap().unit.as_deref(), Some("strongroom-0101010101010101.service"));
    }

    #[test]
    fn a_path_that_no_unit_can_hold_is_refused() {
        for odd in ["/srv/a\nb", "/srv/a ", "/srv/a\\"] {
            let mut plan = plan();
            plan.data = odd.into();
            assert!(matches!(way(&plan, &machine()), Err(BootError::Unwritable { .. })), "{odd:?}");
        }
    }

    #[test]
    fn a_unit_asks_nobody() {
        let mut plan = plan();
        plan.boot_secret = BootSecret::Asked;
        let error = way(&plan, &machine()).unwrap_err();
        assert!(matches!(error, BootError::Source { .. }) && error.hint().unwrap().contains("systemd-creds"));
    }

    #[test]
    fn a_file_is_handed_over_by_systemd_and_a_command_is_run_as_it_is() {
        let mut plan = plan();
        plan.boot_secret = BootSecret::File("/root/key file".into());
        assert!(
            texts(&way(&plan, &machine()).unwrap())[0]
                .1
                .contains("LoadCredential=strongroom.passphrase:/root/key file\n")
        );
        plan.boot_secret = BootSecret::Command("pass show \"100%\"".into());
        let unit = &texts(&way(&plan, &machine()).unwrap())[0].1;
        assert!(unit.contains(r#""--passphrase-command" "pass show \"100%%\"""#) && !unit.contains("LoadCredential"));
    }
}
