//! Where a passphrase is to come from, and getting it from there.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    process::{Command, Stdio},
};

use zeroize::Zeroizing;

use crate::{Passphrase, Prompt, SecretError};

/// Where a passphrase is to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// The first line of a file.
    File(PathBuf),
    /// The first line that a shell command prints.
    Command(String),
    /// The next line of standard input.
    Stdin,
    /// The first line of a credential handed over by the service manager.
    Credential(String),
    /// Whoever sits at the terminal.
    Prompt,
}

/// Gets the passphrase called `what` ("passphrase of /srv/vault") from its source: the first line, without its newline.
///
/// From standard input no byte after the newline is taken, so that a second secret can follow on the next line.
pub fn resolve(source: &SecretRef, prompt: &dyn Prompt, what: &str) -> Result<Passphrase, SecretError> {
    let (line, origin) = match source {
        SecretRef::File(path) => (from_file(path.clone(), what)?, path.display().to_string()),
        SecretRef::Command(command) => (from_command(command, what)?, format!("`{command}`")),
        SecretRef::Stdin => (from_stdin(what)?, "standard input".to_owned()),
        SecretRef::Credential(name) => (from_credential(name, what)?, format!("the credential {name:?}")),
        SecretRef::Prompt => (prompt.ask(what)?, "the prompt".to_owned()),
    };
    match line.expose().len() {
        0 => Err(SecretError::Empty { what: what.into(), origin }),
        1..=Passphrase::MAX_LEN => Ok(line),
        _ => Err(SecretError::TooLong { what: what.into(), origin }),
    }
}

fn from_file(path: PathBuf, what: &str) -> Result<Passphrase, SecretError> {
    File::open(&path).and_then(first_line).map_err(|source| SecretError::File { what: what.into(), path, source })
}

fn from_credential(name: &str, what: &str) -> Result<Passphrase, SecretError> {
    if name.is_empty() || name.contains('/') || name == ".." {
        return Err(SecretError::CredentialName { what: what.into(), name: name.into() });
    }
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(dir) => from_file(PathBuf::from(dir).join(name), what),
        None => Err(SecretError::NoCredentials { what: what.into(), name: name.into() }),
    }
}

fn from_command(command: &str, what: &str) -> Result<Passphrase, SecretError> {
    let failed = |source| SecretError::Command { what: what.into(), command: command.into(), source };
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        // Standard input may hold the next secret, which is not the command's to eat.
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut stdout = child.stdout.take().expect("stdout was piped just above");
    let line = first_line(&mut stdout);
    // What follows the first line is drained, or a talkative command would die of a broken pipe and seem to have failed.
    let drained = io::copy(&mut stdout, &mut io::sink());
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        return Err(SecretError::CommandFailed { what: what.into(), command: command.into(), status });
    }
    drained.map_err(failed)?;
    line.map_err(failed)
}

fn from_stdin(what: &str) -> Result<Passphrase, SecretError> {
    first_line(UnbufferedStdin).map_err(|source| SecretError::Stdin { what: what.into(), source })
}

/// Standard input, one system call a read. `std::io::stdin` reads ahead, and would take the next secret with it.
struct UnbufferedStdin;

impl Read for UnbufferedStdin {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), out)?)
    }
}

/// Reads byte by byte up to the first newline or the end, and one byte beyond the limit at most.
fn first_line(mut from: impl Read) -> io::Result<Passphrase> {
    // Reserved at once, since a growing vector would leave pieces of the secret behind.
    let mut line = Zeroizing::new(Vec::with_capacity(Passphrase::MAX_LEN + 1));
    let mut byte = Zeroizing::new([0u8]);
    while line.len() <= Passphrase::MAX_LEN {
        match from.read(&mut byte[..]) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Passphrase::new(std::mem::take(&mut *line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoPrompt;

    #[test]
    fn a_file_gives_its_first_line_without_the_newline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        std::fs::write(&path, b"  corr\xffect \r\nsecond\n").unwrap();
        assert_eq!(get(&SecretRef::File(path)).unwrap(), b"  corr\xffect \r");
    }

    #[test]
    fn a_line_of_2048_bytes_is_the_longest_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        std::fs::write(&path, [b'x'; 2048]).unwrap();
        assert_eq!(get(&SecretRef::File(path.clone())).unwrap().len(), 2048);
        std::fs::write(&path, [b'x'; 2049]).unwrap();
        assert!(matches!(get(&SecretRef::File(path)), Err(SecretError::TooLong { .. })));
    }

    #[test]
    fn an_empty_first_line_is_refused() {
        assert!(matches!(get(&SecretRef::Command("echo; echo x".into())), Err(SecretError::Empty { .. })));
    }

    #[test]
    fn a_command_gives_the_first_line_it_prints() {
        assert_eq!(get(&SecretRef::Command("printf 'open sesame\\nmore\\n'".into())).unwrap(), b"open sesame");
    }

    #[test]
    fn a_command_that_fails_gives_no_secret_even_if_it_printed_one() {
        let error = get(&SecretRef::Command("echo secret; exit 3".into())).unwrap_err();
        assert!(matches!(error, SecretError::CommandFailed { .. }));
        assert!(!error.to_string().contains("secret;") || error.to_string().contains("exit status: 3"));
    }

    #[test]
    fn a_missing_file_is_named_in_the_error() {
        let error = get(&SecretRef::File("/nonexistent/pass".into())).unwrap_err();
        assert!(error.to_string().starts_with("reading the passphrase from /nonexistent/pass: "), "{error}");
    }

    #[test]
    fn a_credential_name_cannot_leave_its_directory() {
        for name in ["../shadow", "a/b", "..", ""] {
            assert!(matches!(get(&SecretRef::Credential(name.into())), Err(SecretError::CredentialName { .. })));
        }
    }

    #[test]
    fn nobody_to_ask_is_an_error() {
        assert!(matches!(get(&SecretRef::Prompt), Err(SecretError::NobodyToAsk { .. })));
    }

    #[test]
    fn nothing_after_the_newline_is_consumed() {
        let mut two_lines: &[u8] = b"old\nnew\nrest";
        assert_eq!(first_line(&mut two_lines).unwrap().expose(), b"old");
        assert_eq!(first_line(&mut two_lines).unwrap().expose(), b"new");
        assert_eq!(two_lines, b"rest");
    }

    fn get(source: &SecretRef) -> Result<Vec<u8>, SecretError> {
        resolve(source, &NoPrompt, "passphrase").map(|secret| secret.expose().to_vec())
    }
}
