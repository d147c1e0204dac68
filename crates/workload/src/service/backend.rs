//! What the manager of a service does, in its own words of trouble; that it is about this service is added here, once.

use std::time::Duration;

use super::{Problem, Running, Service, ServiceSpec, Snapshot, deadline::Deadline};
use crate::WorkloadError;

/// A [`Service`] as its manager sees it: the same verbs, a deadline that runs already, and what was wrong without of whom.
pub(super) trait Backend: Send + Sync {
    fn spec(&self) -> &ServiceSpec;

    fn look(&self) -> Result<Snapshot, Problem>;

    fn bring_down(&self, was: &Snapshot, deadline: &Deadline) -> Result<(), Problem>;

    fn bring_up(&self, was: &Snapshot, deadline: &Deadline) -> Result<(), Problem>;

    fn ask(&self) -> Result<Running, Problem>;

    fn ask_after(&self, was: &Snapshot) -> Result<Running, Problem> {
        let _ = was;
        self.ask()
    }

    /// Whether there is anything to bring down or up for one that was like that. Where triggers and policies are kept too,
    /// there may be though it did not run.
    fn concerns(&self, was: &Snapshot) -> bool {
        was.was_running
    }

    fn is_startable(&self) -> bool {
        true
    }
}

impl<B: Backend> Service for B {
    fn spec(&self) -> &ServiceSpec {
        Backend::spec(self)
    }

    fn snapshot(&self) -> Result<Snapshot, WorkloadError> {
        self.look().map_err(|problem| problem.of(Backend::spec(self)))
    }

    fn stop(&self, was: &Snapshot, within: Duration) -> Result<(), WorkloadError> {
        match self.concerns(was) {
            true => self.bring_down(was, &Deadline::after(within)).map_err(|problem| problem.of(Backend::spec(self))),
            false => Ok(()),
        }
    }

    fn start(&self, was: &Snapshot, within: Duration) -> Result<(), WorkloadError> {
        match self.concerns(was) {
            true => self.bring_up(was, &Deadline::after(within)).map_err(|problem| problem.of(Backend::spec(self))),
            false => Ok(()),
        }
    }

    fn state(&self) -> Result<Running, WorkloadError> {
        self.ask().map_err(|problem| problem.of(Backend::spec(self)))
    }

    fn state_of(&self, was: &Snapshot) -> Result<Running, WorkloadError> {
        self.ask_after(was).map_err(|problem| problem.of(Backend::spec(self)))
    }

    fn is_startable(&self) -> bool {
        Backend::is_startable(self)
    }
}
