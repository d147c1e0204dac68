//! Being called by mount(8) and fstab: `mount -t fuse.strongroom CIPHERDIR MOUNTPOINT -o ...` ends in
//! `strongroom CIPHERDIR MOUNTPOINT -o rw,...` (by mount.fuse3), or in `mount.strongroom CIPHERDIR MOUNTPOINT -o ...` where
//! this program is linked as such.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

/// Turns the call of a mount helper into the command `mount`. Any other call is left as it is.
pub fn as_command(arguments: Vec<OsString>, is_command: impl Fn(&str) -> bool) -> Vec<OsString> {
    let called_as = arguments.first().and_then(|name| Path::new(name).file_name()).and_then(OsStr::to_str);
    if matches!(called_as, Some("mount.strongroom" | "mount.fuse.strongroom")) {
        return insert_mount(without_helper_flags(arguments));
    }
    match arguments.get(1..) {
        Some([first, second, ..]) if is_place(first, is_command) && !is_option(second) => insert_mount(arguments),
        _ => arguments,
    }
}

/// A directory rather than a mistyped command.
fn is_place(argument: &OsStr, is_command: impl Fn(&str) -> bool) -> bool {
    if is_option(argument) || argument.to_str().is_some_and(is_command) {
        return false;
    }
    argument.as_encoded_bytes().contains(&b'/') || Path::new(argument).is_dir()
}

fn is_option(argument: &OsStr) -> bool {
    argument.as_encoded_bytes().starts_with(b"-")
}

/// `strongroom stage -- CIPHERDIR AT`: how a migration has a vault served where nobody but it looks. No command for people.
pub fn as_stage(arguments: &[OsString]) -> Option<(&Path, &Path)> {
    match arguments {
        [_, stage, dashes, dir, at] if stage == "stage" && dashes == "--" => Some((Path::new(dir), Path::new(at))),
        _ => None,
    }
}

/// `backup migrate …` is `migrate …`: it is where a person may look for it.
pub fn as_migrate(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let word = |at: usize| arguments.get(at).and_then(|argument| argument.to_str());
    let mut at = 1;
    // What stands before a command: --json, --config FILE.
    while let Some(option) = word(at).filter(|argument| argument.starts_with("--")) {
        at += if option == "--config" { 2 } else { 1 };
    }
    if (word(at), word(at + 1)) == (Some("backup"), Some("migrate")) {
        arguments.remove(at);
    }
    arguments
}

fn insert_mount(mut arguments: Vec<OsString>) -> Vec<OsString> {
    arguments.insert(1, "mount".into());
    arguments
}

/// mount(8) passes on `-s` (ignore unknown options), `-v`, `-n` (no mtab) and `-t TYPE`, which say nothing here.
fn without_helper_flags(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut kept = Vec::with_capacity(arguments.len());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("-s" | "-v" | "-n") => {}
            Some("-t") => drop(arguments.next()),
            _ => kept.push(argument),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: &str) -> String {
        let arguments = line.split(' ').map(OsString::from).collect();
        let words = as_command(arguments, |word| ["mount", "info"].contains(&word));
        words.join(OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn the_call_of_mount_fuse3_is_a_mount() {
        assert_eq!(line("strongroom /c /m -o rw,dev,suid"), "strongroom mount /c /m -o rw,dev,suid");
    }

    #[test]
    fn the_call_of_mount_8_is_a_mount_whatever_the_names() {
        assert_eq!(
            line("/sbin/mount.strongroom info m -s -n -t fuse.x -o ro"),
            "/sbin/mount.strongroom mount info m -o ro"
        );
        assert_eq!(line("mount.fuse.strongroom c m"), "mount.fuse.strongroom mount c m");
    }

    #[test]
    fn migrate_is_found_below_backup_as_well() {
        let line = |line: &str| {
            let words = as_migrate(line.split(' ').map(OsString::from).collect());
            words.join(OsStr::new(" ")).into_string().unwrap()
        };
        assert_eq!(line("strongroom backup migrate status"), "strongroom migrate status");
        assert_eq!(
            line("strongroom --json --config /c backup migrate status"),
            "strongroom --json --config /c migrate status"
        );
        for same in
            ["strongroom backup create migrate", "strongroom migrate status", "strongroom info backup", "strongroom"]
        {
            assert_eq!(line(same), same);
        }
    }

    #[test]
    fn commands_options_and_mistyped_commands_are_left_alone() {
        for same in [
            "strongroom info /c",
            "strongroom mount /c /m",
            "strongroom --json info",
            "strongroom imfo /c",
            "strongroom /c",
        ] {
            assert_eq!(line(same), same);
        }
    }
}
