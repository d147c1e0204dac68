//! Service directories under a real runsvdir.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use strongroom_workload::{Problem, Service, Surroundings};

use crate::machine::{PATIENCE, problem, program, runs, service, wait_until, written_and_read};

struct Machine {
    dir: tempfile::TempDir,
    runsvdir: Option<Child>,
}

impl Machine {
    /// Runs the services that these scripts are, in their order.
    fn start(scripts: &[(&str, &str)]) -> Option<Self> {
        program("runsvdir")?;
        let dir = tempfile::tempdir().unwrap();
        for (name, script) in scripts {
            fs::create_dir(dir.path().join(name)).unwrap();
            let run = dir.path().join(name).join("run");
            fs::write(&run, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut machine = Self { dir, runsvdir: None };
        machine.run();
        scripts.iter().for_each(|(name, _)| wait_until("runsv is there", || machine.try_service(name).is_some()));
        Some(machine)
    }

    fn run(&mut self) {
        let mut command = Command::new("runsvdir");
        command
            .arg(self.dir.path())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // SAFETY: prctl(2) is a plain system call, allowed between fork and exec. HUP has it end its runsvs as well.
        unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::HUP))?)) };
        self.runsvdir = Some(command.spawn().unwrap());
    }

    fn end(&mut self) {
        let Some(mut runsvdir) = self.runsvdir.take() else { return };
        kill_process(Pid::from_child(&runsvdir), Signal::HUP).unwrap();
        runsvdir.wait().unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn service(&self, name: &str) -> Box<dyn Service> {
        service(&format!("runit:{}", self.path(name).display()), &Surroundings::default())
    }

    fn try_service(&self, name: &str) -> Option<u32> {
        self.service(name).state().ok()?.pids.first().copied()
    }

    fn pid(&self, name: &str) -> u32 {
        self.try_service(name).unwrap()
    }

    fn sv(&self, verb: &str, name: &str) {
        assert!(Command::new("sv").arg(verb).arg(self.path(name)).stdout(Stdio::null()).status().unwrap().success());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let left: Vec<u32> = fs::read_dir(self.dir.path())
            .unwrap()
            .flatten()
            .filter_map(|entry| self.try_service(&entry.file_name().to_string_lossy()))
            .collect();
        self.end();
        for pid in left.into_iter().filter(|pid| runs(*pid)) {
            let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
        }
    }
}

#[test]
fn what_ran_is_stopped_and_started_again_by_another_process() {
    let Some(machine) = Machine::start(&[("a", "exec sleep 1000")]) else { return };
    let was = machine.service("a").snapshot().unwrap();
    assert!(was.was_running && was.pids == [machine.pid("a")]);
    machine.service("a").stop(&was, PATIENCE).unwrap();
    machine.service("a").stop(&was, PATIENCE).unwrap();
    let state = machine.service("a").state().unwrap();
    assert!(!runs(was.pids[0]) && !state.is_active && state.detail == "down, wanted down", "{state:?}");
    let later = written_and_read(&was);
    machine.service("a").start(&later, PATIENCE).unwrap();
    let pid = machine.pid("a");
    machine.service("a").start(&later, PATIENCE).unwrap();
    assert!(machine.service("a").state().unwrap().is_active && machine.pid("a") == pid);
    assert_eq!(machine.service("a").state().unwrap().detail, "run, wanted up");
}

#[test]
fn what_was_down_stays_down_and_what_ran_once_runs_once() {
    let Some(machine) = Machine::start(&[("down", "exec sleep 1000"), ("once", "exec sleep 1000")]) else { return };
    machine.sv("down", "down");
    machine.sv("once", "once");
    for name in ["down", "once"] {
        wait_until("runsv has heard", || !machine.service(name).state().unwrap().detail.ends_with("up"));
    }
    for name in ["down", "once"] {
        let was = machine.service(name).snapshot().unwrap();
        assert_eq!(was.was_running, name == "once");
        machine.service(name).stop(&was, PATIENCE).unwrap();
        machine.service(name).start(&was, PATIENCE).unwrap();
    }
    assert_eq!(machine.service("down").state().unwrap().detail, "down, wanted down");
    assert_eq!(machine.service("once").state().unwrap().detail, "run, wanted down");
}

#[test]
fn one_that_ignores_being_told_to_stop_is_named_with_its_process_and_lives() {
    let deaf = "trap '' TERM; touch deaf; while :; do sleep 0.1; done";
    let Some(machine) = Machine::start(&[("a", deaf)]) else { return };
    wait_until("it ignores the signal", || machine.path("a/deaf").exists());
    let was = machine.service("a").snapshot().unwrap();
    let (problem, words) = problem(machine.service("a").stop(&was, Duration::from_millis(300)));
    assert!(matches!(problem, Problem::StillRuns { pids, .. } if pids == [was.pids[0]]), "{words}");
    assert!(runs(was.pids[0]));
}

#[test]
fn a_child_that_outlives_its_service_is_found() {
    let Some(machine) = Machine::start(&[("a", "sleep 1000 & echo $! > child; exec sleep 1000")]) else { return };
    let child = || fs::read_to_string(machine.path("a/child")).ok()?.trim().parse::<u32>().ok();
    wait_until("it has a child", || child().is_some());
    let child = child().unwrap();
    let was = machine.service("a").snapshot().unwrap();
    for _ in 0..2 {
        // The second time its parent is gone: it is known from the snapshot.
        let (problem, words) = problem(machine.service("a").stop(&written_and_read(&was), Duration::from_millis(300)));
        assert!(matches!(problem, Problem::StillRuns { pids, .. } if pids == [child]), "{words}");
    }
    kill_process(Pid::from_raw(child.cast_signed()).unwrap(), Signal::KILL).unwrap();
    machine.service("a").stop(&was, PATIENCE).unwrap();
}

#[test]
fn without_runsv_nothing_is_believed_and_once_it_is_there_the_service_is_started() {
    let Some(mut machine) = Machine::start(&[("a", "exec sleep 1000")]) else { return };
    let was = machine.service("a").snapshot().unwrap();
    machine.service("a").stop(&was, PATIENCE).unwrap();
    machine.end();
    wait_until("runsv has gone", || machine.service("a").state().is_err());
    let words = machine.service("a").snapshot().unwrap_err().to_string();
    assert!(words.contains("does not run") && words.contains("runsvdir"), "{words}");
    fs::write(machine.path("a/down"), "").unwrap();
    let service = machine.service("a");
    std::thread::scope(|scope| {
        let started = scope.spawn(|| service.start(&was, PATIENCE));
        machine.run();
        started.join().unwrap().unwrap();
    });
    assert!(machine.service("a").state().unwrap().is_active);
}
