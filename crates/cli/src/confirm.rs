//! Asking whether to go on, before something is replaced or deleted.

use std::{
    fs::File,
    io::{self, Read, Write},
};

use strongroom_actions::ActionError;
use strongroom_secret::SecretError;

use crate::keys::Keys;

/// Shows `what` at the terminal and goes on if the answer to `question` is yes.
pub fn confirm(what: &str, question: &str) -> Result<(), ActionError> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(|_| ActionError::NobodyToConfirm)?;
    match ask(Keys::of(&terminal), &terminal, what, question) {
        Ok(true) => Ok(()),
        Ok(false) => Err(ActionError::Declined),
        Err(source) if source.kind() == io::ErrorKind::Interrupted => {
            Err(SecretError::Prompt { what: "answer".into(), source }.into())
        }
        Err(_) => Err(ActionError::NobodyToConfirm),
    }
}

fn ask(answers: impl Read, mut out: impl Write, what: &str, question: &str) -> io::Result<bool> {
    write!(out, "{what}{question} [y/N] ")?;
    out.flush()?;
    let answer = line(answers)?;
    Ok(matches!(answer.trim_ascii().to_ascii_lowercase().as_slice(), b"y" | b"yes"))
}

/// Unlike `BufRead::read_line` it ends when it is interrupted.
fn line(mut answers: impl Read) -> io::Result<Vec<u8>> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while answers.read(&mut byte)? == 1 && byte != *b"\n" {
        line.extend(byte);
    }
    Ok(line)
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
