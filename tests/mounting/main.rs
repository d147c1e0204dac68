//! Mounting as gocryptfs does, and being mounted by others: mount(8), fstab, mount.fuse3 without privileges, PAM, systemd,
//! ordinary users. Each line that `docs/GOCRYPTFS.md` shows is tried here.

mod background;
mod ends;
mod flags;
mod fstab;
mod pam;
mod refusals;
mod systemd;
mod two;
mod user;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use strongroom_tests::{Format, Need, Program, Scratch, run, tool, wait_until, without_terminal};

/// What every test here needs.
const MOUNTS: &[Need] = &[Need::Fuse];
/// What those need that want users or mounts of their own.
const AS_ROOT: &[Need] = &[Need::Fuse, Need::Root];
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where programs are looked for, a directory of the test's own first.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A volume that is mounted by `gocryptfs`, which is a link to the program under test.
struct Volume {
    scratch: Scratch,
    cipher_dir: PathBuf,
    mountpoint: PathBuf,
}

impl Volume {
    fn create() -> Self {
        let scratch = Scratch::new();
        let cipher_dir = scratch.dir("cipher");
        Program::Strongroom.init(&scratch, &cipher_dir, &Format::default());
        let mountpoint = scratch.dir("mount");
        let program = Program::Strongroom.command().get_program().to_owned();
        scratch.dir("bin");
        for name in ["gocryptfs", "strongroom"] {
            std::os::unix::fs::symlink(&program, scratch.path("bin").join(name)).unwrap();
        }
        Self { scratch, cipher_dir, mountpoint }
    }

    /// `gocryptfs` with `flags`, on this volume and its mount point.
    fn gocryptfs(&self, flags: &[&str]) -> Command {
        self.by(&self.scratch.path("bin/gocryptfs"), flags)
    }

    fn by(&self, program: &Path, flags: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("-passfile").arg(self.scratch.passphrase_file()).args(flags);
        command.arg(&self.cipher_dir).arg(&self.mountpoint).stdin(Stdio::null());
        without_terminal(&mut command);
        command
    }

    /// Mounts in the background, and insists that it worked.
    #[track_caller]
    fn mount(&self, flags: &[&str]) -> Mounted {
        run(&mut self.gocryptfs(flags));
        Mounted::at(&self.mountpoint)
    }

    /// A command of this test's, which finds `gocryptfs` and `strongroom` where this test put them.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-ec", script]).current_dir(self.scratch.path("")).stdin(Stdio::null());
        command.env("PATH", format!("{}:{USUAL_PATH}", self.scratch.path("bin").display()));
        command
    }

    /// Puts the links where mount(8) and its helpers find them.
    fn install(&self) {
        run(Command::new("mount").arg("--bind").arg(self.scratch.path("bin")).arg("/usr/local/sbin"));
    }
}

/// What is mounted, as the kernel lists it, and who serves it. Ends with this value.
struct Mounted {
    at: PathBuf,
    server: Option<u32>,
    kind: String,
    source: String,
    options: String,
}

impl Mounted {
    #[track_caller]
    fn at(mountpoint: &Path) -> Self {
        let mounted = Self::find(mountpoint);
        mounted.unwrap_or_else(|| panic!("nothing is mounted at {mountpoint:?}"))
    }

    fn find(mountpoint: &Path) -> Option<Self> {
        let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let line = table.lines().rev().find(|line| line.split(' ').nth(4).map(Path::new) == Some(mountpoint))?;
        let words: Vec<_> = line.split(' ').collect();
        let dash = words.iter().position(|word| *word == "-")?;
        let [kind, source, own] = [1, 2, 3].map(|after| words[dash + after].to_owned());
        Some(Self {
            at: mountpoint.to_owned(),
            server: server(words[2]),
            kind,
            source,
            options: format!("{},{own}", words[5]),
        })
    }

    fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|word| word == option)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.at.join(name)
    }

    fn pid(&self) -> u32 {
        self.server.expect("somebody serves it")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid() as i32).unwrap(), signal).unwrap();
    }

    /// Unmounts, and waits for the end of who served it.
    #[track_caller]
    fn unmount(self) {
        strongroom_tests::unmount(&self.at);
        let pid = self.pid();
        wait_until("the server has ended", PATIENCE, || !is_running(pid));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if strongroom_tests::is_mountpoint(&self.at) {
            let _ = Command::new("umount").arg("-l").arg(&self.at).output();
        }
        if let Some(pid) = self.server.filter(|&pid| is_running(pid)).and_then(|pid| Pid::from_raw(pid as i32)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The process that holds the kernel's end of the mount; where the kernel does not tell (before Linux 6.17), the newest one
/// in these mounts that talks to it.
fn server(device: &str) -> Option<u32> {
    let (_, connection) = device.split_once(':')?;
    let wanted = format!("fuse_connection:\t{connection}\n");
    let holds = |pid: &u32| {
        let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
        infos.filter_map(|info| fs::read_to_string(info.path()).ok()).any(|info| info.contains(&wanted))
    };
    let mounts = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
    let talks = |pid: &u32| {
        let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        mounts(&pid.to_string()) == mounts("thread-self")
            && links.filter_map(|link| fs::read_link(link.path()).ok()).any(|file| file == Path::new("/dev/fuse"))
    };
    processes().into_iter().find(holds).or_else(|| processes().into_iter().filter(talks).max())
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether a process is there that is not only waited for.
fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// All that a command said.
fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a script that must succeed, and gives what it printed.
#[track_caller]
fn said(command: &mut Command) -> String {
    String::from_utf8_lossy(&run(command).stdout).trim_end().to_owned()
}

fn real() -> Option<PathBuf> {
    tool("gocryptfs")
}
