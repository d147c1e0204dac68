//! The `strongroom` command: words in, words out.

mod args;
mod commands;
mod exit;
mod face;
mod log;
mod progress;
mod prompt;
mod reference;
mod strength;
mod text;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser};

use args::Cli;
use exit::Exit;
use face::{Face, print, warn};

fn main() -> ExitCode {
    let command = Cli::command();
    let is_command = |word: &str| command.find_subcommand(word).is_some();
    let arguments = args::helper::as_command(std::env::args_os().collect(), is_command);
    ExitCode::from(run(arguments).code())
}

fn run(arguments: Vec<OsString>) -> Exit {
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    let face = Face { json: cli.json };
    match commands::run(cli.command, face, &arguments) {
        Ok(exit) => exit,
        Err(failure) => {
            face.tell_failure(&failure);
            failure.exit
        }
    }
}

/// What clap has to say: help and version on standard output, mistakes on standard error.
fn explain(error: &clap::Error) -> Exit {
    let coloured = error.render().ansi().to_string();
    let plain = error.render().to_string();
    let stream_is_plain = |stream: &dyn Fn() -> bool| !stream() || std::env::var_os("NO_COLOR").is_some();
    use std::io::IsTerminal;
    match error.use_stderr() {
        true => {
            warn(if stream_is_plain(&|| std::io::stderr().is_terminal()) { &plain } else { &coloured });
            Exit::USAGE
        }
        false => {
            let text = if stream_is_plain(&|| std::io::stdout().is_terminal()) { &plain } else { &coloured };
            print(text).map_or_else(|failure| failure.exit, |()| Exit::OK)
        }
    }
}
