//! Whether services do what they are there for.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, Command},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use strongroom_event::{Event, Silent};
use strongroom_workload::{
    Evidence, Healthcheck, Running, Service, ServiceSpec, Snapshot, Unhealthy, WorkloadError, await_health,
};

use crate::machine::PATIENCE;

const SOON: Duration = Duration::from_millis(400);

fn check(spec: &str, command: &[&str]) -> Healthcheck {
    let command = (!command.is_empty()).then(|| command.iter().map(|&word| word.to_owned()).collect());
    let quick = Duration::from_millis(10);
    Healthcheck { interval: quick, ..Healthcheck::new(spec.parse().unwrap(), command) }
}

fn ask(checks: &[Healthcheck], within: Duration) -> Result<Vec<Evidence>, Unhealthy> {
    await_health(checks, &[], &[], None, within, &AtomicBool::new(false), &Silent)
}

#[test]
fn a_port_is_healthy_once_somebody_accepts_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let spec = format!("tcp:localhost:{}", listener.local_addr().unwrap().port());
    let evidence = ask(&[check(&spec, &[])], PATIENCE).unwrap();
    assert_eq!((evidence[0].subject.as_str(), evidence[0].successes), (spec.as_str(), 3));
    drop(listener);
    let unhealthy = ask(&[check(&spec, &[])], SOON).unwrap_err();
    assert!(unhealthy.failing[0].seen.contains("refused") && unhealthy.failing[0].tries > 1, "{unhealthy}");
}

/// Answers every request with the status that `status` says, or not at all for 0.
fn serve(listener: TcpListener, status: &'static AtomicU16) {
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {}
            match status.load(Ordering::Relaxed) {
                0 => std::mem::forget(stream),
                // Where it leads there is nobody: to follow it would be an error of another kind.
                status => {
                    let _ = write!(
                        stream,
                        "HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\nok"
                    );
                }
            }
        }
    });
}

#[test]
fn an_address_is_healthy_once_it_answers_with_success() {
    static STATUS: AtomicU16 = AtomicU16::new(200);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let spec = format!("http://127.0.0.1:{}/up", listener.local_addr().unwrap().port());
    serve(listener, &STATUS);
    assert_eq!(ask(&[check(&spec, &[])], PATIENCE).unwrap()[0].seen, "status 200");
    for status in [301, 404, 503] {
        STATUS.store(status, Ordering::Relaxed);
        let unhealthy = ask(&[check(&spec, &[])], SOON).unwrap_err();
        assert_eq!(unhealthy.failing[0].seen, format!("status {status}"));
    }
    STATUS.store(0, Ordering::Relaxed);
    let silent = Healthcheck { timeout: Duration::from_millis(100), ..check(&spec, &[]) };
    let unhealthy = ask(&[silent], SOON).unwrap_err();
    assert!(unhealthy.failing[0].seen.contains("timeout"), "{unhealthy}");
}

#[test]
fn a_command_is_healthy_once_it_ends_with_zero_and_tells_its_last_line_if_not() {
    let well = check("exec:mine", &["/bin/sh", "-c", "echo first; echo all is well"]);
    assert_eq!(ask(&[well], PATIENCE).unwrap()[0].seen, "exit code 0: all is well");
    let ill = check("exec:mine", &["/bin/sh", "-c", "echo first; echo no room >&2; exit 4"]);
    assert_eq!(ask(&[ill], SOON).unwrap_err().to_string(), "exec:mine: exit status: 4: no room");
    let talks = check("exec:mine", &["/bin/sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; exit 1"]);
    assert!(ask(&[talks], SOON).unwrap_err().failing[0].seen.chars().count() < 400);
    let slow = Healthcheck { timeout: Duration::from_millis(100), ..check("exec:mine", &["sleep", "1000"]) };
    assert!(ask(&[slow], SOON).unwrap_err().to_string().contains("not done within 0.1 s"));
    assert!(ask(&[check("exec:mine", &[])], SOON).unwrap_err().to_string().contains("[[health]]"));
}

#[test]
fn all_have_to_be_healthy_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    // The one is well until the other is.
    let first = check("exec:first", &["/bin/sh", "-c", &format!("test ! -e {at}/late")]);
    let late = check(
        "exec:late",
        &["/bin/sh", "-c", &format!("echo x >> {at}/n; [ $(wc -l < {at}/n) -gt 9 ] && touch {at}/late")],
    );
    let unhealthy = ask(&[first, late], Duration::from_secs(2)).unwrap_err();
    assert_eq!(unhealthy.failing.len(), 1, "{unhealthy:?}");
    assert!(unhealthy.failing[0].subject == "exec:first" && unhealthy.healthy[0].subject == "exec:late");
}

#[test]
fn it_is_over_when_somebody_says_so_and_who_watches_hears_what_is_waited_for() {
    let stop = AtomicBool::new(false);
    let heard = Mutex::new(Vec::new());
    let observer = |event: &Event| {
        if let Event::Waiting { why } = event {
            heard.lock().unwrap().push(why.clone());
            stop.store(true, Ordering::Relaxed);
        }
    };
    let begun = Instant::now();
    let result = await_health(&[check("exec:mine", &["false"])], &[], &[], None, PATIENCE, &stop, &observer);
    let unhealthy = result.unwrap_err();
    assert!(unhealthy.interrupted && unhealthy.to_string().ends_with("(interrupted)") && begun.elapsed() < PATIENCE);
    assert_eq!(*heard.lock().unwrap(), ["exec:mine: exit status: 1"]);
}

#[test]
fn where_nothing_is_to_be_asked_nothing_is_waited_for() {
    assert_eq!(ask(&[], Duration::ZERO).unwrap(), []);
}

/// A service that is as the test says.
struct Played {
    spec: ServiceSpec,
    state: Mutex<Running>,
    /// Restarts are counted up at every look.
    is_restless: bool,
    /// When it ends by itself.
    ends: Option<Instant>,
    looks: AtomicU64,
}

impl Played {
    fn new(pids: Vec<u32>) -> Self {
        let state = Running { is_active: true, pids, restarts: Some(0), detail: "active".into() };
        let spec = ServiceSpec::Systemd("a".into());
        Self { spec, state: Mutex::new(state), is_restless: false, ends: None, looks: AtomicU64::new(0) }
    }

    fn was(&self) -> Snapshot {
        let pids = self.state.lock().unwrap().pids.clone();
        Snapshot { spec: self.spec.clone(), was_running: true, pids, facts: BTreeMap::new() }
    }
}

impl Service for Played {
    fn spec(&self) -> &ServiceSpec {
        &self.spec
    }
    fn snapshot(&self) -> Result<Snapshot, WorkloadError> {
        Ok(self.was())
    }
    fn stop(&self, _: &Snapshot, _: Duration) -> Result<(), WorkloadError> {
        Ok(())
    }
    fn start(&self, _: &Snapshot, _: Duration) -> Result<(), WorkloadError> {
        Ok(())
    }
    fn state(&self) -> Result<Running, WorkloadError> {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap().clone();
        if self.ends.is_some_and(|when| when <= Instant::now()) {
            (state.is_active, state.detail) = (false, "ended".into());
        }
        if self.is_restless {
            state.restarts = Some(looks);
        }
        Ok(state)
    }
}

fn look(played: Played, was: &Snapshot, on_mount: Option<u64>, within: Duration) -> Result<Vec<Evidence>, Unhealthy> {
    let services: [Box<dyn Service>; 1] = [Box::new(played)];
    await_health(&[], &services, std::slice::from_ref(was), on_mount, within, &AtomicBool::new(false), &Silent)
}

#[test]
fn a_service_that_is_up_and_stays_up_is_healthy_and_one_that_did_not_run_is_not_asked() {
    let played = Played::new(vec![]);
    let was = played.was();
    let evidence = look(played, &was, None, PATIENCE).unwrap();
    assert_eq!((evidence[0].subject.as_str(), evidence[0].seen.as_str()), ("systemd:a", "active"));
    let played = Played::new(vec![]);
    let was = Snapshot { was_running: false, ..played.was() };
    played.state.lock().unwrap().is_active = false;
    assert!(look(played, &was, None, PATIENCE).unwrap().is_empty());
}

#[test]
fn a_service_that_ends_soon_after_it_was_started_is_not_healthy() {
    let played = Played { ends: Some(Instant::now() + Duration::from_millis(1500)), ..Played::new(vec![]) };
    let was = played.was();
    let unhealthy = look(played, &was, None, Duration::from_secs(4)).unwrap_err();
    assert!(unhealthy.to_string().contains("ended"), "{unhealthy}");
}

#[test]
fn a_service_that_is_restarted_again_and_again_is_not_healthy() {
    let played = Played { is_restless: true, ..Played::new(vec![]) };
    let was = played.was();
    let unhealthy = look(played, &was, None, Duration::from_secs(3)).unwrap_err();
    assert!(unhealthy.to_string().contains("restarted meanwhile"), "{unhealthy}");
}

/// A process that holds a file of `dir`.
struct Holder(Child);

impl Holder {
    fn start(dir: &Path) -> Self {
        fs::write(dir.join("data"), "x").unwrap();
        Self(Command::new("sleep").arg("1000").stdin(File::open(dir.join("data")).unwrap()).spawn().unwrap())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn one_that_held_files_must_hold_files_on_the_mount_and_is_seen_to() {
    // Another file system than that of the temporary directory stands for the mount.
    let (before, mount) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
    let device = fs::metadata(mount.path()).unwrap().dev();
    assert_ne!(fs::metadata(before.path()).unwrap().dev(), device);
    let (old, new) = (Holder::start(before.path()), Holder::start(mount.path()));
    let mut was = Played::new(vec![old.0.id()]).was();
    assert!(was.note_holding(before.path()) && !was.clone().note_holding(mount.path()));
    let evidence = look(Played::new(vec![new.0.id()]), &was, Some(device), PATIENCE).unwrap();
    let expected = format!("process {} holds {}", new.0.id(), mount.path().join("data").display());
    assert!(evidence[0].seen.contains(&expected), "{evidence:?}");
    // Still on the old files, as a container is that was not started anew.
    let unhealthy = look(Played::new(vec![old.0.id()]), &was, Some(device), Duration::from_secs(2)).unwrap_err();
    assert!(unhealthy.to_string().contains("none of its processes holds a file on the mount"), "{unhealthy}");
}

#[test]
fn one_that_held_no_files_need_not_hold_any() {
    let dir = tempfile::tempdir().unwrap();
    let mut was = Played::new(vec![std::process::id()]).was();
    assert!(!was.note_holding(dir.path()));
    let evidence = look(Played::new(vec![u32::MAX]), &was, Some(u64::MAX), PATIENCE).unwrap();
    assert!(evidence[0].seen.contains("nor did it before"), "{evidence:?}");
}

#[test]
fn what_was_seen_survives_being_written() {
    let unhealthy = ask(&[check("exec:mine", &["false"])], SOON).unwrap_err();
    let read: Unhealthy = serde_json::from_str(&serde_json::to_string(&unhealthy).unwrap()).unwrap();
    assert_eq!(read, unhealthy);
}
