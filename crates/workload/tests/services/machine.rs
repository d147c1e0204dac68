//! What the tests share: services by name, snapshots that cross from one process to another, waiting.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use strongroom_workload::{Commands, Problem, Service, Snapshot, Surroundings, WorkloadError, connect};

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn service(spec: &str, surroundings: &Surroundings) -> Box<dyn Service> {
    connect(&spec.parse().unwrap(), &[], surroundings).unwrap()
}

pub fn with_commands(spec: &str, commands: &[Commands]) -> Result<Box<dyn Service>, WorkloadError> {
    connect(&spec.parse().unwrap(), commands, &Surroundings::default())
}

/// The snapshot as another process finds it later.
pub fn written_and_read(snapshot: &Snapshot) -> Snapshot {
    serde_json::from_str(&serde_json::to_string(snapshot).unwrap()).unwrap()
}

#[track_caller]
pub fn problem(result: Result<(), WorkloadError>) -> (Problem, String) {
    match result.unwrap_err() {
        WorkloadError::Service { service, problem } => {
            let words = format!("the service {service}: {problem}");
            (problem, words)
        }
        other => panic!("not about a service: {other}"),
    }
}

#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// A program of the machine, or `None` and a word about it.
#[allow(clippy::print_stderr)] // a skipped test says so to whoever ran it
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| Path::is_file(file));
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is not installed, and CI may skip no test");
        eprintln!("SKIPPED: {name} is not installed");
    }
    found
}
