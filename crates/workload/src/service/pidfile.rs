//! A process that has written its number to a file. It is told to stop by a signal, and nobody here knows how it was
//! started.

use std::{
    collections::BTreeMap,
    fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{
    Problem, Running, ServiceSpec, Snapshot,
    backend::Backend,
    deadline::Deadline,
    process::{self, Process},
};

/// A process whose number is in a file.
pub(super) struct Pidfile {
    spec: ServiceSpec,
    file: PathBuf,
}

/// A process that began so much later than the file was written is not the one that wrote it: clocks are read at
/// different times.
const SLACK: i64 = 2;

impl Pidfile {
    pub(super) fn new(spec: &ServiceSpec, file: &Path) -> Self {
        Self { spec: spec.clone(), file: file.to_owned() }
    }

    /// The process of the file, if it runs and can be the one that was meant.
    fn find(&self) -> Result<(Option<Process>, &'static str), Problem> {
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, "there is no such file")),
            Err(error) => return Err(self.unreadable(error)),
        };
        let written = fs::metadata(&self.file).map_err(|error| self.unreadable(error))?.mtime();
        let pid = text.split_ascii_whitespace().next().and_then(|word| word.parse().ok()).filter(|pid| *pid > 1);
        let pid =
            pid.ok_or_else(|| self.unreadable(io::Error::other("it does not begin with the number of a process")))?;
        Ok(match Process::find(pid) {
            None => (None, "no process has that number"),
            Some(process) if began(process).is_some_and(|began| began > written + SLACK) => {
                (None, "that number belongs to a process that began after the file was written")
            }
            Some(process) => (Some(process), "running"),
        })
    }

    fn unreadable(&self, error: io::Error) -> Problem {
        Problem::Unreachable {
            manager: self.file.display().to_string(),
            source: error.into(),
            remedy: "Name the file into which the service writes the number of its process",
        }
    }
}

impl Backend for Pidfile {
    fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    fn look(&self) -> Result<Snapshot, Problem> {
        let (process, _) = self.find()?;
        let was_running = process.is_some();
        let mut snapshot = Snapshot { spec: self.spec.clone(), was_running, pids: Vec::new(), facts: BTreeMap::new() };
        process::record(&family(process), &mut snapshot);
        Ok(snapshot)
    }

    fn bring_down(&self, was: &Snapshot, deadline: &Deadline) -> Result<(), Problem> {
        let mut family = process::recorded(was);
        // The one that was recorded is told, and whoever has taken its place in the file since.
        let head = was.pids.first().and_then(|pid| family.iter().find(|process| process.pid == *pid)).copied();
        let (now, _) = self.find()?;
        family.extend(self::family(now));
        for process in head.into_iter().chain(now.filter(|now| Some(*now) != head)) {
            terminate(process)?;
        }
        match process::await_end(&family, deadline) {
            left if left.is_empty() => Ok(()),
            pids => Err(Problem::StillRuns { waited: deadline.waited(), pids }),
        }
    }

    /// That it runs is all that can be asked for: somebody else has to start it.
    fn bring_up(&self, _: &Snapshot, _: &Deadline) -> Result<(), Problem> {
        match self.find()? {
            (Some(_), _) => Ok(()),
            (None, _) => Err(Problem::NotStartable),
        }
    }

    fn ask(&self) -> Result<Running, Problem> {
        let (process, detail) = self.find()?;
        let pids = process::numbers(&family(process));
        Ok(Running { is_active: process.is_some(), pids, restarts: None, detail: detail.to_owned() })
    }

    fn is_startable(&self) -> bool {
        false
    }
}

/// It and all that it started, itself first.
fn family(head: Option<Process>) -> Vec<Process> {
    let Some(head) = head else { return Vec::new() };
    let others = process::families(&[head.pid]).into_iter().filter(|process| *process != head);
    [head].into_iter().chain(others).collect()
}

/// When it began, in seconds since 1970.
fn began(process: Process) -> Option<i64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot: i64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let ticks = rustix::param::clock_ticks_per_second();
    Some(boot + i64::try_from(process.begun / ticks.max(1)).ok()?)
}

/// Tells it to end, by a handle that cannot lead to another one that gets its number meanwhile.
fn terminate(process: Process) -> Result<(), Problem> {
    let attempted = |error: rustix::io::Errno| Problem::Refused {
        attempted: "telling it to end",
        source: io::Error::from(error).into(),
    };
    let Some(handle) = hold(process).map_err(attempted)? else { return Ok(()) };
    match pidfd_send_signal(&handle, Signal::TERM) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(attempted(error)),
    }
}

fn hold(process: Process) -> rustix::io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        // Looked at after the handle is there: it is this one's from now on, or it is not.
        Ok(handle) => Ok(process.runs().then_some(handle)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error),
    }
}
