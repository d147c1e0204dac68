//! mount(8), as fstab is read by it.

use std::{
    io,
    path::Path,
    process::{Command, Stdio},
};

use strongroom_migrate::boot::PATIENCE;

use super::child::ended;

/// Its places, as PATH may be anything.
const PLACES: [&str; 4] = ["/usr/bin/mount", "/bin/mount", "/sbin/mount", "/run/current-system/sw/bin/mount"];

/// Mounts what the table `fstab` says about `at`.
pub(super) fn mount(fstab: &Path, at: &Path) -> io::Result<()> {
    let program = PLACES.iter().find(|place| Path::new(place).exists());
    let program = program.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "mount(8) is not installed"))?;
    let mut command = Command::new(program);
    if fstab != Path::new("/etc/fstab") {
        command.arg("--fstab").arg(fstab);
    }
    let child = command.arg(at).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let (status, said) = ended(child, PATIENCE)?;
    if status.success() { Ok(()) } else { Err(io::Error::other(said)) }
}
