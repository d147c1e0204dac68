//! The health checks that an operator names, each asked once.

use std::{
    ffi::OsString,
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use super::{HealthSpec, Healthcheck, watch::Sight};
use crate::{Hook, WorkloadError, run, service::http::Client};

/// No more of anybody's words is told.
const LONGEST: usize = 300;

pub(super) fn ask(check: &Healthcheck) -> Sight {
    match &check.spec {
        HealthSpec::Tcp { host, port } => tcp(host, *port, check.timeout),
        HealthSpec::Http(url) => http(url, check.timeout),
        HealthSpec::Exec(_) => exec(check.command.as_deref(), check.timeout),
    }
}

fn tcp(host: &str, port: u16, timeout: Duration) -> Sight {
    let mut addresses = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return Sight::ill(format!("its address is not known: {error}")),
    };
    let mut last = "it has no address".to_owned();
    let connected = addresses.any(|address| {
        TcpStream::connect_timeout(&address, timeout).map_err(|error| last = format!("{address}: {error}")).is_ok()
    });
    match connected {
        true => Sight::well("it accepts connections"),
        false => Sight::ill(last),
    }
}

fn http(url: &str, timeout: Duration) -> Sight {
    match Client::tcp().get(url, timeout) {
        Ok(answer) if answer.is_success() => Sight::well(format!("status {}", answer.status)),
        Ok(answer) => Sight::ill(format!("status {}", answer.status)),
        Err(error) => Sight::ill(error.to_string()),
    }
}

fn exec(command: Option<&[String]>, timeout: Duration) -> Sight {
    let Some(command) = command else {
        return Sight::ill("the configuration has no [[health]] of that name; define it with `command`");
    };
    match run(&Hook { argv: command.iter().map(OsString::from).collect(), timeout }, &[]) {
        Ok(outcome) => Sight::well(after("exit code 0", &outcome.output)),
        Err(WorkloadError::HookFailed { status, output, .. }) => Sight::ill(after(&status.to_string(), &output)),
        Err(WorkloadError::HookTimedOut { limit, output, .. }) => {
            Sight::ill(after(&format!("not done within {} s", limit.as_secs_f32()), &output))
        }
        Err(error) => Sight::ill(bounded(&error.to_string())),
    }
}

/// How it ended, and the last line that it wrote.
fn after(how: &str, output: &str) -> String {
    let last = output.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.map_or(how.to_owned(), |line| format!("{how}: {}", bounded(line)))
}

fn bounded(words: &str) -> String {
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}
