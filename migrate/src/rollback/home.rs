//! The original is the truth again: it comes to its path, and services run on it.

use strongroom_tree::LocalTree;

use super::{Carried, Returned, remove_empty};
use crate::{
    Carry, Direction, Mark, MigrateError, Migration, Porter, Side, State, Stopped, Window, engine::Healthy,
    ledger::facts_of,
};

impl Migration<'_> {
    pub(super) fn come_home(&mut self) -> Result<(), MigrateError> {
        self.open_path()?;
        self.phase("starting services");
        // Also when decrypting: of the two trees, the one that is not the copy.
        let side = Side::Plaintext;
        let started = self.start_services(side);
        self.phase("waiting for the services to be healthy");
        let healthy = started.and_then(|()| self.await_services(side));
        self.host.mounter().disarm(&self.plan)?;
        let unhealthy = healthy.as_ref().err().map(ToString::to_string);
        self.reached(State::RolledBack, &Returned { windows: self.windows_back(side), unhealthy })?;
        self.ledger.drop_mark()?;
        match healthy {
            Ok(Healthy { .. }) => Ok(()),
            // It cannot be for the migration any more.
            Err(error) => Err(MigrateError::NeedsOperator {
                why: format!("{error}, although everything is back where it was"),
                next: "see to the services".into(),
            }),
        }
    }

    /// The path leads to the original, and nothing mounts over it when the machine starts. Doing it again is nothing.
    pub(crate) fn open_path(&mut self) -> Result<(), MigrateError> {
        self.phase("opening the path");
        self.close_vault();
        let has_restored =
            self.ledger.fact::<Carried>(State::RollingBack).is_some_and(|carried| carried.restored.is_some());
        if self.plan.direction == Direction::Encrypt && !has_restored {
            self.tidy()?;
            if self.plan.aside.is_dir() && self.has_original() {
                self.fasten_flags()?;
            }
        }
        self.reopen()?;
        if self.plan.direction == Direction::Encrypt {
            // What keeps services from starting without the mount, before they are started.
            self.host.mounter().withdraw(&self.plan)?;
        }
        remove_empty(&self.plan.stage);
        Ok(())
    }

    /// Lets go of what was replaced in the original.
    fn tidy(&mut self) -> Result<(), MigrateError> {
        if LocalTree::open(&self.plan.aside).is_err() {
            return Ok(());
        }
        let (observer, host) = (self.observer.clone(), self.host);
        let is_to_stop = || host.is_to_stop();
        let porter =
            Porter { workers: host.workers(), leaves_obstacles: false, observer: &*observer, is_to_stop: &is_to_stop };
        Carry::new(&self.plan, &self.place, porter).recover(&mut || Ok(())).map(drop)
    }

    /// For how long each service was down on the way back.
    fn windows_back(&self, side: Side) -> Vec<Window> {
        let now = self.host.now();
        let records = self.ledger.records().iter();
        // The first attempt since the way back was chosen counts: later ones find them stopped.
        let chosen = self.ledger.last(State::RollbackIntent, Mark::Intent).map_or(0, |record| record.seq);
        let mut stops = records.filter(|record| record.seq > chosen && record.mark == Mark::Intent);
        let stopped = stops.find(|record| record.state == State::RollingBack).and_then(facts_of::<Stopped>);
        let stopped = stopped.map_or_else(Vec::new, |stopped| stopped.stopped);
        stopped.into_iter().map(|(service, told)| Window::new(service, told, now, side)).collect()
    }
}
