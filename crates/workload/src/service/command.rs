//! The operator's own commands. There is no shell; each has a group of processes of its own, and a time limit.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    process::{Child, Command as Process, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Commands, Problem, Running, ServiceSpec, Snapshot, backend::Backend, deadline::Deadline};
use crate::{Hook, WorkloadError, run};

/// A service that the operator's own commands manage.
pub(super) struct Command {
    spec: ServiceSpec,
    commands: Commands,
}

/// How long it may take to say how it is.
const ANSWER: Duration = Duration::from_secs(30);

/// What LSB init scripts answer for "does not run".
const NOT_RUNNING: i32 = 3;

impl Command {
    pub(super) fn new(spec: &ServiceSpec, commands: &Commands) -> Self {
        Self { spec: spec.clone(), commands: commands.clone() }
    }

    fn is_running(&self) -> Result<(bool, String), Problem> {
        match run(&hook(&self.commands.status, ANSWER), &[]) {
            Ok(outcome) => Ok((true, last_line(&outcome.output).unwrap_or("running").to_owned())),
            Err(WorkloadError::HookFailed { status, output, .. }) if status.code() == Some(NOT_RUNNING) => {
                Ok((false, last_line(&output).unwrap_or("not running").to_owned()))
            }
            Err(error) => Err(Problem::refused("asking its status (0 is for running, 3 for not running)")(error)),
        }
    }

    fn failure(&self, status: ExitStatus) -> Problem {
        Problem::Failed {
            detail: format!("its start command ended with {status}"),
            remedy: format!("run `{}` to see what it says", self.commands.start.join(" ")),
        }
    }
}

impl Backend for Command {
    fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    fn look(&self) -> Result<Snapshot, Problem> {
        let (was_running, _) = self.is_running()?;
        Ok(Snapshot { spec: self.spec.clone(), was_running, pids: Vec::new(), facts: BTreeMap::new() })
    }

    fn bring_down(&self, _: &Snapshot, deadline: &Deadline) -> Result<(), Problem> {
        if !self.is_running()?.0 {
            return Ok(());
        }
        match run(&hook(&self.commands.stop, deadline.left()), &[]) {
            Ok(_) => {}
            Err(WorkloadError::HookTimedOut { .. }) => return Err(still_runs(deadline)),
            Err(error) => return Err(Problem::refused("stopping it")(error)),
        }
        while self.is_running()?.0 {
            if !deadline.pause() {
                return Err(still_runs(deadline));
            }
        }
        Ok(())
    }

    fn bring_up(&self, _: &Snapshot, deadline: &Deadline) -> Result<(), Problem> {
        if self.is_running()?.0 {
            return Ok(());
        }
        let status = launch(&self.commands.start, deadline).map_err(Problem::refused("starting it"))?;
        match status {
            Some(status) if status.success() => {}
            Some(status) => return Err(self.failure(status)),
            None => {
                let detail = "its start command had not returned, and was ended".to_owned();
                return Err(Problem::NotUp { waited: deadline.waited(), detail });
            }
        }
        loop {
            let (is_running, detail) = self.is_running()?;
            match () {
                () if is_running => return Ok(()),
                () if deadline.pause() => {}
                () => return Err(Problem::NotUp { waited: deadline.waited(), detail }),
            }
        }
    }

    fn ask(&self) -> Result<Running, Problem> {
        let (is_active, detail) = self.is_running()?;
        Ok(Running { is_active, detail, ..Running::default() })
    }
}

/// Runs a command that leaves a service running; `None` if it did not return in time, and was told to end.
///
/// What it writes goes nowhere: the service inherits where, and would get an error for writing once we are gone. For the
/// same reason its group is not killed.
fn launch(argv: &[String], deadline: &Deadline) -> io::Result<Option<ExitStatus>> {
    let [program, arguments @ ..] = argv else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the start command is empty"));
    };
    let mut command = Process::new(program);
    // There the service manager keeps our secrets, which are not the service's.
    command.args(arguments).env_remove("CREDENTIALS_DIRECTORY").process_group(0);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let status = await_exit(&mut child, deadline)?;
    if status.is_none() {
        let _ = kill_process_group(Pid::from_child(&child), Signal::TERM);
        await_exit(&mut child, &Deadline::after(Duration::from_secs(5)))?;
    }
    Ok(status)
}

fn await_exit(child: &mut Child, deadline: &Deadline) -> io::Result<Option<ExitStatus>> {
    loop {
        let status = child.try_wait()?;
        if status.is_some() || !deadline.pause() {
            return Ok(status);
        }
    }
}

fn hook(argv: &[String], timeout: Duration) -> Hook {
    Hook { argv: argv.iter().map(OsString::from).collect(), timeout }
}

fn last_line(output: &str) -> Option<&str> {
    output.lines().map(str::trim).rfind(|line| !line.is_empty())
}

fn still_runs(deadline: &Deadline) -> Problem {
    Problem::StillRuns { waited: deadline.waited(), pids: Vec::new() }
}
