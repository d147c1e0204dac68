//! A command of the operator's, before or after.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{self, PipeReader, Read},
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};

use crate::WorkloadError;

/// A command of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The program and its arguments. No shell reads them.
    pub argv: Vec<OsString>,
    /// How long it may take.
    pub timeout: Duration,
}

/// How a hook that succeeded went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookOutcome {
    /// The last that it wrote to standard output and standard error, in the order in which it came, at most 64 KiB.
    pub output: String,
    /// How long it took.
    pub took: Duration,
}

/// As much of the output is kept, from its end.
const KEPT: usize = 64 << 10;

/// How long a hook that is told to end may take to do so.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a hook and waits for it, in a process group of its own; with `environment` besides what this program has.
///
/// If it takes longer than its time, it and all that it started and that did not leave its group are told to end, and
/// killed if they do not. What it leaves running when it ends by itself goes on, but must not write to the output that
/// it inherited, which nobody reads any more.
pub fn run(hook: &Hook, environment: &[(String, String)]) -> Result<HookOutcome, WorkloadError> {
    let shown = command_line(hook);
    let failed = |source| WorkloadError::Hook { hook: shown.clone(), source };
    let begun = Instant::now();
    let mut running = Running::start(hook, environment).map_err(failed)?;
    let in_time = running.watch(begun.checked_add(hook.timeout)).map_err(failed)?;
    if !in_time {
        running.end().map_err(failed)?;
        return Err(WorkloadError::HookTimedOut { hook: shown, limit: hook.timeout, output: running.output() });
    }
    let status = running.child.wait().map_err(failed)?;
    match status.success() {
        true => Ok(HookOutcome { output: running.output(), took: begun.elapsed() }),
        false => Err(WorkloadError::HookFailed { hook: shown, status, output: running.output() }),
    }
}

fn command_line(hook: &Hook) -> String {
    hook.argv.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

struct Running {
    child: Child,
    /// Becomes readable when the hook has ended.
    ended: OwnedFd,
    /// Both of its outputs; `None` when nobody can write to it any more.
    pipe: Option<PipeReader>,
    kept: VecDeque<u8>,
}

impl Running {
    fn start(hook: &Hook, environment: &[(String, String)]) -> io::Result<Self> {
        let [program, arguments @ ..] = hook.argv.as_slice() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is empty"));
        };
        let (pipe, output) = io::pipe()?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            // There the service manager keeps our secrets, which are not the hook's.
            .env_remove("CREDENTIALS_DIRECTORY")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()?;
        let ended = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        let mut running = Self { child, ended: ended?, pipe: Some(pipe), kept: VecDeque::new() };
        running.drain()?;
        Ok(running)
    }

    /// Waits until the hook ends, taking what it writes; `false` if it did not end before `deadline`.
    fn watch(&mut self, deadline: Option<Instant>) -> io::Result<bool> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let (ended, readable) = self.poll(left)?;
            if readable || ended {
                self.drain()?;
            }
            match left {
                _ if ended => return Ok(true),
                Some(Duration::ZERO) => return Ok(false),
                _ => {}
            }
        }
    }

    /// Whether the hook has ended, and whether it has written something.
    fn poll(&self, left: Option<Duration>) -> io::Result<(bool, bool)> {
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let mut on = vec![PollFd::new(&self.ended, PollFlags::IN)];
        on.extend(self.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        match poll(&mut on, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let seen = |index: usize| on.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Ok((seen(0), seen(1)))
    }

    /// Takes what there is to read, without waiting for more.
    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8192];
        // Somebody who writes without end must not keep us here for ever.
        for _ in 0..64 {
            let Some(pipe) = &mut self.pipe else { break };
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => self.keep(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn keep(&mut self, written: &[u8]) {
        self.kept.extend(written);
        self.kept.drain(..self.kept.len().saturating_sub(KEPT));
    }

    /// Tells the whole group to end, and kills what does not. The hook is waited for last: until then its number, which
    /// is that of the group, belongs to nobody else.
    fn end(&mut self) -> io::Result<ExitStatus> {
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, Signal::TERM);
        let _ = self.watch(Instant::now().checked_add(GRACE));
        let _ = kill_process_group(group, Signal::KILL);
        let status = self.child.wait();
        self.drain()?;
        status
    }

    fn output(&self) -> String {
        String::from_utf8_lossy(&self.kept.iter().copied().collect::<Vec<_>>()).into_owned()
    }
}
