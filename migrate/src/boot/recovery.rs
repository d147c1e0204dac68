//! What looks after a migration that was cut off, when the machine starts: before the services, and before what mounts.
//!
//! `strongroom migrate recover --at-boot` puts the plaintext back at its path where the commit point was not reached, and
//! removes what would mount the vault there. The services start by themselves when it is done; it must not wait for them, as
//! they wait for it.

use super::{
    Artefact, BootError, Machine, Shape, Way,
    escape::{rest_of_line, shell_command, shell_word, unit_command, unit_word},
    hosts_of, mark, parent, runit, text,
    unit::{file, joined, mount_unit, target, wanted},
    units_of,
};
use crate::{BootKind, MigrationId, Plan};

/// What looks after the plan's migration when the machine starts.
pub fn recovery(plan: &Plan, machine: &Machine) -> Result<Way, BootError> {
    match plan.boot {
        BootKind::SystemdUser => by_unit(plan, machine, true),
        BootKind::Systemd => by_unit(plan, machine, false),
        BootKind::Fstab | BootKind::Manual if machine.has_systemd => by_unit(plan, machine, false),
        BootKind::Runit => by_runit(plan, machine),
        BootKind::Fstab | BootKind::Manual => by_hand(plan, machine),
    }
}

/// What the unit is called.
pub(super) fn recovery_unit(id: MigrationId) -> String {
    format!("strongroom-recover-{id}.service")
}

fn command<'a>(plan: &'a Plan, machine: &'a Machine) -> Result<Vec<&'a str>, BootError> {
    let mut words = vec![text(&machine.binary)?];
    if let Some(config) = &machine.config {
        words.extend(["--config", text(config)?]);
    }
    words.extend(["migrate", "recover", "--at-boot", "--state-dir", text(&machine.state_dir)?, "--"]);
    words.push(text(&plan.data)?);
    Ok(words)
}

fn by_unit(plan: &Plan, machine: &Machine, user: bool) -> Result<Way, BootError> {
    let unit = recovery_unit(plan.id);
    let units = if user { &machine.user_units } else { &machine.system_units };
    let prepared = vec![file(units.join(&unit), recovering(plan, machine, user)?)];
    Ok(Way { prepared, enabling: vec![wanted(units, user, &unit)], unit: Some(unit), ..Way::default() })
}

fn recovering(plan: &Plan, machine: &Machine, user: bool) -> Result<String, BootError> {
    let mut before = vec![mount_unit(plan)?];
    before.extend(units_of(plan, user)?);
    if !user {
        before.extend(hosts_of(plan).into_iter().map(str::to_owned));
    }
    let plan_file = machine.state_dir.join("migrations").join(plan.id.to_string()).join("plan.json");
    let lines = [
        mark(plan.id),
        "# It brings the data back if the migration of them was cut off. `strongroom migrate` removes it when it is done.".into(),
        "[Unit]".into(),
        "Description=Recovery of an interrupted migration".into(),
        "# Services may start early; they wait for this, so it waits for nothing but the file systems.".into(),
        "DefaultDependencies=no".into(),
        format!("RequiresMountsFor={} {}", unit_word(text(&machine.state_dir)?), unit_word(text(parent(plan))?)),
        if user { String::new() } else { "After=local-fs.target systemd-remount-fs.service".into() },
        format!("Before={} shutdown.target", before.join(" ")),
        "Conflicts=shutdown.target".into(),
        format!("ConditionPathExists={}", rest_of_line(text(&plan_file)?)?),
        String::new(),
        "[Service]".into(),
        "Type=oneshot".into(),
        format!("ExecStart={}", unit_command("", &command(plan, machine)?)),
        "TimeoutStartSec=infinity".into(),
        String::new(),
        "[Install]".into(),
        format!("WantedBy={}", target(user)),
    ];
    Ok(joined(&lines))
}

fn by_runit(plan: &Plan, machine: &Machine) -> Result<Way, BootError> {
    let name = format!("strongroom-recover-{}", plan.id);
    // runsvdir(8) starts it as soon as it is there, but it is for the next start of the machine.
    let now = shell_word(&machine.boot_id);
    let run = format!(
        "#!/bin/sh\n{}\nexec 2>&1\n[ \"$(cat /proc/sys/kernel/random/boot_id)\" != {now} ] || exit 0\nexec {}\n",
        mark(plan.id),
        shell_command(&command(plan, machine)?)
    );
    // Once is enough: runsv(8) is told to leave it down.
    let finish = format!("#!/bin/sh\n{}\nexec sv down .\n", mark(plan.id));
    Ok(runit::service(machine, &name, [("run", run), ("finish", finish)]))
}

fn by_hand(plan: &Plan, machine: &Machine) -> Result<Way, BootError> {
    let line = shell_command(&command(plan, machine)?);
    let said = format!(
        "Until the migration is finished, have this run when the machine starts, before the services (in rc.local, or \
         @reboot in a crontab): {line}"
    );
    Ok(Way { instructions: vec![said], ..Way::default() })
}

impl Way {
    /// All that is written, in its order.
    pub fn artefacts(&self) -> impl Iterator<Item = &Artefact> {
        self.prepared.iter().chain(&self.enabling)
    }
}

impl Artefact {
    /// What is written, as text to be shown.
    pub fn text(&self) -> String {
        match &self.shape {
            Shape::File { content, .. } => content.clone(),
            Shape::Line(line) => line.clone(),
            Shape::Link(target) => format!("-> {}", target.display()),
        }
    }
}
