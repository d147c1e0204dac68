//! XML-RPC, as supervisord speaks it on its unix socket: the little of it that is needed.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use roxmltree::{Document, Node};

use crate::service::{Problem, Surroundings, http::Client};

/// A supervisord.
pub(super) struct Rpc {
    client: Client,
    socket: PathBuf,
}

/// What supervisord says about a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) name: String,
    pub(super) group: String,
    pub(super) state: String,
    pub(super) pid: u32,
    pub(super) description: String,
    pub(super) error: String,
}

/// A call that supervisord did not do.
#[derive(Debug, thiserror::Error)]
#[error("{words} (fault {code})")]
struct Fault {
    code: i64,
    words: String,
}

/// What it answers when asked to start what runs, or to stop what does not.
const ALREADY: [i64; 2] = [60, 70];

/// Calls do not wait for what they cause.
const PATIENCE: Duration = Duration::from_secs(30);

impl Rpc {
    pub(super) fn at(surroundings: &Surroundings) -> Self {
        let socket = surroundings.supervisor.clone().unwrap_or_else(usual_socket);
        Self { client: Client::unix(&socket), socket }
    }

    /// All processes that it knows.
    pub(super) fn processes(&self) -> Result<Vec<Info>, Problem> {
        let text = self.call("getAllProcessInfo", "")?;
        infos(&text).map_err(|error| self.unreachable(error))
    }

    /// Has a process stopped, without waiting for it.
    pub(super) fn stop(&self, name: &str) -> Result<(), Problem> {
        self.tell("stopProcess", "stopping it", name)
    }

    /// Has a process started, without waiting for it.
    pub(super) fn start(&self, name: &str) -> Result<(), Problem> {
        self.tell("startProcess", "starting it", name)
    }

    fn tell(&self, method: &str, attempted: &'static str, name: &str) -> Result<(), Problem> {
        let name = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let parameters = format!(
            "<param><value><string>{name}</string></value></param><param><value><boolean>0</boolean></value></param>"
        );
        let text = self.call(method, &parameters)?;
        match fault(&text).map_err(|error| self.unreachable(error))? {
            Some(fault) if !ALREADY.contains(&fault.code) => Err(Problem::refused(attempted)(fault)),
            _ => Ok(()),
        }
    }

    fn call(&self, method: &str, parameters: &str) -> Result<String, Problem> {
        let body = format!(
            "<?xml version=\"1.0\"?><methodCall><methodName>supervisor.{method}</methodName><params>{parameters}</params></methodCall>"
        );
        let answer = self.client.post("/RPC2", "text/xml", body.as_bytes(), PATIENCE);
        let answer = answer.map_err(|error| self.unreachable(error))?;
        match answer.status {
            401 => Err(Problem::Unsuitable(
                "supervisord wants a password on its socket; define commands for this service instead",
            )),
            _ if answer.is_success() => Ok(answer.text()),
            status => Err(self.unreachable(io::Error::other(format!("it answers with status {status}")))),
        }
    }

    fn unreachable(&self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Problem {
        Problem::Unreachable {
            manager: format!("supervisord at {}", self.socket.display()),
            source: error.into(),
            remedy: "Does it run, has it a [unix_http_server], and may you talk to it?",
        }
    }
}

fn usual_socket() -> PathBuf {
    let usual = ["/run/supervisor.sock", "/run/supervisor/supervisor.sock", "/tmp/supervisor.sock"];
    let found = usual.iter().find(|path| Path::new(path).exists());
    found.unwrap_or(&usual[0]).into()
}

fn fault(text: &str) -> Result<Option<Fault>, roxmltree::Error> {
    let document = Document::parse(text)?;
    Ok(document.descendants().find(|node| node.has_tag_name("fault")).map(|fault| Fault {
        code: member(fault, "faultCode").parse().unwrap_or_default(),
        words: member(fault, "faultString"),
    }))
}

fn infos(text: &str) -> Result<Vec<Info>, roxmltree::Error> {
    let document = Document::parse(text)?;
    let structs = document.descendants().filter(|node| node.has_tag_name("struct"));
    Ok(structs.map(info).filter(|info| !info.name.is_empty()).collect())
}

fn info(of: Node<'_, '_>) -> Info {
    Info {
        name: member(of, "name"),
        group: member(of, "group"),
        state: member(of, "statename"),
        pid: member(of, "pid").parse().unwrap_or_default(),
        description: member(of, "description"),
        error: member(of, "spawnerr"),
    }
}

/// The value of a struct's member, as text whatever its type; empty if there is none.
fn member(of: Node<'_, '_>, name: &str) -> String {
    let members = of.descendants().filter(|node| node.has_tag_name("member"));
    let mut named = members.filter(|member| child(*member, "name").and_then(|node| node.text()) == Some(name));
    let value = named.next().and_then(|member| child(member, "value"));
    let texts = value.into_iter().flat_map(|value| value.descendants()).filter(|node| node.is_text());
    texts.filter_map(|node| node.text()).collect::<String>().trim().to_owned()
}

fn child<'a, 'input>(of: Node<'a, 'input>, tag: &str) -> Option<Node<'a, 'input>> {
    of.children().find(|node| node.has_tag_name(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_supervisord_says_is_understood_whatever_the_types_are() {
        let text = "<?xml version='1.0'?><methodResponse><params><param><value><array><data><value><struct>\
            <member><name>name</name><value><string>a&amp;b</string></value></member>\
            <member><name>group</name><value>g</value></member>\
            <member><name>pid</name><value><int>42</int></value></member>\
            <member><name>statename</name><value><string>RUNNING</string></value></member>\
            </struct></value></data></array></value></param></params></methodResponse>";
        let infos = infos(text).unwrap();
        assert_eq!((infos[0].name.as_str(), infos[0].group.as_str(), infos[0].pid), ("a&b", "g", 42));
        assert!(fault(text).unwrap().is_none());
    }

    #[test]
    fn a_fault_is_told_with_its_number() {
        let text = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>10</int></value></member>\
            <member><name>faultString</name><value><string>BAD_NAME: x</string></value></member></struct></value></fault></methodResponse>";
        assert_eq!(fault(text).unwrap().unwrap().to_string(), "BAD_NAME: x (fault 10)");
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(infos("").is_err() && infos("<html>").is_err() && fault("nonsense").is_err());
    }
}
