//! How far a job is: arithmetic over its events and the time at which they came. The progress bar and the stream of
//! records are both drawn from this, so that they cannot disagree.

use std::{collections::VecDeque, time::Duration};

use serde::Serialize;

use crate::{Event, PathText};

/// How much of the past the rate is taken from. Long enough not to jump, short enough to notice a slower disk.
const WINDOW: Duration = Duration::from_secs(8);
/// How far samples of the past are apart, so that there are few however often something is told.
const SPACING: Duration = Duration::from_millis(250);
/// A rate from less than this is a guess, and is not told.
const LEAST: Duration = Duration::from_millis(500);

/// How far a job is. Times are since any moment before the first event.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    phase: Option<&'static str>,
    done: u64,
    total: Option<u64>,
    files: u64,
    files_total: Option<u64>,
    item: Option<Vec<u8>>,
    /// What was done when, the oldest first.
    samples: VecDeque<(Duration, u64)>,
}

/// How far a job is at a moment. What is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Standing {
    /// The part of the work that it is at.
    pub phase: Option<&'static str>,
    /// Files of this phase that are done.
    pub files: u64,
    /// Files that it has in all.
    pub files_total: Option<u64>,
    /// Bytes of this phase that are done.
    pub bytes: u64,
    /// Bytes that it has in all.
    pub bytes_total: Option<u64>,
    /// How fast it was in the last seconds.
    pub bytes_per_second: Option<u64>,
    /// For how long this phase will still take at that rate.
    pub seconds_left: Option<u64>,
    /// What was done last, odd bytes escaped.
    pub item: Option<String>,
}

impl Tally {
    /// Whether a new phase begins with an event.
    pub fn begins_phase(&self, event: &Event) -> bool {
        matches!(event, Event::Phase { name, .. } if self.phase != Some(*name))
    }

    /// Takes note of an event that came at `now`.
    pub fn note(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Phase { name, total } if self.phase == Some(*name) => self.total = total.or(self.total),
            Event::Phase { name, total } => *self = Self { phase: Some(name), total: *total, ..Self::default() },
            Event::Progress(units) => self.done = self.done.saturating_add(*units),
            Event::FilesAhead(files) => self.files_total = Some(*files),
            Event::FileDone { path } => {
                self.files += 1;
                self.item = Some(path.clone());
            }
            _ => {}
        }
        self.sample(now);
    }

    /// How far it is at `now`.
    pub fn at(&self, now: Duration) -> Standing {
        let rate = self.rate(now);
        let left = self.total.map(|total| total.saturating_sub(self.done));
        Standing {
            phase: self.phase,
            files: self.files,
            files_total: self.files_total.map(|total| total.max(self.files)),
            bytes: self.done,
            // A file that grew while it was read makes for more than was foreseen.
            bytes_total: self.total.map(|total| total.max(self.done)),
            bytes_per_second: rate.map(|rate| rate as u64),
            seconds_left: rate.filter(|&rate| rate >= 1.0).and_then(|rate| Some((left? as f64 / rate).ceil() as u64)),
            item: self.item.as_deref().map(|path| PathText(path).to_string()),
        }
    }

    fn sample(&mut self, now: Duration) {
        let is_due = self.samples.back().is_none_or(|(last, _)| now.saturating_sub(*last) >= SPACING);
        if is_due {
            self.samples.push_back((now, self.done));
        }
        // The last one that is older than the window stays: it is where the window begins.
        while self.samples.get(1).is_some_and(|(time, _)| now.saturating_sub(*time) > WINDOW) {
            self.samples.pop_front();
        }
    }

    fn rate(&self, now: Duration) -> Option<f64> {
        let (then, before) = self.samples.front()?;
        let time = now.saturating_sub(*then);
        (time >= LEAST).then(|| (self.done - before) as f64 / time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn reading(total: Option<u64>) -> Tally {
        let mut tally = Tally::default();
        tally.note(&Event::Phase { name: "reading", total }, second(0));
        tally
    }

    #[test]
    fn rate_and_time_left_follow_from_what_was_done() {
        let mut tally = reading(Some(100 * MIB));
        tally.note(&Event::Progress(40 * MIB), second(4));
        let standing = tally.at(second(4));
        assert_eq!((standing.bytes, standing.bytes_total), (40 * MIB, Some(100 * MIB)));
        assert_eq!(standing.bytes_per_second, Some(10 * MIB));
        assert_eq!(standing.seconds_left, Some(6));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut tally = reading(Some(1 << 40));
        for n in 1..=20 {
            tally.note(&Event::Progress(if n <= 10 { 100 * MIB } else { MIB }), second(n));
        }
        assert_eq!(tally.at(second(20)).bytes_per_second, Some(MIB));
    }

    #[test]
    fn a_job_that_stands_still_has_no_time_left_to_tell() {
        let mut tally = reading(Some(100 * MIB));
        tally.note(&Event::Progress(MIB), second(1));
        for n in 2..=20 {
            tally.note(&Event::FileDone { path: b"x".to_vec() }, second(n));
        }
        assert_eq!(tally.at(second(20)).seconds_left, None);
    }

    #[test]
    fn nothing_is_guessed_from_the_first_moment() {
        let mut tally = reading(Some(100 * MIB));
        tally.note(&Event::Progress(MIB), Duration::from_millis(3));
        assert_eq!(tally.at(Duration::from_millis(3)).bytes_per_second, None);
    }

    #[test]
    fn a_new_phase_begins_at_nothing_and_a_better_total_does_not() {
        let mut tally = reading(None);
        tally.note(&Event::Progress(5), second(1));
        tally.note(&Event::Phase { name: "reading", total: Some(9) }, second(1));
        assert_eq!((tally.at(second(1)).bytes, tally.at(second(1)).bytes_total), (5, Some(9)));
        let verifying = Event::Phase { name: "verifying", total: None };
        assert!(tally.begins_phase(&verifying));
        tally.note(&verifying, second(2));
        assert!(!tally.begins_phase(&verifying));
        assert_eq!((tally.at(second(2)).bytes, tally.at(second(2)).bytes_total), (0, None));
    }

    #[test]
    fn the_total_is_never_less_than_what_is_done() {
        let mut tally = reading(Some(10));
        tally.note(&Event::FilesAhead(1), second(0));
        tally.note(&Event::Progress(12), second(1));
        tally.note(&Event::FileDone { path: b"a".to_vec() }, second(1));
        tally.note(&Event::FileDone { path: b"b\n".to_vec() }, second(1));
        let standing = tally.at(second(1));
        assert_eq!((standing.bytes_total, standing.files_total), (Some(12), Some(2)));
        assert_eq!(standing.item.as_deref(), Some("b\\n"));
    }

    #[test]
    fn the_past_is_remembered_in_few_samples() {
        let mut tally = reading(None);
        for n in 0..1_000_000 {
            tally.note(&Event::Progress(1), Duration::from_micros(100 * n));
        }
        assert!(tally.samples.len() < 50, "{}", tally.samples.len());
    }
}
