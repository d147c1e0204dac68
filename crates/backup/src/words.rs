//! Paths and moments as JSON can hold them.

use std::{os::unix::ffi::OsStrExt, path::Path};

use serde::Serializer;
use strongroom_event::PathText;

/// A path: what is not UTF-8, and control characters, as escapes.
pub(crate) fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&PathText(path.as_os_str().as_bytes()))
}

/// Several of them.
pub(crate) fn paths<S: Serializer>(paths: &[std::path::PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| text(path)))
}

/// As [`path`], for messages.
pub(crate) fn text(path: &Path) -> String {
    PathText(path.as_os_str().as_bytes()).to_string()
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
