//! Services in memory, which note on which tree they were started.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use strongroom_migrate::Identity;
use strongroom_workload::{Running, Service, ServiceSpec, Snapshot, WorkloadError};

/// What happened to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It was started, with this marker file in its data.
    Started(String, Option<String>),
    /// It was stopped.
    Stopped(String),
}

/// All services of a machine. They live on when the program that stops and starts them is killed.
#[derive(Clone, Default)]
pub struct Fleet(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    running: BTreeMap<String, bool>,
    log: Vec<Ran>,
    refuses_to_stop: Option<String>,
    refuses_to_start: BTreeMap<String, usize>,
    data: PathBuf,
    pids: Vec<u32>,
}

impl Fleet {
    pub fn new(data: &Path, services: &[(&str, bool)]) -> Self {
        let running = services.iter().map(|(name, runs)| ((*name).to_owned(), *runs)).collect();
        Self(Arc::new(Mutex::new(Inner { running, data: data.to_owned(), ..Inner::default() })))
    }

    /// Those that run now.
    pub fn running(&self) -> Vec<String> {
        self.inner().running.iter().filter(|(_, runs)| **runs).map(|(name, _)| name.clone()).collect()
    }

    pub fn log(&self) -> Vec<Ran> {
        self.inner().log.clone()
    }

    /// This one does not stop.
    pub fn let_refuse_to_stop(&self, name: Option<&str>) {
        self.inner().refuses_to_stop = name.map(str::to_owned);
    }

    /// This one does not start, so often.
    pub fn let_refuse_to_start(&self, name: &str, times: usize) {
        self.inner().refuses_to_start.insert(name.to_owned(), times);
    }

    /// Each that runs is these processes.
    pub fn let_be(&self, pids: &[u32]) {
        self.inner().pids = pids.to_vec();
    }

    /// The machine was started anew, and nothing runs.
    pub fn all_down(&self) {
        self.inner().running.values_mut().for_each(|runs| *runs = false);
    }

    /// Whoever is started at boot was.
    pub fn all_up(&self) {
        let mut inner = self.inner();
        inner.running.iter_mut().for_each(|(name, runs)| *runs = name != "command:idle");
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One of them, for as long as a program holds it.
pub struct Hand {
    pub fleet: Fleet,
    pub spec: ServiceSpec,
    pub tick: Box<dyn Fn(&'static str) + Send + Sync>,
}

impl Hand {
    fn name(&self) -> String {
        self.spec.to_string()
    }
}

impl Service for Hand {
    fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    fn snapshot(&self) -> Result<Snapshot, WorkloadError> {
        (self.tick)("snapshot");
        let was_running = self.fleet.inner().running.get(&self.name()).copied().unwrap_or(false);
        Ok(Snapshot { spec: self.spec.clone(), was_running, pids: Vec::new(), facts: BTreeMap::new() })
    }

    fn stop(&self, _: &Snapshot, waited: Duration) -> Result<(), WorkloadError> {
        (self.tick)("stop");
        let name = self.name();
        {
            let mut inner = self.fleet.inner();
            if inner.refuses_to_stop.as_ref() == Some(&name) {
                let problem = strongroom_workload::Problem::StillRuns { waited, pids: Vec::new() };
                return Err(WorkloadError::Service { service: name, problem });
            }
            if inner.running.insert(name.clone(), false) == Some(true) {
                inner.log.push(Ran::Stopped(name));
            }
        }
        (self.tick)("stopped");
        Ok(())
    }

    fn start(&self, was: &Snapshot, waited: Duration) -> Result<(), WorkloadError> {
        (self.tick)("start");
        if !was.was_running {
            return Ok(());
        }
        let name = self.name();
        {
            let mut inner = self.fleet.inner();
            if let Some(times) = inner.refuses_to_start.get_mut(&name).filter(|times| **times > 0) {
                *times -= 1;
                let problem = strongroom_workload::Problem::NotUp { waited, detail: "it crashed".into() };
                return Err(WorkloadError::Service { service: name, problem });
            }
            if inner.running.insert(name.clone(), true) == Some(false) {
                let side = std::fs::read_to_string(inner.data.join("service-state")).ok();
                inner.log.push(Ran::Started(name, side));
            }
        }
        (self.tick)("started");
        Ok(())
    }

    fn state(&self) -> Result<Running, WorkloadError> {
        let inner = self.fleet.inner();
        let is_active = inner.running.get(&self.name()).copied().unwrap_or(false);
        Ok(Running { is_active, pids: if is_active { inner.pids.clone() } else { Vec::new() }, ..Running::default() })
    }
}

/// Whether what is at `path` is the directory `identity`.
pub fn is(path: &Path, identity: &Identity) -> bool {
    Identity::of(path).is_ok_and(|found| found.is(identity))
}
