//! When nobody used a mount for long enough. Opens may go unseen (the kernel need not ask for them), so the clock only
//! proposes: the unmount that follows fails if something is open, and the clock starts anew.

use std::time::{Duration, Instant};

/// Watches a count of requests that grows with use.
#[derive(Debug)]
pub(crate) struct IdleClock {
    limit: Duration,
    last_count: u64,
    since: Instant,
}

impl IdleClock {
    pub fn new(limit: Duration, count: u64, now: Instant) -> IdleClock {
        IdleClock { limit, last_count: count, since: now }
    }

    /// How often to look: four times within the limit.
    pub fn step(&self) -> Duration {
        (self.limit / 4).clamp(Duration::from_millis(50), Duration::from_secs(60))
    }

    /// Whether nothing happened for as long as the limit.
    pub fn is_due(&mut self, count: u64, now: Instant) -> bool {
        if count != self.last_count {
            self.restart(count, now);
        }
        now.duration_since(self.since) >= self.limit
    }

    /// Counts from now on, as something was in use after all.
    pub fn restart(&mut self, count: u64, now: Instant) {
        self.last_count = count;
        self.since = now;
    }
}

/// How long the kernel may remember names and attributes: seldom asked is fast, but with an idle limit every use must be
/// seen within a part of it.
pub(crate) fn validity(longest: Duration, idle: Option<Duration>) -> Duration {
    idle.map_or(longest, |limit| longest.min(limit / 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(40);

    #[test]
    fn a_mount_without_requests_becomes_due() {
        let start = Instant::now();
        let mut clock = IdleClock::new(LIMIT, 7, start);
        assert!(!clock.is_due(7, start + Duration::from_secs(39)));
        assert!(clock.is_due(7, start + Duration::from_secs(40)));
    }

    #[test]
    fn every_request_starts_the_clock_anew() {
        let start = Instant::now();
        let mut clock = IdleClock::new(LIMIT, 7, start);
        assert!(!clock.is_due(8, start + Duration::from_secs(40)));
        assert!(!clock.is_due(8, start + Duration::from_secs(79)));
        assert!(clock.is_due(8, start + Duration::from_secs(80)));
    }

    #[test]
    fn a_busy_mount_is_tried_again_after_another_limit() {
        let start = Instant::now();
        let mut clock = IdleClock::new(LIMIT, 0, start);
        assert!(clock.is_due(0, start + LIMIT));
        clock.restart(0, start + LIMIT);
        assert!(!clock.is_due(0, start + LIMIT + Duration::from_secs(39)));
        assert!(clock.is_due(0, start + 2 * LIMIT));
    }

    #[test]
    fn the_kernel_remembers_for_less_than_the_limit() {
        let hour = Duration::from_secs(3600);
        assert_eq!(validity(hour, None), hour);
        assert_eq!(validity(hour, Some(LIMIT)), LIMIT / 4);
    }
}
