//! Runs of blocks with the same thing wrong.

use std::fmt;

use strongroom_format::Geometry;

use crate::backing::Backing;

use super::place::Place;
use super::report::Found;
use super::{Checker, Part, ProblemKind};

pub(super) const INTERRUPTED_WRITE: &str = "the size reached the disk, the content did not: it reads as zeros";
pub(super) const INTERRUPTED_RESIZE: &str = "a change of size was interrupted here; the next use completes it";

/// A run of blocks with the same thing wrong.
pub(super) struct BadRun {
    pub first: u64,
    pub last: u64,
    pub why: String,
}

impl<B: Backing> Checker<'_, B> {
    pub(super) fn bad_run(&self, place: &Place, run: BadRun) {
        let kind = match run.why.as_str() {
            INTERRUPTED_WRITE | INTERRUPTED_RESIZE => ProblemKind::Interrupted,
            _ => ProblemKind::Block,
        };
        let problem = place.problem(kind, Part::Content, run.to_string());
        self.found(Found { problem, run: Some(run), blames_iv_of: None });
    }
}

/// Adds a bad block to the run before it, if that has the same thing wrong.
pub(super) fn note_bad(bad: &mut Vec<BadRun>, block: u64, why: String) {
    match bad.last_mut() {
        Some(run) if run.last + 1 == block && run.why == why => run.last = block,
        _ => bad.push(BadRun { first: block, last: block, why }),
    }
}

impl fmt::Display for BadRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.first * Geometry::PLAIN_BLOCK as u64;
        match self.last - self.first {
            0 => write!(f, "block {} (from byte {start} on): {}", self.first, self.why),
            more => {
                let (first, last, count) = (self.first, self.last, more + 1);
                write!(f, "blocks {first} to {last} ({count} of them, from byte {start} on): {}", self.why)
            }
        }
    }
}
