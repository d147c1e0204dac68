//! One thing that is asked again and again until it has been well often enough in a row.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// What was seen at a try.
pub(super) struct Sight {
    pub(super) is_well: bool,
    pub(super) words: String,
}

impl Sight {
    pub(super) fn well(words: impl Into<String>) -> Self {
        Self { is_well: true, words: words.into() }
    }

    pub(super) fn ill(words: impl Into<String>) -> Self {
        Self { is_well: false, words: words.into() }
    }
}

/// How it has been so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) tries: u32,
    /// How often in a row it was well.
    pub(super) row: u32,
    pub(super) seen: String,
    /// Since when it has been well, if it is.
    pub(super) since: Option<Duration>,
    /// When it had been well often enough, if it is still.
    pub(super) enough: Option<Duration>,
}

impl Progress {
    /// Takes note of a try; whether it says something new.
    pub(super) fn note(&mut self, sight: Sight, needed: u32, after: Duration) -> bool {
        let is_new = sight.words != self.seen;
        self.tries += 1;
        self.row = if sight.is_well { self.row + 1 } else { 0 };
        self.since = sight.is_well.then(|| self.since.unwrap_or(after));
        self.enough = (self.row >= needed.max(1)).then(|| self.enough.unwrap_or(after));
        self.seen = sight.words;
        is_new
    }

    /// Why it was not enough.
    pub(super) fn shortcoming(&self, needed: u32) -> String {
        match (self.tries, self.row) {
            (0, _) => "it had not answered yet".to_owned(),
            (_, 0) => self.seen.clone(),
            (_, row) => format!("{}, but only {row} of {needed} times in a row", self.seen),
        }
    }
}

/// Waits for `time`, or until somebody says that it is over.
pub(super) fn rest(time: Duration, is_over: impl Fn() -> bool) {
    let until = Instant::now() + time;
    while !is_over() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(Duration::from_millis(20)));
    }
}

pub(super) fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_in_between_and_it_counts_from_the_beginning() {
        let mut progress = Progress::default();
        let second = Duration::from_secs(1);
        for (number, is_well) in [true, true, false, true, true, true, true].into_iter().enumerate() {
            progress.note(Sight { is_well, words: String::new() }, 3, second * number as u32);
        }
        assert_eq!((progress.tries, progress.row, progress.enough), (7, 4, Some(second * 5)));
        progress.note(Sight::ill("gone"), 3, second * 7);
        assert_eq!((progress.row, progress.enough, progress.seen.as_str()), (0, None, "gone"));
    }
}
