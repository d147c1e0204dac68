//! Asking whether to go on, before something is replaced or deleted.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
};

use crate::exit::{Exit, Failure};

/// Goes on if `yes` was said on the command line, or is said at the terminal now. `question` ends with a question mark.
pub fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(|_| {
        Failure::new(Exit::REFUSED, "this needs a confirmation, and there is no terminal to ask at")
            .hint("To go on without being asked: --yes")
    })?;
    match ask(BufReader::new(&terminal), &terminal, question) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(Exit::REFUSED, "not confirmed; nothing was changed")),
        Err(error) => Err(Failure::new(Exit::FAILURE, format_args!("asking at the terminal: {error}"))),
    }
}

fn ask(mut answers: impl BufRead, mut out: impl Write, question: &str) -> io::Result<bool> {
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, is_yes) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("n\n", false), ("", false), ("yep", false)]
        {
            assert_eq!(ask(answer.as_bytes(), Vec::new(), "?").unwrap(), is_yes, "{answer:?}");
        }
    }
}
