//! How the personality speaks: information on standard output, warnings and failures on standard error.

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use strongroom_event::{Event, Observer, PathText};

use super::{
    exit::{Exit, Failure},
    flags::Flags,
};
use crate::log;

/// The voice of a run.
#[derive(Clone, Debug)]
pub struct Say {
    is_quiet: bool,
    is_verbose: bool,
    panics: bool,
    is_coloured: bool,
    in_background: Arc<AtomicBool>,
}

impl Say {
    /// As the flags want it.
    pub fn new(flags: &Flags) -> Self {
        Self {
            is_quiet: flags.quiet,
            is_verbose: flags.debug,
            panics: flags.wpanic,
            is_coloured: is_coloured(),
            in_background: Arc::default(),
        }
    }

    /// Before anything is known of the flags.
    pub fn plainly() -> Self {
        Self::new(&Flags::default())
    }

    /// From now on, to the system log.
    pub fn go_to_syslog(&self) {
        log::open(c"gocryptfs", libc::LOG_USER);
        self.in_background.store(true, Ordering::Release);
    }

    fn out(&self, priority: i32, text: &str) {
        match self.in_background.load(Ordering::Acquire) {
            true => log::to_syslog(priority, text),
            false => out(text),
        }
    }

    fn err(&self, priority: i32, text: &str, painted: &str) {
        match self.in_background.load(Ordering::Acquire) {
            true => log::to_syslog(priority, text),
            false => err(painted),
        }
    }

    /// Tells what helps to find a mistake (`-d`).
    pub fn debug(&self, text: &str) {
        if self.is_verbose {
            self.out(libc::LOG_DEBUG, text);
        }
    }

    /// Tells what is good to know (not with `-q`).
    pub fn info(&self, text: &str) {
        if !self.is_quiet {
            self.out(libc::LOG_INFO, text);
        }
    }

    /// Warns; with `-wpanic` it ends the process.
    pub fn warn(&self, text: &str) {
        self.err(libc::LOG_WARNING, text, &self.yellow(text));
        if self.panics {
            let message = format!("-wpanic turns this warning into a panic: {text}");
            err(&message);
            err(&format!("panic: {message}"));
            std::process::exit(Exit::PANIC.code().into());
        }
    }

    /// Tells why nothing came of it, and gives the exit code.
    pub fn failure(&self, failure: &Failure) -> u8 {
        if let Some(warning) = failure.warning {
            self.warn(warning);
        }
        if let Some(message) = &failure.message {
            self.fatal(message);
        }
        failure.exit.code()
    }

    /// Tells something that is fatal.
    pub fn fatal(&self, text: &str) {
        self.err(libc::LOG_CRIT, text, &self.red(text));
    }

    /// For what went well.
    pub fn green(&self, text: &str) -> String {
        self.paint("\x1b[32m", text)
    }

    /// For what is to be noticed.
    pub fn yellow(&self, text: &str) -> String {
        self.paint("\x1b[33m", text)
    }

    /// For what failed.
    pub fn red(&self, text: &str) -> String {
        self.paint("\x1b[31m", text)
    }

    /// For hints.
    pub fn grey(&self, text: &str) -> String {
        self.paint("\x1b[2m", text)
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        match self.is_coloured {
            true => format!("{colour}{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

impl Observer for Say {
    fn observe(&self, event: &Event) {
        match event {
            Event::Damaged { path, what } => self.warn(&format!("{}: {what}", PathText(path))),
            Event::Healed { path, what } => self.info(&format!("{}: {what}", PathText(path))),
            Event::Warning(text) => self.warn(text),
            _ => {}
        }
    }
}

/// Only where both are terminals: they may be told apart by whoever reads them.
fn is_coloured() -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stdout().is_terminal() && stderr().is_terminal() && !is_unwanted
}

/// Tells what was asked for, also with `-q`. A reader that has gone, as in `| head`, is no failure.
pub fn out(text: &str) {
    let _ = writeln!(stdout().lock(), "{text}");
}

/// Tells what is wrong, where nothing is known of how to speak.
pub fn err(text: &str) {
    let _ = writeln!(stderr().lock(), "{text}");
}
