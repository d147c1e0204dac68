//! Where the personality gets its secrets from: files, a program, standard input, the terminal on standard input, a FIDO2
//! token; or the master key itself, which makes do without.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, IsTerminal, Read, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Stdio},
};

use rustix::termios::{InputModes, LocalModes, OptionalActions, tcgetattr, tcsetattr};
use strongroom_actions::{ActionError, RecoveryKey, Unlock};
use strongroom_secret::{Passphrase, SecretError};

use super::{
    exit::{Exit, Failure},
    fido2,
    flags::Flags,
    go,
    say::Say,
};

/// What opens the volume, as the flags say: asked for when the action wants it, and no earlier.
pub fn unlock<'a>(flags: &'a Flags, say: &'a Say) -> Unlock<'a> {
    if flags.is_without_conf() {
        return Unlock::by_master_key(|| master_key(flags, say));
    }
    let passphrase = || decrypting(say, once(flags, say));
    match &flags.fido2 {
        Some(device) => {
            let token = |token: &_| decrypting(say, fido2::secret(device, token, &flags.fido2_assert_option, say));
            Unlock::by_token_or_passphrase(token, passphrase)
        }
        None => Unlock::by_passphrase(passphrase),
    }
}

fn decrypting(say: &Say, secret: Result<Passphrase, Failure>) -> Result<Passphrase, SecretError> {
    let secret = secret.map_err(Failure::into_secret_error)?;
    say.info("Decrypting master key");
    Ok(secret)
}

/// The password that opens the volume.
pub fn once(flags: &Flags, say: &Say) -> Result<Passphrase, Failure> {
    match (&flags.passfile[..], &flags.extpass[..]) {
        ([], []) => from_stdin("Password", say),
        ([], command) => from_program(command, say),
        (files, _) => from_files(files, say),
    }
}

/// A password for a new volume. At the terminal it is asked for twice, since nobody saw what was typed.
pub fn new(flags: &Flags, say: &Say) -> Result<Passphrase, Failure> {
    match (&flags.passfile[..], &flags.extpass[..]) {
        ([], []) => typed_twice(say),
        _ => once(flags, say),
    }
}

/// The new password of a volume that has one. It is never the old one's file or program that gives it, as it was up to
/// version 2.3: that made a change which changes nothing.
pub fn replacement(say: &Say) -> Result<Passphrase, Failure> {
    typed_twice(say)
}

fn typed_twice(say: &Say) -> Result<Passphrase, Failure> {
    let first = from_stdin("Password", say)?;
    if io::stdin().is_terminal() && !first.matches(&from_terminal("Repeat")?) {
        return Err(failed("Passwords do not match"));
    }
    Ok(first)
}

/// The master key that was given: in hexadecimal on the command line or on standard input, or zeros.
pub fn master_key(flags: &Flags, say: &Say) -> Result<RecoveryKey, ActionError> {
    let wrap = |failure: Failure| ActionError::from(failure.into_secret_error());
    let Some(given) = &flags.masterkey else {
        say.info("Using all-zero dummy master key.");
        let warning = "ZEROKEY MODE PROVIDES NO SECURITY AT ALL AND SHOULD ONLY BE USED FOR TESTING.";
        say.info(&say.yellow(warning));
        return RecoveryKey::parse(&"0".repeat(64));
    };
    let is_typed = given == "stdin";
    let key = match is_typed {
        true => from_stdin("Masterkey", say).and_then(|line| parse_key(line.expose())),
        false => parse_key(given.as_bytes()),
    };
    let key = key.map_err(wrap)?;
    say.info("Using explicit master key.");
    if !is_typed {
        let warning = "THE MASTER KEY IS VISIBLE VIA \"ps ax\" AND MAY BE STORED IN YOUR SHELL HISTORY!\n\
                       ONLY USE THIS MODE FOR EMERGENCIES";
        say.info(&say.yellow(warning));
    }
    Ok(key)
}

/// 64 hexadecimal digits. Dashes are skipped wherever they stand, and nothing else is.
fn parse_key(text: &[u8]) -> Result<RecoveryKey, Failure> {
    let not_parsed = |why: String| Failure::new(Exit::MASTER_KEY, format!("Could not parse master key: {why}"));
    let digits = text.iter().filter(|&&byte| byte != b'-').count();
    if let Some(odd) = text.iter().find(|&&byte| byte != b'-' && !byte.is_ascii_hexdigit()) {
        return Err(not_parsed(format!("encoding/hex: invalid byte: {}", named(*odd))));
    }
    if digits % 2 != 0 {
        return Err(not_parsed("encoding/hex: odd length hex string".into()));
    }
    match std::str::from_utf8(text).ok().and_then(|text| RecoveryKey::parse(text).ok()) {
        Some(key) => Ok(key),
        None => {
            let message = format!("Master key has length {} but we require length 32", digits / 2);
            Err(Failure::new(Exit::MASTER_KEY, message))
        }
    }
}

/// `U+007A 'z'`
fn named(byte: u8) -> String {
    let quoted = go::quote(&[byte]);
    let shown = match byte {
        b'\'' => "\\'",
        b'"' => "\"",
        0x80.. => return format!("U+{byte:04X} '{}'", char::from(byte)),
        _ => quoted.trim_matches('"'),
    };
    format!("U+{byte:04X} '{shown}'")
}

fn failed(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::READ_PASSWORD, message)
}

/// The first lines of files, put together.
fn from_files(files: &[impl AsRef<Path>], say: &Say) -> Result<Passphrase, Failure> {
    // Reserved at once, since a growing vector would leave pieces of the secret behind.
    let mut whole = Vec::with_capacity(files.len() * Passphrase::MAX_LEN);
    for file in files {
        match first_line_of(file.as_ref(), say) {
            Ok(line) => whole.extend_from_slice(line.expose()),
            Err(failure) => {
                drop(Passphrase::new(whole));
                return Err(failure);
            }
        }
    }
    Ok(Passphrase::new(whole))
}

/// One read, so that a pipe gives what was written to it at once.
fn first_line_of(path: &Path, say: &Say) -> Result<Passphrase, Failure> {
    let shown = go::quote(path.as_os_str().as_bytes());
    say.info(&format!("passfile: reading from file {shown}"));
    let mut file = File::open(path).map_err(|error| {
        let why = go::reason(&error);
        failed(format!("fatal: passfile: could not open {shown}: open {}: {why}", path.display()))
    })?;
    // A newline may follow the longest of them; one byte more shows what is too long.
    let mut buffer = vec![0; Passphrase::MAX_LEN + 2];
    let read = file.read(&mut buffer);
    buffer.truncate(*read.as_ref().unwrap_or(&0));
    let buffer = Passphrase::new(buffer);
    match read {
        Ok(0) => return Err(failed(format!("fatal: passfile: could not read from {shown}: EOF"))),
        Ok(_) => {}
        Err(error) => {
            let why = go::reason(&error);
            return Err(failed(format!(
                "fatal: passfile: could not read from {shown}: read {}: {why}",
                path.display()
            )));
        }
    }
    let (line, rest) = match buffer.expose().iter().position(|&byte| byte == b'\n') {
        Some(at) => (&buffer.expose()[..at], &buffer.expose()[at + 1..]),
        None => (buffer.expose(), &[][..]),
    };
    if line.is_empty() {
        return Err(failed(format!("fatal: passfile: empty first line in {shown}")));
    }
    if line.len() > Passphrase::MAX_LEN {
        return Err(failed("fatal: passfile: max password length (2048 bytes) exceeded"));
    }
    if !rest.is_empty() {
        let more = rest.len();
        say.warn(&format!("warning: passfile: ignoring trailing garbage ({more} bytes) after first line"));
    }
    Ok(Passphrase::new(line.to_vec()))
}

/// So much of what a program says after the password is listened to.
const MOST_DRAINED: u64 = 1 << 20;

/// The first line that a program prints. One string is split at blanks; several are its name and arguments.
fn from_program(command: &[OsString], say: &Say) -> Result<Passphrase, Failure> {
    let words: Vec<_> = match command {
        [line] => line.as_bytes().split(|&byte| byte == b' ').map(OsStr::from_bytes).collect(),
        words => words.iter().map(OsString::as_os_str).collect(),
    };
    let arguments = go::quote_all(words[1..].iter().map(|word| word.as_bytes()));
    let shown = go::quote(words[0].as_bytes());
    say.info(&format!("Reading password from extpass program {shown}, arguments: [{arguments}]"));
    let not_started =
        |error: io::Error| failed(format!("extpass cmd start failed: {}", go::not_started(words[0], &error)));
    let mut child = Command::new(words[0])
        .args(&words[1..])
        // Standard input may hold the next password, which is not the program's to eat.
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(not_started)?;
    let mut stdout = child.stdout.take().expect("stdout was piped just above");
    let line = read_line(&mut stdout);
    // What follows is drained, or a talkative program would die of a broken pipe and seem to have failed. One that never
    // ends has.
    let _ = io::copy(&mut stdout.by_ref().take(MOST_DRAINED), &mut io::sink());
    drop(stdout);
    let status = child.wait().map_err(not_started)?;
    let line = line?;
    if !status.success() {
        return Err(failed(format!("extpass program returned an error: {}", go::status(status))));
    }
    match line.expose() {
        [] => Err(failed("extpass: password is empty")),
        _ => Ok(line),
    }
}

/// A line of standard input: typed without being seen, if that is a terminal. Nothing after its newline is taken, so that
/// another password can follow.
fn from_stdin(what: &str, say: &Say) -> Result<Passphrase, Failure> {
    if io::stdin().is_terminal() {
        return from_terminal(what);
    }
    say.info(&format!("Reading {what} from stdin"));
    let line = read_line(&mut Unbuffered)?;
    match line.expose() {
        [] => Err(failed(format!("Got empty {what} from stdin"))),
        _ => Ok(line),
    }
}

fn from_terminal(what: &str) -> Result<Passphrase, Failure> {
    let line = {
        let _quiet = Quiet::begin().map_err(|error| not_typed(&go::reason(&error)))?;
        // Not earlier: whoever sees it types, and would be seen typing.
        let _ = write!(io::stderr(), "{what}: ");
        read_line(&mut Unbuffered)
    };
    let _ = writeln!(io::stderr());
    let line = line?;
    match line.expose() {
        [] => Err(failed("Password is empty")),
        _ => Ok(line),
    }
}

fn not_typed(why: &str) -> Failure {
    failed(format!("Could not read password from terminal: {why}"))
}

/// Reads byte by byte up to the first newline or the end, and one byte beyond the limit at most.
fn read_line(from: &mut impl Read) -> Result<Passphrase, Failure> {
    let mut line = Vec::with_capacity(Passphrase::MAX_LEN + 1);
    let mut byte = [0];
    let end = loop {
        if line.len() > Passphrase::MAX_LEN {
            break Err(failed("fatal: maximum password length of 2048 bytes exceeded"));
        }
        match from.read(&mut byte) {
            Ok(0) => break Ok(()),
            Ok(_) if byte == *b"\n" => break Ok(()),
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(failed(format!("readLineUnbuffered: {}", go::reason(&error)))),
        }
    };
    // Taken over in any case, to be wiped.
    let line = Passphrase::new(line);
    end.map(|()| line)
}

/// Standard input, one system call a read.
struct Unbuffered;

impl Read for Unbuffered {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), out)?)
    }
}

/// The terminal on standard input without echo, until dropped.
struct Quiet {
    before: rustix::termios::Termios,
}

impl Quiet {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(rustix::stdio::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO;
        quiet.local_modes |= LocalModes::ICANON | LocalModes::ISIG;
        quiet.input_modes |= InputModes::ICRNL;
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &quiet)?;
        Ok(Self { before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // The terminal is gone if this fails, and its echo with it.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.before);
    }
}
