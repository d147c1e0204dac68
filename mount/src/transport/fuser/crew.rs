//! How many threads wait for the kernel. The kernel wakes them in turn, so every thread more makes each request dearer
//! (measured on two processors: making a file takes 53 µs of the server's time with two threads, 110 µs with eight). But
//! with two only, two programs that wait for fsync would hold up all others. So there are many, and all but a few step
//! aside until the few are all at work.
//!
//! fuser's loop is not ours: a thread can step aside only at the end of a request, after its reply.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// After so many requests with more threads waiting than wanted, one steps aside.
const SURPLUS: u32 = 32;
/// A thread that stepped aside looks after this time whether the mount has ended, should nobody have told it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The threads of a mount.
pub(super) struct Crew {
    /// How many are to wait for the kernel.
    wanted: isize,
    /// How many do, or are about to.
    waiting: AtomicIsize,
    /// How many stepped aside.
    aside: AtomicUsize,
    /// Requests in a row with more waiting than wanted.
    surplus: AtomicU32,
    calls: Mutex<Calls>,
    called: Condvar,
}

#[derive(Default)]
struct Calls {
    /// Threads that are called back and have not come yet.
    pending: usize,
    /// The mount has ended.
    dismissed: bool,
}

thread_local! {
    static BELL: RefCell<Option<Bell>> = const { RefCell::new(None) };
}

/// Dismisses the crew when the thread ends, which it does when the mount has ended.
struct Bell(Arc<Crew>);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.dismiss();
    }
}

/// A request that a thread is at work on; to be dropped after the reply.
pub(super) struct Turn<'a>(&'a Crew);

impl Crew {
    pub fn new(threads: usize, wanted: usize) -> Arc<Crew> {
        Arc::new(Crew {
            wanted: wanted as isize,
            waiting: AtomicIsize::new(threads as isize),
            aside: AtomicUsize::new(0),
            surplus: AtomicU32::new(0),
            calls: Mutex::default(),
            called: Condvar::new(),
        })
    }

    /// Begins a request. If that leaves nobody waiting, one is called back.
    pub fn turn(self: &Arc<Self>) -> Turn<'_> {
        BELL.with_borrow_mut(|bell| {
            bell.get_or_insert_with(|| Bell(self.clone()));
        });
        if self.waiting.fetch_sub(1, SeqCst) <= 1 && self.aside.load(SeqCst) > 0 {
            self.call_one();
        }
        Turn(self)
    }

    fn call_one(&self) {
        let mut calls = self.calls.lock();
        if calls.pending < self.aside.load(SeqCst) {
            calls.pending += 1;
            self.called.notify_one();
        }
    }

    fn end_turn(&self) {
        if self.waiting.fetch_add(1, SeqCst) < self.wanted {
            self.surplus.store(0, SeqCst);
        } else if self.surplus.fetch_add(1, SeqCst) >= SURPLUS {
            self.surplus.store(0, SeqCst);
            self.step_aside();
        }
    }

    fn step_aside(&self) {
        let mut calls = self.calls.lock();
        // First be seen aside, then leave: whoever then finds nobody waiting calls.
        self.aside.fetch_add(1, SeqCst);
        if self.waiting.fetch_sub(1, SeqCst) > self.wanted {
            let wait = |calls: &mut Calls| calls.pending == 0 && !calls.dismissed;
            self.called.wait_while_for(&mut calls, wait, PATIENCE);
            calls.pending = calls.pending.saturating_sub(1);
        }
        self.aside.fetch_sub(1, SeqCst);
        self.waiting.fetch_add(1, SeqCst);
    }

    fn dismiss(&self) {
        self.calls.lock().dismissed = true;
        self.called.notify_all();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.end_turn();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::{self, JoinHandle};
    use std::time::Instant;

    use super::*;

    fn wait_until(mut it: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !it() {
            assert!(Instant::now() < deadline, "waited too long");
            thread::yield_now();
        }
    }

    /// Threads that take requests from a queue as fuser's do from the kernel. A request is what to wait for.
    fn crew(threads: usize, wanted: usize) -> (Arc<Crew>, Sender<Receiver<()>>, Vec<JoinHandle<()>>) {
        let crew = Crew::new(threads, wanted);
        let (requests, queue) = channel::<Receiver<()>>();
        let queue = Arc::new(Mutex::new(queue));
        let work = (0..threads).map(|_| {
            let (crew, queue) = (crew.clone(), queue.clone());
            thread::spawn(move || {
                loop {
                    let Ok(request) = ({ queue.lock().recv() }) else { return };
                    let _turn = crew.turn();
                    let _ = request.recv();
                }
            })
        });
        let work = work.collect();
        (crew, requests, work)
    }

    fn short_request(requests: &Sender<Receiver<()>>) {
        let (done, request) = channel();
        drop(done);
        requests.send(request).unwrap();
    }

    #[test]
    fn threads_step_aside_until_the_wanted_number_waits() {
        let (crew, requests, _work) = crew(6, 2);
        for _ in 0..1000 {
            short_request(&requests);
        }
        wait_until(|| crew.aside.load(SeqCst) == 4);
        wait_until(|| crew.waiting.load(SeqCst) == 2);
    }

    #[test]
    fn while_some_block_the_rest_answers() {
        let (crew, requests, _work) = crew(6, 2);
        for _ in 0..1000 {
            short_request(&requests);
        }
        wait_until(|| crew.aside.load(SeqCst) == 4);
        let mut blocked = Vec::new();
        for _ in 0..5 {
            let (done, request) = channel();
            requests.send(request).unwrap();
            blocked.push(done);
            wait_until(|| crew.waiting.load(SeqCst) > 0);
        }
        let (done, request) = channel::<()>();
        requests.send(request).unwrap();
        drop(done);
        wait_until(|| crew.waiting.load(SeqCst) == 1);
        drop(blocked);
        wait_until(|| crew.waiting.load(SeqCst) >= 2);
    }

    #[test]
    fn all_go_home_when_the_first_one_does() {
        let (crew, requests, work) = crew(6, 2);
        for _ in 0..1000 {
            short_request(&requests);
        }
        wait_until(|| crew.aside.load(SeqCst) == 4);
        let began = Instant::now();
        drop(requests);
        for thread in work {
            thread.join().unwrap();
        }
        assert!(began.elapsed() < PATIENCE / 2);
    }
}
