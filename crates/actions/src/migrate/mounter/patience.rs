//! Waiting for what is outside of this process, so that whoever watches is told what for. Who wants it to stop is told so too,
//! and it stops behind it: a mount that was half taken down or half brought up would leave services without either side.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use strongroom_event::{Event, Observer};

/// What takes no longer is not worth a word.
const QUIET: Duration = Duration::from_millis(500);
/// How long it may take until somebody who wants it to stop is answered.
const EVERY: Duration = Duration::from_millis(100);

/// Who is told, and who may want it to stop.
pub(super) struct Patience<'a> {
    pub observer: &'a dyn Observer,
    pub stop: &'a Arc<AtomicBool>,
}

impl Patience<'_> {
    /// Does something that ends by itself, and tells that it waits for `what` if that takes a while.
    pub fn around<T>(&self, what: &str, act: impl FnOnce() -> T) -> T {
        let was_to_stop = self.stop.load(Ordering::Relaxed);
        thread::scope(|scope| {
            let (done, is_done) = mpsc::channel::<()>();
            let tell = |why: String| self.observer.observe(&Event::Waiting { why });
            scope.spawn(move || {
                let waits = |while_| is_done.recv_timeout(while_) == Err(RecvTimeoutError::Timeout);
                if !waits(QUIET) {
                    return;
                }
                tell(what.to_owned());
                while waits(EVERY) {
                    if !was_to_stop && self.stop.load(Ordering::Relaxed) {
                        return tell(format!("it stops as soon as this is over: {what}"));
                    }
                }
            });
            let acted = act();
            drop(done);
            acted
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn told(stop: bool, until: usize) -> Vec<String> {
        let (said, is_to_stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(stop)));
        let (heard, flag) = (said.clone(), is_to_stop.clone());
        let observer = move |event: &Event| {
            if let Event::Waiting { why } = event {
                heard.lock().unwrap().push(why.clone());
                flag.store(true, Ordering::Relaxed);
            }
        };
        let patience = Patience { observer: &observer, stop: &is_to_stop };
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        patience.around("waiting for it", || {
            while said.lock().unwrap().len() < until && std::time::Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let said = said.lock().unwrap();
        said.clone()
    }

    #[test]
    fn what_is_over_at_once_is_not_told() {
        assert_eq!(told(false, 0), Vec::<String>::new());
    }

    #[test]
    fn what_takes_a_while_is_told_and_who_wants_it_to_stop_is_answered() {
        assert_eq!(told(false, 2), ["waiting for it", "it stops as soon as this is over: waiting for it"]);
    }

    #[test]
    fn who_wanted_it_to_stop_before_is_told_what_it_waits_for() {
        assert_eq!(told(true, 1), ["waiting for it"]);
    }
}
