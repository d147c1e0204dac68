//! A real systemd for a test: the user's instance of it, in a mount namespace with a private /run and in control groups
//! of its own, so that several run beside each other and beside whatever manages the machine.

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt, net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

/// How long it may take to come up, and to go.
const PATIENCE: Duration = Duration::from_secs(30);

/// The user's instance of systemd. Dropping it ends it, with all its units.
pub struct UserSystemd {
    child: Child,
    dir: PathBuf,
    groups: Vec<PathBuf>,
}

impl UserSystemd {
    /// Starts one that keeps everything below `dir`, which must have a short path: sockets are in it. `None`, and a word
    /// about it, where the machine has no systemd or lets nobody make mount namespaces (or lacks dbus-user-session); where CI is set, that is a panic.
    #[allow(clippy::print_stderr)] // a skipped test says so to whoever ran it
    pub fn start(dir: &Path) -> Option<Self> {
        match Self::try_start(dir) {
            Ok(started) => Some(started),
            Err(why) if std::env::var_os("CI").is_some() => {
                panic!("no `systemd --user`, and CI may skip no test: {why}")
            }
            Err(why) => {
                eprintln!("SKIPPED: no `systemd --user` on this machine: {why}");
                None
            }
        }
    }

    fn try_start(dir: &Path) -> io::Result<Self> {
        let program =
            ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"].into_iter().find(|path| Path::new(path).exists());
        let program = program.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "systemd is not installed"))?;
        for below in ["run", "home", "data", "config/systemd/user"] {
            fs::create_dir_all(dir.join(below))?;
        }
        fs::set_permissions(dir.join("run"), fs::Permissions::from_mode(0o700))?;
        fs::write(dir.join("config/systemd/user.conf"), "[Manager]\nDefaultTimeoutStopSec=20s\n")?;
        let groups = control_groups();
        let child = spawn(program, dir, &groups)?;
        let mut started = Self { child, dir: dir.to_owned(), groups };
        started.await_socket()?;
        Ok(started)
    }

    fn await_socket(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !["systemd/private", "bus"].iter().all(|socket| self.listens_at(socket)) {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("it did not come up ({ended:?}): {log}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn listens_at(&self, socket: &str) -> bool {
        UnixStream::connect(self.runtime_dir().join(socket)).is_ok()
    }

    /// Its process, in whose mount namespace its units run: for `nsenter --mount --target`.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What XDG_RUNTIME_DIR is to whoever talks to it. It listens in `systemd/private` below, its bus is `bus`.
    pub fn runtime_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// What XDG_CONFIG_HOME is to it: units go to `systemd/user` below.
    pub fn config_dir(&self) -> PathBuf {
        self.dir.join("config")
    }

    /// Writes the unit `name`. Before it is used for the first time nothing has to be reloaded.
    pub fn unit(&self, name: &str, text: &str) {
        fs::write(self.config_dir().join("systemd/user").join(name), text)
            .unwrap_or_else(|error| panic!("writing the unit {name}: {error}"));
    }

    /// `systemctl --user` with `arguments`, in its namespace, whatever comes of it.
    pub fn systemctl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.pid().to_string(), "systemctl", "--user"]).args(arguments);
        surround(&mut command, &self.dir).output().unwrap_or_else(|error| panic!("running {command:?}: {error}"))
    }

    /// The value of a unit's property, as `systemctl show` has it.
    pub fn property(&self, unit: &str, property: &str) -> String {
        let output = self.systemctl(&["show", "--value", "--property", property, unit]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

fn spawn(program: &str, dir: &Path, groups: &[PathBuf]) -> io::Result<Child> {
    let log = fs::File::create(dir.join("log"))?;
    let mut command = Command::new("unshare");
    let enter: String = groups.iter().map(|group| format!("echo $$ > {}/cgroup.procs; ", group.display())).collect();
    let script = format!(
        "set -e; {enter}mount -t tmpfs none /run; mkdir -p /run/systemd/system; exec {program} --user --log-target=console"
    );
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    surround(&mut command, dir);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    // SAFETY: prctl(2) is a plain system call, allowed between fork and exec.
    unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?)) };
    command.spawn()
}

fn surround<'a>(command: &'a mut Command, dir: &Path) -> &'a mut Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places =
        [("HOME", "home"), ("XDG_RUNTIME_DIR", "run"), ("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data")];
    command.env_clear().env("PATH", path).envs(places.map(|(name, below)| (name, dir.join(below))))
}

/// A control group of our own in each hierarchy that systemd keeps track of processes by. Without, two instances of it
/// would take each other's units for theirs.
fn control_groups() -> Vec<PathBuf> {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("strongroom-test-{}-{next}", std::process::id());
    let hybrid = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];
    let roots = if Path::new(hybrid[0]).is_dir() { &hybrid[..] } else { &["/sys/fs/cgroup"] };
    let groups = roots.iter().map(|root| Path::new(root).join(&name));
    groups.filter(|group| fs::create_dir(group).is_ok()).collect()
}

/// Every process in `group` and below.
fn members(group: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let below = directories(group).into_iter().flat_map(|below| members(&below));
    text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).chain(below).collect()
}

fn directories(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn remove(group: &Path) {
    directories(group).iter().for_each(|below| remove(below));
    let _ = fs::remove_dir(group);
}

impl Drop for UserSystemd {
    /// Kills it and whatever is in its control groups: told to end, it would wait for units that will not.
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let _ = self.child.kill();
        let _ = self.child.wait();
        loop {
            let left: Vec<Pid> = self.groups.iter().flat_map(|group| members(group)).collect();
            if left.is_empty() || Instant::now() > deadline {
                break;
            }
            for pid in left {
                let _ = kill_process(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.groups.iter().for_each(|group| remove(group));
    }
}
