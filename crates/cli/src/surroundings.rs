//! What this process finds around it: the environment, the clock, the user. Read here, and handed down.

use std::{
    env,
    path::PathBuf,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use strongroom_event::Moment;

/// Where the audit log is instead of in the usual place; nowhere if this is empty.
const AUDIT_DIR: &str = "STRONGROOM_AUDIT_DIR";

/// What time it is.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A clock that starts now.
pub fn clock() -> impl Fn() -> Moment + Send + Sync {
    let start = Instant::now();
    move || Moment { time: now(), elapsed: start.elapsed() }
}

/// Since the first time that this was asked.
pub fn elapsed() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// A directory for what lasts: of the system if this is root, else of the user: `variable`, or `below_home`.
fn own_dir(system: &str, variable: &str, below_home: &str) -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(system.into());
    }
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(below_home)))?;
    Some(base.join("strongroom"))
}

/// Where the audit log is, if the configuration does not say; `None` if it is not wanted, or there is no place for it.
pub fn usual_audit_dir() -> Option<PathBuf> {
    match env::var_os(AUDIT_DIR) {
        Some(dir) => Some(PathBuf::from(dir)).filter(|dir| !dir.as_os_str().is_empty()),
        None => Some(own_dir("/var/lib/strongroom", "XDG_STATE_HOME", ".local/state")?.join("audit")),
    }
}

/// Where backups are kept, if neither the command line nor the configuration says.
pub fn usual_place() -> Option<PathBuf> {
    Some(own_dir("/var/lib/strongroom", "XDG_DATA_HOME", ".local/share")?.join("backups"))
}
