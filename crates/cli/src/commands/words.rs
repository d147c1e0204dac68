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

pub fn man(command: &[String]) -> Result<Exit, Failure> {
    let page = match command {
        [] => reference::manual(),
        names => reference::manual_of(names).ok_or_else(|| unknown(names))?,
    };
    print(&page).map(|()| Exit::OK)
}

pub fn help(topic: &[String]) -> Result<Exit, Failure> {
    let text = match topic {
        [] => Cli::command().render_long_help().to_string(),
        [topic] if topic == "exit-codes" => exit::table(),
        names => reference::help_of(names).ok_or_else(|| unknown(names))?,
    };
    print(&text).map(|()| Exit::OK)
}

fn unknown(names: &[String]) -> Failure {
    Failure::new(Exit::USAGE, format_args!("there is no command {:?}", names.join(" "))).hint("See: strongroom help")
}
