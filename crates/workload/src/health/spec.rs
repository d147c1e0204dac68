//! How a health check is named on a command line: `tcp:HOST:PORT`, `http:URL`, `exec:NAME`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What is asked whether services are healthy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum HealthSpec {
    /// Somebody accepts connections there.
    Tcp {
        /// A name or an address, of IPv6 without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A GET of this `http://` address is answered with a status of 200 to 299.
    Http(String),
    /// The command of that name in the configuration ends with exit code 0.
    Exec(String),
}

/// A name of a health check that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}: a health check is named as tcp:HOST:PORT, http:URL (http://… only) or exec:NAME")]
pub struct BadHealthSpec {
    /// What was given.
    pub text: String,
}

impl FromStr for HealthSpec {
    type Err = BadHealthSpec;

    fn from_str(text: &str) -> Result<Self, BadHealthSpec> {
        parse(text).ok_or_else(|| BadHealthSpec { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<HealthSpec> {
    let (kind, rest) = text.split_once(':').filter(|(_, rest)| !rest.is_empty())?;
    match kind {
        "tcp" => {
            let (host, port) = rest.rsplit_once(':')?;
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let port = port.parse().ok().filter(|port| *port != 0)?;
            (!bare.is_empty()).then(|| HealthSpec::Tcp { host: bare.to_owned(), port })
        }
        // `http://…` as it stands is an address, and so is `http:http://…`.
        "http" if rest.starts_with("//") => address(text).map(HealthSpec::Http),
        "http" => address(rest).map(HealthSpec::Http),
        "exec" => Some(HealthSpec::Exec(rest.to_owned())),
        _ => None,
    }
}

fn address(url: &str) -> Option<String> {
    url.strip_prefix("http://").filter(|rest| !rest.is_empty() && !rest.starts_with('/')).map(|_| url.to_owned())
}

impl fmt::Display for HealthSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HealthSpec::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            HealthSpec::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
            HealthSpec::Http(url) => write!(f, "http:{url}"),
            HealthSpec::Exec(name) => write!(f, "exec:{name}"),
        }
    }
}

impl From<HealthSpec> for String {
    fn from(spec: HealthSpec) -> Self {
        spec.to_string()
    }
}

impl TryFrom<String> for HealthSpec {
    type Error = BadHealthSpec;

    fn try_from(text: String) -> Result<Self, BadHealthSpec> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_check_is_written_as_it_is_read() {
        for text in ["tcp:localhost:80", "tcp:[::1]:80", "http:http://localhost:8080/up?x=1", "exec:mine"] {
            assert_eq!(text.parse::<HealthSpec>().unwrap().to_string(), text);
        }
        assert_eq!("http://h/".parse::<HealthSpec>().unwrap(), HealthSpec::Http("http://h/".into()));
    }

    #[test]
    fn what_names_no_health_check_is_refused_with_all_that_would() {
        for text in [
            "",
            "tcp:",
            "tcp:host",
            "tcp:host:0",
            "tcp::80",
            "tcp:h:99999",
            "http:x",
            "https://x/",
            "http:///",
            "ping:x",
        ] {
            assert!(text.parse::<HealthSpec>().unwrap_err().to_string().contains("exec:NAME"), "{text}");
        }
    }
}
