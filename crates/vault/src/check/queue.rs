//! The work that is left to do, and who is at it.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use strongroom_format::{DirIv, FileId};

use crate::backing::RawEntry;

use super::place::Place;

/// A piece of work.
pub(super) enum Job {
    Directory(Arc<Place>),
    Entries { dir: Arc<Place>, iv: Option<DirIv>, entries: Vec<RawEntry> },
    Blocks { file: Arc<Place>, id: FileId, from: u64, to: u64, size: u64 },
}

/// The stack of jobs. Work is over when it is empty and nobody is at a job that might add another.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    jobs: Vec<Job>,
    at_work: usize,
}

impl Queue {
    pub(super) fn push(&self, jobs: impl IntoIterator<Item = Job>) {
        self.state.lock().jobs.extend(jobs);
        self.changed.notify_all();
    }

    pub(super) fn take(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop() {
                state.at_work += 1;
                return Some(job);
            }
            if state.at_work == 0 {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    pub(super) fn done(&self) {
        let mut state = self.state.lock();
        state.at_work -= 1;
        if state.at_work == 0 && state.jobs.is_empty() {
            self.changed.notify_all();
        }
    }

    pub(super) fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.at_work == 0 && state.jobs.is_empty()
    }
}
