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

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits at blanks; `_` stands for one.
    fn line(line: &str) -> Vec<OsString> {
        line.split(' ').map(|word| word.replace('_', " ").into()).collect()
    }

    fn parsed(text: &str) -> Flags {
        parse(&line(text)).unwrap_or_else(|failure| panic!("{text}: {failure}"))
    }

    fn refused(text: &str) -> String {
        parse(&line(text)).expect_err(text).message.unwrap()
    }

    fn positional(text: &str) -> Vec<OsString> {
        parsed(text).positional
    }

    #[test]
    fn one_dash_is_as_good_as_two_and_flags_stand_anywhere() {
        for text in ["g -ro c m -q", "g c -ro m --quiet", "g --ro -quiet c m", "g c m -ro=T -q=1"] {
            let flags = parsed(text);
            assert!(flags.ro && flags.quiet && !flags.debug, "{text}");
            assert_eq!(flags.positional, ["c", "m"], "{text}");
        }
    }

    #[test]
    fn two_dashes_alone_end_the_flags_and_the_lists_of_o() {
        assert_eq!(positional("g -q -- -ro --x -h"), ["-ro", "--x", "-h"]);
        let flags = parsed("g -o ro -- c m");
        assert!(!flags.ro);
        assert_eq!(flags.positional, ["c", "m"]);
    }

    #[test]
    fn the_last_list_of_o_is_put_in_front() {
        let flags = parsed("g c m -o ro,nodev,fsname=x,,");
        assert!(flags.ro && flags.nodev);
        assert_eq!(flags.fsname, Some("x".into()));
        let flags = parsed("g -o=ro c -o nodev m");
        assert!(!flags.ro && flags.nodev);
        assert_eq!(parsed("g c m -o fsname=x -fsname y").fsname, Some("y".into()));
        assert_eq!(positional("g c m -o ,"), ["c", "m"]);
    }

    #[test]
    fn two_dashes_and_an_o_are_a_flag_that_says_nothing() {
        assert_eq!(positional("g --o ro c m"), ["c", "m"]);
        assert!(!parsed("g --o=ro c m").ro);
    }

    #[test]
    fn a_value_by_itself_gets_a_second_dash_and_one_behind_an_equals_sign_does_not() {
        assert_eq!(parsed("g -extpass X -extpass -c d").extpass, ["X", "--c"]);
        assert_eq!(parsed("g -extpass=X -extpass=-c d").extpass, ["X", "-c"]);
    }

    #[test]
    fn a_list_has_what_its_first_name_gave_until_another_name_is_used() {
        assert_eq!(parsed("g -e a -e b d").exclude, ["a", "b"]);
        assert_eq!(parsed("g -e a -exclude b -exclude c d").exclude, ["b", "c"]);
        assert_eq!(parsed("g -e a -exclude b -e c d").exclude, ["b", "c"]);
        assert_eq!(parsed("g -exclude-wildcard a -ew b d").exclude_wildcard, ["b"]);
        // Not split at commas, as version 2.3 does: there may be one in a name.
        assert_eq!(parsed("g -e a,b d").exclude, ["a,b"]);
    }

    #[test]
    fn an_empty_value_is_as_good_as_none() {
        let flags = parsed("g -masterkey= -config= -extpass= -passfile= d");
        assert_eq!((flags.masterkey, flags.config), (None, None));
        assert!(flags.extpass.is_empty() && flags.passfile.is_empty());
    }

    #[test]
    fn what_is_asked_for_help_is_helped_whatever_else_is_said() {
        for text in ["g -h", "g -help", "g --help", "g --help=0", "g -version -h", "g c m -h -nope"] {
            assert!(parsed(text).help, "{text}");
        }
    }

    #[test]
    fn values_are_typed() {
        let flags = parsed("g -scryptn=0x10 -longnamemax 100 -idle 1h30m -notifypid 17 -hkdf=false d");
        assert_eq!((flags.scryptn, flags.longnamemax, flags.notifypid), (Some(16), 100, 17));
        assert_eq!(flags.idle_nanoseconds, 5400 * 1_000_000_000);
        assert!(!flags.hkdf && flags.raw64);
        assert_eq!(parsed("g -i 1s d").idle(), Some(std::time::Duration::from_secs(1)));
        assert_eq!(parsed("g d").idle(), None);
    }

    #[test]
    fn what_is_wrong_is_told_as_gocryptfs_tells_it() {
        // Taken down from version 2.3.
        for (text, why) in [
            ("-nope", "unknown flag: --nope"),
            ("-x=", "unknown flag: --x"),
            ("-v", "unknown flag: --v"),
            ("-V", "unknown flag: --V"),
            ("--h", "unknown flag: --h"),
            ("-h=1", "unknown flag: --h"),
            ("-=x", "bad flag syntax: --=x"),
            ("---x", "bad flag syntax: ---x"),
            ("-masterkey", "flag needs an argument: --masterkey"),
            ("-o", "flag needs an argument: --o"),
            (
                "-d=maybe",
                r#"invalid argument "maybe" for "--d" flag: strconv.ParseBool: parsing "maybe": invalid syntax"#,
            ),
            (
                "-scryptn x",
                r#"invalid argument "x" for "--scryptn" flag: strconv.ParseInt: parsing "x": invalid syntax"#,
            ),
            (
                "-longnamemax 300",
                r#"invalid argument "300" for "--longnamemax" flag: strconv.ParseUint: parsing "300": value out of range"#,
            ),
            ("-idle 3", r#"invalid argument "3" for "--idle" flag: time: missing unit in duration "3""#),
            ("-idle -1s", r#"invalid argument "--1s" for "--idle" flag: time: invalid duration "--1s""#),
        ] {
            let words = pretty(&line(&format!("gocryptfs {text}")));
            let wanted = format!("Invalid command line: {words}: {why}. Try 'gocryptfs -help'.");
            assert_eq!(refused(&format!("gocryptfs {text}")), wanted);
        }
        assert_eq!(refused("g a -o"), "The \"-o\" option requires an argument");
        for text in ["g -o o,b c", "g -o=o c", "g -o -o c"] {
            assert_eq!(refused(text), "You can't pass \"-o\" to \"-o\"");
        }
    }

    #[test]
    fn whatever_is_not_utf_8_is_passed_on_as_it_is() {
        let path = OsStr::from_bytes(b"\xff\xfe");
        let flags = parse(&["g".into(), OsString::from_vec(b"-config=\xff\xfe".to_vec()), path.into()]).unwrap();
        assert_eq!(flags.config.unwrap().as_os_str(), path);
        assert_eq!(flags.positional, [path]);
    }
}
