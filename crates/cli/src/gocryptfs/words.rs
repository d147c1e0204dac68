//! From the words of a command line to [`Flags`], by the rules of gocryptfs: what `-o` holds is put in front, a single dash
//! is as good as two, and flags stand anywhere.
//!
//! Two of the rules surprise. A value that stands by itself gets a second dash as well, so that `-extpass -c` passes `--c`;
//! who means `-c` writes `-extpass=-c`. And of several `-o` the last one counts.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use super::{
    exit::{Exit, Failure},
    flags::Flags,
    go,
    table::{self, Earlier, Flag, Kind},
};

/// Reads a command line, the name of the program first.
pub fn parse(arguments: &[OsString]) -> Result<Flags, Failure> {
    let words = with_two_dashes(with_options_in_front(arguments)?);
    let mut flags = read(words.get(1..).unwrap_or_default()).map_err(|why| {
        let line = pretty(arguments);
        Failure::new(Exit::USAGE, format!("Invalid command line: {line}: {why}. Try 'gocryptfs -help'."))
    })?;
    // Scripts pass on variables that are empty.
    if flags.extpass.iter().all(|program| program.is_empty()) {
        flags.extpass.clear();
    }
    flags.passfile.retain(|file| !file.as_os_str().is_empty());
    Ok(flags)
}

/// The words of a command line, as messages show them.
pub fn pretty(arguments: &[OsString]) -> String {
    go::quote_all(arguments.iter().map(|argument| argument.as_bytes()))
}

/// Takes the lists of `-o`, and puts the options of the last of them in front. A `--` anywhere prevents it.
fn with_options_in_front(arguments: &[OsString]) -> Result<Vec<OsString>, Failure> {
    if arguments.len() < 3 || arguments[1..].iter().any(|word| word == "--") {
        return Ok(arguments.to_vec());
    }
    let usage = |message| Failure::new(Exit::USAGE, message);
    let (mut list, mut others) = (OsString::new(), Vec::new());
    let mut words = arguments[1..].iter();
    while let Some(word) = words.next() {
        match word.as_bytes() {
            b"-o" => list = words.next().ok_or_else(|| usage("The \"-o\" option requires an argument"))?.clone(),
            [b'-', b'o', b'=', value @ ..] => list = OsStr::from_bytes(value).to_owned(),
            _ => others.push(word.clone()),
        }
    }
    let mut words = vec![arguments[0].clone()];
    for option in list.as_bytes().split(|&byte| byte == b',').filter(|option| !option.is_empty()) {
        if matches!(option, b"o" | b"-o") {
            return Err(usage("You can't pass \"-o\" to \"-o\""));
        }
        words.push(OsString::from_vec([b"-", option].concat()));
    }
    words.append(&mut others);
    Ok(words)
}

/// Gives every word up to `--` a second dash that has one; except `-h`.
fn with_two_dashes(mut words: Vec<OsString>) -> Vec<OsString> {
    for word in words.iter_mut().take_while(|word| *word != "--") {
        if word != "-h" && matches!(word.as_bytes(), [b'-', second, ..] if *second != b'-') {
            *word = OsString::from_vec([b"-", word.as_bytes()].concat());
        }
    }
    words
}

/// Reads words that have two dashes, or none.
fn read(words: &[OsString]) -> Result<Flags, String> {
    let mut reader = Reader { flags: Flags::default(), lists: HashSet::new() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_bytes() {
            b"--" => {
                reader.flags.positional.extend(words.by_ref().cloned());
            }
            b"-h" => return Ok(Flags { help: true, ..reader.flags }),
            [b'-', b'-', flag @ ..] => {
                let (name, value) = match flag.iter().position(|&byte| byte == b'=') {
                    Some(at) => (&flag[..at], Some(OsStr::from_bytes(&flag[at + 1..]).to_owned())),
                    None => (flag, None),
                };
                if matches!(flag, [] | [b'-' | b'=', ..]) {
                    return Err(format!("bad flag syntax: {}", word.display()));
                }
                match table::find(name) {
                    Some(found) => reader.take(found, value, || words.next().cloned())?,
                    None if name == b"help" => return Ok(Flags { help: true, ..reader.flags }),
                    None => return Err(format!("unknown flag: --{}", String::from_utf8_lossy(name))),
                }
            }
            _ => reader.flags.positional.push(word.clone()),
        }
    }
    Ok(reader.flags)
}

struct Reader {
    flags: Flags,
    /// The lists that something was put in, by the name of the flag.
    lists: HashSet<&'static str>,
}

impl Reader {
    fn take(
        &mut self,
        flag: &'static Flag,
        value: Option<OsString>,
        next: impl FnOnce() -> Option<OsString>,
    ) -> Result<(), String> {
        let value = match (value, flag.kind) {
            (Some(value), _) => value,
            (None, Kind::Switch(_)) => "true".into(),
            (None, _) => next().ok_or_else(|| format!("flag needs an argument: --{}", flag.name))?,
        };
        self.flags.any_given = true;
        self.set(flag, value.clone()).map_err(|why| {
            format!(
                "invalid argument {} for {} flag: {why}",
                go::quote(value.as_bytes()),
                go::quote(dashed(flag).as_bytes())
            )
        })
    }

    fn set(&mut self, flag: &'static Flag, value: OsString) -> Result<(), String> {
        let flags = &mut self.flags;
        match flag.kind {
            Kind::Switch(set) => set(flags, go::parse_bool(value.as_bytes())?),
            Kind::Text(set) => set(flags, value),
            Kind::Number(set) => set(flags, go::parse_int(value.as_bytes(), 64)?),
            Kind::Byte(set) => set(flags, go::parse_byte(value.as_bytes())?),
            Kind::Duration(set) => set(flags, go::parse_duration(value.as_bytes())?),
            Kind::List(add) => {
                let earlier = if self.lists.insert(flag.name) { Earlier::Go } else { Earlier::Stay };
                add(flags, value, earlier);
            }
        }
        Ok(())
    }
}

fn dashed(flag: &Flag) -> String {
    format!("--{}", flag.name)
}
