//! Keeping a unit down for a while.
//!
//! A mask would do that as well, but what is masked forgets how it is to be stopped, and a mask at run time does not cover
//! units in the administrator's own directory. So it is a drop-in with an assertion that never holds, below /run: who
//! starts the unit meanwhile is told, and a start of the machine does away with it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Scope, bus::Bus};
use crate::service::{Problem, Surroundings};

const TEXT: &str =
    "# Stopped while its data is moved. If nothing is moved any more: delete this, and `systemctl daemon-reload`.
[Unit]
AssertPathExists=!/
";

/// Where the drop-in is, if it can be anywhere.
pub(super) fn file(scope: Scope, surroundings: &Surroundings, unit: &str) -> Option<PathBuf> {
    let units = match scope {
        Scope::System => PathBuf::from("/run/systemd/system"),
        Scope::User => surroundings.runtime_dir.as_ref()?.join("systemd/user"),
    };
    Some(units.join(format!("{unit}.d/50-strongroom-stopped.conf")))
}

/// From now on the unit cannot be started. One that runs goes on.
pub(super) fn down(bus: &Bus, file: &Path) -> Result<(), Problem> {
    if fs::read(file).is_ok_and(|text| text == TEXT.as_bytes()) {
        return Ok(());
    }
    let write = || -> io::Result<()> {
        file.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(file, TEXT)
    };
    write().map_err(Problem::refused("keeping it from being started"))?;
    bus.manager("Reload", &()).map_err(Problem::refused("keeping it from being started"))
}

/// It can be started again.
pub(super) fn no_longer(bus: &Bus, file: &Path) -> Result<(), Problem> {
    match fs::remove_file(file) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Problem::refused("letting it be started again")(error)),
    }
    // Others may have drop-ins there, too.
    let _ = file.parent().map(fs::remove_dir);
    bus.manager("Reload", &()).map_err(Problem::refused("letting it be started again"))
}
