//! Service directories of runit, by what `runsv` keeps in `supervise/` and listens to there. That is what `sv` does, too:
//! see its runsv(8). Nothing is ever killed, and whether it is up at the next start of the machine is not changed.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{Problem, Running, ServiceSpec, Snapshot, backend::Backend, deadline::Deadline, process};

/// A service directory.
pub(super) struct Runit {
    spec: ServiceSpec,
    dir: PathBuf,
}

/// What `supervise/status` says.
struct Status {
    pid: Option<u32>,
    /// Whether runsv starts it again when it ends.
    is_wanted: bool,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Down,
    Runs,
    /// `./finish` runs, after it has ended.
    Finishes,
}

/// Whether runsv was to start it again when it ends.
const WANTED: &str = "wanted";

impl Runit {
    pub(super) fn new(spec: &ServiceSpec, dir: &Path) -> Self {
        Self { spec: spec.clone(), dir: dir.to_owned() }
    }

    fn supervise(&self, name: &str) -> PathBuf {
        self.dir.join("supervise").join(name)
    }

    /// Whether a runsv is there. Only then what it wrote is true.
    fn insist_supervised(&self) -> Result<(), Problem> {
        open_fifo(&self.supervise("ok")).map(drop).map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, error: io::Error) -> Problem {
        let none = error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error());
        Problem::Unreachable {
            manager: format!("runsv for {}", self.dir.display()),
            source: if none { "it does not run".into() } else { error.into() },
            remedy: "Is that the service directory as it is linked to where runsvdir looks, and are you its owner?",
        }
    }

    fn status(&self) -> Result<Status, Problem> {
        self.insist_supervised()?;
        let bytes = fs::read(self.supervise("status")).map_err(|error| self.unreachable(error))?;
        Status::parse(&bytes).ok_or_else(|| self.unreachable(io::ErrorKind::InvalidData.into()))
    }

    /// `u`p, `d`own or `o`nce.
    fn control(&self, word: u8) -> Result<(), Problem> {
        let mut fifo = open_fifo(&self.supervise("control")).map_err(|error| self.unreachable(error))?;
        fifo.write_all(&[word]).map_err(Problem::refused("telling runsv"))
    }

    fn is_down(&self) -> Result<bool, Problem> {
        self.status().map(|status| status.what == What::Down && !status.is_wanted)
    }
}

impl Backend for Runit {
    fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    fn look(&self) -> Result<Snapshot, Problem> {
        let status = self.status()?;
        let facts = BTreeMap::from([(WANTED.to_owned(), status.is_wanted.to_string())]);
        let was_running = status.what != What::Down || status.is_wanted;
        let mut snapshot = Snapshot { spec: self.spec.clone(), was_running, pids: Vec::new(), facts };
        process::record(&process::families(status.pid.as_slice()), &mut snapshot);
        Ok(snapshot)
    }

    fn bring_down(&self, was: &Snapshot, deadline: &Deadline) -> Result<(), Problem> {
        let status = self.status()?;
        let mut family = process::families(status.pid.as_slice());
        family.extend(process::recorded(was));
        // Also if it is down already: it may have ended by itself, and be about to come back.
        self.control(b'd')?;
        while !self.is_down()? {
            if !deadline.pause() {
                let pids = self.status()?.pid.into_iter().collect();
                return Err(Problem::StillRuns { waited: deadline.waited(), pids });
            }
        }
        match process::await_end(&family, deadline) {
            left if left.is_empty() => Ok(()),
            pids => Err(Problem::StillRuns { waited: deadline.waited(), pids }),
        }
    }

    fn bring_up(&self, was: &Snapshot, deadline: &Deadline) -> Result<(), Problem> {
        // When the machine has just started, runsvdir may not have come to it yet.
        while let Err(problem) = self.insist_supervised() {
            if !deadline.pause() {
                return Err(problem);
            }
        }
        let once = was.facts.get(WANTED).is_some_and(|wanted| wanted == "false");
        let now = self.status()?;
        if now.what == What::Runs && now.is_wanted != once {
            return Ok(());
        }
        self.control(if once { b'o' } else { b'u' })?;
        loop {
            let status = self.status()?;
            match () {
                () if status.what == What::Runs => return Ok(()),
                () if deadline.pause() => {}
                () => return Err(Problem::NotUp { waited: deadline.waited(), detail: status.detail() }),
            }
        }
    }

    fn ask(&self) -> Result<Running, Problem> {
        let status = self.status()?;
        let pids = process::numbers(&process::families(status.pid.as_slice()));
        Ok(Running { is_active: status.what == What::Runs, pids, restarts: None, detail: status.detail() })
    }
}

impl Status {
    /// Twelve bytes of time, four of the process, least first; paused, wanted (`u` or `d`), told to end, what it does.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let [.., p0, p1, p2, p3, _paused, wanted, _told, what] = bytes else { return None };
        let what = match (bytes.len(), what) {
            (20, 0) => What::Down,
            (20, 1) => What::Runs,
            (20, 2) => What::Finishes,
            _ => return None,
        };
        let pid = u32::from_le_bytes([*p0, *p1, *p2, *p3]);
        Some(Self { pid: (pid != 0).then_some(pid), is_wanted: *wanted == b'u', what })
    }

    fn detail(&self) -> String {
        let what = match self.what {
            What::Down => "down",
            What::Runs => "run",
            What::Finishes => "finish",
        };
        let want = if self.is_wanted { "up" } else { "down" };
        format!("{what}, wanted {want}")
    }
}

/// Opened for writing without waiting: that succeeds only as long as somebody reads.
fn open_fifo(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().write(true).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_runsv_is_read_and_what_is_none_is_not() {
        let mut bytes = [0; 20];
        bytes[12..].copy_from_slice(&[0x39, 0x30, 0, 0, 0, b'u', 0, 1]);
        let status = Status::parse(&bytes).unwrap();
        assert_eq!((status.pid, status.detail().as_str()), (Some(12345), "run, wanted up"));
        assert!(
            Status::parse(&bytes[1..]).is_none() && Status::parse(&[]).is_none() && Status::parse(&[9; 20]).is_none()
        );
    }
}
