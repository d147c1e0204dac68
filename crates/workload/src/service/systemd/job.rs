//! Jobs of systemd: what it was asked to do, and how that ended.

use zbus::OwnedObjectPath;

use super::{
    bus::{Bus, Signals},
    unit::Unit,
};
use crate::service::{Problem, deadline::Deadline};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Start,
    Stop,
}

/// Runs jobs. It listens before it asks for one, so that the end of none is missed.
pub(super) struct Jobs<'a> {
    bus: &'a Bus,
    ends: Signals,
}

impl<'a> Jobs<'a> {
    pub(super) fn listen(bus: &'a Bus) -> Result<Self, Problem> {
        let ends = bus.signals("JobRemoved").map_err(Problem::refused("listening to systemd"))?;
        Ok(Self { bus, ends })
    }

    /// Has a unit started or stopped, and waits for how that ends: "done", "failed", "canceled", "timeout", "dependency"
    /// or "skipped". A stop that does not end in time leaves the unit stopping.
    pub(super) fn run(&mut self, action: Action, name: &str, deadline: &Deadline) -> Result<String, Problem> {
        let (method, attempted) = match action {
            Action::Start => ("StartUnit", "starting it"),
            Action::Stop => ("StopUnit", "stopping it"),
        };
        let job: OwnedObjectPath = self.bus.manager(method, &(name, "replace")).map_err(Problem::refused(attempted))?;
        match self.await_end(&job, deadline).map_err(Problem::refused(attempted))? {
            Some(result) if action == Action::Stop && result != "done" => Err(self.not_stopped(name, &result)),
            Some(result) => Ok(result),
            None => Err(self.too_late(action, name, deadline)),
        }
    }

    fn await_end(&mut self, job: &OwnedObjectPath, deadline: &Deadline) -> zbus::Result<Option<String>> {
        while let Some(signal) = self.ends.next(deadline.left())? {
            let (_, path, _, result): (u32, OwnedObjectPath, String, String) = signal.body().deserialize()?;
            if path == *job {
                return Ok(Some(result));
            }
        }
        Ok(None)
    }

    fn not_stopped(&self, name: &str, result: &str) -> Problem {
        let pids = super::processes(self.bus, name).unwrap_or_default();
        match result {
            // Somebody asked for it to be started meanwhile, and that replaced our job.
            "canceled" => Problem::CameBack { pids },
            other => {
                Problem::Refused { attempted: "stopping it", source: format!("the job ended as \"{other}\"").into() }
            }
        }
    }

    fn too_late(&self, action: Action, name: &str, deadline: &Deadline) -> Problem {
        let waited = deadline.waited();
        match action {
            Action::Stop => Problem::StillRuns { waited, pids: super::processes(self.bus, name).unwrap_or_default() },
            Action::Start => {
                let detail = Unit::load(self.bus, name).map_or_else(|error| error.to_string(), |unit| unit.detail());
                Problem::NotUp { waited, detail }
            }
        }
    }
}
