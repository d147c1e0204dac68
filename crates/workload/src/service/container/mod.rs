//! Containers of Docker and Podman, one by its name or those of a compose file.
//!
//! They are told to stop by their own signal and waited for, without the engine's custom of killing them some seconds
//! later; so that the engine does not start them meanwhile, their restart policy is `no` as long, and that they had is
//! recorded. They are never removed: the same ones are started again.

mod engine;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use self::engine::{Container, Engine, Policy};
use super::{Problem, Running, ServiceSpec, Snapshot, Surroundings, backend::Backend, deadline::Deadline, process};

/// Containers that are stopped and started together.
pub(super) struct Containers {
    spec: ServiceSpec,
    which: Which,
    surroundings: Surroundings,
}

enum Which {
    Named(String),
    OfFile(PathBuf),
}

/// What is recorded of a container that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    id: String,
    name: String,
    policy: Policy,
    signal: String,
    was_paused: bool,
    /// Those that have to be healthy before this one is started, by their ids.
    after_health_of: Vec<String>,
}

/// What the facts about containers are called, with a number after it: in the order in which they are started.
const CONTAINER: &str = "container.";

const FILES: &str = "com.docker.compose.project.config_files";
const SERVICE: &str = "com.docker.compose.service";
const DEPENDS_ON: &str = "com.docker.compose.depends_on";
const SWARM: &str = "com.docker.swarm.service.id";

impl Containers {
    pub(super) fn named(spec: &ServiceSpec, name: &str, surroundings: &Surroundings) -> Self {
        Self { spec: spec.clone(), which: Which::Named(name.to_owned()), surroundings: surroundings.clone() }
    }

    pub(super) fn of_file(spec: &ServiceSpec, file: &Path, surroundings: &Surroundings) -> Self {
        Self { spec: spec.clone(), which: Which::OfFile(file.to_owned()), surroundings: surroundings.clone() }
    }

    /// All of them, whether they run or not.
    fn find(&self, engine: &Engine) -> Result<Vec<Container>, Problem> {
        let file = match &self.which {
            Which::Named(name) => return Ok(vec![engine.inspect(name)?]),
            Which::OfFile(file) => fs::canonicalize(file).map_err(Problem::refused("looking for the compose file"))?,
        };
        let listed = engine.list()?.into_iter().filter(|listed| {
            let files = listed.labels.as_ref().and_then(|labels| labels.get(FILES));
            files.is_some_and(|files| files.split(',').any(|one| is_same(Path::new(one), &file)))
        });
        let found = listed.map(|listed| engine.inspect(&listed.id)).collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() {
            return Err(engine.unknown());
        }
        Ok(found)
    }

    fn running(&self, containers: &[Container]) -> Running {
        let details: Vec<_> = containers.iter().map(Container::detail).collect();
        Running {
            is_active: !containers.is_empty() && containers.iter().all(Container::is_well),
            pids: containers.iter().flat_map(Container::pids).collect(),
            restarts: Some(containers.iter().map(|container| container.restart_count).sum()),
            detail: details.join(", "),
        }
    }
}

impl Backend for Containers {
    fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    fn look(&self) -> Result<Snapshot, Problem> {
        let engine = Engine::at(&self.surroundings);
        let mut running = self.find(&engine)?;
        running.retain(Container::is_up);
        running.iter().try_for_each(insist_usable)?;
        let ordered = in_order(running);
        let mut facts = BTreeMap::new();
        for (number, container) in ordered.iter().enumerate() {
            let kept = Kept::of(container, &ordered);
            let text = serde_json::to_string(&kept).map_err(Problem::refused("recording it"))?;
            facts.insert(format!("{CONTAINER}{number:04}"), text);
        }
        let pids = ordered.iter().flat_map(Container::pids).collect();
        Ok(Snapshot { spec: self.spec.clone(), was_running: !ordered.is_empty(), pids, facts })
    }

    fn bring_down(&self, was: &Snapshot, deadline: &Deadline) -> Result<(), Problem> {
        let engine = Engine::at(&self.surroundings);
        let kept = Kept::all(was)?;
        // All policies first: one that depends on another may end with it.
        for one in kept.iter().filter(|one| one.restarts()) {
            engine.set_policy(&one.id, &Policy { name: "no".into(), maximum_retry_count: 0 })?;
        }
        for one in kept.iter().rev() {
            stop(&engine, one, deadline)?;
        }
        Ok(())
    }

    fn bring_up(&self, was: &Snapshot, deadline: &Deadline) -> Result<(), Problem> {
        let engine = Engine::at(&self.surroundings);
        let kept = Kept::all(was)?;
        // All policies first: whatever comes between, the engine does its part again.
        for one in kept.iter().filter(|one| one.restarts()) {
            engine.set_policy(&one.id, &one.policy)?;
        }
        for one in &kept {
            for before in &one.after_health_of {
                await_state(&engine, before, deadline, |container| container.is_well())?;
            }
            let now = engine.inspect(&one.id)?;
            if !now.state.running {
                engine.start(&one.id)?;
                await_state(&engine, &one.id, deadline, |container| container.state.running)?;
            }
            if one.was_paused && !now.state.paused {
                engine.pause(&one.id)?;
            }
        }
        Ok(())
    }

    /// Of a compose file only those that run now are asked after: which others should is not known.
    fn ask(&self) -> Result<Running, Problem> {
        let mut found = self.find(&Engine::at(&self.surroundings))?;
        if matches!(self.which, Which::OfFile(_)) && found.iter().any(Container::is_up) {
            found.retain(Container::is_up);
        }
        Ok(self.running(&found))
    }

    fn ask_after(&self, was: &Snapshot) -> Result<Running, Problem> {
        let engine = Engine::at(&self.surroundings);
        let kept = Kept::all(was)?;
        match kept.is_empty() {
            true => self.ask(),
            false => {
                let found = kept.iter().map(|one| engine.inspect(&one.id)).collect::<Result<Vec<_>, _>>()?;
                Ok(self.running(&found))
            }
        }
    }

    fn concerns(&self, _: &Snapshot) -> bool {
        true
    }
}

impl Kept {
    fn of(container: &Container, all: &[Container]) -> Self {
        let healthy = container.depends_on().into_iter().filter(|(_, condition)| *condition == "service_healthy");
        let id_of = |service: &str| {
            all.iter().find(|other| other.label(SERVICE) == Some(service)).map(|other| other.id.clone())
        };
        Self {
            id: container.id.clone(),
            name: container.name().to_owned(),
            policy: container.host_config.restart_policy.clone(),
            signal: container
                .config
                .stop_signal
                .clone()
                .filter(|signal| !signal.is_empty())
                .unwrap_or("SIGTERM".into()),
            was_paused: container.state.paused,
            after_health_of: healthy.filter_map(|(service, _)| id_of(service)).collect(),
        }
    }

    fn all(was: &Snapshot) -> Result<Vec<Self>, Problem> {
        let texts = was.facts.iter().filter(|(name, _)| name.starts_with(CONTAINER)).map(|(_, text)| text);
        texts
            .map(|text| serde_json::from_str(text))
            .collect::<Result<_, _>>()
            .map_err(Problem::refused("reading what was recorded of it"))
    }

    fn restarts(&self) -> bool {
        !matches!(self.policy.name.as_str(), "" | "no")
    }
}

impl Container {
    /// Whether it runs, or is about to.
    fn is_up(&self) -> bool {
        self.state.running || self.state.restarting
    }

    /// Whether it runs, and is healthy if the engine checks that.
    fn is_well(&self) -> bool {
        let is_healthy =
            self.state.health.as_ref().is_none_or(|health| matches!(health.status.as_str(), "healthy" | "none" | ""));
        self.state.running && !self.state.restarting && is_healthy
    }

    fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    fn pids(&self) -> Vec<u32> {
        let head = Some(self.state.pid).filter(|pid| *pid > 0 && self.state.running);
        process::numbers(&process::families(head.as_slice()))
    }

    fn detail(&self) -> String {
        let health = self.state.health.as_ref().filter(|health| health.status != "none");
        let health = health.map_or(String::new(), |health| format!(", {}", health.status));
        let exit = if self.state.running { String::new() } else { format!(" with exit code {}", self.state.exit_code) };
        format!("{}: {}{exit}{health}", self.name(), self.state.status)
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.config.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// The services that it depends on, and on what about them.
    fn depends_on(&self) -> Vec<(&str, &str)> {
        let words = self.label(DEPENDS_ON).unwrap_or_default().split(',').filter(|word| !word.is_empty());
        words
            .map(|word| {
                let mut parts = word.split(':');
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            })
            .collect()
    }
}

fn insist_usable(container: &Container) -> Result<(), Problem> {
    if container.host_config.auto_remove {
        return Err(Problem::Unsuitable("its container was made with --rm and is gone once it stops; make it without"));
    }
    if container.label(SWARM).is_some() {
        return Err(Problem::Unsuitable(
            "its container belongs to a service of a swarm, which starts another; scale that down yourself, or define commands that do",
        ));
    }
    Ok(())
}

/// What others depend on first. In a circle, which compose does not allow, somebody is first all the same.
fn in_order(mut left: Vec<Container>) -> Vec<Container> {
    left.sort_by(|a, b| a.name.cmp(&b.name));
    let mut ordered: Vec<Container> = Vec::new();
    while !left.is_empty() {
        let is_ahead = |service: &str| left.iter().any(|other| other.label(SERVICE) == Some(service));
        let next = left.iter().position(|one| one.depends_on().iter().all(|(service, _)| !is_ahead(service)));
        ordered.push(left.remove(next.unwrap_or(0)));
    }
    ordered
}

fn stop(engine: &Engine, kept: &Kept, deadline: &Deadline) -> Result<(), Problem> {
    let mut told = None;
    loop {
        let now = engine.inspect(&kept.id)?;
        if !now.is_up() {
            return Ok(());
        }
        // It may have been between two starts, and is another process now.
        if now.state.running && told != Some(now.state.pid) {
            if now.state.paused {
                engine.unpause(&kept.id)?;
            }
            engine.signal(&kept.id, &kept.signal)?;
            told = Some(now.state.pid);
        } else if !now.state.running {
            engine.cancel_restart(&kept.id, deadline.left())?;
        }
        if !deadline.pause() {
            return Err(Problem::StillRuns { waited: deadline.waited(), pids: now.pids() });
        }
    }
}

/// Waits until it is so; if it has ended instead, that is an error at once.
fn await_state(
    engine: &Engine,
    id: &str,
    deadline: &Deadline,
    is_so: impl Fn(&Container) -> bool,
) -> Result<(), Problem> {
    loop {
        let now = engine.inspect(id)?;
        match () {
            () if is_so(&now) => return Ok(()),
            () if matches!(now.state.status.as_str(), "exited" | "dead") => {
                let detail = [now.detail(), now.state.error.clone()].join(" ").trim().to_owned();
                return Err(Problem::Failed { detail, remedy: format!("see `docker logs {}`", now.name()) });
            }
            () if deadline.pause() => {}
            () => return Err(Problem::NotUp { waited: deadline.waited(), detail: now.detail() }),
        }
    }
}

fn is_same(labelled: &Path, file: &Path) -> bool {
    labelled == file || fs::canonicalize(labelled).is_ok_and(|labelled| labelled == file)
}
