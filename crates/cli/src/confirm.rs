//! Asking whether to go on, before something is replaced or deleted.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
};

use strongroom_actions::ActionError;

/// Shows `what` at the terminal and goes on if the answer to `question` is yes.
pub fn confirm(what: &str, question: &str) -> Result<(), ActionError> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(|_| ActionError::NobodyToConfirm)?;
    match ask(BufReader::new(&terminal), &terminal, what, question) {
        Ok(true) => Ok(()),
        Ok(false) => Err(ActionError::Declined),
        Err(_) => Err(ActionError::NobodyToConfirm),
    }
}

fn ask(mut answers: impl BufRead, mut out: impl Write, what: &str, question: &str) -> io::Result<bool> {
    write!(out, "{what}{question} [y/N] ")?;
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
        let answers = [("y\n", true), ("YES\n", true), ("\n", false), ("n\n", false), ("", false), ("yep", false)];
        for (answer, is_yes) in answers {
            assert_eq!(ask(answer.as_bytes(), Vec::new(), "", "?").unwrap(), is_yes, "{answer:?}");
        }
    }
}
