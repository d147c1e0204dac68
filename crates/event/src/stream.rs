//! What happens in an operation as JSON lines, one record a line, for programs that watch.
//!
//! `backup.started` comes first; then, as it goes, `backup.progress` (no more than two a second, and one at the
//! beginning and the end of each phase), `backup.warning`, `backup.damaged` and `backup.healed`; and at last `backup.completed` or `backup.failed`. The fields are
//! described in docs/OPERATING.md; some may be added, none will change its meaning.

use std::{io::Write, sync::Mutex, time::Duration};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{Event, Observer, PathText, Tally};

/// How often progress is told.
const INTERVAL: Duration = Duration::from_millis(500);

/// What is being done, as it stands before the dot in the name of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A backup is being made.
    Backup,
    /// A backup is being restored.
    Restore,
    /// A backup is being verified.
    Verify,
    /// Data is being moved into a vault or out of it.
    Migrate,
}

impl Operation {
    /// `backup`, `restore`, `verify`, `migrate`.
    pub fn word(self) -> &'static str {
        match self {
            Operation::Backup => "backup",
            Operation::Restore => "restore",
            Operation::Verify => "verify",
            Operation::Migrate => "migrate",
        }
    }
}

/// When something happens: by the calendar, and by a clock that only goes forward.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For people.
    pub time: jiff::Timestamp,
    /// Since any moment before the operation began.
    pub elapsed: Duration,
}

/// Writes records to `out`, one a line. A reader that has gone is no reason for an operation to fail: the rest is not
/// written then.
pub struct Stream<W, C> {
    operation: Operation,
    clock: C,
    state: Mutex<State<W>>,
}

fn about(path: &[u8], what: &str) -> Value {
    json!({ "path": PathText(path).to_string(), "message": what })
}

#[derive(Serialize)]
struct Record<'a, T> {
    event: String,
    time: String,
    #[serde(flatten)]
    facts: &'a T,
}

struct State<W> {
    out: Option<W>,
    tally: Tally,
    told: Option<Duration>,
}

impl<W: Write + Send, C: Fn() -> Moment + Send + Sync> Stream<W, C> {
    /// A stream of which nothing is written yet.
    pub fn new(operation: Operation, out: W, clock: C) -> Self {
        let state = State { out: Some(out), tally: Tally::default(), told: None };
        Self { operation, clock, state: Mutex::new(state) }
    }

    /// Tells that the operation begins. `facts` is an object.
    pub fn started(&self, facts: &impl Serialize) {
        self.tell("started", facts);
    }

    /// Tells that the operation has done what it should. `facts` is an object.
    pub fn completed(&self, facts: &impl Serialize) {
        self.tell("completed", facts);
    }

    /// Tells that the operation has failed. `facts` is an object.
    pub fn failed(&self, facts: &impl Serialize) {
        self.tell("failed", facts);
    }

    fn tell(&self, what: &str, facts: &impl Serialize) {
        let now = (self.clock)();
        let mut state = self.state();
        let progress = state.told.is_some().then(|| state.tally.at(now.elapsed));
        if let (Some(progress), "completed" | "failed") = (&progress, what) {
            state.write(self.operation, "progress", now, progress);
        }
        state.write(self.operation, what, now, facts);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<W: Write + Send, C: Fn() -> Moment + Send + Sync> Observer for Stream<W, C> {
    fn observe(&self, event: &Event) {
        let now = (self.clock)();
        let mut state = self.state();
        match event {
            Event::Warning(message) => state.write(self.operation, "warning", now, &json!({ "message": message })),
            Event::Waiting { why } => state.write(self.operation, "waiting", now, &json!({ "why": why })),
            Event::Damaged { path, what } => state.write(self.operation, "damaged", now, &about(path, what)),
            Event::Healed { path, what } => state.write(self.operation, "healed", now, &about(path, what)),
            event => {
                let begins_phase = state.tally.begins_phase(event);
                if begins_phase && state.told.is_some() {
                    // How far the phase came that ends with this one's beginning.
                    let standing = state.tally.at(now.elapsed);
                    state.write(self.operation, "progress", now, &standing);
                }
                state.tally.note(event, now.elapsed);
                let is_due = state.told.is_none_or(|told| now.elapsed.saturating_sub(told) >= INTERVAL);
                if begins_phase || is_due || matches!(event, Event::FilesAhead(_)) {
                    state.told = Some(now.elapsed);
                    let standing = state.tally.at(now.elapsed);
                    state.write(self.operation, "progress", now, &standing);
                }
            }
        }
    }
}

impl<W: Write> State<W> {
    fn write(&mut self, operation: Operation, what: &str, now: Moment, facts: &impl Serialize) {
        let event = format!("{}.{what}", operation.word());
        let record = Record { event, time: format!("{:.3}", now.time), facts };
        let mut line = serde_json::to_string(&record).expect("facts are objects with string keys");
        line.push('\n');
        let Some(out) = &mut self.out else { return };
        if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
    };

    use super::*;

    /// A clock that is a tenth of a second further each time it is looked at.
    fn ticking() -> impl Fn() -> Moment + Send + Sync {
        let ticks = AtomicU64::new(0);
        move || {
            let elapsed = Duration::from_millis(100 * ticks.fetch_add(1, Ordering::Relaxed));
            let start: jiff::Timestamp = "2026-03-29T00:59:59.5Z".parse().unwrap();
            Moment { time: start.checked_add(elapsed).unwrap(), elapsed }
        }
    }

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn records(page: &Page) -> Vec<Value> {
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn an_operation_is_told_from_its_start_to_its_end() {
        let page = Page::default();
        let stream = Stream::new(Operation::Backup, page.clone(), ticking());
        stream.started(&json!({ "source": "/srv" }));
        stream.observe(&Event::Phase { name: "reading", total: Some(10) });
        stream.observe(&Event::Warning("one\nline".into()));
        stream.observe(&Event::Progress(10));
        stream.completed(&json!({ "archive": "/b/x.tar" }));
        let records = records(&page);
        let names: Vec<_> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
        let wanted = ["backup.started", "backup.progress", "backup.warning", "backup.progress", "backup.completed"];
        assert_eq!(names, wanted);
        assert_eq!(records[0]["time"], "2026-03-29T00:59:59.500Z");
        assert_eq!(records[0]["source"], "/srv");
        assert_eq!((&records[3]["bytes"], &records[3]["bytes_total"]), (&json!(10), &json!(10)));
    }

    #[test]
    fn progress_is_told_no_more_than_twice_a_second() {
        let page = Page::default();
        let stream = Stream::new(Operation::Verify, page.clone(), ticking());
        (0..100).for_each(|_| stream.observe(&Event::Progress(1)));
        assert_eq!(records(&page).len(), 20);
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let stream = Stream::new(Operation::Restore, Gone, ticking());
        stream.started(&json!({}));
        stream.observe(&Event::Progress(1));
        assert!(stream.state().out.is_none());
    }
}
