//! Commands that are told to a person, as they can be pasted into a shell: with what this one was given to find what it is
//! about, and words that a shell takes for one.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// What this command was given, without which another one would look elsewhere. A process runs one command.
static CONFIG: OnceLock<PathBuf> = OnceLock::new();
static STATE_DIR: OnceLock<PathBuf> = OnceLock::new();

/// This command was given a configuration.
pub fn given_config(config: &Path) {
    let _ = CONFIG.set(absolute(config));
}

/// This command was given a state directory.
pub fn given_state_dir(state_dir: &Path) {
    let _ = STATE_DIR.set(absolute(state_dir));
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// `strongroom migrate VERB DATA`
pub(super) fn migrate(verb: &str, data: &Path) -> String {
    command(CONFIG.get().map(PathBuf::as_path), STATE_DIR.get().map(PathBuf::as_path), verb, data)
}

/// `strongroom backup restore latest` of a single path, over what is there. The path is as it is shown, with odd bytes
/// escaped, which the pattern understands.
pub(super) fn restore_file(path: &str) -> String {
    let config = CONFIG.get().map_or_else(String::new, |path| format!("--config {} ", word(&path.to_string_lossy())));
    let mut pattern = String::new();
    for c in path.trim_start_matches('/').chars() {
        if "*?[]{}".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    format!("strongroom {config}backup restore latest --force --path {}", word(&pattern))
}

/// `strongroom migrate VERB`, of whatever this one was about.
pub(crate) fn migrate_again(verb: &str) -> String {
    again(CONFIG.get().map(PathBuf::as_path), STATE_DIR.get().map(PathBuf::as_path), verb)
}

fn again(config: Option<&Path>, state_dir: Option<&Path>, verb: &str) -> String {
    let told = |name: &str, path: Option<&Path>| {
        path.map_or_else(String::new, |path| format!(" {name} {}", word(&path.to_string_lossy())))
    };
    format!("strongroom{} migrate {verb}{}", told("--config", config), told("--state-dir", state_dir))
}

fn command(config: Option<&Path>, state_dir: Option<&Path>, verb: &str, data: &Path) -> String {
    let option = |name: &str, path: Option<&Path>| {
        path.map_or_else(String::new, |path| format!("{name} {} ", word(&path.to_string_lossy())))
    };
    let (config, state_dir) = (option("--config", config), option("--state-dir", state_dir));
    format!("strongroom {config}migrate {verb} {state_dir}{}", word(&data.to_string_lossy()))
}

/// One word for a shell.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_to_restore_is_one_word_and_means_itself_alone() {
        let told = restore_file("/a b/[c]*");
        assert_eq!(told, r"strongroom backup restore latest --force --path 'a b/\[c\]\*'");
    }

    #[test]
    fn what_was_given_is_given_again_and_words_with_blanks_stay_one() {
        let (config, state_dir) = (Path::new("/etc/my conf"), Path::new("/state"));
        let told = command(Some(config), Some(state_dir), "resume", Path::new("/srv/it's here"));
        assert_eq!(told, r"strongroom --config '/etc/my conf' migrate resume --state-dir /state '/srv/it'\''s here'");
        assert_eq!(command(None, None, "status", Path::new("/srv/app")), "strongroom migrate status /srv/app");
        assert_eq!(again(None, None, "status"), "strongroom migrate status");
        let told = again(Some(Path::new("/c")), Some(Path::new("/my state")), "resume");
        assert_eq!(told, "strongroom --config /c migrate resume --state-dir '/my state'");
    }
}
