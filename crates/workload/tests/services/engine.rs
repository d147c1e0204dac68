//! A stand-in for a container engine: the part of Docker's HTTP interface that is used, on a unix socket, with containers
//! in memory. No engine runs on the machines that test this; its answers follow the interface's documentation.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use strongroom_workload::{Service, Surroundings};

use crate::machine::service;

#[derive(Clone)]
pub struct Container {
    pub name: &'static str,
    pub running: bool,
    pub paused: bool,
    pub policy: &'static str,
    pub signal: Option<&'static str>,
    pub auto_remove: bool,
    pub labels: Value,
    /// Ignores being told to stop.
    pub is_deaf: bool,
    /// Ends at once when it is started.
    pub fails: bool,
    pub health: Option<&'static str>,
}

impl Container {
    pub fn up(name: &'static str) -> Self {
        let labels = json!({});
        Self {
            name,
            running: true,
            paused: false,
            policy: "no",
            signal: None,
            auto_remove: false,
            labels,
            is_deaf: false,
            fails: false,
            health: None,
        }
    }
}

struct Held {
    container: Container,
    policy: Value,
    exit_code: i64,
    /// How often it has been asked after since it was started.
    looks: u32,
}

type Shared = Arc<Mutex<(Vec<Held>, Vec<String>)>>;

pub struct Engine {
    dir: tempfile::TempDir,
    shared: Shared,
}

impl Engine {
    pub fn start(containers: &[Container]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let held = containers.iter().map(|container| Held {
            policy: json!({ "Name": container.policy, "MaximumRetryCount": 4 }),
            container: container.clone(),
            exit_code: 0,
            looks: 0,
        });
        let shared: Shared = Arc::new(Mutex::new((held.collect(), Vec::new())));
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let serving = Arc::clone(&shared);
        // It ends with the process: nobody connects any more.
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| serve(stream, &serving)));
        Self { dir, shared }
    }

    pub fn service(&self, spec: &str) -> Box<dyn Service> {
        let surroundings = Surroundings { docker: Some(self.dir.path().join("s")), ..Surroundings::default() };
        service(spec, &surroundings)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    /// What was asked of it that changes something, in order.
    pub fn asked(&self) -> Vec<String> {
        self.shared.lock().unwrap().1.clone()
    }

    pub fn is_running(&self, name: &str) -> bool {
        self.shared.lock().unwrap().0.iter().any(|held| held.container.name == name && held.container.running)
    }

    pub fn policy(&self, name: &str) -> Value {
        let shared = self.shared.lock().unwrap();
        shared.0.iter().find(|held| held.container.name == name).unwrap().policy.clone()
    }
}

fn serve(stream: UnixStream, shared: &Shared) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut request, mut length) = (String::new(), 0);
    reader.read_line(&mut request).unwrap();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap() == 0 || header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let words: Vec<_> = request.split(' ').collect();
    let (status, answer) = match words[..] {
        ["GET", path, _] => look(path, shared),
        ["POST", path, _] => act(path, &body, shared),
        _ => (400, json!({ "message": "no request" })),
    };
    let text = if status == 204 || status == 304 { String::new() } else { answer.to_string() };
    // In chunks, as Docker does for what is long.
    let framing = match (text.is_empty(), words[0]) {
        (true, _) => "\r\n".to_owned(),
        (false, "GET") => format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\n\r\n", text.len()),
        (false, _) => format!("Content-Length: {}\r\n\r\n{text}", text.len()),
    };
    let _ =
        (&stream).write_all(format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{framing}").as_bytes());
}

fn look(path: &str, shared: &Shared) -> (u16, Value) {
    let mut shared = shared.lock().unwrap();
    if path.starts_with("/containers/json") {
        let all = shared.0.iter().map(|held| json!({ "Id": id(held.container.name), "Labels": held.container.labels }));
        return (200, all.collect());
    }
    let name = path.trim_start_matches("/containers/").trim_end_matches("/json").to_owned();
    match shared.0.iter_mut().find(|held| name == held.container.name || name == id(held.container.name)) {
        Some(held) => {
            held.looks += 1;
            (200, inspected(held))
        }
        None => (404, json!({ "message": format!("No such container: {name}") })),
    }
}

fn inspected(held: &Held) -> Value {
    let of = &held.container;
    // A health check takes a while after each start.
    let health = of.health.map(|health| json!({ "Status": if held.looks > 3 { health } else { "starting" } }));
    let status = match (of.running, of.paused) {
        (true, true) => "paused",
        (true, false) => "running",
        _ => "exited",
    };
    json!({
        "Id": id(of.name), "Name": format!("/{}", of.name), "RestartCount": 0,
        "State": {
            "Status": status, "Running": of.running, "Paused": of.paused, "Restarting": false,
            "Pid": if of.running { std::process::id() } else { 0 }, "ExitCode": held.exit_code, "Error": "", "Health": health,
        },
        "HostConfig": { "RestartPolicy": held.policy, "AutoRemove": of.auto_remove },
        "Config": { "StopSignal": of.signal, "Labels": of.labels },
    })
}

fn act(path: &str, body: &[u8], shared: &Shared) -> (u16, Value) {
    let mut shared = shared.lock().unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (wanted, verb) = path.trim_start_matches("/containers/").rsplit_once('/').unwrap();
    let Some(index) = shared.0.iter().position(|held| id(held.container.name) == wanted) else {
        return (404, json!({ "message": "No such container" }));
    };
    let text = String::from_utf8_lossy(body).into_owned();
    let detail = if query.is_empty() { text.clone() } else { query.to_owned() };
    let name = shared.0[index].container.name;
    shared.1.push(format!("{verb} {name} {detail}").trim().to_owned());
    let held = &mut shared.0[index];
    match verb {
        "kill" if !held.container.running => (409, json!({ "message": "is not running" })),
        "kill" => {
            // Whatever would start it again does so at once.
            held.container.running = held.container.is_deaf || held.policy["Name"] != "no";
            (204, Value::Null)
        }
        "start" if held.container.running => (304, Value::Null),
        "start" => {
            held.looks = 0;
            held.container.running = !held.container.fails;
            held.exit_code = if held.container.fails { 7 } else { 0 };
            (204, Value::Null)
        }
        "pause" | "unpause" => {
            held.container.paused = verb == "pause";
            (204, Value::Null)
        }
        "update" => {
            held.policy = serde_json::from_str::<Value>(&text).unwrap()["RestartPolicy"].clone();
            (200, json!({ "Warnings": [] }))
        }
        _ => (400, json!({ "message": "what?" })),
    }
}

fn id(name: &str) -> String {
    format!("{name}0123456789abcdef")
}
