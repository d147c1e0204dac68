//! The programs that use the data, as services: what runs now, stopping it, starting exactly that again.

mod backend;
mod command;
mod connect;
mod container;
mod deadline;
pub(crate) mod http;
mod pidfile;
mod problem;
mod process;
mod runit;
mod spec;
mod supervisor;
mod systemd;

use std::{collections::BTreeMap, os::fd::AsFd, path::Path, time::Duration};

use rustix::fs::{Mode, OFlags, open};
use serde::{Deserialize, Serialize};

use crate::{Hold, WorkloadError, holders};
pub use connect::{Surroundings, connect};
pub use problem::Problem;
pub use spec::{BadSpec, ServiceSpec};
pub use systemd::SystemdManager;

/// A service, behind whatever manages it.
pub trait Service: Send + Sync {
    /// Which.
    fn spec(&self) -> &ServiceSpec;

    /// What runs now, and all that is needed to have exactly that again.
    fn snapshot(&self) -> Result<Snapshot, WorkloadError>;

    /// Stops what `was` running, what would start it again (sockets, timers, restart policies) first, and returns when
    /// nothing of it runs. Nothing is killed by force that was not told to stop; if it does not stop in time, that is an
    /// error, and whoever asked starts again what was stopped. Stopping what is stopped is nothing.
    fn stop(&self, was: &Snapshot, within: Duration) -> Result<(), WorkloadError>;

    /// Starts what `was` running, with its sockets before it, as it is given them, and its timers after it; and undoes what
    /// kept it from being started.
    /// Starting what runs is nothing, and neither is what was not running.
    fn start(&self, was: &Snapshot, within: Duration) -> Result<(), WorkloadError>;

    /// How it is now.
    fn state(&self) -> Result<Running, WorkloadError>;

    /// How that is now which `was` running: the same, but where several run under one name, and not all have to.
    fn state_of(&self, was: &Snapshot) -> Result<Running, WorkloadError> {
        let _ = was;
        self.state()
    }

    /// Whether [`start`](Self::start) can start it at all. A process that is known by its number only has to be started
    /// by somebody else, and whoever plans says so beforehand.
    fn is_startable(&self) -> bool {
        true
    }
}

/// What ran at a moment. It is recorded, before anything is stopped, and outlives this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which service.
    pub spec: ServiceSpec,
    /// Whether it ran, or something was up that would have started it.
    pub was_running: bool,
    /// Its processes.
    pub pids: Vec<u32>,
    /// What its manager has to know to restore it: triggers that were active, restart policies.
    pub facts: BTreeMap<String, String>,
}

/// What a snapshot calls whether its processes held something of the data.
const HELD: &str = "held";

impl Snapshot {
    /// Notes whether one of the processes holds something in the tree at `dir` (as a file that is open or mapped, or as
    /// its working directory), and says so. What did before is expected to hold something there once it is started again.
    pub fn note_holding(&mut self, dir: &Path) -> bool {
        let Ok(root) = open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else {
            return false;
        };
        let Ok(sightings) = holders(root.as_fd()) else { return false };
        let is_use = |hold: &Hold| matches!(hold, Hold::Fd { .. } | Hold::Map { .. } | Hold::Cwd { .. });
        let held = sightings.holders.iter().any(|holder| self.pids.contains(&holder.pid) && is_use(&holder.hold));
        self.facts.insert(HELD.to_owned(), held.to_string());
        held
    }

    /// What was noted.
    pub(crate) fn held(&self) -> Option<bool> {
        self.facts.get(HELD)?.parse().ok()
    }
}

/// How a service is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Running {
    /// Whether it runs, and is not just starting or stopping.
    pub is_active: bool,
    /// Its processes, children included, as far as its manager knows them.
    pub pids: Vec<u32>,
    /// How often its manager restarted it, if that is counted.
    pub restarts: Option<u64>,
    /// The manager's words.
    pub detail: String,
}

/// The operator's own commands for a service: a `[[service]]` of the configuration. Lists of arguments; there is no shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commands {
    /// What `command:NAME` calls it.
    pub name: String,
    /// Starts it, and returns.
    pub start: Vec<String>,
    /// Stops it, and returns when it has stopped.
    pub stop: Vec<String>,
    /// Exit code 0 if it runs, 3 if it does not, as in LSB init scripts; all else is an error.
    pub status: Vec<String>,
}
