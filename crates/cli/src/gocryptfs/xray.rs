//! `gocryptfs-xray`: what a ciphertext is made of, the master key of a configuration, and paths translated by the control
//! socket of a mount.
//!
//! Unlike gocryptfs it reads its flags as Go's package `flag` does: no word may stand before them.

use std::{
    ffi::{OsStr, OsString},
    io::{self, BufRead, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use strongroom_actions::{
    ActionError, Algorithm, Answer, ControlClient, Part, Translation, dump_master_key, no_core_dumps,
};

use super::{
    exit::{Exit, Failure, conf_trouble},
    flags::Flags,
    go, password,
    say::{self, Say},
    version,
};

const OPTIONS: &str = "\
Usage: gocryptfs-xray [OPTIONS] FILE

Options:
  -0	Use \\0 instead of \\n as separator
  -aessiv
    	Assume AES-SIV mode instead of AES-GCM
  -decrypt-paths
    	Decrypt file paths using gocryptfs control socket
  -dumpmasterkey
    	Decrypt and dump the master key
  -encrypt-paths
    	Encrypt file paths using gocryptfs control socket
  -fido2 string
    	Protect the masterkey using a FIDO2 token instead of a password
  -version
    	Print version information
  -xchacha
    	Assume XChaCha20-Poly1305 mode instead of AES-GCM

Examples:
  gocryptfs-xray myfs/mCXnISiv7nEmyc0glGuhTQ
  gocryptfs-xray -dumpmasterkey myfs/gocryptfs.conf
  gocryptfs-xray -encrypt-paths myfs.sock";

/// What the command line says.
#[derive(Debug, Default, PartialEq, Eq)]
struct XrayFlags {
    help: bool,
    dump_master_key: bool,
    decrypt_paths: bool,
    encrypt_paths: bool,
    nul: bool,
    aessiv: bool,
    xchacha: bool,
    version: bool,
    fido2: Option<OsString>,
    words: Vec<OsString>,
}

/// Runs it; the first argument is its name.
pub fn run(arguments: Vec<OsString>) -> u8 {
    let flags = match parse(arguments.get(1..).unwrap_or_default()) {
        Ok(flags) => flags,
        Err(wrong) => {
            say::err(&wrong);
            return usage(Exit::PANIC);
        }
    };
    if flags.help {
        return usage(Exit::OK);
    }
    if flags.version {
        say::out(&version::xray_line());
        return Exit::OK.code();
    }
    let actions = [flags.dump_master_key, flags.decrypt_paths, flags.encrypt_paths];
    let asked = actions.iter().filter(|&&asked| asked).count();
    if asked > 1 {
        say::err(&format!("fatal: {asked} operations were requested"));
        return Exit::USAGE.code();
    }
    match &flags.words[..] {
        [file] => act(&flags, Path::new(file)),
        _ => usage(Exit::USAGE),
    }
}

fn act(flags: &XrayFlags, file: &Path) -> u8 {
    let done = match flags {
        XrayFlags { decrypt_paths: true, .. } => translate(file, Translation::Decrypt, flags.nul),
        XrayFlags { encrypt_paths: true, .. } => translate(file, Translation::Encrypt, flags.nul),
        XrayFlags { dump_master_key: true, .. } => dump(flags, file),
        _ => inspect(flags, file),
    };
    match done {
        Ok(()) => Exit::OK.code(),
        Err(failure) => Say::plainly().failure(&failure),
    }
}

/// The version goes to standard output and the rest to standard error, as there.
fn usage(exit: Exit) -> u8 {
    say::out(&format!("{}\n", version::xray_line()));
    say::err(OPTIONS);
    exit.code()
}

fn parse(arguments: &[OsString]) -> Result<XrayFlags, String> {
    let mut flags = XrayFlags::default();
    let mut words = arguments.iter();
    while let Some(word) = words.as_slice().first() {
        let flag = match word.as_bytes() {
            b"--" => {
                words.next();
                break;
            }
            [b'-', b'-', flag @ ..] | [b'-', flag @ ..] if !flag.is_empty() => flag,
            _ => break,
        };
        words.next();
        if matches!(flag[0], b'-' | b'=') {
            return Err(format!("bad flag syntax: {}", word.display()));
        }
        let (name, value) = match flag.iter().position(|&byte| byte == b'=') {
            Some(at) => (&flag[..at], Some(OsStr::from_bytes(&flag[at + 1..]))),
            None => (flag, None),
        };
        flags.set(name, value, || words.next())?;
    }
    flags.words = words.cloned().collect();
    Ok(flags)
}

impl XrayFlags {
    fn set<'a>(
        &mut self,
        name: &[u8],
        value: Option<&OsStr>,
        next: impl FnOnce() -> Option<&'a OsString>,
    ) -> Result<(), String> {
        let shown = String::from_utf8_lossy(name);
        let switch = match name {
            b"dumpmasterkey" => &mut self.dump_master_key,
            b"decrypt-paths" => &mut self.decrypt_paths,
            b"encrypt-paths" => &mut self.encrypt_paths,
            b"0" => &mut self.nul,
            b"aessiv" => &mut self.aessiv,
            b"xchacha" => &mut self.xchacha,
            b"version" => &mut self.version,
            b"h" | b"help" => &mut self.help,
            b"fido2" => {
                let value = value.map(OsStr::to_owned).or_else(|| next().cloned());
                self.fido2 = Some(value.ok_or(format!("flag needs an argument: -{shown}"))?);
                return Ok(());
            }
            _ => return Err(format!("flag provided but not defined: -{shown}")),
        };
        *switch = match value {
            None => true,
            Some(value) => go::parse_bool(value.as_bytes()).map_err(|_| {
                format!("invalid boolean value {} for -{shown}: parse error", go::quote(value.as_bytes()))
            })?,
        };
        Ok(())
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self { aessiv: true, .. } => Algorithm::AesSiv,
            Self { xchacha: true, .. } => Algorithm::XChaCha20Poly1305,
            _ => Algorithm::Aes256Gcm,
        }
    }
}

/// Lines about the header and each block. What is wrong with the file stands among them; a header that is cut off goes to
/// standard error, as there.
fn inspect(flags: &XrayFlags, file: &Path) -> Result<(), Failure> {
    let algorithm = flags.algorithm();
    let mut lines = io::BufWriter::new(io::stdout().lock());
    let mut is_sound = true;
    let seen = strongroom_actions::xray(file, algorithm, &mut |part| {
        is_sound &= matches!(part, Part::Nothing | Part::Header(_) | Part::Block { .. });
        // A reader that has gone, as in `| head`, is no failure.
        match part {
            Part::TornHeader(_) => say::err(&line(&part, algorithm)),
            part => drop(writeln!(lines, "{}", line(&part, algorithm))),
        }
    });
    if let Err(error) = seen {
        let _ = writeln!(lines, "{}", in_gos_words(&error));
        is_sound = false;
    }
    let _ = lines.flush();
    if is_sound { Ok(()) } else { Err(Failure::told(Exit::USAGE)) }
}

fn line(part: &Part, algorithm: Algorithm) -> String {
    let mode = match algorithm {
        Algorithm::Aes256Gcm => "AES-GCM-256",
        Algorithm::AesSiv => "AES-SIV-512",
        Algorithm::XChaCha20Poly1305 => "XChaCha20-Poly1305",
    };
    match part {
        Part::Nothing => "empty file".to_owned(),
        Part::TornHeader(len) => format!("incomplete file header: read {len} bytes, want 18"),
        Part::BadHeader(header, why) => bad_header(header, why),
        Part::Header(id) => format!("Header: Version: 2, Id: {}, assuming {mode} mode", hex(id)),
        Part::Block { number, offset, len, nonce, tag } => {
            format!("Block {number:2}: IV: {}, Tag: {}, Offset: {offset:5} Len: {len}", hex(nonce), hex(tag))
        }
        Part::TornBlock(len) => format!("corrupt block: truncated data, len={len}"),
    }
}

fn bad_header(header: &[u8], why: &impl std::fmt::Display) -> String {
    let version = u16::from_be_bytes([header[0], header[1]]);
    let dump = hex(header);
    match () {
        () if header.iter().all(|&byte| byte == 0) => {
            format!("ParseHeader: header is all-zero. Header hexdump: {dump}")
        }
        () if version != 2 => format!("ParseHeader: invalid version, want=2 have={version}. Header hexdump: {dump}"),
        () if header[2..].iter().all(|&byte| byte == 0) => {
            format!("ParseHeader: file id is all-zero. Header hexdump: {dump}")
        }
        () => format!("ParseHeader: {why}. Header hexdump: {dump}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn in_gos_words(error: &ActionError) -> String {
    match error {
        ActionError::Path(error) => {
            let attempt = error.attempted.trim_end_matches("ing");
            format!("{attempt} {}: {}", error.path.display(), go::reason(&error.source))
        }
        error => error.to_string(),
    }
}

/// The master key, by the password from standard input or the terminal, or by the token.
fn dump(flags: &XrayFlags, file: &Path) -> Result<(), Failure> {
    no_core_dumps();
    if let Err(error) = std::fs::File::open(file) {
        say::out(&format!("open {}: {}", file.display(), go::reason(&error)));
        return Err(Failure::told(Exit::USAGE));
    }
    let asked = Flags { fido2: flags.fido2.clone(), quiet: true, ..Flags::default() };
    let say = Say::new(&asked);
    let key = dump_master_key(file, password::unlock(&asked, &say)).map_err(|error| match conf_trouble(&error) {
        Some((exit, warning, why)) => Failure { warning, ..Failure::new(exit, why) },
        None => match Failure::from(error) {
            // gocryptfs-xray does not tell a wrong password from a damaged configuration.
            Failure { exit: Exit::PASSWORD_INCORRECT, warning, message } => {
                Failure { exit: Exit::LOAD_CONF, warning, message }
            }
            failure => failure,
        },
    })?;
    say::out(&key);
    Ok(())
}

/// Paths from standard input, translated to standard output. One that cannot be is told, and left out.
fn translate(socket: &Path, translation: Translation, nul: bool) -> Result<(), Failure> {
    let mut client = ControlClient::connect(socket).map_err(|error| {
        say::out(&format!("fatal: dial unix {}: connect: {}", socket.display(), why(&error)));
        Failure::told(Exit::USAGE)
    })?;
    let separator = if nul { 0 } else { b'\n' };
    let mut failures = 0;
    for (number, path) in (1..).zip(io::stdin().lock().split(separator)) {
        let path = path.map_err(|error| Failure::new(Exit::USAGE, go::reason(&error)))?;
        let tell = |what: &str, said: &str| {
            say::err(&format!("{what} at input line {number} {}: {said}", go::quote(&path)));
        };
        match client.ask(translation, &path) {
            Ok(Answer::Translated { path, warning }) => {
                if !warning.is_empty() {
                    tell("warning", &warning);
                }
                // At once, also without a newline: somebody may ask path by path.
                let mut out = io::stdout().lock();
                let _ = out.write_all(&[path.as_bytes(), &[separator]].concat()).and_then(|()| out.flush());
            }
            Ok(Answer::Refused { number, why }) => {
                failures += 1;
                tell("error", &format!("errno {number}: {why}"));
            }
            Err(error) => {
                failures += 1;
                tell("error", &why(&error));
            }
        }
    }
    if failures == 0 { Ok(()) } else { Err(Failure::told(Exit::USAGE)) }
}

fn why(error: &ActionError) -> String {
    match error {
        ActionError::ControlSocket { source, .. } => go::reason(source),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<XrayFlags, String> {
        parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_read_as_gos_package_flag_reads_them() {
        let flags = parsed("-aessiv --0 -fido2 /dev/x -xchacha=false file -version").unwrap();
        let words = vec!["file".into(), "-version".into()];
        assert_eq!(
            flags,
            XrayFlags { aessiv: true, nul: true, fido2: Some("/dev/x".into()), words, ..XrayFlags::default() }
        );
        assert_eq!(parsed("-- -aessiv").unwrap().words, ["-aessiv"]);
        assert_eq!(parsed("- -aessiv").unwrap().words, ["-", "-aessiv"]);
    }

    #[test]
    fn flags_that_are_none_are_refused_in_gos_words() {
        for (line, said) in [
            ("-nosuch", "flag provided but not defined: -nosuch"),
            ("-aessiv=7", "invalid boolean value \"7\" for -aessiv: parse error"),
            ("-fido2", "flag needs an argument: -fido2"),
            ("---x", "bad flag syntax: ---x"),
            ("-=x", "bad flag syntax: -=x"),
        ] {
            assert_eq!(parsed(line), Err(said.to_owned()), "{line}");
        }
    }
}
