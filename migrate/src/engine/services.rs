//! Stopping exactly the services that run, and having exactly these again.

use std::time::Duration;

use jiff::Timestamp;
use strongroom_event::Event;
use strongroom_workload::{HealthSpec, Healthcheck, Service, Snapshot};

use super::{Healthy, Quiescing, Side, Stopped, Window, history::History, invariant::Before, world::AtPath};
use crate::{Host, Mark, MigrateError, Migration, Plan, Refusal, State, ledger::facts_of};

impl Migration<'_> {
    /// What runs now, in the order of the plan. What holds files of the data is expected to do so again.
    pub(crate) fn look_at_services(&self) -> Result<Vec<Snapshot>, MigrateError> {
        let mut services = Vec::new();
        for service in self.host.services(&self.plan)? {
            let mut snapshot = service.snapshot()?;
            snapshot.note_holding(&self.plan.data);
            services.push(snapshot);
        }
        Ok(services)
    }

    /// Stops what is recorded, in that order. Tells when each was told to.
    pub(crate) fn stop_services(&mut self) -> Result<Vec<(String, Timestamp)>, MigrateError> {
        let was = self.history().services();
        let services = self.host.services(&self.plan)?;
        let mut stopped = Vec::new();
        for snapshot in was.iter().filter(|snapshot| snapshot.was_running) {
            let told = self.host.now();
            self.waiting(format!("stopping {}", snapshot.spec));
            find(&services, snapshot)?.stop(snapshot, self.plan.service_timeout)?;
            stopped.push((snapshot.spec.to_string(), told));
        }
        Ok(stopped)
    }

    /// Starts what is recorded, in reverse order. All are tried, twice; the first that failed both times is told.
    pub(crate) fn start_services(&self, side: Side) -> Result<(), MigrateError> {
        self.start_those(side, |_| true)
    }

    pub(crate) fn start_those(&self, side: Side, which: impl Fn(&Snapshot) -> bool) -> Result<(), MigrateError> {
        let (at_path, boot_id) = (self.at_path()?, self.host.boot_id());
        let before =
            Before { history: self.history(), at_path: &at_path, boot_id: &boot_id, has_original: self.has_original() };
        before.may_run_services(side)?;
        let services = self.host.services(&self.plan)?;
        let mut first = Ok(());
        for snapshot in self.history().services().iter().rev().filter(|snapshot| which(snapshot)) {
            before.may_start(snapshot)?;
            let service = find(&services, snapshot)?;
            self.waiting(format!("starting {}", snapshot.spec));
            let started = service.start(snapshot, self.plan.service_timeout);
            let started = started.or_else(|_| service.start(snapshot, self.plan.service_timeout));
            first = first.and(started.map_err(MigrateError::from));
        }
        first
    }

    /// Waits until what is recorded is well, on the mount if there is one, and tells what was seen, and how long each was
    /// down.
    pub(crate) fn await_services(&self, side: Side) -> Result<Healthy, MigrateError> {
        let on_mount = match self.at_path()? {
            AtPath::Target(device) if side == Side::Vault => Some(device),
            _ => None,
        };
        let services = self.host.services(&self.plan)?;
        let was = self.history().services();
        let checks = self.healthchecks()?;
        let asked = self.host.now();
        let seen = self.host.await_health(&checks, &services, &was, on_mount, self.plan.health_timeout);
        let evidence = seen.map_err(|unhealthy| MigrateError::Unhealthy { why: unhealthy.to_string() })?;
        // That they stay well is looked at for a while; they have not been down meanwhile.
        let since = evidence.iter().map(|each| each.since).max().unwrap_or_default();
        let well = asked.checked_add(since).unwrap_or(asked);
        Ok(Healthy { evidence, windows: self.windows(side, well) })
    }

    /// For how long each service that is recorded was down, if it is well since then.
    pub(crate) fn windows(&self, side: Side, well: Timestamp) -> Vec<Window> {
        let times = self.history().stop_times();
        let ran = self.history().services().into_iter().filter(|snapshot| snapshot.was_running);
        let named = ran.map(|snapshot| snapshot.spec.to_string());
        named.filter_map(|service| Some(Window::new(service.clone(), times.of(&service)?, well, side))).collect()
    }

    pub(crate) fn healthchecks(&self) -> Result<Vec<Healthcheck>, MigrateError> {
        self.plan.healthchecks()
    }

    pub(crate) fn waiting(&self, why: String) {
        self.observer.observe(&Event::Waiting { why });
    }
}

impl Plan {
    /// What is to be seen of the services. It was written by us, or by somebody who should hear what is wrong with it.
    fn healthchecks(&self) -> Result<Vec<Healthcheck>, MigrateError> {
        let bad =
            |why: String| MigrateError::NeedsOperator { why, next: "correct the health checks, and begin anew".into() };
        let checks = self.health.iter().map(|text| {
            let spec: HealthSpec =
                text.parse().map_err(|error: strongroom_workload::BadHealthSpec| bad(error.to_string()))?;
            let HealthSpec::Exec(name) = &spec else { return Ok(Healthcheck::new(spec, None)) };
            let command = self.health_commands.iter().find(|(known, _)| known == name);
            let command = command.ok_or_else(|| bad(format!("no command is named {name}")))?.1.clone();
            Ok(Healthcheck::new(spec, Some(command)))
        });
        checks.collect()
    }

    /// What speaks against it: a health check that fails while nothing has been done yet would fail on either side, and
    /// nobody could tell that from what a migration has broken. To be well once is enough; services that do not run are
    /// expected to be ill.
    pub fn refuse_unwell(&self, host: &dyn Host) -> Result<Option<Refusal>, MigrateError> {
        let checks: Vec<_> =
            self.healthchecks()?.into_iter().map(|check| Healthcheck { successes: 1, ..check }).collect();
        let services = host.services(self)?;
        let mut states = services.iter().map(|service| service.state());
        let are_down = !services.is_empty() && states.all(|state| state.is_ok_and(|now| !now.is_active));
        if checks.is_empty() || are_down {
            return Ok(None);
        }
        let found = host.await_health(&checks, &[], &[], None, self.health_timeout.min(BEFOREHAND));
        Ok(found.err().map(|unhealthy| Refusal::Unwell { why: unhealthy.to_string() }))
    }
}

/// How long services that nobody has touched may take to show that they are well.
const BEFOREHAND: Duration = Duration::from_secs(15);

/// When services were told to stop.
pub(crate) struct StopTimes {
    each: Vec<(String, Timestamp)>,
    /// For those that were stopped by a run that was killed before it could tell.
    at_least: Option<Timestamp>,
}

impl StopTimes {
    fn of(&self, service: &str) -> Option<Timestamp> {
        let told = self.each.iter().find(|(name, _)| name == service).map(|(_, when)| *when);
        told.or(self.at_least)
    }
}

impl History<'_> {
    /// When services were last told to stop.
    pub(crate) fn stop_times(self) -> StopTimes {
        let begun = self.0.iter().rfind(|record| (record.state, record.mark) == (State::Quiescing, Mark::Intent));
        let ended = self.0.iter().rfind(|record| (record.state, record.mark) == (State::Quiescing, Mark::Done));
        let ended = ended.filter(|ended| begun.is_some_and(|begun| begun.seq < ended.seq));
        let each = ended.and_then(facts_of::<Stopped>).map_or_else(Vec::new, |stopped| stopped.stopped);
        let at_least = begun.filter(|begun| facts_of::<Quiescing>(begun).is_some()).map(|begun| begun.time);
        StopTimes { each, at_least }
    }
}

fn find<'s>(services: &'s [Box<dyn Service>], snapshot: &Snapshot) -> Result<&'s dyn Service, MigrateError> {
    let found = services.iter().find(|service| *service.spec() == snapshot.spec);
    found.map(|service| &**service).ok_or_else(|| MigrateError::NeedsOperator {
        why: format!("{} ran when the migration began, and is not among the services now", snapshot.spec),
        next: "start it by hand".into(),
    })
}
