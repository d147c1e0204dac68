//! A bar with rate and time left, on a terminal. All that it shows comes from the tally of events.

use std::{
    io::IsTerminal,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use strongroom_event::{Event, Observer, PathText, Standing, Tally};

use crate::{
    face::warn,
    surroundings::elapsed,
    text::{amount, duration},
};

/// What the units of a job are.
#[derive(Clone, Copy)]
pub enum Unit {
    Bytes,
    Steps,
}

/// How often the bar is drawn.
const INTERVAL: Duration = Duration::from_millis(100);

/// Draws progress on standard error if that is a terminal, and shows warnings in any case.
pub struct Progress {
    bar: ProgressBar,
    unit: Unit,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tally: Tally,
    drawn: Option<Duration>,
}

impl Progress {
    /// A bar that is not drawn yet. With `silent` it never is.
    pub fn new(unit: Unit, silent: bool) -> Self {
        let is_drawn = !silent && std::io::stderr().is_terminal();
        let bar = ProgressBar::no_length();
        bar.set_draw_target(if is_drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        Self { bar, unit, state: Mutex::default() }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Does something to the terminal without the bar in the way.
    pub fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        self.bar.suspend(act)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, standing: &Standing) {
        let total = standing.bytes_total.filter(|&total| total > 0);
        self.bar.set_style(style(total.is_some()));
        self.bar.set_message(standing.phase.unwrap_or_default());
        self.bar.set_prefix(caption(standing, self.unit));
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        self.bar.set_position(standing.bytes);
    }
}

impl Observer for Progress {
    fn observe(&self, event: &Event) {
        match event {
            Event::Warning(text) => return self.aside(|| warn(&format!("strongroom: warning: {text}\n"))),
            Event::Healed { path, what } => {
                return self.aside(|| warn(&format!("strongroom: {}: {what}\n", PathText(path))));
            }
            Event::Waiting { why } => {
                // The next thing that moves is drawn over it.
                return self.bar.set_prefix(format!("waiting: {why}"));
            }
            // Damage is in the report that follows.
            _ => {}
        }
        let now = elapsed();
        let mut state = self.state();
        let is_new_phase = state.tally.begins_phase(event);
        state.tally.note(event, now);
        if is_new_phase || state.drawn.is_none_or(|drawn| now.saturating_sub(drawn) >= INTERVAL) {
            state.drawn = Some(now);
            self.draw(&state.tally.at(now));
        }
    }
}

/// What stands beside the bar.
fn caption(standing: &Standing, unit: Unit) -> String {
    let written = |n: u64| match unit {
        Unit::Bytes => amount(n),
        Unit::Steps => n.to_string(),
    };
    let mut parts = vec![match standing.bytes_total {
        Some(total) => format!("{}/{}", written(standing.bytes), written(total)),
        None => written(standing.bytes),
    }];
    match (standing.files, standing.files_total) {
        (files, Some(total)) => parts.push(format!("{files}/{total} files")),
        (0, None) => {}
        (files, None) => parts.push(format!("{files} files")),
    }
    if let (Unit::Bytes, Some(rate)) = (unit, standing.bytes_per_second) {
        parts.push(format!("{}/s", amount(rate)));
    }
    if let Some(left) = standing.seconds_left {
        parts.push(format!("{} left", duration(left)));
    }
    parts.join(", ")
}

fn style(length_is_known: bool) -> ProgressStyle {
    let template = if length_is_known { "{msg} {wide_bar} {prefix}" } else { "{msg} {spinner} {prefix}" };
    ProgressStyle::with_template(template).expect("the templates above are well-formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caption_says_what_is_known() {
        let standing = Standing {
            files: 3,
            files_total: Some(9),
            bytes: 3 << 20,
            bytes_total: Some(9 << 20),
            bytes_per_second: Some(1 << 20),
            seconds_left: Some(75),
            ..Standing::default()
        };
        assert_eq!(caption(&standing, Unit::Bytes), "3 MiB/9 MiB, 3/9 files, 1 MiB/s, 1 min 15 s left");
    }

    #[test]
    fn the_caption_of_steps_counts_them() {
        let standing = Standing { bytes: 2, bytes_total: Some(5), ..Standing::default() };
        assert_eq!(caption(&standing, Unit::Steps), "2/5");
    }
}
