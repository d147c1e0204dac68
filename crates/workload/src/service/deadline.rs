//! How long something may take.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How often a manager that cannot tell by itself is asked again.
const EVERY: Duration = Duration::from_millis(20);

/// A time by which something must be done, counted from when this was made.
pub(crate) struct Deadline {
    begun: Instant,
    within: Duration,
}

impl Deadline {
    pub(crate) fn after(within: Duration) -> Self {
        Self { begun: Instant::now(), within }
    }

    pub(crate) fn left(&self) -> Duration {
        self.within.saturating_sub(self.begun.elapsed())
    }

    pub(crate) fn waited(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Waits a little before something is asked again; `false` if there is no time left to.
    pub(crate) fn pause(&self) -> bool {
        thread::sleep(EVERY.min(self.left()));
        !self.is_over()
    }
}
