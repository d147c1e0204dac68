//! The `strongroom` command: words in, words out.

mod args;
mod commands;
mod confirm;
mod exit;
mod face;
mod gocryptfs;
mod keys;
mod log;
mod progress;
mod prompt;
mod reference;
mod report;
mod settings;
mod strength;
mod surroundings;
mod text;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser};

use args::Cli;
use exit::{Exit, Failure};
use face::{Face, is_coloured, print, warn};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some((dir, at)) = args::helper::as_stage(&arguments) {
        return ExitCode::from(commands::stage::run(dir, at).code());
    }
    if let Some((personality, arguments)) = gocryptfs::Personality::of(&arguments) {
        return ExitCode::from(personality.run(arguments));
    }
    let command = Cli::command();
    let is_command = |word: &str| command.find_subcommand(word).is_some();
    let arguments = args::helper::as_migrate(arguments);
    let arguments = args::helper::as_command(arguments, is_command);
    ExitCode::from(run(arguments).code())
}

fn run(arguments: Vec<OsString>) -> Exit {
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return explain(&error, &arguments),
    };
    let face = Face { json: cli.json };
    match commands::run(cli, face, &arguments) {
        Ok(exit) => exit,
        Err(failure) => {
            face.tell_failure(&failure);
            failure.exit
        }
    }
}

/// What clap has to say: help and version on standard output, mistakes where all failures go.
fn explain(error: &clap::Error, arguments: &[OsString]) -> Exit {
    let text = error.render();
    if !error.use_stderr() {
        let shown = if is_coloured(&std::io::stdout()) { text.ansi().to_string() } else { text.to_string() };
        return print(&shown).map_or_else(|failure| failure.exit, |()| Exit::OK);
    }
    // The arguments could not be understood, so this one has to be looked for.
    if arguments.iter().any(|argument| argument == "--json") {
        Face { json: true }.tell_failure(&Failure::new(Exit::USAGE, text.to_string().trim_end()));
    } else {
        warn(&if is_coloured(&std::io::stderr()) { text.ansi().to_string() } else { text.to_string() });
    }
    Exit::USAGE
}
