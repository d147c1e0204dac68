//! A bar with rate and time left, on a terminal.

use std::{io::IsTerminal, sync::Mutex};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use strongroom_event::{Event, Observer};

use crate::face::warn;

/// What the units of a job are.
#[derive(Clone, Copy)]
pub enum Unit {
    Bytes,
    Steps,
}

/// Draws progress on standard error if that is a terminal, and shows warnings in any case.
pub struct Progress {
    bar: Mutex<ProgressBar>,
    unit: Unit,
}

impl Progress {
    /// A bar that is not drawn yet. With `silent` it never is.
    pub fn new(unit: Unit, silent: bool) -> Self {
        let drawn = !silent && std::io::stderr().is_terminal();
        let bar = ProgressBar::no_length();
        bar.set_draw_target(if drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        bar.set_style(style(unit, false));
        Self { bar: Mutex::new(bar), unit }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar().finish_and_clear();
    }

    fn bar(&self) -> ProgressBar {
        self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Observer for Progress {
    fn observe(&self, event: &Event) {
        let bar = self.bar();
        match event {
            Event::Phase { name, total } => {
                bar.set_message(*name);
                if let Some(total) = total {
                    bar.set_style(style(self.unit, true));
                    bar.set_length(*total);
                }
            }
            Event::Progress(units) => bar.inc(*units),
            Event::Warning(text) => bar.suspend(|| warn(&format!("strongroom: warning: {text}\n"))),
            // Damage is in the report that follows.
            _ => {}
        }
    }
}

fn style(unit: Unit, length_is_known: bool) -> ProgressStyle {
    let template = match (unit, length_is_known) {
        (Unit::Bytes, true) => "{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
        (Unit::Bytes, false) => "{msg} {spinner} {bytes}, {bytes_per_sec}",
        (Unit::Steps, _) => "{msg} {wide_bar} {pos}/{len}",
    };
    ProgressStyle::with_template(template).expect("the templates above are well-formed")
}
