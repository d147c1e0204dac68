//! Ends a mount: a live one, or the remains of one whose process was killed.

use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom_mount::mounts;

use crate::ActionError;

/// A mount that was ended.
#[derive(Clone, Debug, Serialize)]
pub struct Unmounted {
    /// The mount point, as it was given.
    #[serde(serialize_with = "crate::words::path")]
    pub mountpoint: PathBuf,
    /// How it ended.
    pub how: How,
}

/// How a mount ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// What was written is on disk and nobody serves it any more.
    Ended,
    /// It is out of sight, and ends with the last program that uses it.
    Lingering,
    /// Its process was gone already; the mount point is free again.
    Cleared,
}

/// Ends the mount at `mountpoint`. Unless `lazy`, it is an error if programs still use it.
pub fn umount(mountpoint: &Path, lazy: bool) -> Result<Unmounted, ActionError> {
    let how = match mounts::umount(mountpoint, lazy)? {
        mounts::Unmounted::Ended => How::Ended,
        mounts::Unmounted::Lingering => How::Lingering,
        mounts::Unmounted::Cleared => How::Cleared,
    };
    Ok(Unmounted { mountpoint: mountpoint.to_owned(), how })
}
