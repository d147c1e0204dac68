//! Containers of an engine that is only played (`engine.rs`).

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};
use strongroom_workload::Problem;

use crate::{
    engine::{Container, Engine},
    machine::{PATIENCE, problem, written_and_read},
};

#[test]
fn with_a_mock_of_docker_a_container_is_stopped_and_started_with_its_policy_as_it_was() {
    let engine = Engine::start(&[Container { policy: "always", signal: Some("SIGINT"), ..Container::up("db") }]);
    let was = engine.service("docker:db").snapshot().unwrap();
    assert!(was.was_running && was.pids.contains(&std::process::id()));
    engine.service("docker:db").stop(&was, PATIENCE).unwrap();
    assert!(!engine.is_running("db") && engine.policy("db")["Name"] == "no");
    assert!(!engine.service("docker:db").state().unwrap().is_active);
    engine.service("docker:db").stop(&was, PATIENCE).unwrap();
    let later = written_and_read(&was);
    for _ in 0..2 {
        engine.service("docker:db").start(&later, PATIENCE).unwrap();
    }
    assert!(engine.is_running("db") && engine.service("docker:db").state().unwrap().is_active);
    assert_eq!(engine.policy("db"), json!({ "Name": "always", "MaximumRetryCount": 4 }));
    let asked = engine.asked();
    assert_eq!(asked.iter().filter(|asked| asked.starts_with("kill")).collect::<Vec<_>>(), ["kill db signal=SIGINT"]);
    assert!(!asked.iter().any(|asked| asked.starts_with("stop")), "it would be killed some seconds later");
}

#[test]
fn with_a_mock_of_docker_what_did_not_run_is_not_touched() {
    let engine = Engine::start(&[Container { running: false, policy: "always", ..Container::up("db") }]);
    let was = engine.service("docker:db").snapshot().unwrap();
    engine.service("docker:db").stop(&was, PATIENCE).unwrap();
    engine.service("docker:db").start(&was, PATIENCE).unwrap();
    assert!(!was.was_running && engine.asked().is_empty());
}

#[test]
fn with_a_mock_of_docker_one_that_ignores_being_told_to_stop_is_not_killed() {
    let engine = Engine::start(&[Container { is_deaf: true, ..Container::up("db") }]);
    let was = engine.service("docker:db").snapshot().unwrap();
    let (problem, words) = problem(engine.service("docker:db").stop(&was, Duration::from_millis(300)));
    assert!(matches!(&problem, Problem::StillRuns { pids, .. } if pids.contains(&std::process::id())), "{words}");
    assert_eq!(engine.asked(), ["kill db signal=SIGTERM"]);
}

#[test]
fn with_a_mock_of_docker_one_that_ends_at_once_has_failed_to_start() {
    let engine = Engine::start(&[Container { fails: true, ..Container::up("db") }]);
    let was = engine.service("docker:db").snapshot().unwrap();
    engine.service("docker:db").stop(&was, PATIENCE).unwrap();
    let (problem, words) = problem(engine.service("docker:db").start(&was, PATIENCE));
    assert!(
        matches!(problem, Problem::Failed { .. }) && words.contains("exit code 7") && words.contains("docker logs db"),
        "{words}"
    );
}

#[test]
fn with_a_mock_of_docker_one_that_was_paused_is_paused_again() {
    let engine = Engine::start(&[Container { paused: true, ..Container::up("db") }]);
    let was = engine.service("docker:db").snapshot().unwrap();
    engine.service("docker:db").stop(&was, PATIENCE).unwrap();
    engine.service("docker:db").start(&was, PATIENCE).unwrap();
    assert_eq!(engine.asked(), ["unpause db", "kill db signal=SIGTERM", "start db", "pause db"]);
}

#[test]
fn with_a_mock_of_docker_what_could_not_be_had_again_is_refused() {
    let swarm = json!({ "com.docker.swarm.service.id": "x" });
    let engine = Engine::start(&[
        Container { auto_remove: true, ..Container::up("gone") },
        Container { labels: swarm, ..Container::up("swarm") },
    ]);
    let words = |name: &str| engine.service(&format!("docker:{name}")).snapshot().unwrap_err().to_string();
    assert!(words("gone").contains("--rm"), "{}", words("gone"));
    assert!(words("swarm").contains("swarm"), "{}", words("swarm"));
    assert!(words("none").contains("docker ps"), "{}", words("none"));
    assert!(words("../version").contains("knows no such"), "{}", words("../version"));
}

/// Three services of a compose file, of which `web` needs `db` healthy, and one that does not run.
fn project(dir: &Path) -> (Engine, String) {
    let file = dir.canonicalize().unwrap().join("compose.yml");
    fs::write(&file, "services: {}").unwrap();
    let labels = |service: &str, depends_on: &str| -> Value {
        json!({
            "com.docker.compose.project.config_files": format!("/other.yml,{}", file.display()),
            "com.docker.compose.service": service, "com.docker.compose.depends_on": depends_on,
        })
    };
    let with = |name, depends_on: &str| Container { labels: labels(name, depends_on), ..Container::up(name) };
    let engine = Engine::start(&[
        with("app", "web:service_started:false"),
        Container { health: Some("healthy"), policy: "unless-stopped", ..with("db", "") },
        with("web", "db:service_healthy:true,idle:service_started:false"),
        Container { running: false, ..with("idle", "") },
        Container::up("stranger"),
    ]);
    (engine, format!("compose:{}", file.display()))
}

#[test]
fn with_a_mock_of_docker_those_of_a_compose_file_that_ran_are_stopped_and_started_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, spec) = project(dir.path());
    let was = engine.service(&spec).snapshot().unwrap();
    engine.service(&spec).stop(&was, PATIENCE).unwrap();
    assert!(["app", "db", "web"].iter().all(|name| !engine.is_running(name)) && engine.is_running("stranger"));
    engine.service(&spec).start(&written_and_read(&was), PATIENCE).unwrap();
    assert!(["app", "db", "web"].iter().all(|name| engine.is_running(name)) && !engine.is_running("idle"));
    let asked: Vec<_> = engine.asked().into_iter().filter(|asked| !asked.starts_with("update")).collect();
    let expected = [
        "kill app signal=SIGTERM",
        "kill web signal=SIGTERM",
        "kill db signal=SIGTERM",
        "start db",
        "start web",
        "start app",
    ];
    assert_eq!(asked, expected);
    assert_eq!(engine.policy("db")["Name"], "unless-stopped");
    let state = engine.service(&spec).state_of(&was).unwrap();
    assert!(state.is_active && state.detail.contains("db: running, healthy"), "{state:?}");
}

#[test]
fn with_a_mock_of_docker_a_compose_file_without_containers_is_refused() {
    let engine = Engine::start(&[Container::up("stranger")]);
    fs::write(engine.file("c.yml"), "").unwrap();
    let spec = format!("compose:{}", engine.file("c.yml").display());
    assert!(engine.service(&spec).snapshot().unwrap_err().to_string().contains("knows no such service"));
    let missing = format!("compose:{}", engine.file("none.yml").display());
    assert!(engine.service(&missing).snapshot().unwrap_err().to_string().contains("compose file"));
}

#[test]
fn where_no_engine_listens_that_is_said_with_what_to_do() {
    let engine = Engine::start(&[]);
    fs::remove_file(engine.file("s")).unwrap();
    let words = engine.service("docker:db").snapshot().unwrap_err().to_string();
    assert!(words.contains("does not answer") && words.contains("DOCKER_HOST"), "{words}");
}
