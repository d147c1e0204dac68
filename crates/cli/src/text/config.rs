//! The configuration.

use std::path::PathBuf;

/// The configuration.
pub fn config(files: &[PathBuf], toml: &str) -> String {
    let mut text = match files {
        [] => "# There is no configuration file; these are the defaults.\n".to_owned(),
        files => files.iter().map(|file| format!("# from {}\n", file.display())).collect(),
    };
    text.push('\n');
    text + toml
}

/// The configuration can be used.
pub fn config_checked(files: &[PathBuf]) -> String {
    match files {
        [] => "There is no configuration file; the defaults hold.\n".to_owned(),
        files => files.iter().map(|file| format!("{} can be used.\n", file.display())).collect(),
    }
}
