//! Asking a person at the terminal, echo off. The terminal is /dev/tty, so standard input and output stay free for data.

use std::{
    fs::File,
    io::{self, Read, Write},
};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use strongroom_secret::{Passphrase, Prompt, SecretError};

use crate::{keys::Keys, strength::Strength};

/// Asks once.
pub struct Terminal;

impl Prompt for Terminal {
    fn ask(&self, what: &str) -> Result<Passphrase, SecretError> {
        let mut terminal = Quiet::open(what)?;
        terminal.line(&format!("{}: ", capitalised(what))).map_err(|source| failed(what, source))
    }
}

/// Asks for a new passphrase: says how strong it looks, and asks a second time, since nobody saw what was typed.
pub struct NewSecret;

/// How often two entries may differ.
const ATTEMPTS: usize = 3;

impl Prompt for NewSecret {
    fn ask(&self, what: &str) -> Result<Passphrase, SecretError> {
        let mut terminal = Quiet::open(what)?;
        for _ in 0..ATTEMPTS {
            let failed = |source| failed(what, source);
            let first = terminal.line(&format!("{}: ", capitalised(what))).map_err(failed)?;
            if first.expose().is_empty() {
                terminal.say("An empty passphrase protects nothing.").map_err(failed)?;
                continue;
            }
            terminal.say(Strength::of(first.expose()).advice()).map_err(failed)?;
            let second = terminal.line("Once more: ").map_err(failed)?;
            if first.matches(&second) {
                return Ok(first);
            }
            terminal.say("The two differ.").map_err(failed)?;
        }
        Err(SecretError::Mismatch { what: what.into() })
    }
}

/// Shows the recovery key of a new vault, and has its last group typed back: nobody can who has not seen it.
pub fn show_recovery_key(key: &str) -> Result<Passphrase, SecretError> {
    let what = "last group of the recovery key";
    let mut terminal = Quiet::open(what)?;
    let shown = format!(
        "\nThe recovery key of the new vault:\n\n    {key}\n\nIt opens the vault without the passphrase, and is not shown again. \
         Write it down, and keep it apart\nfrom this machine.\n",
    );
    terminal.say(&shown).map_err(|source| failed(what, source))?;
    terminal
        .line(&format!("{} (eight digits, to show that you have it): ", capitalised(what)))
        .map_err(|source| failed(what, source))
}

fn failed(what: &str, source: io::Error) -> SecretError {
    SecretError::Prompt { what: what.into(), source }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The terminal with echo off, until dropped.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn open(what: &str) -> Result<Self, SecretError> {
        let nobody = |source: io::Error| SecretError::NobodyToAsk {
            what: what.into(),
            why: format!("no terminal can be opened ({source})"),
        };
        let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(nobody)?;
        let before = tcgetattr(&terminal).map_err(|errno| nobody(errno.into()))?;
        let mut quiet = before.clone();
        // Key by key, so that an interrupt comes as a key too and the echo is always turned on again.
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Flush, &quiet).map_err(|errno| nobody(errno.into()))?;
        Ok(Self { terminal, before })
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.terminal, "{text}")
    }

    /// Shows `label` and reads a line.
    fn line(&mut self, label: &str) -> io::Result<Passphrase> {
        write!(self.terminal, "{label}")?;
        let line = read_line(&mut Keys::of(&self.terminal));
        writeln!(self.terminal)?;
        line
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // The terminal is gone if this fails, and its echo with it.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL_LINE: u8 = 0x15;
const QUIT: u8 = 0x1c;
const DELETE: u8 = 0x7f;

/// Reads keys up to the end of a line, with the usual editing keys.
fn read_line(keys: &mut impl Read) -> io::Result<Passphrase> {
    // Reserved at once, since a growing vector would leave pieces of the secret behind. One byte over the limit is kept,
    // for whoever checks it.
    let mut line = Vec::with_capacity(Passphrase::MAX_LEN + 1);
    let mut key = [0];
    loop {
        let ended = keys.read(&mut key)? == 0;
        match key[0] {
            _ if ended => return end_of(line),
            b'\n' | b'\r' => return Ok(Passphrase::new(line)),
            END => return end_of(line),
            INTERRUPT | QUIT => {
                drop(Passphrase::new(line));
                return Err(io::ErrorKind::Interrupted.into());
            }
            BACKSPACE | DELETE => remove_last(&mut line),
            KILL_LINE => line.clear(),
            byte if line.len() <= Passphrase::MAX_LEN => line.push(byte),
            _ => {}
        }
    }
}

fn end_of(line: Vec<u8>) -> io::Result<Passphrase> {
    match line.is_empty() {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(Passphrase::new(line)),
    }
}

/// Removes the last character, which in UTF-8 may be several bytes.
fn remove_last(line: &mut Vec<u8>) {
    while let Some(byte) = line.pop() {
        if byte & 0b1100_0000 != 0b1000_0000 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(mut keys: &[u8]) -> io::Result<Vec<u8>> {
        read_line(&mut keys).map(|line| line.expose().to_vec())
    }

    #[test]
    fn a_line_ends_with_return() {
        assert_eq!(typed(b"open sesame\rrest").unwrap(), b"open sesame");
        assert_eq!(typed(b"open\n").unwrap(), b"open");
    }

    #[test]
    fn backspace_takes_a_whole_character() {
        assert_eq!(typed("pa\u{e9}\u{7f}ss\r".as_bytes()).unwrap(), b"pass");
        assert_eq!(typed(b"\x08a\r").unwrap(), b"a");
    }

    #[test]
    fn the_line_can_be_begun_anew() {
        assert_eq!(typed(b"wrong\x15right\r").unwrap(), b"right");
    }

    #[test]
    fn control_c_interrupts() {
        assert_eq!(typed(b"abc\x03").unwrap_err().kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn the_end_of_input_ends_a_line_that_was_begun_only() {
        assert_eq!(typed(b"abc\x04").unwrap(), b"abc");
        assert_eq!(typed(b"").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_line_without_end_is_cut_just_over_the_limit() {
        assert_eq!(typed(&[b'x'; 5000]).unwrap().len(), Passphrase::MAX_LEN + 1);
    }
}
