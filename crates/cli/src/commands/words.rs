//! Commands that only print: completions, manual pages, help.

use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

use crate::{
    args::Cli,
    exit::{self, Exit, Failure},
    face::Face,
    reference,
};

pub fn completions(shell: Shell, face: Face) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "strongroom", &mut script);
    tell(&String::from_utf8_lossy(&script), face)
}

pub fn man(command: &[String], face: Face) -> Result<Exit, Failure> {
    let page = match command {
        [] => reference::manual(),
        names => reference::manual_of(names).ok_or_else(|| unknown(names))?,
    };
    tell(&page, face)
}

pub fn help(topic: &[String], face: Face) -> Result<Exit, Failure> {
    let text = match topic {
        [] => Cli::command().render_long_help().to_string(),
        [topic] if topic == "exit-codes" => exit::table(),
        names => reference::help_of(names).ok_or_else(|| unknown(names))?,
    };
    tell(&text, face)
}

fn tell(text: &str, face: Face) -> Result<Exit, Failure> {
    face.tell(&json!({ "text": text }), |_| text.to_owned()).map(|()| Exit::OK)
}

fn unknown(names: &[String]) -> Failure {
    Failure::new(Exit::USAGE, format_args!("there is no command {:?}", names.join(" "))).hint("See: strongroom help")
}
