//! A service of runit, told through its supervisor's pipe what sv(8) would tell it.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use strongroom_durable::PathError;
use strongroom_migrate::{HostError, boot::BootError};

/// runsvdir(8) looks for new services every five seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps a service from being started again when it ends, without ending it.
pub(super) fn hold(service: &Path) -> Result<Held, BootError> {
    tell(service, b"o")?;
    Ok(Held(service.to_owned()))
}

/// A service that will not be started again.
pub(super) struct Held(PathBuf);

impl Held {
    /// It is to be kept up again.
    pub(super) fn release(self) {
        // It is up, and whoever failed to unmount it says so.
        let _ = tell(&self.0, b"u");
    }
}

/// Has the service up, and waits until `is_mounted`.
pub(super) fn up(
    service: &Path,
    within: Duration,
    is_mounted: &dyn Fn() -> Result<bool, HostError>,
) -> Result<Result<(), BootError>, HostError> {
    let deadline = Instant::now() + within;
    let supervised = Instant::now() + PATIENCE;
    let mut is_told = false;
    while !is_mounted()? {
        if !is_told {
            is_told = match tell(service, b"u") {
                Ok(is_told) => is_told,
                Err(error) => return Ok(Err(error)),
            };
        }
        let now = Instant::now();
        if now > deadline || (!is_told && now > supervised) {
            return Ok(Err(not_up(service, is_told)));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(Ok(()))
}

/// Has the supervisor end, and waits for that: first the link by which it was found goes.
pub(super) fn dismiss(service: &Path, link: &Path) -> Result<(), BootError> {
    if fs::read_link(link).is_ok_and(|target| target == service) {
        fs::remove_file(link).map_err(PathError::on("removing", link))?;
    }
    tell(service, b"x")?;
    let deadline = Instant::now() + PATIENCE;
    // A pipe that nobody reads refuses to be written to.
    while tell(service, b"")? && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    let own = service.join("supervise");
    match fs::remove_dir_all(&own) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PathError::on("removing", &own)(error).into()),
        _ => Ok(()),
    }
}

/// Tells the supervisor, if there is one.
fn tell(service: &Path, word: &[u8]) -> Result<bool, BootError> {
    let pipe = service.join("supervise/control");
    let opened = fs::File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&pipe);
    let told = opened.and_then(|mut pipe| pipe.write_all(word));
    match told {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) || error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(PathError::on("telling runsv by", &pipe)(error).into()),
    }
}

fn not_up(service: &Path, is_supervised: bool) -> BootError {
    let why = match is_supervised {
        true => format!("it did not mount in time; {} run by hand says why", service.join("run").display()),
        false => "no runsv(8) supervises it: is runsvdir(8) running?".to_owned(),
    };
    BootError::Manager { attempted: format!("starting the service {}", service.display()), source: why.into() }
}
