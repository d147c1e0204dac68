//! Several threads that work on what one hands out.

use std::sync::{Arc, Mutex, mpsc};

/// Small things are handed out so many at once, or each would cost a change of threads.
const MOST: usize = 32;
/// And large ones alone.
const HEAVY: u64 = 2 << 20;

/// Runs `hand_out` on this thread and `work` on as many others as `workers`, each with tools of its own, until all that
/// was handed out is done. A panic of one is one of this call.
pub(crate) fn crew<T: Send, S>(
    workers: usize,
    tools: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, T) + Sync,
    hand_out: impl FnOnce(&mut HandOut<T>),
) {
    let workers = workers.max(1);
    std::thread::scope(|scope| {
        let (sender, queue) = mpsc::sync_channel(workers * 2);
        // Shared by the workers alone: when all of them are gone, handing out does not wait for them.
        let queue = Arc::new(Mutex::new(queue));
        let (tools, work) = (&tools, &work);
        for _ in 0..workers {
            let queue = queue.clone();
            scope.spawn(move || work_through(&queue, &mut tools(), work));
        }
        drop(queue);
        // The workers end when this is dropped.
        let mut out = HandOut { sender, batch: Vec::new(), weight: 0 };
        hand_out(&mut out);
        out.flush();
    });
}

fn work_through<T, S>(queue: &Mutex<mpsc::Receiver<Vec<T>>>, tools: &mut S, work: &impl Fn(&mut S, T)) {
    loop {
        let next = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv();
        let Ok(batch) = next else { return };
        batch.into_iter().for_each(|item| work(tools, item));
    }
}

/// What is about to be handed out.
pub(crate) struct HandOut<T> {
    sender: mpsc::SyncSender<Vec<T>>,
    batch: Vec<T>,
    weight: u64,
}

impl<T> HandOut<T> {
    /// Hands out something of this many bytes, now or with what follows.
    pub fn add(&mut self, item: T, weight: u64) {
        self.batch.push(item);
        self.weight += weight;
        if self.batch.len() == MOST || self.weight >= HEAVY {
            self.flush();
        }
    }

    /// Hands out what is waiting.
    pub fn flush(&mut self) {
        self.weight = 0;
        if !self.batch.is_empty() {
            // It fails only if all workers panicked, which is told when they are joined.
            let _ = self.sender.send(std::mem::take(&mut self.batch));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn everything_handed_out_is_done_once() {
        let sum = AtomicU64::new(0);
        let add = |_: &mut (), number: u64| {
            sum.fetch_add(number, Ordering::Relaxed);
        };
        crew(3, || (), add, |out| (1..=1000).for_each(|number| out.add(number, number * 10_000)));
        assert_eq!(sum.into_inner(), 500_500);
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_of_a_worker_does_not_leave_the_others_waiting() {
        crew(2, || (), |_, number: u64| assert_eq!(number, 0), |out| (0..10_000).for_each(|number| out.add(number, 0)));
    }
}
