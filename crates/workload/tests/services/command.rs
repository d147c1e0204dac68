//! Services that the operator's own commands manage.

use std::{fs, path::Path, time::Duration};

use strongroom_workload::{Commands, Problem, Service};

use crate::machine::{PATIENCE, problem, with_commands, written_and_read};

fn argv(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

/// Runs as long as its file is there.
fn by_file(dir: &Path) -> Commands {
    let file = dir.join("up").display().to_string();
    Commands {
        name: "mine".into(),
        start: argv(&format!("touch {file}; echo start >> {file}.log")),
        stop: argv(&format!("rm {file}; echo stop >> {file}.log")),
        status: argv(&format!("test -e {file} && echo up for ages || exit 3")),
    }
}

fn service(commands: &Commands) -> Box<dyn Service> {
    with_commands("command:mine", std::slice::from_ref(commands)).unwrap()
}

#[test]
fn what_ran_is_stopped_and_started_again_and_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let commands = by_file(dir.path());
    fs::write(dir.path().join("up"), "").unwrap();
    let was = service(&commands).snapshot().unwrap();
    assert!(was.was_running && service(&commands).state().unwrap().detail == "up for ages");
    for _ in 0..2 {
        service(&commands).stop(&was, PATIENCE).unwrap();
    }
    assert!(!service(&commands).state().unwrap().is_active);
    for _ in 0..2 {
        service(&commands).start(&written_and_read(&was), PATIENCE).unwrap();
    }
    assert!(service(&commands).state().unwrap().is_active);
    assert_eq!(fs::read_to_string(dir.path().join("up.log")).unwrap(), "stop\nstart\n");
}

#[test]
fn what_did_not_run_is_not_started() {
    let dir = tempfile::tempdir().unwrap();
    let commands = by_file(dir.path());
    let was = service(&commands).snapshot().unwrap();
    service(&commands).stop(&was, PATIENCE).unwrap();
    service(&commands).start(&was, PATIENCE).unwrap();
    assert!(!was.was_running && !dir.path().join("up.log").exists());
}

#[test]
fn any_other_answer_than_zero_and_three_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let commands = Commands { status: argv("echo cannot tell; exit 1"), ..by_file(dir.path()) };
    let words = service(&commands).snapshot().unwrap_err().to_string();
    assert!(words.contains("cannot tell") && words.contains("3 for not running"), "{words}");
}

#[test]
fn one_that_still_runs_after_its_stop_command_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("up"), "").unwrap();
    for stop in ["true", "sleep 1000"] {
        let commands = Commands { stop: argv(stop), ..by_file(dir.path()) };
        let was = service(&commands).snapshot().unwrap();
        let (problem, words) = problem(service(&commands).stop(&was, Duration::from_millis(300)));
        assert!(matches!(problem, Problem::StillRuns { .. }) && words.contains("command:mine"), "{words}");
    }
}

#[test]
fn one_that_does_not_start_says_which_command_to_try() {
    let dir = tempfile::tempdir().unwrap();
    let commands = Commands { start: argv("exit 4"), ..by_file(dir.path()) };
    let mut was = service(&commands).snapshot().unwrap();
    was.was_running = true;
    let (failed, words) = problem(service(&commands).start(&was, PATIENCE));
    assert!(matches!(failed, Problem::Failed { .. }) && words.contains("exit status: 4"), "{words}");
    assert!(words.contains("`/bin/sh -c exit 4`"), "{words}");
    for start in ["sleep 1000", "true"] {
        let commands = Commands { start: argv(start), ..by_file(dir.path()) };
        let (problem, words) = problem(service(&commands).start(&was, Duration::from_millis(300)));
        assert!(matches!(problem, Problem::NotUp { .. }), "{words}");
    }
}

#[test]
fn what_a_start_command_leaves_running_may_go_on_writing() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    let start = format!(
        "(while [ ! -e {at}/go ]; do sleep 0.01; done; echo out && echo err >&2 && touch {at}/lives) & touch {at}/up"
    );
    let commands = Commands { start: argv(&start), ..by_file(dir.path()) };
    let mut was = service(&commands).snapshot().unwrap();
    was.was_running = true;
    service(&commands).start(&was, PATIENCE).unwrap();
    fs::write(dir.path().join("go"), "").unwrap();
    crate::machine::wait_until("it has written", || dir.path().join("lives").exists());
}

#[test]
fn a_name_that_the_configuration_does_not_define_is_refused() {
    let words = with_commands("command:other", &[]).err().unwrap().to_string();
    assert!(words.contains("[[service]]") && words.contains("command:other"), "{words}");
}
