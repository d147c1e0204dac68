//! Words as others read them: systemd.unit(5), systemd.syntax(7), fstab(5), sh(1). Bytes in, bytes out.

use super::BootError;

/// The longest name that a unit may have here; systemd's limit is 255, and names of files in `*.wants` are no longer.
const LONGEST_NAME: usize = 200;

/// A path as part of a unit's name, as `systemd-escape --path` has it. The path is absolute.
pub(super) fn unit_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return "-".into();
    }
    let mut escaped = String::new();
    for (index, byte) in parts.join("/").bytes().enumerate() {
        match byte {
            b'/' => escaped.push('-'),
            b'.' if index == 0 => escaped.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("\\x{byte:02x}")),
        }
    }
    escaped
}

/// Whether a unit may be called so.
pub(super) fn is_short_enough(name: &str) -> bool {
    name.len() <= LONGEST_NAME
}

/// A unit's whole name: `nginx` is `nginx.service`. What could lead out of a directory is refused.
pub(super) fn unit_name(name: &str) -> Result<String, BootError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) || name.len() > 255 {
        return Err(BootError::UnitName(name.into()));
    }
    const KINDS: [&str; 6] = ["service", "socket", "target", "timer", "path", "scope"];
    let has_kind = name.rsplit_once('.').is_some_and(|(_, kind)| KINDS.contains(&kind));
    Ok(if has_kind { name.into() } else { format!("{name}.service") })
}

/// A text in a unit in which `%` would begin a specifier.
pub(super) fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

/// A path that is the rest of a line of a unit, to which nothing but specifiers is done. What the parser of lines takes away
/// cannot be written.
pub(super) fn rest_of_line(path: &str) -> Result<String, BootError> {
    if path.ends_with(char::is_whitespace) || path.ends_with('\\') {
        let why = "it ends in a blank or a backslash";
        return Err(BootError::Unwritable { path: path.into(), why });
    }
    Ok(specifiers(path))
}

/// A word of a list or of a command in a unit.
pub(super) fn unit_word(text: &str) -> String {
    format!("\"{}\"", specifiers(text).replace('\\', "\\\\").replace('"', "\\\""))
}

/// A command of a unit. The colon has systemd leave `$` alone.
pub(super) fn unit_command(prefix: &str, words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| unit_word(word)).collect();
    format!("{prefix}:{}", words.join(" "))
}

/// A field of fstab(5).
pub(super) fn fstab_field(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            ' ' | '\t' | '\n' | '\\' | '#' => escaped.push_str(&format!("\\{:03o}", c as u32)),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// The value of an option in an `-o` list.
pub(super) fn option_value(text: &str) -> String {
    text.replace('\\', "\\\\").replace(',', "\\,")
}

/// A word of a shell script.
pub(super) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A command of a shell script.
pub(super) fn shell_command(words: &[&str]) -> String {
    words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped_as_systemd_escape_does() {
        // As systemd-escape(1) of systemd 252 says.
        for (path, escaped) in [
            ("/srv/app", "srv-app"),
            ("/srv/a b-c", "srv-a\\x20b\\x2dc"),
            ("/.hidden/x", "\\x2ehidden-x"),
            ("/a%b/ü", "a\\x25b-\\xc3\\xbc"),
            ("/", "-"),
            ("/srv//app/", "srv-app"),
            ("/a\\b\"c", "a\\x5cb\\x22c"),
        ] {
            assert_eq!(unit_path(path), escaped, "{path}");
        }
    }

    #[test]
    fn a_unit_without_a_kind_is_a_service_and_none_leads_out_of_its_directory() {
        assert_eq!(unit_name("nginx").unwrap(), "nginx.service");
        assert_eq!(unit_name("a.b@c.socket").unwrap(), "a.b@c.socket");
        for wrong in ["", "../x", "a/b", ".", "a b", "a\nb"] {
            assert!(matches!(unit_name(wrong), Err(BootError::UnitName(_))), "{wrong:?}");
        }
    }

    #[test]
    fn what_systemd_would_read_otherwise_is_escaped_or_refused() {
        assert_eq!(unit_word("/a \"b\"\\%n"), r#""/a \"b\"\\%%n""#);
        assert_eq!(rest_of_line("/a b%").unwrap(), "/a b%%");
        assert!(rest_of_line("/a ").is_err() && rest_of_line("/a\\").is_err());
    }

    #[test]
    fn a_field_of_fstab_has_neither_blanks_nor_backslashes() {
        assert_eq!(fstab_field("/a b\t\\#"), "/a\\040b\\011\\134\\043");
    }

    #[test]
    fn the_shell_reads_back_what_was_written() {
        for odd in ["", "a b", "it's", "$HOME `x` \"q\" \\", "-n", "ü;&|*?"] {
            let script = format!("printf %s {}", shell_word(odd));
            let said = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), odd);
        }
    }
}
