//! Programs under a real supervisord.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use strongroom_workload::{Problem, Service, Surroundings};

use crate::machine::{PATIENCE, problem, program, runs, service, wait_until, written_and_read};

struct Machine {
    dir: tempfile::TempDir,
    supervisord: Child,
}

impl Machine {
    /// Runs supervisord with these sections after its own.
    fn start(sections: &str) -> Option<Self> {
        let program = program("supervisord")?;
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        let own = format!(
            "[supervisord]\nnodaemon=true\nuser=root\nlogfile={at}/log\npidfile={at}/pid\nchildlogdir={at}\n\
             [unix_http_server]\nfile={at}/s\n\
             [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
        );
        let config = dir.path().join("conf");
        fs::write(&config, own + &sections.replace("DIR", &at.to_string())).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: prctl(2) is a plain system call, allowed between fork and exec.
        unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?)) };
        let machine = Self { supervisord: command.spawn().unwrap(), dir };
        wait_until("supervisord answers", || machine.file("s").exists() && !machine.answers_nothing());
        Some(machine)
    }

    fn answers_nothing(&self) -> bool {
        self.service("none").state().is_err_and(|error| !error.to_string().contains("knows no such"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn service(&self, name: &str) -> Box<dyn Service> {
        let surroundings = Surroundings { supervisor: Some(self.file("s")), ..Surroundings::default() };
        service(&format!("supervisor:{name}"), &surroundings)
    }

    fn await_up(&self, name: &str) {
        wait_until("it is up", || self.service(name).state().unwrap().is_active);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.supervisord), Signal::TERM);
        self.supervisord.wait().unwrap();
    }
}

const SLEEPER: &str = "[program:a]\ncommand=sleep 1000\nstartsecs=0\n";

#[test]
fn what_ran_is_stopped_and_started_again_by_another_process() {
    let Some(machine) = Machine::start(SLEEPER) else { return };
    machine.await_up("a");
    let was = machine.service("a").snapshot().unwrap();
    assert!(was.was_running && was.pids.len() == 1 && runs(was.pids[0]));
    for _ in 0..2 {
        machine.service("a").stop(&was, PATIENCE).unwrap();
    }
    let state = machine.service("a:a").state().unwrap();
    assert!(!state.is_active && state.detail.starts_with("a:a: STOPPED") && !runs(was.pids[0]), "{state:?}");
    for _ in 0..2 {
        machine.service("a").start(&written_and_read(&was), PATIENCE).unwrap();
    }
    let state = machine.service("a").state().unwrap();
    assert!(state.is_active && state.pids.len() == 1 && state.pids != was.pids);
}

#[test]
fn of_a_group_those_are_started_that_ran() {
    let group = "[program:x]\ncommand=sleep 1000\nnumprocs=2\nprocess_name=%(process_num)d\nstartsecs=0\n\
                 [program:y]\ncommand=sleep 1000\nautostart=false\nstartsecs=0\n[group:g]\nprograms=x,y\n";
    let Some(machine) = Machine::start(group) else { return };
    for name in ["g:0", "g:1"] {
        machine.await_up(name);
    }
    let was = machine.service("g").snapshot().unwrap();
    assert!(was.was_running && was.pids.len() == 2);
    machine.service("g").stop(&was, PATIENCE).unwrap();
    machine.service("g:*").start(&was, PATIENCE).unwrap();
    let active = |name: &str| machine.service(name).state().unwrap().is_active;
    assert!(active("g:0") && active("g:1") && !active("g:y") && !active("g"));
    assert!(machine.service("g").state_of(&was).unwrap().is_active);
}

#[test]
fn one_that_ignores_being_told_to_stop_is_named_with_its_process() {
    let deaf = "[program:a]\ncommand=sh -c \"trap '' TERM; touch DIR/deaf; while :; do sleep 0.1; done\"\nstartsecs=0\nstopwaitsecs=2\n";
    let Some(machine) = Machine::start(deaf) else { return };
    wait_until("it ignores the signal", || machine.file("deaf").exists());
    let was = machine.service("a").snapshot().unwrap();
    let (problem, words) = problem(machine.service("a").stop(&was, Duration::from_millis(300)));
    assert!(matches!(&problem, Problem::StillRuns { pids, .. } if pids.contains(&was.pids[0])), "{words}");
    // Whoever gives up starts it again: that waits for the end of the stop, which supervisord forces.
    machine.service("a").start(&was, PATIENCE).unwrap();
    assert!(machine.service("a").state().unwrap().is_active && !runs(was.pids[0]));
}

#[test]
fn one_that_fails_to_start_says_how_and_where_to_read_more() {
    let fails =
        "[program:a]\ncommand=sh -c 'test -e DIR/well || exit 7; exec sleep 1000'\nstartsecs=1\nstartretries=0\n";
    let Some(machine) = Machine::start(fails) else { return };
    fs::write(machine.file("well"), "").unwrap();
    let mut was = machine.service("a").snapshot().unwrap();
    was.was_running = true;
    was.facts.insert("ran".into(), "a:a".into());
    machine.service("a").start(&was, PATIENCE).unwrap();
    machine.service("a").stop(&was, PATIENCE).unwrap();
    fs::remove_file(machine.file("well")).unwrap();
    let (problem, words) = problem(machine.service("a").start(&was, PATIENCE));
    assert!(matches!(problem, Problem::Failed { .. }) && words.contains("supervisorctl tail a:a"), "{words}");
}

#[test]
fn what_it_does_not_know_and_where_it_does_not_run_is_said() {
    let Some(machine) = Machine::start(SLEEPER) else { return };
    let words = machine.service("none").snapshot().unwrap_err().to_string();
    assert!(words.contains("knows no such service") && words.contains("supervisorctl status"), "{words}");
    let surroundings = Surroundings { supervisor: Some(machine.file("none")), ..Surroundings::default() };
    let words = service("supervisor:a", &surroundings).snapshot().unwrap_err().to_string();
    assert!(words.contains("does not answer") && words.contains("unix_http_server"), "{words}");
}
