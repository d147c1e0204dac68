//! What this process finds around it: the environment, the clock, the user. Read here, and handed down.

use std::{
    env,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

use jiff::{Timestamp, Zoned};
use strongroom_actions::migrate::Surroundings;
use strongroom_event::Moment;

/// Names a configuration file instead of the usual ones.
const CONFIG: &str = "STRONGROOM_CONFIG";
const CONFIG_NAME: &str = "strongroom.toml";

/// What time it is here.
pub fn now() -> Zoned {
    Zoned::now()
}

/// What time it is, for records.
pub fn moment() -> Moment {
    Moment { time: Timestamp::now(), elapsed: elapsed() }
}

/// Since the first time that this was asked.
pub fn elapsed() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// The user's home.
pub fn home() -> Option<PathBuf> {
    absolute("HOME")
}

/// A variable of the environment, if it is set and is text.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// The configuration file that the environment names.
pub fn named_config() -> Option<PathBuf> {
    env::var_os(CONFIG).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty())
}

/// Where configuration files are, the strongest last.
pub fn usual_configs() -> Vec<PathBuf> {
    let of_the_user = absolute("XDG_CONFIG_HOME").or_else(|| Some(home()?.join(".config")));
    let dirs = ["/etc".into()].into_iter().chain(of_the_user);
    dirs.map(|dir: PathBuf| dir.join("strongroom").join(CONFIG_NAME)).collect()
}

/// Where the audit log is if nothing else says; `None` if this user has no place for it.
pub fn usual_audit_dir() -> Option<PathBuf> {
    Some(own_dir("XDG_STATE_HOME", ".local/state")?.join("audit"))
}

/// Where backups are kept if nothing else says.
pub fn usual_place() -> Option<PathBuf> {
    Some(own_dir("XDG_DATA_HOME", ".local/share")?.join("backups"))
}

/// Where migrations keep what they know if nothing else says.
pub fn usual_state_dir() -> Option<PathBuf> {
    own_dir("XDG_STATE_HOME", ".local/state")
}

/// Where mounts of our own are, for which what lasts is not needed: in memory if this user has a place there.
pub fn runtime_dir(state_dir: &Path) -> PathBuf {
    if let Some(named) = absolute("STRONGROOM_RUNTIME_DIR") {
        return named;
    }
    match rustix::process::geteuid().is_root() {
        true => "/run/strongroom".into(),
        false => absolute("XDG_RUNTIME_DIR").map_or_else(|| state_dir.join("run"), |dir| dir.join("strongroom")),
    }
}

/// Where units of the user's systemd are.
pub fn user_units() -> PathBuf {
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(home()?.join(".config")));
    config.unwrap_or_else(|| "/etc".into()).join("systemd/user")
}

/// Where managers of services are found.
pub fn services() -> Surroundings {
    let socket = |name: &str| Some(PathBuf::from(variable(name)?.strip_prefix("unix://")?));
    Surroundings {
        runtime_dir: absolute("XDG_RUNTIME_DIR"),
        session_bus: variable("DBUS_SESSION_BUS_ADDRESS"),
        system_bus: variable("DBUS_SYSTEM_BUS_ADDRESS"),
        docker: socket("DOCKER_HOST"),
        supervisor: socket("SUPERVISOR_SERVER_URL"),
    }
}

/// This program.
pub fn program() -> PathBuf {
    env::current_exe().unwrap_or_else(|_| "strongroom".into())
}

/// Whether somebody can be asked.
pub fn has_terminal() -> bool {
    std::fs::File::options().read(true).write(true).open("/dev/tty").is_ok()
}

/// A directory for what lasts: the system's if this is root, else the user's.
fn own_dir(variable: &str, below_home: &str) -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some("/var/lib/strongroom".into());
    }
    let base = absolute(variable).or_else(|| Some(home()?.join(below_home)))?;
    Some(base.join("strongroom"))
}

/// A path in the environment. The XDG specification has relative ones ignored.
fn absolute(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}
