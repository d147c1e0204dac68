//! Units of a real `systemd --user`.

use std::{collections::BTreeSet, fs, os::unix::net::UnixStream, time::Duration};

use strongroom_testkit::UserSystemd;
use strongroom_workload::{Problem, Service, Surroundings};

use crate::machine::{PATIENCE, problem, runs, service, wait_until, written_and_read};

const SLEEPER: &str = "[Service]\nExecStart=/bin/sleep 1000\n";

struct Machine {
    systemd: UserSystemd,
    dir: tempfile::TempDir,
}

impl Machine {
    fn start(units: &[(&str, &str)]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let systemd = UserSystemd::start(dir.path())?;
        let machine = Self { systemd, dir };
        for (name, text) in units {
            machine.systemd.unit(name, &text.replace("DIR", &machine.dir.path().display().to_string()));
        }
        Some(machine)
    }

    fn service(&self, unit: &str) -> Box<dyn Service> {
        let runtime_dir = Some(self.systemd.runtime_dir());
        service(&format!("systemd-user:{unit}"), &Surroundings { runtime_dir, ..Surroundings::default() })
    }

    #[track_caller]
    fn up(&self, units: &[&str]) {
        let output = self.systemd.systemctl(&[&["start"], units].concat());
        assert!(output.status.success(), "{output:?}");
    }

    fn is(&self, unit: &str, state: &str) -> bool {
        self.systemd.property(unit, "ActiveState") == state
    }

    /// All units that are up, but for those that come and go by themselves.
    fn all_up(&self) -> BTreeSet<String> {
        let listed = self.systemd.systemctl(&["list-units", "--plain", "--no-legend", "--state=active"]);
        let lines = String::from_utf8(listed.stdout).unwrap();
        let names = lines.lines().filter_map(|line| line.split_ascii_whitespace().next()).map(str::to_owned);
        names.filter(|name| !name.ends_with(".device") && !name.ends_with(".mount")).collect()
    }
}

#[test]
fn what_ran_is_stopped_and_started_again_by_another_process() {
    let Some(machine) = Machine::start(&[("a.service", SLEEPER)]) else { return };
    machine.up(&["a"]);
    let before = machine.all_up();
    let was = machine.service("a").snapshot().unwrap();
    assert!(was.was_running && was.pids.len() == 1 && runs(was.pids[0]));
    machine.service("a").stop(&was, PATIENCE).unwrap();
    machine.service("a").stop(&was, PATIENCE).unwrap();
    assert!(machine.is("a", "inactive") && !runs(was.pids[0]));
    assert!(!machine.service("a").state().unwrap().is_active);
    let later = written_and_read(&was);
    machine.service("a.service").start(&later, PATIENCE).unwrap();
    machine.service("a").start(&later, PATIENCE).unwrap();
    let state = machine.service("a").state().unwrap();
    assert!(state.is_active && state.pids.len() == 1 && state.restarts == Some(0), "{state:?}");
    assert_eq!(state.detail, "active (running)");
    // The bus is up as soon as somebody asks for it, which may be us.
    let besides_the_bus = |mut units: BTreeSet<String>| {
        units.remove("dbus.service");
        units
    };
    assert_eq!(besides_the_bus(machine.all_up()), besides_the_bus(before));
}

#[test]
fn what_did_not_run_is_not_started() {
    let Some(machine) = Machine::start(&[("a.service", SLEEPER)]) else { return };
    let was = machine.service("a").snapshot().unwrap();
    assert!(!was.was_running && was.pids.is_empty());
    machine.service("a").stop(&was, PATIENCE).unwrap();
    machine.service("a").start(&was, PATIENCE).unwrap();
    assert!(machine.is("a", "inactive"));
}

const SOCKET: &str = "[Socket]\nListenStream=DIR/s\n";
/// Ends with the first connection, if it was given the socket, and only then.
const TALKER: &str = "[Service]\nExecStart=/bin/sh -c '[ \"$LISTEN_FDS\" = 1 ] && exec sleep 1000'\n";

#[test]
fn a_connection_to_its_socket_does_not_bring_a_stopped_service_back() {
    let Some(machine) = Machine::start(&[("a.socket", SOCKET), ("a.service", TALKER)]) else { return };
    machine.up(&["a.socket"]);
    let socket = machine.dir.path().join("s");
    drop(UnixStream::connect(&socket).unwrap());
    wait_until("the connection has started it", || machine.is("a", "active"));
    let was = machine.service("a").snapshot().unwrap();
    machine.service("a").stop(&was, PATIENCE).unwrap();
    assert!(UnixStream::connect(&socket).is_err(), "its socket is still served");
    assert!(machine.is("a", "inactive") && machine.is("a.socket", "inactive"));
    machine.service("a").start(&written_and_read(&was), PATIENCE).unwrap();
    assert!(machine.is("a", "active") && machine.is("a.socket", "active"));
    drop(UnixStream::connect(&socket).unwrap());
}

#[test]
fn a_socket_whose_service_did_not_run_is_served_again_and_the_service_is_not_started() {
    let Some(machine) = Machine::start(&[("a.socket", SOCKET), ("a.service", TALKER)]) else { return };
    machine.up(&["a.socket"]);
    let was = machine.service("a").snapshot().unwrap();
    let is_well = || machine.service("a").state_of(&was).unwrap().is_active;
    assert!(was.was_running && was.pids.is_empty() && is_well() && !machine.service("a").state().unwrap().is_active);
    machine.service("a").stop(&was, PATIENCE).unwrap();
    assert!(machine.is("a.socket", "inactive") && !is_well());
    machine.service("a").start(&was, PATIENCE).unwrap();
    assert!(machine.is("a.socket", "active") && machine.is("a", "inactive") && is_well());
}

#[test]
fn a_timer_does_not_start_a_stopped_service() {
    let timer = "[Timer]\nOnActiveSec=100ms\nOnUnitInactiveSec=100ms\nAccuracySec=1ms\n";
    let counts = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo x >> DIR/count'\n";
    let Some(machine) = Machine::start(&[("a.timer", timer), ("a.service", counts)]) else { return };
    let count = || fs::read(machine.dir.path().join("count")).unwrap_or_default().len();
    machine.up(&["a.timer"]);
    wait_until("the timer has started it", || count() > 2);
    let was = machine.service("a").snapshot().unwrap();
    machine.service("a").stop(&was, PATIENCE).unwrap();
    let then = count();
    assert!(machine.is("a.timer", "inactive") && machine.systemd.property("a.timer", "Job").is_empty());
    machine.service("a").start(&was, PATIENCE).unwrap();
    wait_until("the timer starts it again", || count() > then);
}

#[test]
fn what_depends_on_it_and_is_stopped_with_it_is_started_again() {
    let needs = "[Unit]\nRequires=a.service\nAfter=a.service\n[Service]\nExecStart=/bin/sleep 1000\n";
    let idle = "[Unit]\nBindsTo=a.service\n[Service]\nExecStart=/bin/sleep 1000\n";
    let on_top = "[Unit]\nBindsTo=b.service\nAfter=b.service\n[Service]\nExecStart=/bin/sleep 1000\n";
    let units = [("a.service", SLEEPER), ("b.service", needs), ("idle.service", idle), ("top.service", on_top)];
    let Some(machine) = Machine::start(&units) else { return };
    // Which units name another one is known of those that were read.
    machine.up(&["a", "b", "top"]);
    let _ = machine.systemd.property("idle", "Id");
    let before = machine.all_up();
    let was = machine.service("a").snapshot().unwrap();
    machine.service("a").stop(&was, PATIENCE).unwrap();
    assert!(["a", "b", "top", "idle"].iter().all(|unit| machine.is(unit, "inactive")));
    machine.service("a").start(&written_and_read(&was), PATIENCE).unwrap();
    assert_eq!(machine.all_up(), before);
    assert!(before.contains("top.service") && !before.contains("idle.service"));
}

#[test]
fn one_that_another_unit_holds_up_stays_down_and_is_stopped_in_its_own_way() {
    let held = "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sh -c 'touch DIR/asked'\n";
    let holds = "[Unit]\nUpholds=a.service\n[Service]\nExecStart=/bin/sleep 1000\n";
    let Some(machine) = Machine::start(&[("a.service", held), ("b.service", holds)]) else { return };
    machine.up(&["a", "b"]);
    let was = machine.service("a").snapshot().unwrap();
    for _ in 0..2 {
        machine.service("a").stop(&was, PATIENCE).unwrap();
    }
    assert!(machine.dir.path().join("asked").exists() && machine.is("b", "active"));
    let started = machine.systemd.systemctl(&["start", "a"]);
    assert!(!started.status.success() && machine.is("a", "inactive"), "{started:?}");
    for _ in 0..2 {
        machine.service("a").start(&written_and_read(&was), PATIENCE).unwrap();
    }
    assert!(machine.is("a", "active") && !machine.systemd.runtime_dir().join("systemd/user/a.service.d").exists());
    assert_eq!(machine.systemd.property("a", "DropInPaths"), "");
}

#[test]
fn one_that_comes_back_is_told_at_once() {
    let holds = "[Unit]\nUpholds=a.service\n[Service]\nExecStart=/bin/sleep 1000\n";
    let Some(machine) = Machine::start(&[("a.service", SLEEPER), ("b.service", holds)]) else { return };
    machine.up(&["a", "b"]);
    let mut was = machine.service("a").snapshot().unwrap();
    was.facts.remove("kept down by").unwrap();
    // It may be back only after it was seen to be down.
    let (problem, words) = loop {
        let stopped = machine.service("a").stop(&was, PATIENCE);
        if stopped.is_err() {
            break problem(stopped);
        }
    };
    assert!(matches!(problem, Problem::CameBack { .. }) && words.contains("find what starts it"), "{words}");
}

#[test]
fn one_that_ignores_being_told_to_stop_is_named_with_its_process_and_lives() {
    let deaf = "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; touch DIR/deaf; while :; do sleep 0.1; done'\nTimeoutStopSec=1h\n";
    let Some(machine) = Machine::start(&[("a.service", deaf)]) else { return };
    machine.up(&["a"]);
    wait_until("it ignores the signal", || machine.dir.path().join("deaf").exists());
    let was = machine.service("a").snapshot().unwrap();
    let (problem, words) = problem(machine.service("a").stop(&was, Duration::from_millis(500)));
    let Problem::StillRuns { pids, .. } = problem else { panic!("{words}") };
    assert!(pids.contains(&was.pids[0]) && runs(was.pids[0]));
    assert!(words.starts_with("the service systemd-user:a: ") && words.contains(&was.pids[0].to_string()), "{words}");
}

#[test]
fn one_that_systemd_had_to_kill_is_not_counted_as_stopped() {
    let deaf = "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; touch DIR/deaf; while :; do sleep 0.1; done'\nTimeoutStopSec=300ms\n";
    let Some(machine) = Machine::start(&[("a.service", deaf)]) else { return };
    machine.up(&["a"]);
    wait_until("it ignores the signal", || machine.dir.path().join("deaf").exists());
    let was = machine.service("a").snapshot().unwrap();
    let (problem, words) = problem(machine.service("a").stop(&was, PATIENCE));
    assert!(matches!(problem, Problem::Killed { .. }) && words.contains("TimeoutStopSec of 0.3 s"), "{words}");
    // It is down all the same, and comes up again.
    machine.service("a").start(&was, PATIENCE).unwrap();
    assert!(machine.is("a", "active"));
}

#[test]
fn a_process_that_systemd_leaves_behind_is_found() {
    let leaves =
        "[Service]\nExecStart=/bin/sh -c 'sleep 1000 & echo $! > DIR/left; exec sleep 1000'\nKillMode=process\n";
    let Some(machine) = Machine::start(&[("a.service", leaves)]) else { return };
    machine.up(&["a"]);
    let left = || fs::read_to_string(machine.dir.path().join("left")).ok()?.trim().parse::<u32>().ok();
    wait_until("it has left one", || left().is_some());
    let left = left().unwrap();
    let was = machine.service("a").snapshot().unwrap();
    let (problem, words) = problem(machine.service("a").stop(&was, Duration::from_secs(1)));
    assert!(matches!(problem, Problem::StillRuns { pids, .. } if pids == [left]), "{words}");
}

#[test]
fn one_that_fails_to_start_says_how_and_where_to_read_more() {
    let fails = "[Service]\nType=notify\nExecStart=/bin/sh -c '[ -e DIR/well ] || exit 7; systemd-notify --ready; exec sleep 1000'\nNotifyAccess=all\nRestart=no\n";
    let Some(machine) = Machine::start(&[("a.service", fails)]) else { return };
    fs::write(machine.dir.path().join("well"), "").unwrap();
    machine.up(&["a"]);
    let was = machine.service("a").snapshot().unwrap();
    machine.service("a").stop(&was, PATIENCE).unwrap();
    fs::remove_file(machine.dir.path().join("well")).unwrap();
    let (problem, words) = problem(machine.service("a").start(&was, PATIENCE));
    assert!(matches!(problem, Problem::Failed { .. }), "{words}");
    assert!(words.contains("exit code 7") && words.contains("journalctl --user --unit a.service"), "{words}");
    // However often: it is not the limit of systemd that keeps it down in the end.
    for _ in 0..6 {
        machine.service("a").start(&was, PATIENCE).unwrap_err();
    }
    fs::write(machine.dir.path().join("well"), "").unwrap();
    machine.service("a").start(&was, PATIENCE).unwrap();
    assert!(machine.is("a", "active"));
}

#[test]
fn one_that_never_gets_ready_is_not_waited_for_without_end() {
    let never = "[Service]\nType=notify\nExecStart=/bin/sh -c 'exec sleep 1000'\nTimeoutStartSec=1h\n";
    let Some(machine) = Machine::start(&[("a.service", never)]) else { return };
    let mut was = machine.service("a").snapshot().unwrap();
    (was.was_running, was.pids) = (true, vec![]);
    was.facts.insert("unit".into(), "a.service".into());
    let (problem, words) = problem(machine.service("a").start(&was, Duration::from_millis(300)));
    assert!(matches!(problem, Problem::NotUp { .. }) && words.contains("activating"), "{words}");
}

#[test]
fn what_systemd_does_not_know_or_may_not_start_is_refused() {
    let manual = "[Unit]\nRefuseManualStop=yes\n[Service]\nExecStart=/bin/sleep 1000\n";
    let Some(machine) = Machine::start(&[("manual.service", manual), ("bad.service", "[Service]\nType=simple\n")])
    else {
        return;
    };
    let words = |unit: &str| machine.service(unit).snapshot().unwrap_err().to_string();
    assert!(words("none").contains("knows no such service"), "{}", words("none"));
    assert!(words("manual").contains("RefuseManualStop"), "{}", words("manual"));
    assert!(words("bad").contains("errors"), "{}", words("bad"));
    assert!(machine.systemd.systemctl(&["mask", "m.service"]).status.success());
    assert!(words("m").contains("masked"), "{}", words("m"));
}

#[test]
fn where_no_systemd_runs_that_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let surroundings = Surroundings { runtime_dir: Some(dir.path().into()), ..Surroundings::default() };
    let words = service("systemd-user:a", &surroundings).snapshot().unwrap_err().to_string();
    assert!(words.contains("XDG_RUNTIME_DIR") && words.contains("does not answer"), "{words}");
}
