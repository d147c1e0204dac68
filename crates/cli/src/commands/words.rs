//! Commands that only print: completions, manual pages, help.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{
    args::Cli,
    exit::{self, Exit, Failure},
    face::print,
    reference,
};

pub fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "strongroom", &mut script);
    print(&String::from_utf8_lossy(&script)).map(|()| Exit::OK)
}

pub fn man(command: Option<&str>) -> Result<Exit, Failure> {
    let page = match command {
        None => reference::manual(),
        Some(name) => reference::manual_of(name).ok_or_else(|| unknown(name))?,
    };
    print(&page).map(|()| Exit::OK)
}

pub fn help(topic: Option<&str>) -> Result<Exit, Failure> {
    let text = match topic {
        None => Cli::command().render_long_help().to_string(),
        Some("exit-codes") => exit::table(),
        Some(name) => reference::help_of(name).ok_or_else(|| unknown(name))?,
    };
    print(&text).map(|()| Exit::OK)
}

fn unknown(name: &str) -> Failure {
    Failure::new(Exit::USAGE, format_args!("there is no command {name:?}")).hint("See: strongroom help")
}
