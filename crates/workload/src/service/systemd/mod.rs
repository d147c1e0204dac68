//! Units of systemd, of the system or of a user, over D-Bus.
//!
//! Besides the unit itself, a stop takes down what depends on it, and a start does not bring that back: what ran of it is
//! recorded, and started again. Sockets, timers and paths that start any of these are stopped first. Enablement is never
//! changed; where something else would start the unit it is kept from it, until the next start of the machine at most.

mod bus;
mod job;
mod keep;
mod manage;
mod unit;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use self::{
    bus::Bus,
    job::{Action, Jobs},
    unit::Unit,
};
use super::{Problem, Running, ServiceSpec, Snapshot, Surroundings, backend::Backend, deadline::Deadline};

pub use manage::SystemdManager;

/// Which systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The one that started the machine.
    System,
    /// That of a user's sessions.
    User,
}

/// A unit of systemd.
pub(super) struct Systemd {
    spec: ServiceSpec,
    scope: Scope,
    name: String,
    surroundings: Surroundings,
}

// What a snapshot says, in its facts.
const UNIT: &str = "unit";
const TRIGGERS: &str = "triggers";
const DEPENDANTS: &str = "dependants";
const KEPT_DOWN: &str = "kept down by";
const STATE: &str = "state";
const RESTARTS: &str = "restarts";

impl Systemd {
    pub(super) fn new(spec: &ServiceSpec, scope: Scope, name: &str, surroundings: &Surroundings) -> Self {
        // As systemctl takes it: without a suffix it is a service.
        let name = if name.contains('.') { name.to_owned() } else { format!("{name}.service") };
        Self { spec: spec.clone(), scope, name, surroundings: surroundings.clone() }
    }

    fn connect(&self) -> Result<Bus, Problem> {
        let (manager, remedy) = match self.scope {
            Scope::System => ("systemd", "Is this machine managed by systemd, and are you root?"),
            Scope::User => (
                "the user's systemd",
                "Run this as the user who owns the unit, with XDG_RUNTIME_DIR set; `loginctl enable-linger` has it run without a session",
            ),
        };
        let unreachable =
            |error: zbus::Error| Problem::Unreachable { manager: manager.into(), source: error.into(), remedy };
        Bus::connect(self.scope, &self.surroundings).map_err(unreachable)
    }

    fn unit(&self, bus: &Bus) -> Result<Unit, Problem> {
        Unit::load(bus, &self.name).map_err(Problem::refused("asking for it"))
    }

    fn insist_usable(&self, unit: &Unit) -> Result<(), Problem> {
        match unit.load_state().as_str() {
            "loaded" if unit.refuses_stop() || unit.refuses_start() => Err(Problem::Unsuitable(
                "its unit says RefuseManualStart= or RefuseManualStop=; name what manages it instead",
            )),
            "loaded" => Ok(()),
            "masked" => Err(Problem::Unsuitable("it is masked; unmask it, or leave it out")),
            "not-found" => Err(Problem::Unknown {
                manager: "systemd".into(),
                remedy: "`systemctl list-units` shows what there is, with --user for a user's",
            }),
            _ => Err(Problem::Unsuitable("its unit file has errors; `systemctl status` says which")),
        }
    }

    /// Waits until it and what depends on it is down, and no process of theirs is left.
    fn await_down(&self, bus: &Bus, id: &str, was: &Snapshot, deadline: &Deadline) -> Result<(), Problem> {
        let units: Vec<_> = [id.to_owned()].into_iter().chain(words(was, DEPENDANTS)).collect();
        loop {
            let (mut pids, mut is_down, mut is_back) = (Vec::new(), true, false);
            for name in &units {
                let unit = Unit::load(bus, name).map_err(Problem::refused("asking whether it is down"))?;
                is_down &= unit.is_down();
                is_back |= !unit.is_down() && unit.active_state() != "deactivating";
                pids.extend(processes(bus, name)?);
            }
            match () {
                () if is_back => return Err(Problem::CameBack { pids }),
                () if is_down && pids.is_empty() => return Ok(()),
                () if deadline.pause() => {}
                () => return Err(Problem::StillRuns { waited: deadline.waited(), pids }),
            }
        }
    }

    /// Starts a unit, and waits until it is up, or has done what it had to do.
    fn raise(&self, bus: &Bus, jobs: &mut Jobs<'_>, name: &str, deadline: &Deadline) -> Result<(), Problem> {
        let load = || Unit::load(bus, name).map_err(Problem::refused("asking for it"));
        let now = load()?;
        if now.is_active() {
            return Ok(());
        }
        if now.active_state() == "failed" {
            // It may have been started too often; that is counted, and forgotten with the failure.
            bus.manager::<()>("ResetFailedUnit", &(name,)).map_err(Problem::refused("forgetting that it failed"))?;
        }
        let result = jobs.run(Action::Start, name, deadline)?;
        loop {
            let unit = load()?;
            let has_failed = unit.is_being_restarted() || unit.active_state() == "failed" || result != "done";
            match () {
                () if unit.is_active() || unit.is_done() => return Ok(()),
                () if has_failed || unit.is_down() => return Err(self.failure(name, &unit, &result)),
                () if deadline.pause() => {}
                () => return Err(Problem::NotUp { waited: deadline.waited(), detail: unit.detail() }),
            }
        }
    }

    fn failure(&self, name: &str, unit: &Unit, result: &str) -> Problem {
        let user = if self.scope == Scope::User { "--user " } else { "" };
        let why = match result {
            "done" if unit.is_unmet() => ", a condition in its unit is not met".to_owned(),
            "done" => String::new(),
            other => format!(", its start job ended as \"{other}\""),
        };
        let which = if name == self.name { String::new() } else { format!("{name} is ") };
        Problem::Failed {
            detail: format!("{which}{}{why}", unit.detail()),
            remedy: format!("see `systemctl {user}status {name}` and `journalctl {user}--unit {name}`"),
        }
    }
}

impl Backend for Systemd {
    fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    fn look(&self) -> Result<Snapshot, Problem> {
        let bus = self.connect()?;
        let unit = self.unit(&bus)?;
        self.insist_usable(&unit)?;
        let (dependants, triggers) = related(&bus, &unit).map_err(Problem::refused("asking what depends on it"))?;
        let mut facts = BTreeMap::from([
            (STATE.to_owned(), unit.detail()),
            (TRIGGERS.to_owned(), triggers.join(" ")),
            (DEPENDANTS.to_owned(), dependants.join(" ")),
        ]);
        facts.extend(unit.restarts().map(|restarts| (RESTARTS.to_owned(), restarts.to_string())));
        if unit.is_called_for() {
            let file = keep::file(self.scope, &self.surroundings, &unit.id());
            facts.extend(file.map(|file| (KEPT_DOWN.to_owned(), file.display().to_string())));
        }
        if !unit.is_down() {
            facts.insert(UNIT.to_owned(), unit.id());
        }
        let pids = processes(&bus, &unit.id())?;
        // One that waits for somebody to call has to be stopped as well.
        let was_running = !unit.is_down() || !triggers.is_empty();
        Ok(Snapshot { spec: self.spec.clone(), was_running, pids, facts })
    }

    fn bring_down(&self, was: &Snapshot, deadline: &Deadline) -> Result<(), Problem> {
        let bus = self.connect()?;
        let mut jobs = Jobs::listen(&bus)?;
        for trigger in words(was, TRIGGERS) {
            jobs.run(Action::Stop, &trigger, deadline)?;
        }
        if let Some(file) = was.facts.get(KEPT_DOWN) {
            keep::down(&bus, Path::new(file))?;
        }
        let before = self.unit(&bus)?;
        if !before.is_down() {
            jobs.run(Action::Stop, &before.id(), deadline)?;
        }
        self.await_down(&bus, &before.id(), was, deadline)?;
        let after = self.unit(&bus)?;
        match after.result().as_str() {
            "timeout" if !before.is_down() => Err(Problem::Killed {
                manager: "systemd",
                limit: after.stop_limit(),
                remedy: "raise TimeoutStopSec= in its unit, so that it can stop by itself",
            }),
            _ => Ok(()),
        }
    }

    fn bring_up(&self, was: &Snapshot, deadline: &Deadline) -> Result<(), Problem> {
        let bus = self.connect()?;
        let mut jobs = Jobs::listen(&bus)?;
        if let Some(file) = was.facts.get(KEPT_DOWN) {
            keep::no_longer(&bus, Path::new(file))?;
        }
        // A socket cannot be started any more when its service runs; and a timer or a path may start it at once.
        let (sockets, others): (Vec<_>, Vec<_>) = words(was, TRIGGERS).partition(|name| name.ends_with(".socket"));
        for socket in sockets {
            self.raise(&bus, &mut jobs, &socket, deadline)?;
        }
        for name in words(was, UNIT).chain(words(was, DEPENDANTS)).chain(others) {
            self.raise(&bus, &mut jobs, &name, deadline)?;
        }
        Ok(())
    }

    fn ask(&self) -> Result<Running, Problem> {
        let bus = self.connect()?;
        let unit = self.unit(&bus)?;
        running(&bus, &unit)
    }

    /// What ran has to run, or to have done what it had to; and what starts it has to be up.
    fn ask_after(&self, was: &Snapshot) -> Result<Running, Problem> {
        let bus = self.connect()?;
        let unit = self.unit(&bus)?;
        let mut now = running(&bus, &unit)?;
        now.is_active |= unit.is_done();
        if !was.facts.contains_key(UNIT) {
            // It comes and goes as its triggers have it: then these count, and another process is no restart.
            now.is_active = true;
            now.pids.clear();
        }
        for name in words(was, TRIGGERS).chain(words(was, DEPENDANTS)) {
            let other = Unit::load(&bus, &name).map_err(Problem::refused("asking what belongs to it"))?;
            now.is_active &= other.is_active() || other.is_done();
            now.detail += &format!(", {name}: {}", other.detail());
        }
        Ok(now)
    }

    fn concerns(&self, _: &Snapshot) -> bool {
        true
    }
}

fn running(bus: &Bus, unit: &Unit) -> Result<Running, Problem> {
    Ok(Running {
        is_active: unit.is_active(),
        pids: processes(bus, &unit.id())?,
        restarts: unit.restarts(),
        detail: unit.detail(),
    })
}

/// What runs and is stopped along with `unit`, and what is up and would start any of these.
fn related(bus: &Bus, unit: &Unit) -> zbus::Result<(Vec<String>, Vec<String>)> {
    let (mut dependants, mut triggers) = (Vec::new(), BTreeSet::new());
    let mut seen = BTreeSet::from([unit.id()]);
    let mut ahead = unit.dependants();
    triggers.extend(unit.triggers());
    while let Some(name) = ahead.pop() {
        let dependant = Unit::load(bus, &name)?;
        if dependant.is_down() || !seen.insert(dependant.id()) {
            continue;
        }
        ahead.extend(dependant.dependants());
        triggers.extend(dependant.triggers());
        dependants.push(dependant.id());
    }
    let mut up = Vec::new();
    for name in triggers {
        if !Unit::load(bus, &name)?.is_down() {
            up.push(name);
        }
    }
    dependants.retain(|name| !up.contains(name));
    Ok((dependants, up))
}

fn words<'a>(was: &'a Snapshot, fact: &str) -> impl Iterator<Item = String> + use<'a> {
    was.facts.get(fact).into_iter().flat_map(|text| text.split_ascii_whitespace()).map(str::to_owned)
}

/// All processes in the unit's control group.
fn processes(bus: &Bus, id: &str) -> Result<Vec<u32>, Problem> {
    match bus.manager::<Vec<(String, u32, String)>>("GetUnitProcesses", &(id,)) {
        Ok(found) => Ok(found.into_iter().map(|(_, pid, _)| pid).collect()),
        // One that is down and that nobody refers to is forgotten as soon as it was looked at.
        Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".NoSuchUnit") => Ok(Vec::new()),
        Err(error) => Err(Problem::refused("asking for its processes")(error)),
    }
}
