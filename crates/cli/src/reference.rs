//! The command line described: manual pages, and `docs/CLI.md`, which a test keeps true.

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::{args::Cli, exit};

/// The long help of a command.
pub fn help_of(names: &[String]) -> Option<String> {
    command(names).map(|mut command| command.render_long_help().to_string())
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
pub fn manual_of(names: &[String]) -> Option<String> {
    command(names).map(rendered)
}

fn rendered(command: Command) -> String {
    let mut page = Vec::new();
    Man::new(command).render(&mut page).expect("writing to memory does not fail");
    String::from_utf8_lossy(&page).into_owned()
}

/// A command with its full name, and the options it shares with all others.
fn command(names: &[String]) -> Option<Command> {
    let mut all = Cli::command();
    all.build();
    names.iter().try_fold(&all, |command, name| command.find_subcommand(name)).cloned()
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
        sections(&mut all, "strongroom", &mut text);
        section("Exit codes", &exit::table(), &mut text);
        text
    }

    fn sections(command: &mut Command, title: &str, text: &mut String) {
        section(title, &command.render_long_help().to_string(), text);
        let names: Vec<_> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        for name in names.iter().filter(|name| *name != "help" || title == "strongroom") {
            let command = command.find_subcommand_mut(name).expect("it was listed just now");
            sections(command, &format!("{title} {name}"), text);
        }
    }

    fn section(title: &str, help: &str, text: &mut String) {
        let lines: Vec<_> = help.lines().map(str::trim_end).collect();
        text.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
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
        takes_none(&all);
    }

    fn takes_none(command: &Command) {
        for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
            let name = argument.get_id().as_str();
            let is_secret = ["passphrase", "recovery_key", "master_key"].iter().any(|secret| name.ends_with(secret));
            assert!(!is_secret, "{} --{name} would show a secret to every user of the machine", command.get_name());
        }
        command.get_subcommands().for_each(takes_none);
    }

    #[test]
    fn every_command_has_a_manual_page_and_help() {
        let mut all = Cli::command();
        all.build();
        let mut seen = 0;
        for command in all.get_subcommands() {
            let name = command.get_name().to_owned();
            is_described(std::slice::from_ref(&name));
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                is_described(&[name.clone(), below.get_name().to_owned()]);
                seen += 1;
            }
        }
        assert!(seen > 10 && manual().contains("EXIT STATUS"));
    }

    fn is_described(names: &[String]) {
        assert!(manual_of(names).unwrap().contains(&names.join("\\-")), "{names:?}");
        assert!(help_of(names).unwrap().contains("Usage:"), "{names:?}");
    }
}
