//! Words out: as text for people or as JSON for programs, tolerant of a reader that has gone.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use serde::Serialize;
use serde_json::json;
use strongroom_event::PathText;

use crate::exit::{Exit, Failure};

/// How this run speaks.
#[derive(Clone, Copy)]
pub struct Face {
    /// JSON on standard output instead of sentences.
    pub json: bool,
}

impl Face {
    /// Prints a result: `text` for people, `result` for programs.
    pub fn tell(self, result: &impl Serialize, text: impl FnOnce(Style) -> String) -> Result<(), Failure> {
        match self.json {
            true => print(&to_json(result)),
            false => print(&text(Style::of(&io::stdout()))),
        }
    }

    /// Prints why a command failed: for people on standard error, for programs on standard output.
    pub fn tell_failure(self, failure: &Failure) {
        if self.json {
            // Whoever asked for JSON and does not listen gets the exit code.
            let _ = print(&to_json(&failure_json(failure)));
        } else {
            warn(&failure_text(failure, Style::of(&io::stderr())));
        }
    }
}

fn to_json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("reports are strings and numbers with string keys");
    text.push('\n');
    text
}

/// Why a command failed, for programs.
pub fn failure_json(failure: &Failure) -> serde_json::Value {
    json!({ "error": {
        "code": failure.exit.code(),
        "name": failure.exit.name(),
        "message": failure.message,
        "hint": failure.hint,
    }})
}

fn failure_text(failure: &Failure, style: Style) -> String {
    let mut text = format!("{} {}\n", style.red("strongroom:"), failure.message);
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("{}\n", style.dim(hint)));
    }
    text
}

/// Prints to standard output. A reader that has gone, as in `| head`, is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// As [`print`], for what is no text.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::FAILURE, format_args!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// A path as JSON can hold it: what is not UTF-8, and control characters, as escapes.
pub fn plain(path: &Path) -> String {
    PathText(path.as_os_str().as_encoded_bytes()).to_string()
}

/// Prints to standard error, as far as that goes.
pub fn warn(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether a stream is a terminal whose owner has nothing against colours.
pub fn is_coloured(stream: &impl IsTerminal) -> bool {
    let has_something_against = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    stream.is_terminal() && !has_something_against && !is_dumb
}

/// Colours, on a terminal whose owner has nothing against them (NO_COLOR).
#[derive(Clone, Copy)]
pub struct Style {
    coloured: bool,
}

impl Style {
    /// No colours.
    #[cfg(test)]
    pub const PLAIN: Style = Style { coloured: false };

    /// For what is written to this stream.
    pub fn of(stream: &impl IsTerminal) -> Self {
        Self { coloured: is_coloured(stream) }
    }

    /// For what failed or is damaged.
    pub fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// For what must not be overlooked.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// For advice.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self.coloured {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_and_then_what_to_do() {
        let failure = Failure::new(Exit::IN_USE, "the vault /v is in use").hint("Unmount it first.");
        assert_eq!(failure_text(&failure, Style::PLAIN), "strongroom: the vault /v is in use\nUnmount it first.\n");
    }

    #[test]
    fn a_failure_in_json_has_code_name_message_and_hint() {
        let failure = Failure::new(Exit::IN_USE, "m").hint("h");
        let wanted = json!({"error": {"code": 7, "name": "in-use", "message": "m", "hint": "h"}});
        assert_eq!(failure_json(&failure), wanted);
    }
}
