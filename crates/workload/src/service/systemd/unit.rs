//! What systemd says about a unit.

use std::collections::HashMap;

use zbus::{OwnedObjectPath, OwnedVariant};

use super::bus::Bus;

/// What systemd says about a unit at a moment.
pub(super) struct Unit {
    properties: HashMap<String, OwnedVariant>,
}

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Units of these are stopped when it is: what needs it, what is bound to it, what is a part of it.
const TAKEN_ALONG: [&str; 5] = ["RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf", "PropagatesStopTo"];

impl Unit {
    /// Asks for the unit `name`, read from its file if nobody uses it just now.
    pub(super) fn load(bus: &Bus, name: &str) -> zbus::Result<Self> {
        let path: OwnedObjectPath = bus.manager("LoadUnit", &(name,))?;
        let mut properties: HashMap<String, OwnedVariant> = bus.call(path.as_str(), PROPERTIES, "GetAll", &(UNIT,))?;
        if name.ends_with(".service") {
            let own: HashMap<_, _> =
                bus.call(path.as_str(), PROPERTIES, "GetAll", &("org.freedesktop.systemd1.Service",))?;
            properties.extend(own);
        }
        Ok(Self { properties })
    }

    /// Its name, whatever alias it was asked for by.
    pub(super) fn id(&self) -> String {
        self.text("Id")
    }

    /// Whether there is such a unit, and it may be started: "loaded", or "not-found", "masked", "bad-setting", "error".
    pub(super) fn load_state(&self) -> String {
        self.text("LoadState")
    }

    pub(super) fn active_state(&self) -> String {
        self.text("ActiveState")
    }

    /// Whether it is up, and not just starting or stopping.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.active_state().as_str(), "active" | "reloading" | "refreshing")
    }

    /// Whether it is down, and not just going there.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.active_state().as_str(), "inactive" | "failed")
    }

    /// Whether systemd waits a while to start it once more, as it had ended by itself.
    pub(super) fn is_being_restarted(&self) -> bool {
        self.text("SubState").starts_with("auto-restart")
    }

    /// Whether its only work was done, and that is how it should be.
    pub(super) fn is_done(&self) -> bool {
        self.text("Type") == "oneshot" && self.active_state() == "inactive" && self.result() == "success"
    }

    pub(super) fn result(&self) -> String {
        self.text("Result")
    }

    pub(super) fn restarts(&self) -> Option<u64> {
        self.number("NRestarts")
    }

    /// Sockets, timers and paths that start it.
    pub(super) fn triggers(&self) -> Vec<String> {
        self.list("TriggeredBy")
    }

    /// Units that are stopped when it is.
    pub(super) fn dependants(&self) -> Vec<String> {
        TAKEN_ALONG.iter().flat_map(|property| self.list(property)).collect()
    }

    pub(super) fn refuses_stop(&self) -> bool {
        self.flag("RefuseManualStop")
    }

    pub(super) fn refuses_start(&self) -> bool {
        self.flag("RefuseManualStart")
    }

    /// Whether it was not started because what it is conditional on is not so.
    pub(super) fn is_unmet(&self) -> bool {
        self.number("ConditionTimestampMonotonic").is_some_and(|at| at > 0) && !self.flag_or("ConditionResult", true)
    }

    /// Whether somebody else than its triggers would start it: who calls it by name on the bus, or another unit that holds
    /// it up.
    pub(super) fn is_called_for(&self) -> bool {
        !self.text("BusName").is_empty() || !self.list("UpheldBy").is_empty()
    }

    /// "active (running)", and why not if not.
    pub(super) fn detail(&self) -> String {
        let how = match self.result().as_str() {
            "" | "success" => String::new(),
            "exit-code" => format!(", it ended with exit code {}", self.signed("ExecMainStatus")),
            result => format!(", {result}"),
        };
        format!("{} ({}){how}", self.active_state(), self.text("SubState"))
    }

    /// How long systemd lets it take to stop, before it kills it.
    pub(super) fn stop_limit(&self) -> String {
        match self.number("TimeoutStopUSec") {
            Some(micros) if micros < u64::MAX => format!("its TimeoutStopSec of {} s", micros as f64 / 1e6),
            _ => "its TimeoutStopSec".to_owned(),
        }
    }

    fn text(&self, property: &str) -> String {
        self.properties.get(property).and_then(|value| value.downcast_ref::<String>().ok()).unwrap_or_default()
    }

    fn list(&self, property: &str) -> Vec<String> {
        let value = self.properties.get(property).and_then(|value| value.try_clone().ok());
        value.and_then(|value| Vec::<String>::try_from(value).ok()).unwrap_or_default()
    }

    fn flag(&self, property: &str) -> bool {
        self.flag_or(property, false)
    }

    fn flag_or(&self, property: &str, otherwise: bool) -> bool {
        self.properties.get(property).and_then(|value| value.downcast_ref::<bool>().ok()).unwrap_or(otherwise)
    }

    fn number(&self, property: &str) -> Option<u64> {
        let value = self.properties.get(property)?;
        value.downcast_ref::<u64>().ok().or_else(|| value.downcast_ref::<u32>().ok().map(u64::from))
    }

    fn signed(&self, property: &str) -> i32 {
        self.properties.get(property).and_then(|value| value.downcast_ref::<i32>().ok()).unwrap_or_default()
    }
}
