//! HTTP without TLS, by TCP or by a unix socket; nothing is taken from the environment, nothing is followed elsewhere.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use ureq::{
    Agent, Body, Error,
    config::Config,
    http::{Response, Uri},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, TcpConnector, Transport},
    },
};

/// More is not read of any answer.
const LARGEST: u64 = 16 << 20;

/// Asks one server, or, by TCP, whichever.
pub(crate) struct Client {
    agent: Agent,
    /// What a path is prefixed with: by a unix socket the host does not matter.
    base: &'static str,
}

/// What came back, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn tcp() -> Self {
        Self { agent: Agent::with_parts(config(), TcpConnector::default(), DefaultResolver::default()), base: "" }
    }

    pub(crate) fn unix(socket: &Path) -> Self {
        let agent = Agent::with_parts(config(), UnixConnector(socket.to_owned()), NoNames);
        Self { agent, base: "http://localhost" }
    }

    pub(crate) fn get(&self, path: &str, within: Duration) -> Result<Answer, Error> {
        let request = self.agent.get(format!("{}{path}", self.base));
        Answer::read(request.config().timeout_global(Some(within)).build().call()?)
    }

    pub(crate) fn post(&self, path: &str, kind: &str, body: &[u8], within: Duration) -> Result<Answer, Error> {
        let request = self.agent.post(format!("{}{path}", self.base)).content_type(kind);
        Answer::read(request.config().timeout_global(Some(within)).build().send(body)?)
    }
}

impl Answer {
    fn read(mut response: Response<Body>) -> Result<Self, Error> {
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(LARGEST).read_to_vec()?;
        Ok(Self { status, body })
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }
}

fn config() -> Config {
    // One request a connection: whoever answers may be restarted between two.
    Config::builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .build()
}

#[derive(Debug)]
struct NoNames;

impl Resolver for NoNames {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut nowhere = self.empty();
        nowhere.push(([127, 0, 0, 1], 0).into());
        Ok(nowhere)
    }
}

#[derive(Debug)]
struct UnixConnector(PathBuf);

impl Connector for UnixConnector {
    type Out = UnixTransport;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<UnixTransport>, Error> {
        let stream = UnixStream::connect(&self.0)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(UnixTransport { stream, buffers }))
    }
}

struct UnixTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
}

impl std::fmt::Debug for UnixTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("UnixTransport").field(&self.stream).finish()
    }
}

impl Transport for UnixTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        self.stream.set_write_timeout(limit(&timeout))?;
        self.stream.write_all(&self.buffers.output()[..amount]).map_err(|error| too_late(error, &timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        self.stream.set_read_timeout(limit(&timeout))?;
        let amount = loop {
            match self.stream.read(self.buffers.input_append_buf()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(|error| too_late(error, &timeout))?,
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        false
    }
}

/// A time of zero would mean none.
fn limit(timeout: &NextTimeout) -> Option<Duration> {
    timeout.not_zero().map(|left| (*left).max(Duration::from_millis(1)))
}

fn too_late(error: io::Error, timeout: &NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}
