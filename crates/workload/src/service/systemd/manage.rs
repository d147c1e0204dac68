//! systemd itself, for who writes units: has it read them anew, and run them.

use std::time::Duration;

use super::{Action, Bus, Jobs, Scope, Unit};
use crate::{
    Surroundings, WorkloadError,
    service::{Problem, deadline::Deadline},
};

/// A systemd: that of the machine, or of a user.
pub struct SystemdManager {
    scope: Scope,
    surroundings: Surroundings,
}

impl SystemdManager {
    /// The one that started the machine.
    pub fn system(surroundings: &Surroundings) -> Self {
        Self { scope: Scope::System, surroundings: surroundings.clone() }
    }

    /// That of the user's sessions.
    pub fn user(surroundings: &Surroundings) -> Self {
        Self { scope: Scope::User, surroundings: surroundings.clone() }
    }

    /// Has all units read anew.
    pub fn reload(&self) -> Result<(), WorkloadError> {
        self.ask(self.name(), |bus| bus.manager("Reload", &()).map_err(Problem::refused("having the units read anew")))
    }

    /// Starts a unit and waits until it is up. What is up is left as it is.
    pub fn start(&self, unit: &str, within: Duration) -> Result<(), WorkloadError> {
        self.ask(unit, |bus| {
            let result = Jobs::listen(bus)?.run(Action::Start, unit, &Deadline::after(within))?;
            let after = Unit::load(bus, unit).map_err(Problem::refused("asking whether it is up"))?;
            if result == "done" && after.is_active() {
                return Ok(());
            }
            let detail = format!("{}, the job ended as \"{result}\"", after.detail());
            Err(Problem::Failed { detail, remedy: format!("its log tells more: journalctl -u {unit}") })
        })
    }

    /// Stops a unit and waits until it is down. What is down, or not there, is left as it is.
    pub fn stop(&self, unit: &str, within: Duration) -> Result<(), WorkloadError> {
        self.ask(unit, |bus| {
            let before = Unit::load(bus, unit).map_err(Problem::refused("asking whether it is up"))?;
            match before.is_down() {
                true => Ok(()),
                false => Jobs::listen(bus)?.run(Action::Stop, unit, &Deadline::after(within)).map(drop),
            }
        })
    }

    /// Whether a unit is up.
    pub fn is_active(&self, unit: &str) -> Result<bool, WorkloadError> {
        let look = |bus: &Bus| Unit::load(bus, unit).map_err(Problem::refused("asking whether it is up"));
        self.ask(unit, |bus| look(bus).map(|unit| unit.is_active()))
    }

    fn name(&self) -> &'static str {
        match self.scope {
            Scope::System => "systemd",
            Scope::User => "the user's systemd",
        }
    }

    fn ask<T>(&self, about: &str, question: impl FnOnce(&Bus) -> Result<T, Problem>) -> Result<T, WorkloadError> {
        let unreachable = |error: zbus::Error| Problem::Unreachable {
            manager: self.name().into(),
            source: error.into(),
            remedy: "Is it this machine's, and may you command it?",
        };
        let asked = Bus::connect(self.scope, &self.surroundings).map_err(unreachable).and_then(|bus| question(&bus));
        asked.map_err(|problem| WorkloadError::Service { service: about.to_owned(), problem })
    }
}
