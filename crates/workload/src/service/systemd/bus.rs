//! The way to a systemd: a connection to it over D-Bus, each of whose calls is waited for.

use std::{future::poll_fn, io, path::PathBuf, pin::Pin, time::Duration};

use futures_core::Stream;
use serde::{Serialize, de::DeserializeOwned};
use zbus::{
    Connection, DynamicType, MatchRule, MessageStream, Type,
    connection::Builder,
    message::{self, Message},
};
use zruntime::SharedRuntime;

use super::Scope;
use crate::Surroundings;

pub(super) const DESTINATION: &str = "org.freedesktop.systemd1";
pub(super) const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";
const ROOT: &str = "/org/freedesktop/systemd1";

/// How long a call may take. Reading all units anew takes a while where there are many.
const PATIENCE: Duration = Duration::from_secs(90);

/// A connection to a systemd.
pub(super) struct Bus(Connection);

impl Bus {
    /// Through the bus: on its own socket systemd names itself in a way that the library does not take.
    pub(super) fn connect(scope: Scope, surroundings: &Surroundings) -> zbus::Result<Self> {
        let nowhere = || io::Error::new(io::ErrorKind::NotFound, "it is not known where its bus is");
        let address = address(scope, surroundings).ok_or_else(nowhere)?;
        zruntime::block_on(Builder::address(address.as_str()).method_timeout(PATIENCE).build()).map(Self)
    }

    /// Calls a method of the manager.
    pub(super) fn manager<T: DeserializeOwned + Type>(
        &self,
        method: &'static str,
        body: &(impl Serialize + DynamicType),
    ) -> zbus::Result<T> {
        self.call(ROOT, MANAGER, method, body)
    }

    pub(super) fn call<T: DeserializeOwned + Type>(
        &self,
        path: &str,
        interface: &'static str,
        method: &'static str,
        body: &(impl Serialize + DynamicType),
    ) -> zbus::Result<T> {
        let call = self.0.call_method(Some(DESTINATION), path, Some(interface), method, body);
        zruntime::block_on(call)?.body().deserialize()
    }

    /// Listens to the manager's signals of this name, from now on.
    pub(super) fn signals(&self, member: &'static str) -> zbus::Result<Signals> {
        self.manager::<()>("Subscribe", &())?;
        let rule = MatchRule::builder().msg_type(message::Type::Signal).interface(MANAGER).member(member).build()?;
        zruntime::block_on(MessageStream::for_match_rule(rule, &self.0, None)).map(Signals)
    }
}

/// Signals as they come.
pub(super) struct Signals(MessageStream);

impl Signals {
    /// The next one; `None` if none came `within` that time.
    pub(super) fn next(&mut self, within: Duration) -> zbus::Result<Option<Message>> {
        zruntime::block_on(async {
            let stream = &mut self.0;
            let next = poll_fn(|context| Pin::new(&mut *stream).poll_next(context));
            match SharedRuntime::current()?.timeout(within, next).await {
                Ok(Some(message)) => message.map(Some),
                Ok(None) => {
                    Err(io::Error::new(io::ErrorKind::ConnectionAborted, "systemd closed the connection").into())
                }
                Err(_) => Ok(None),
            }
        })
    }
}

fn address(scope: Scope, surroundings: &Surroundings) -> Option<String> {
    let below = |dir: &PathBuf| format!("unix:path={}", dir.join("bus").display());
    match scope {
        Scope::System => surroundings.system_bus.clone().or_else(|| Some(SYSTEM_BUS.to_owned())),
        // Systemd is on the bus that it started itself, which need not be that of a session.
        Scope::User => match &surroundings.runtime_dir {
            Some(dir) if dir.join("bus").exists() => Some(below(dir)),
            other => surroundings.session_bus.clone().or_else(|| other.as_ref().map(below)),
        },
    }
}
