//! A service of runit(8) that mounts a vault and stays.

use super::{
    Artefact, BootError, Machine, Shape, Way,
    escape::{is_short_enough, shell_command, unit_path},
    mark, mount_arguments, text,
};
use crate::Plan;

pub(super) fn way(plan: &Plan, machine: &Machine) -> Result<Way, BootError> {
    let name = name(plan)?;
    let (binary, data) = (text(&machine.binary)?, text(&plan.data)?);
    let arguments = mount_arguments(plan)?;
    let words: Vec<&str> = std::iter::once(binary).chain(arguments.iter().map(String::as_str)).collect();
    let clear = format!("{} >/dev/null 2>&1", shell_command(&[binary, "umount", "--", data]));
    let head = format!("#!/bin/sh\n{}\n", mark(plan.id));
    // Whatever is mounted there has lost its server, or is about to give way to this one.
    let run = format!("{head}exec 2>&1\n{clear}\nexec {}\n", shell_command(&words));
    let finish = format!(
        "{head}{clear}\n# A passphrase that is not there yet is not asked for without a pause.\n[ \"$1\" = 0 ] || sleep 5\n"
    );
    let check = format!("{head}exec {}\n", shell_command(&["mountpoint", "-q", data]));
    let mut way = service(machine, &name, [("run", run), ("finish", finish), ("check", check)]);
    way.instructions.push(format!(
        "Services that use {data} wait for it when this is the first line of their run scripts: sv check {name} >/dev/null || exit 1"
    ));
    Ok(way)
}

/// What the service is called that mounts.
pub(super) fn name(plan: &Plan) -> Result<String, BootError> {
    let by_path = format!("strongroom-{}", unit_path(text(&plan.data)?).replace('\\', "_"));
    Ok(if is_short_enough(&by_path) { by_path } else { format!("strongroom-{}", plan.id) })
}

/// A service directory with these scripts, and the link by which runsvdir(8) finds it.
pub(super) fn service<const N: usize>(machine: &Machine, name: &str, scripts: [(&str, String); N]) -> Way {
    let dir = machine.runit_definitions.join(name);
    let script = |(file, content): (&str, String)| Artefact {
        path: dir.join(file),
        shape: Shape::File { content, mode: 0o755 },
    };
    // The link comes last, and with all that it leads to.
    let link = Artefact { path: machine.runit_active.join(name), shape: Shape::Link(dir.clone()) };
    Way {
        prepared: scripts.into_iter().map(script).collect(),
        enabling: vec![link],
        service: Some(dir),
        ..Way::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        BootKind, BootSecret,
        boot::{BootError, tests::*, way},
    };

    #[test]
    fn the_run_script_becomes_the_server() {
        let mut plan = plan();
        (plan.boot, plan.boot_secret) = (BootKind::Runit, BootSecret::File("/root/key file".into()));
        plan.data = "/srv/it's".into();
        let way = way(&plan, &machine()).unwrap();
        assert_eq!(way.prepared[0].path.to_str(), Some("/etc/sv/strongroom-srv-it_x27s/run"));
        let run = way.prepared[0].text();
        let exec = r"exec /usr/bin/strongroom mount --foreground --passphrase-file '/root/key file' -o allow_other,acl -- /srv/app.vault '/srv/it'\''s'";
        assert_eq!(run.lines().last(), Some(exec));
        assert_eq!(way.enabling[0].path.to_str(), Some("/etc/service/strongroom-srv-it_x27s"));
        assert!(way.instructions[0].contains("sv check strongroom-srv-it_x27s"));
    }

    #[test]
    fn runit_has_no_credentials() {
        let mut plan = plan();
        plan.boot = BootKind::Runit;
        assert!(matches!(way(&plan, &machine()), Err(BootError::Source { .. })));
    }
}
