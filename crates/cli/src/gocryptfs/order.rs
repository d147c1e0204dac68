//! What is wrong with a command line, found in the order in which gocryptfs finds it: it decides which exit code comes out
//! when several things are wrong.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use strongroom_actions::NamePattern;

use super::{
    exit::{Exit, Failure},
    flags::Flags,
    go,
    say::Say,
    words,
};

/// Flags that exclude each other, and values that cannot be. Found at once, before anything else is done.
pub fn refuse_conflicts(flags: &Flags) -> Result<(), Failure> {
    if let Some(setting) = flags.openssl.as_deref().filter(|setting| *setting != "auto") {
        go::parse_bool(setting.as_bytes()).map_err(|why| usage(format!("Invalid \"-openssl\" setting: {why}")))?;
    }
    let has = |list: &[_]| !list.is_empty();
    let (extpass, passfile) = (has(&flags.extpass), !flags.passfile.is_empty());
    let (masterkey, fido2) = (flags.masterkey.is_some(), flags.fido2.is_some());
    let pairs = [
        (extpass && passfile, "-extpass", "-passfile"),
        (passfile && masterkey, "-passfile", "-masterkey"),
        (extpass && masterkey && !flags.init, "-extpass", "-masterkey"),
        (extpass && fido2, "-extpass", "-fido2"),
    ];
    if let Some((_, one, other)) = pairs.into_iter().find(|(are_both, ..)| *are_both) {
        return Err(usage(format!("The options {one} and {other} cannot be used at the same time")));
    }
    if flags.idle_nanoseconds < 0 {
        return Err(usage("Idle timeout cannot be less than 0"));
    }
    if let Some(pattern) = flags.badname.iter().find(|pattern| !is_pattern(pattern)) {
        let pattern = go::quote(pattern.as_bytes());
        return Err(usage(format!("-badname: invalid pattern {pattern} supplied")));
    }
    if matches!(flags.longnamemax, 1..62) {
        let max = flags.longnamemax;
        return Err(usage(format!("-longnamemax: value {max} is outside allowed range 62 ... 255")));
    }
    Ok(())
}

/// The directory, which every action needs, and what goes with it.
pub fn find_dir(flags: &mut Flags, say: &Say) -> Result<(), Failure> {
    let Some(dir) = flags.positional.first() else {
        return Err(usage("CIPHERDIR argument is missing"));
    };
    flags.cipherdir = absolute(dir);
    is_dir(&flags.cipherdir).map_err(|why| Failure::new(Exit::CIPHER_DIR, format!("Invalid cipherdir: {why}")))?;
    if !flags.reverse && !flags.exclude.is_empty() {
        return Err(Failure::new(Exit::EXCLUDE_ERROR, "-exclude only works in reverse mode"));
    }
    if let Some(config) = &mut flags.config {
        *config = absolute(config.as_os_str());
        say.info(&format!("Using config file at custom location {}", config.display()));
    }
    flags.owner = flags.force_owner.as_deref().map(owner).transpose()?;
    flags.mountpoint = flags.positional.get(1).map(absolute).unwrap_or_default();
    Ok(())
}

/// One action at most, and as many arguments as it takes.
pub fn count(flags: &Flags, say: &Say, arguments: &[OsString]) -> Result<(), Failure> {
    let given = flags.positional.len();
    match [flags.info, flags.init, flags.passwd, flags.fsck].into_iter().filter(|is_asked| *is_asked).count() {
        0 if given != 2 => {
            let line = words::pretty(arguments);
            say.info(&format!("Wrong number of arguments (have {given}, want 2). You passed: {line}"));
            Err(usage("Usage: gocryptfs [OPTIONS] CIPHERDIR MOUNTPOINT [-o COMMA-SEPARATED-OPTIONS]"))
        }
        0 => Ok(()),
        1 if given != 1 => {
            Err(usage(format!("The options -info, -init, -passwd, -fsck take exactly one argument, {given} given")))
        }
        1 => Ok(()),
        _ => Err(usage("At most one of -info, -init, -passwd, -fsck is allowed")),
    }
}

fn is_pattern(text: &OsStr) -> bool {
    NamePattern::parse(&text.to_string_lossy()).is_ok()
}

fn usage(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::USAGE, message)
}

/// `UID:GID`, in whatever base.
fn owner(text: &OsStr) -> Result<(u32, u32), Failure> {
    let bytes = text.as_bytes();
    let Some(at) = bytes.iter().position(|&byte| byte == b':') else {
        return Err(usage("force_owner must be in form UID:GID"));
    };
    let number = |what: &str, text: &[u8]| {
        let number = go::parse_int(text, 32).ok().and_then(|number| u32::try_from(number).ok());
        let text = String::from_utf8_lossy(text);
        number.ok_or_else(|| usage(format!("force_owner: Unable to parse {what} {text} as positive integer")))
    };
    Ok((number("UID", &bytes[..at])?, number("GID", &bytes[at + 1..])?))
}

/// Whether there is a directory; or why not, as Go says it.
pub fn is_dir(path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(format!("{} is not a directory", path.display())),
        Err(error) => Err(format!("stat {}: {}", path.display(), go::reason(&error))),
    }
}

/// An absolute path without `.`, `..` and doubled slashes, by its words alone: links are not followed.
pub fn absolute(path: impl AsRef<Path>) -> PathBuf {
    let joined = env::current_dir().unwrap_or_else(|_| "/".into()).join(path);
    let mut clean = PathBuf::from("/");
    for component in joined.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::Normal(name) => clean.push(name),
            _ => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_two_numbers_in_any_base() {
        assert_eq!(owner(OsStr::new("0x10:010")).unwrap(), (16, 8));
        for (text, message) in [
            ("1", "force_owner must be in form UID:GID"),
            ("1:x", "force_owner: Unable to parse GID x as positive integer"),
            ("-1:1", "force_owner: Unable to parse UID -1 as positive integer"),
            ("99999999999:1", "force_owner: Unable to parse UID 99999999999 as positive integer"),
            ("1:2:3", "force_owner: Unable to parse GID 2:3 as positive integer"),
        ] {
            assert_eq!(owner(OsStr::new(text)).unwrap_err().message.unwrap(), message);
        }
    }

    #[test]
    fn patterns_are_taken_and_refused_as_go_does() {
        for good in ["", "*", "a?b", "[a]", "[^a-z]*", "\\[", "[\\]]", "[a-c\\-]", "[\u{e9}]", "a]", "*[a]*"] {
            assert!(is_pattern(OsStr::new(good)), "{good}");
        }
        for bad in
            ["[", "a[", "a[]b]", "a\\", "[]", "[^]", "[a", "[a-]", "[-a]", "[a-b", "[\\", "[a\\", "[]a]", "[a-b-c]"]
        {
            assert!(!is_pattern(OsStr::new(bad)), "{bad}");
        }
    }

    #[test]
    fn a_path_is_made_absolute_by_its_words_alone() {
        for (path, clean) in [("/a/../b", "/b"), ("/../x//y/.", "/x/y"), ("/", "/"), ("/a/b/../../..", "/")] {
            assert_eq!(absolute(path), Path::new(clean));
        }
        assert_eq!(absolute("x"), env::current_dir().unwrap().join("x"));
    }
}
