//! Whether services do what they are there for, seen from outside: several times in a row, within a time.

mod probe;
mod spec;
mod upkeep;
mod watch;

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use strongroom_event::{Event, Observer};

use crate::{Service, Snapshot};
pub use spec::{BadHealthSpec, HealthSpec};
use upkeep::Upkeep;
use watch::{Progress, Sight, is_set, rest};

/// One thing that must be so for the services to count as healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthcheck {
    /// What is asked.
    pub spec: HealthSpec,
    /// What `exec:NAME` runs: a program and its arguments. No shell reads them.
    pub command: Option<Vec<String>>,
    /// How long between two tries.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// How often in a row it must succeed.
    pub successes: u32,
}

impl Healthcheck {
    /// Asked every second, for at most 5 s, until it has succeeded 3 times in a row.
    pub fn new(spec: HealthSpec, command: Option<Vec<String>>) -> Self {
        Self { spec, command, interval: Duration::from_secs(1), timeout: Duration::from_secs(5), successes: 3 }
    }
}

/// What was seen that shows something to be healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Of what: a health check or a service, as it is written.
    pub subject: String,
    /// What was seen the last time.
    pub seen: String,
    /// How often in a row.
    pub successes: u32,
    /// How long it took from the beginning until it was well, and stayed so.
    #[serde(default)]
    pub since: Duration,
    /// How long it took from the beginning until that was enough.
    pub after: Duration,
}

/// What was not healthy in time, or could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}{}", failing.iter().map(|symptom| symptom.to_string()).collect::<Vec<_>>().join("; "), if *interrupted { " (interrupted)" } else { "" })]
pub struct Unhealthy {
    /// What was not.
    pub failing: Vec<Symptom>,
    /// What was.
    pub healthy: Vec<Evidence>,
    /// How long was waited.
    pub after: Duration,
    /// Whether the waiting was cut short.
    pub interrupted: bool,
}

/// Something that was not healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symptom {
    /// What: a health check or a service, as it is written.
    pub subject: String,
    /// What was seen the last time.
    pub seen: String,
    /// How often it was asked.
    pub tries: u32,
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.seen)
    }
}

/// How often a service is looked at, and how often in a row it must be well: for two seconds. Many a daemon says that it has
/// started, and ends as soon as it has looked at its files.
const EVERY: Duration = Duration::from_millis(250);
const SUCCESSES: u32 = 9;

/// Waits until everything is healthy at the same time: each of `checks`, and each of `services` that `expected` says ran.
/// Of those it is seen that their manager has them up and has not restarted them meanwhile; and if `on_mount` is the device
/// of a mount, that a process of theirs holds a file on it, if they held one before ([`Snapshot::note_holding`]).
///
/// As soon as `within` is over, or `stop` is set, it is told what was not.
pub fn await_health(
    checks: &[Healthcheck],
    services: &[Box<dyn Service>],
    expected: &[Snapshot],
    on_mount: Option<u64>,
    within: Duration,
    stop: &AtomicBool,
    observer: &dyn Observer,
) -> Result<Vec<Evidence>, Unhealthy> {
    let mut subjects: Vec<_> = checks.iter().map(Subject::of_check).collect();
    let ran = expected.iter().filter(|was| was.was_running);
    subjects.extend(ran.filter_map(|was| {
        let service = services.iter().find(|service| *service.spec() == was.spec)?;
        Some(Subject::of_service(&**service, was, on_mount))
    }));
    Waiting::new(&subjects, within, stop, observer).run(subjects)
}

/// Something that is asked.
struct Subject<'a> {
    name: String,
    interval: Duration,
    needed: u32,
    ask: Box<dyn FnMut() -> Sight + Send + 'a>,
}

impl<'a> Subject<'a> {
    fn of_check(check: &'a Healthcheck) -> Self {
        let (interval, needed) = (check.interval, check.successes);
        Self { name: check.spec.to_string(), interval, needed, ask: Box::new(|| probe::ask(check)) }
    }

    fn of_service(service: &'a dyn Service, was: &'a Snapshot, on_mount: Option<u64>) -> Self {
        let mut upkeep = Upkeep::new(service, was, on_mount);
        Self { name: was.spec.to_string(), interval: EVERY, needed: SUCCESSES, ask: Box::new(move || upkeep.ask()) }
    }
}

/// All subjects, each of which is asked by a thread of its own: one that does not answer holds nobody up.
struct Waiting<'a> {
    begun: Instant,
    within: Duration,
    stop: &'a AtomicBool,
    observer: &'a dyn Observer,
    names: Vec<(String, u32)>,
    progress: Mutex<Vec<Progress>>,
    /// All were well enough at one moment.
    done: AtomicBool,
}

impl<'a> Waiting<'a> {
    fn new(subjects: &[Subject<'_>], within: Duration, stop: &'a AtomicBool, observer: &'a dyn Observer) -> Self {
        let names: Vec<_> = subjects.iter().map(|subject| (subject.name.clone(), subject.needed)).collect();
        let progress = Mutex::new(vec![Progress::default(); names.len()]);
        Self { begun: Instant::now(), within, stop, observer, names, progress, done: AtomicBool::new(false) }
    }

    fn run(self, subjects: Vec<Subject<'_>>) -> Result<Vec<Evidence>, Unhealthy> {
        self.done.store(subjects.is_empty(), Ordering::Relaxed);
        thread::scope(|scope| {
            for (index, subject) in subjects.into_iter().enumerate() {
                let waiting = &self;
                scope.spawn(move || waiting.follow(index, subject));
            }
        });
        self.outcome()
    }

    fn follow(&self, index: usize, mut subject: Subject<'_>) {
        while !self.is_over() {
            let sight = (subject.ask)();
            self.note(index, sight);
            rest(subject.interval, || self.is_over());
        }
    }

    fn note(&self, index: usize, sight: Sight) {
        // Once all were well, what comes in late changes nothing.
        if is_set(&self.done) {
            return;
        }
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, needed) = &self.names[index];
        let is_well = sight.is_well;
        if progress[index].note(sight, *needed, self.begun.elapsed()) && !is_well {
            self.observer.observe(&Event::Waiting { why: format!("{name}: {}", progress[index].seen) });
        }
        if progress.iter().all(|progress| progress.enough.is_some()) {
            self.done.store(true, Ordering::Relaxed);
        }
    }

    fn is_over(&self) -> bool {
        is_set(&self.done) || is_set(self.stop) || self.begun.elapsed() >= self.within
    }

    fn outcome(self) -> Result<Vec<Evidence>, Unhealthy> {
        let progress = self.progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut healthy, mut failing) = (Vec::new(), Vec::new());
        for ((subject, needed), progress) in self.names.into_iter().zip(progress) {
            match progress.enough {
                Some(after) => {
                    let (seen, successes) = (progress.seen, progress.row);
                    let since = progress.since.unwrap_or(after);
                    healthy.push(Evidence { subject, seen, successes, since, after });
                }
                None => failing.push(Symptom { subject, seen: progress.shortcoming(needed), tries: progress.tries }),
            }
        }
        match is_set(&self.done) {
            true => Ok(healthy),
            false => {
                let interrupted = is_set(self.stop);
                Err(Unhealthy { failing, healthy, after: self.begun.elapsed(), interrupted })
            }
        }
    }
}
