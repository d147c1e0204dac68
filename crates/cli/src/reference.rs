//! The command line described: manual pages, and `docs/CLI.md`, which a test keeps true.

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::{args::Cli, exit};

/// The long help of a command.
pub fn help_of(name: &str) -> Option<String> {
    command(name).map(|mut command| command.render_long_help().to_string())
}

/// The manual page of the whole.
pub fn manual() -> String {
    let mut page = rendered(Cli::command());
    page.push_str(".SH \"EXIT STATUS\"\n");
    for (exit, name, meaning) in exit::Exit::ALL {
        page.push_str(&format!(".TP\n\\fB{}\\fR ({name})\n{meaning}\n", exit.code()));
    }
    page
}

/// The manual page of a command.
pub fn manual_of(name: &str) -> Option<String> {
    command(name).map(rendered)
}

fn rendered(command: Command) -> String {
    let mut page = Vec::new();
    Man::new(command).render(&mut page).expect("writing to memory does not fail");
    String::from_utf8_lossy(&page).into_owned()
}

/// A command with its full name, and the options it shares with all others.
fn command(name: &str) -> Option<Command> {
    let mut all = Cli::command();
    all.build();
    let found = all.find_subcommand(name)?.clone();
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: usize = 100;

    fn markdown() -> String {
        let mut all = Cli::command().term_width(COLUMNS);
        all.build();
        let mut text = String::from(
            "# The command line\n\nGenerated from the program itself (`strongroom help`); a test keeps it true.\n",
        );
        let mut section = |title: &str, help: String| {
            let lines: Vec<_> = help.lines().map(str::trim_end).collect();
            text.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
        };
        section("strongroom", all.render_long_help().to_string());
        let names: Vec<_> = all.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        for name in names {
            let command = all.find_subcommand_mut(&name).expect("it was listed just now");
            section(&format!("strongroom {name}"), command.render_long_help().to_string());
        }
        section("Exit codes", exit::table());
        text
    }

    #[test]
    fn the_document_says_what_the_program_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CLI.md");
        let current = markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &current).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == current,
            "docs/CLI.md is out of date; to write it anew: UPDATE_DOCS=1 cargo test -p strongroom-cli the_document"
        );
    }

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_option_takes_a_secret() {
        let mut all = Cli::command();
        all.build();
        for command in all.get_subcommands() {
            for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
                let name = argument.get_id().as_str();
                let is_secret =
                    ["passphrase", "recovery_key", "master_key"].iter().any(|secret| name.ends_with(secret));
                assert!(!is_secret, "{} --{name} would show a secret to every user of the machine", command.get_name());
            }
        }
    }

    #[test]
    fn every_command_has_a_manual_page_and_help() {
        for name in ["init", "mount", "umount", "passwd", "info", "check", "speed", "completions", "man", "help"] {
            assert!(manual_of(name).unwrap().contains(name));
            assert!(help_of(name).unwrap().contains("Usage:"), "{name}");
        }
        assert!(manual().contains("EXIT STATUS"));
    }
}
