//! Processes whose numbers are in files.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command},
    time::{Duration, SystemTime},
};

use strongroom_workload::{Problem, Service, Surroundings};

use crate::machine::{PATIENCE, problem, runs, service, wait_until, written_and_read};

struct Machine {
    dir: tempfile::TempDir,
    child: Child,
}

impl Machine {
    /// A process that runs `script` and has written its number; `ready` is a file that it makes then.
    fn start(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("cd {}; echo $$ > pid; {script}", dir.path().display());
        let child = Command::new("sh").args(["-c", &script]).spawn().unwrap();
        let machine = Self { dir, child };
        wait_until("it is ready", || machine.file("ready").exists());
        machine
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn service(&self) -> Box<dyn Service> {
        service(&format!("pidfile:{}", self.file("pid").display()), &Surroundings::default())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn it_is_told_to_end_and_that_it_cannot_be_started_is_said() {
    let machine = Machine::start("trap 'touch told; exit' TERM; touch ready; while :; do sleep 0.05; done");
    let service = machine.service();
    let was = service.snapshot().unwrap();
    assert!(was.was_running && was.pids[0] == machine.child.id() && !service.is_startable());
    service.start(&was, PATIENCE).unwrap();
    service.stop(&was, PATIENCE).unwrap();
    service.stop(&written_and_read(&was), PATIENCE).unwrap();
    assert!(machine.file("told").exists() && !runs(was.pids[0]) && !service.state().unwrap().is_active);
    let (problem, words) = problem(service.start(&was, PATIENCE));
    assert!(matches!(problem, Problem::NotStartable) && words.contains("start it yourself"), "{words}");
}

#[test]
fn one_that_ignores_being_told_to_stop_is_named_and_lives() {
    let machine = Machine::start("trap '' TERM; touch ready; while :; do sleep 0.05; done");
    let was = machine.service().snapshot().unwrap();
    let (problem, words) = problem(machine.service().stop(&was, Duration::from_millis(300)));
    assert!(matches!(&problem, Problem::StillRuns { pids, .. } if pids.contains(&machine.child.id())), "{words}");
    assert!(words.contains("stop it yourself") && runs(machine.child.id()), "{words}");
}

#[test]
fn what_it_started_has_to_end_as_well() {
    let machine = Machine::start("sleep 1000 & echo $! > child; touch ready; wait");
    let child: u32 = fs::read_to_string(machine.file("child")).unwrap().trim().parse().unwrap();
    let was = machine.service().snapshot().unwrap();
    let (problem, words) = problem(machine.service().stop(&was, Duration::from_millis(300)));
    assert!(matches!(problem, Problem::StillRuns { pids, .. } if pids == [child]), "{words}");
    Command::new("kill").arg(child.to_string()).status().unwrap();
    machine.service().stop(&was, PATIENCE).unwrap();
}

#[test]
fn a_number_that_was_given_to_another_process_since_is_left_alone() {
    let machine = Machine::start("touch ready; exec sleep 1000");
    let day_ago = SystemTime::now() - Duration::from_secs(86_400);
    fs::File::options().append(true).open(machine.file("pid")).unwrap().set_modified(day_ago).unwrap();
    let was = machine.service().snapshot().unwrap();
    assert!(!was.was_running);
    assert!(machine.service().state().unwrap().detail.contains("began after the file was written"));
    machine.service().stop(&was, PATIENCE).unwrap();
    // Nor is it taken for the one that was recorded before.
    let mut was = was;
    was.was_running = true;
    was.pids = vec![machine.child.id()];
    was.facts.insert("processes".into(), format!("{}@1", machine.child.id()));
    machine.service().stop(&was, PATIENCE).unwrap();
    assert!(runs(machine.child.id()));
}

#[test]
fn a_file_that_is_not_there_means_that_it_does_not_run_and_nonsense_in_it_is_refused() {
    let machine = Machine::start("touch ready; exec sleep 1000");
    for nonsense in ["", "abc", "0", "1", "-5"] {
        fs::write(machine.file("pid"), nonsense).unwrap();
        let words = machine.service().snapshot().unwrap_err().to_string();
        assert!(words.contains("number of a process"), "{words}");
    }
    fs::remove_file(machine.file("pid")).unwrap();
    let was = machine.service().snapshot().unwrap();
    assert!(!was.was_running);
    machine.service().stop(&was, PATIENCE).unwrap();
    machine.service().start(&was, PATIENCE).unwrap();
    assert!(runs(machine.child.id()));
}
