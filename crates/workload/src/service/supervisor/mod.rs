//! Programs of supervisord, over its own interface on a unix socket.
//!
//! It kills what does not stop within the `stopwaitsecs` of its configuration, and does not say that it did: whoever waits
//! should give at least as long, and the operator should have set it long enough.

mod rpc;

use std::collections::BTreeMap;

use self::rpc::{Info, Rpc};
use super::{
    Problem, Running, ServiceSpec, Snapshot, Surroundings,
    backend::Backend,
    deadline::Deadline,
    process::{self, Process},
};

/// A program of supervisord, or a group of them.
pub(super) struct Supervisor {
    spec: ServiceSpec,
    name: String,
    surroundings: Surroundings,
}

/// Which of the processes ran, by their full names.
const RAN: &str = "ran";

impl Supervisor {
    pub(super) fn new(spec: &ServiceSpec, name: &str, surroundings: &Surroundings) -> Self {
        Self { spec: spec.clone(), name: name.to_owned(), surroundings: surroundings.clone() }
    }

    /// The processes that are meant: GROUP:NAME, GROUP:* or GROUP, or NAME where it is alone in its group.
    fn find(&self, rpc: &Rpc) -> Result<Vec<Info>, Problem> {
        let (group, name) = self.name.split_once(':').unwrap_or((&self.name, "*"));
        let is_meant = |info: &Info| info.group == group && (name == "*" || info.name == name);
        let found: Vec<_> = rpc.processes()?.into_iter().filter(is_meant).collect();
        match found.is_empty() {
            true => Err(Problem::Unknown {
                manager: "supervisord".into(),
                remedy: "`supervisorctl status` shows what there is",
            }),
            false => Ok(found),
        }
    }

    /// Starts a process, and waits until supervisord counts it as running. One that is still stopping is waited for.
    fn raise(&self, rpc: &Rpc, name: &str, deadline: &Deadline) -> Result<(), Problem> {
        let mut is_told = false;
        loop {
            let all = rpc.processes()?;
            let info = all.into_iter().find(|info| info.full_name() == name);
            let info = info.ok_or(Problem::Unknown {
                manager: "supervisord".into(),
                remedy: "was it taken out of its configuration?",
            })?;
            match info.state.as_str() {
                "RUNNING" => return Ok(()),
                "FATAL" | "EXITED" | "BACKOFF" if is_told => return Err(failure(&info)),
                "STOPPED" | "EXITED" | "FATAL" if !is_told => {
                    rpc.start(name)?;
                    is_told = true;
                }
                "STARTING" | "BACKOFF" => is_told = true,
                _ => {}
            }
            if !deadline.pause() {
                return Err(Problem::NotUp { waited: deadline.waited(), detail: info.detail() });
            }
        }
    }

    fn those_that_ran(&self, rpc: &Rpc, was: &Snapshot) -> Result<Vec<Info>, Problem> {
        let ran: Vec<_> = was.facts.get(RAN).map(String::as_str).unwrap_or_default().lines().collect();
        let found = self.find(rpc)?;
        Ok(found.into_iter().filter(|info| ran.contains(&info.full_name().as_str())).collect())
    }
}

impl Backend for Supervisor {
    fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    fn look(&self) -> Result<Snapshot, Problem> {
        let rpc = Rpc::at(&self.surroundings);
        let found = self.find(&rpc)?;
        let ran: Vec<_> = found.iter().filter(|info| info.is_up()).map(Info::full_name).collect();
        let facts = BTreeMap::from([(RAN.to_owned(), ran.join("\n"))]);
        let mut snapshot = Snapshot { spec: self.spec.clone(), was_running: !ran.is_empty(), pids: Vec::new(), facts };
        process::record(&families(&found), &mut snapshot);
        Ok(snapshot)
    }

    fn bring_down(&self, was: &Snapshot, deadline: &Deadline) -> Result<(), Problem> {
        let rpc = Rpc::at(&self.surroundings);
        let mine = self.those_that_ran(&rpc, was)?;
        let mut family = families(&mine);
        family.extend(process::recorded(was));
        for info in mine.iter().filter(|info| info.is_up()) {
            rpc.stop(&info.full_name())?;
        }
        loop {
            let up: Vec<_> = self.those_that_ran(&rpc, was)?.into_iter().filter(Info::is_busy).collect();
            match () {
                () if up.is_empty() => break,
                () if deadline.pause() => {}
                () => {
                    let pids = process::numbers(&families(&up));
                    return Err(Problem::StillRuns { waited: deadline.waited(), pids });
                }
            }
        }
        match process::await_end(&family, deadline) {
            left if left.is_empty() => Ok(()),
            pids => Err(Problem::StillRuns { waited: deadline.waited(), pids }),
        }
    }

    fn bring_up(&self, was: &Snapshot, deadline: &Deadline) -> Result<(), Problem> {
        let rpc = Rpc::at(&self.surroundings);
        for info in self.those_that_ran(&rpc, was)? {
            self.raise(&rpc, &info.full_name(), deadline)?;
        }
        Ok(())
    }

    fn ask(&self) -> Result<Running, Problem> {
        Ok(running(&self.find(&Rpc::at(&self.surroundings))?))
    }

    fn ask_after(&self, was: &Snapshot) -> Result<Running, Problem> {
        match was.was_running {
            true => Ok(running(&self.those_that_ran(&Rpc::at(&self.surroundings), was)?)),
            false => self.ask(),
        }
    }
}

impl Info {
    /// As supervisord takes it: the group and the name in it.
    fn full_name(&self) -> String {
        format!("{}:{}", self.group, self.name)
    }

    /// Whether it runs, or supervisord tries to have it run.
    fn is_up(&self) -> bool {
        matches!(self.state.as_str(), "STARTING" | "RUNNING" | "BACKOFF")
    }

    /// Whether it runs, or is not yet gone.
    fn is_busy(&self) -> bool {
        self.is_up() || self.state == "STOPPING"
    }

    fn detail(&self) -> String {
        let more = [&self.error, &self.description].into_iter().find(|words| !words.is_empty());
        format!("{}: {}{}", self.full_name(), self.state, more.map_or(String::new(), |words| format!(" ({words})")))
    }
}

fn running(found: &[Info]) -> Running {
    Running {
        is_active: !found.is_empty() && found.iter().all(|info| info.state == "RUNNING"),
        pids: process::numbers(&families(found)),
        restarts: None,
        detail: found.iter().map(Info::detail).collect::<Vec<_>>().join(", "),
    }
}

fn families(of: &[Info]) -> Vec<Process> {
    let heads: Vec<_> = of.iter().map(|info| info.pid).filter(|pid| *pid > 0).collect();
    process::families(&heads)
}

fn failure(info: &Info) -> Problem {
    let remedy = format!("see `supervisorctl tail {} stderr`, and stdout", info.full_name());
    Problem::Failed { detail: info.detail(), remedy }
}
