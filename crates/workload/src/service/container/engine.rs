//! The HTTP interface of Docker, which Podman has as well: the little of it that is needed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::service::{
    Problem, Surroundings,
    http::{Answer, Client},
};

/// A container engine.
pub(super) struct Engine {
    client: Client,
    socket: PathBuf,
}

/// A container, as `inspect` shows it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: State,
    #[serde(default)]
    pub(super) restart_count: u64,
    pub(super) host_config: HostConfig,
    pub(super) config: Config,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    pub(super) status: String,
    pub(super) running: bool,
    #[serde(default)]
    pub(super) paused: bool,
    #[serde(default)]
    pub(super) restarting: bool,
    #[serde(default)]
    pub(super) pid: u32,
    #[serde(default)]
    pub(super) exit_code: i64,
    #[serde(default)]
    pub(super) error: String,
    pub(super) health: Option<Health>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Health {
    pub(super) status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    #[serde(default)]
    pub(super) restart_policy: Policy,
    #[serde(default)]
    pub(super) auto_remove: bool,
}

/// When the engine starts a container again by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Policy {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) maximum_retry_count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config {
    #[serde(default)]
    pub(super) stop_signal: Option<String>,
    #[serde(default)]
    pub(super) labels: Option<BTreeMap<String, String>>,
}

/// One of a list of containers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) id: String,
    #[serde(default)]
    pub(super) labels: Option<BTreeMap<String, String>>,
}

/// How long the engine may take for an answer. Nothing is asked of it that takes longer than a moment.
const PATIENCE: Duration = Duration::from_secs(60);

impl Engine {
    pub(super) fn at(surroundings: &Surroundings) -> Self {
        let socket = surroundings.docker.clone().unwrap_or_else(|| usual_socket(surroundings));
        Self { client: Client::unix(&socket), socket }
    }

    pub(super) fn inspect(&self, name: &str) -> Result<Container, Problem> {
        self.insist_name(name)?;
        self.get(&format!("/containers/{name}/json"))
    }

    /// All containers, also those that do not run.
    pub(super) fn list(&self) -> Result<Vec<Listed>, Problem> {
        self.get("/containers/json?all=true")
    }

    /// Sends a signal. To the signal that a container is stopped by, the engine answers as to a stop: it does not start
    /// the container again. It never resorts to killing it then, as it does some time after a stop.
    pub(super) fn signal(&self, id: &str, signal: &str) -> Result<(), Problem> {
        self.post(&format!("/containers/{id}/kill?signal={signal}"), "stopping it", &[409])
    }

    /// Has one that is between two starts stay down.
    pub(super) fn cancel_restart(&self, id: &str, within: Duration) -> Result<(), Problem> {
        self.post(&format!("/containers/{id}/stop?t={}", within.as_secs().max(1)), "stopping it", &[304])
    }

    pub(super) fn start(&self, id: &str) -> Result<(), Problem> {
        self.post(&format!("/containers/{id}/start"), "starting it", &[304])
    }

    pub(super) fn pause(&self, id: &str) -> Result<(), Problem> {
        self.post(&format!("/containers/{id}/pause"), "pausing it, as it was", &[])
    }

    pub(super) fn unpause(&self, id: &str) -> Result<(), Problem> {
        self.post(&format!("/containers/{id}/unpause"), "stopping it, as it is paused", &[])
    }

    pub(super) fn set_policy(&self, id: &str, policy: &Policy) -> Result<(), Problem> {
        let attempted = "changing its restart policy";
        let body =
            serde_json::to_vec(&serde_json::json!({ "RestartPolicy": policy })).map_err(Problem::refused(attempted))?;
        self.send(&format!("/containers/{id}/update"), attempted, &body, &[])
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let answer = self.client.get(path, PATIENCE).map_err(|error| self.unreachable(error))?;
        match answer.status {
            404 => Err(self.unknown()),
            _ if answer.is_success() => serde_json::from_slice(&answer.body).map_err(|error| self.unreachable(error)),
            _ => Err(Problem::Refused { attempted: "asking for it", source: words(&answer).into() }),
        }
    }

    fn post(&self, path: &str, attempted: &'static str, as_good: &[u16]) -> Result<(), Problem> {
        self.send(path, attempted, b"", as_good)
    }

    fn send(&self, path: &str, attempted: &'static str, body: &[u8], as_good: &[u16]) -> Result<(), Problem> {
        let answer =
            self.client.post(path, "application/json", body, PATIENCE).map_err(|error| self.unreachable(error))?;
        match answer.status {
            404 => Err(self.unknown()),
            status if answer.is_success() || as_good.contains(&status) => Ok(()),
            _ => Err(Problem::Refused { attempted, source: words(&answer).into() }),
        }
    }

    fn unreachable(&self, error: impl std::error::Error + Send + Sync + 'static) -> Problem {
        Problem::Unreachable {
            manager: format!("the container engine at {}", self.socket.display()),
            source: error.into(),
            remedy: "Does Docker or Podman listen there, and may you talk to it? DOCKER_HOST=unix://… names another socket",
        }
    }

    pub(super) fn unknown(&self) -> Problem {
        Problem::Unknown {
            manager: format!("the container engine at {}", self.socket.display()),
            remedy: "`docker ps --all` (or `podman ps --all`) shows what there is",
        }
    }

    /// A name becomes a part of a path: one that cannot be a container's is none's.
    fn insist_name(&self, name: &str) -> Result<(), Problem> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        match name.bytes().all(fits) && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) {
            true => Ok(()),
            false => Err(self.unknown()),
        }
    }
}

/// The first that is there of where they usually listen.
fn usual_socket(surroundings: &Surroundings) -> PathBuf {
    let own = surroundings.runtime_dir.iter().flat_map(|dir| [dir.join("docker.sock"), dir.join("podman/podman.sock")]);
    let system = ["/var/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from);
    let found = system.iter().cloned().chain(own).find(|path| Path::exists(path));
    found.unwrap_or_else(|| system[0].clone())
}

/// The engine's own, which it wraps in JSON.
fn words(answer: &Answer) -> String {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let message = serde_json::from_slice::<Message>(&answer.body).map_or_else(|_| answer.text(), |said| said.message);
    format!("{message} (status {})", answer.status)
}
