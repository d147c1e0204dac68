//! The program under test and the real gocryptfs, driven alike: make a volume, mount it, look whether it is sound.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal, setsid};

use crate::process::{output_of, run, wait_until};
use crate::scratch::Scratch;

/// How long a mount may take to appear or a server to end, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who makes, mounts or checks a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The program under test.
    Strongroom,
    /// The program whose format we keep.
    Gocryptfs,
}

/// How a volume encrypts contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-256-GCM with 128-bit nonces.
    AesGcm,
    /// AES-SIV-512.
    AesSiv,
    /// XChaCha20-Poly1305.
    XChaCha,
}

/// How a volume stores names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Encrypted under a vector of each directory's own.
    Encrypted,
    /// Encrypted alike in every directory.
    Deterministic,
    /// As they are.
    Plaintext,
}

/// What a volume is made as.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// How contents are encrypted.
    pub cipher: Cipher,
    /// How names are stored.
    pub names: Names,
    /// Names longer than this once encrypted are hashed; 255 unless told.
    pub long_name_max: Option<u8>,
}

impl Default for Format {
    fn default() -> Self {
        Self { cipher: Cipher::AesGcm, names: Names::Encrypted, long_name_max: None }
    }
}

impl Format {
    /// The longest symlink target a volume can hold: what is sealed and encoded must fit in 4095 bytes.
    pub fn longest_target(&self) -> usize {
        match (self.names, self.cipher) {
            (Names::Plaintext, _) => 4095,
            (_, Cipher::XChaCha) => 3031,
            _ => 3039,
        }
    }
}

impl Program {
    /// Whether this machine has it.
    pub fn is_installed(self) -> bool {
        match self {
            Self::Strongroom => true,
            Self::Gocryptfs => tool("gocryptfs").is_some(),
        }
    }

    /// A command that runs it. The program under test must have been built: `scripts/test` does. It reads no configuration
    /// of this machine and writes no audit log.
    pub fn command(self) -> Command {
        let mut command = Command::new(match self {
            Self::Strongroom => built("strongroom"),
            Self::Gocryptfs => tool("gocryptfs").expect("gocryptfs is installed").into(),
        });
        command.env("STRONGROOM_CONFIG", "/dev/null").env("STRONGROOM_AUDIT_ENABLED", "false");
        command
    }

    /// Makes a volume in `cipher_dir`, with the cheapest passphrase hashing there is.
    pub fn init(self, scratch: &Scratch, cipher_dir: &Path, format: &Format) {
        run(&mut self.init_command(scratch, cipher_dir, format));
    }

    fn init_command(self, scratch: &Scratch, cipher_dir: &Path, format: &Format) -> Command {
        let mut command = self.command();
        match self {
            Self::Strongroom => command.args(["init", "--scrypt-log-n", "10", "--passphrase-file"]),
            Self::Gocryptfs => command.args(["-init", "-q", "-scryptn", "10", "-passfile"]),
        };
        command.arg(scratch.passphrase_file());
        match self {
            Self::Strongroom => command.args(our_format(format)),
            Self::Gocryptfs => command.args(their_format(format)),
        };
        if let Some(max) = format.long_name_max {
            let option = if self == Self::Strongroom { "--long-name-max" } else { "-longnamemax" };
            command.args([option, &max.to_string()]);
        }
        command.arg(cipher_dir);
        command
    }

    /// Makes the configuration for an encrypted view of `plain_dir`. Views are sealed by AES-SIV, whatever `format` says.
    pub fn init_reverse(self, scratch: &Scratch, plain_dir: &Path, format: &Format) {
        let mut command = self.command();
        match self {
            Self::Strongroom => {
                command.args(["init", "--reverse", "--scrypt-log-n", "10"]).args(&our_format(format)[2..])
            }
            Self::Gocryptfs => command
                .args(["-init", "-reverse", "-q", "-scryptn", "10"])
                .args(their_format(&Format { cipher: Cipher::AesGcm, ..*format })),
        };
        if let Some(max) = format.long_name_max {
            let option = if self == Self::Strongroom { "--long-name-max" } else { "-longnamemax" };
            command.args([option, &max.to_string()]);
        }
        let secret = if self == Self::Strongroom { "--passphrase-file" } else { "-passfile" };
        run(command.arg(secret).arg(scratch.passphrase_file()).arg(plain_dir));
    }

    /// Mounts the encrypted view of `plain_dir` on `mountpoint` and returns when it answers.
    #[track_caller]
    pub fn mount_reverse(self, scratch: &Scratch, plain_dir: &Path, mountpoint: &Path, options: &[&str]) -> Server {
        let command = self.mount_reverse_command(scratch, plain_dir, mountpoint, options);
        Server::start(command, mountpoint, scratch.path("server.log"))
    }

    /// The command that mounts an encrypted view in the foreground.
    pub fn mount_reverse_command(
        self,
        scratch: &Scratch,
        plain: &Path,
        mountpoint: &Path,
        options: &[&str],
    ) -> Command {
        let reverse = if self == Self::Strongroom { "--reverse" } else { "-reverse" };
        self.mount_command(scratch, plain, mountpoint, &[&[reverse], options].concat())
    }

    /// Mounts `cipher_dir` on `mountpoint` and returns when it answers. `options` are the program's own.
    #[track_caller]
    pub fn mount(self, scratch: &Scratch, cipher_dir: &Path, mountpoint: &Path, options: &[&str]) -> Server {
        let command = self.mount_command(scratch, cipher_dir, mountpoint, options);
        Server::start(command, mountpoint, scratch.path("server.log"))
    }

    /// The command that mounts in the foreground.
    pub fn mount_command(self, scratch: &Scratch, cipher_dir: &Path, mountpoint: &Path, options: &[&str]) -> Command {
        let mut command = self.command();
        match self {
            Self::Strongroom => command.args(["mount", "--foreground", "--passphrase-file"]),
            Self::Gocryptfs => command.args(["-fg", "-q", "-passfile"]),
        };
        command.arg(scratch.passphrase_file()).args(options).arg(cipher_dir).arg(mountpoint);
        command
    }

    /// Authenticates all that `cipher_dir` holds.
    pub fn check(self, scratch: &Scratch, cipher_dir: &Path) -> Output {
        let mut command = self.command();
        match self {
            Self::Strongroom => command.args(["check", "--passphrase-file"]),
            Self::Gocryptfs => command.args(["-fsck", "-passfile"]),
        };
        output_of(command.arg(scratch.passphrase_file()).arg(cipher_dir))
    }

    /// Authenticates all that `cipher_dir` holds, and insists that nothing is wrong with it.
    #[track_caller]
    pub fn finds_nothing_wrong(self, scratch: &Scratch, cipher_dir: &Path) {
        let output = self.check(scratch, cipher_dir);
        let words = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{self:?} finds {cipher_dir:?} unsound ({}):\n{words}", output.status);
        assert!(self != Self::Gocryptfs || words.contains("no problems found"), "gocryptfs -fsck says:\n{words}");
    }
}

fn our_format(format: &Format) -> [&'static str; 4] {
    let cipher = match format.cipher {
        Cipher::AesGcm => "aes-gcm",
        Cipher::AesSiv => "aes-siv",
        Cipher::XChaCha => "xchacha20-poly1305",
    };
    let names = match format.names {
        Names::Encrypted => "encrypted",
        Names::Deterministic => "deterministic",
        Names::Plaintext => "plaintext",
    };
    ["--cipher", cipher, "--names", names]
}

fn their_format(format: &Format) -> Vec<&'static str> {
    let cipher = match format.cipher {
        Cipher::AesGcm => None,
        Cipher::AesSiv => Some("-aessiv"),
        Cipher::XChaCha => Some("-xchacha"),
    };
    let names = match format.names {
        Names::Encrypted => None,
        Names::Deterministic => Some("-deterministic-names"),
        Names::Plaintext => Some("-plaintextnames"),
    };
    cipher.into_iter().chain(names).collect()
}

/// A mount and the process that serves it. Both end with this value, well or badly.
pub struct Server {
    child: Child,
    mountpoint: PathBuf,
    log: PathBuf,
}

impl Server {
    /// Runs `command`, which stays in the foreground, and returns when something is mounted on `mountpoint`.
    #[track_caller]
    pub fn start(mut command: Command, mountpoint: &Path, log: PathBuf) -> Self {
        let file = File::options().append(true).create(true).open(&log).unwrap();
        let bare = std::fs::metadata(mountpoint).unwrap().dev();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        die_with_the_test(&mut command);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let mut server = Self { child, mountpoint: mountpoint.to_owned(), log };
        server.await_mount(bare, &command);
        server
    }

    #[track_caller]
    fn await_mount(&mut self, bare: u64, command: &Command) {
        let deadline = Instant::now() + PATIENCE;
        while std::fs::metadata(&self.mountpoint).map_or(bare, |found| found.dev()) == bare {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{command:?} ended before it mounted anything: {status}\n{}", self.words());
            }
            assert!(Instant::now() < deadline, "{command:?} mounted nothing in {PATIENCE:?}\n{}", self.words());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Where the plaintext is.
    pub fn root(&self) -> &Path {
        &self.mountpoint
    }

    /// The plaintext's `name`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.mountpoint.join(name)
    }

    /// The serving process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the server has said until now.
    pub fn words(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends `signal` to the server.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a child has a pid");
        kill_process(pid, signal).unwrap();
    }

    /// Unmounts, and insists that the server ends well.
    #[track_caller]
    pub fn unmount(mut self) {
        unmount(&self.mountpoint);
        let status = self.ended();
        assert!(status.success(), "the server of {:?} ended badly: {status}\n{}", self.mountpoint, self.words());
    }

    /// Waits until the server has ended by itself.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the server has ended", PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.expect("the wait ended because there is a status")
    }

    /// Ends the server as a crash does. The dead mount stays.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether the server's end has left the mount point bare.
    pub fn is_unmounted(&self) -> bool {
        !is_mountpoint(&self.mountpoint)
    }
}

impl Drop for Server {
    #[allow(clippy::print_stderr)] // a failed test shows what the server said
    fn drop(&mut self) {
        if is_mountpoint(&self.mountpoint) {
            let _ = detach(&self.mountpoint);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server of {:?} said:\n{}", self.mountpoint, self.words());
        }
    }
}

/// Lets a process end with the thread that started it, cleanly.
pub fn die_with_the_test(command: &mut Command) {
    // SAFETY: prctl(2) is a plain system call, allowed between fork and exec.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?));
    }
}

/// Takes the terminal away from a process, so that it cannot ask anybody.
pub fn without_terminal(command: &mut Command) -> &mut Command {
    // SAFETY: setsid(2) is a plain system call, allowed between fork and exec.
    unsafe { command.pre_exec(|| Ok(setsid().map(drop)?)) }
}

/// Unmounts the FUSE file system on `mountpoint`, waiting for those who are just leaving it.
#[track_caller]
pub fn unmount(mountpoint: &Path) {
    insist(mountpoint, Command::new("fusermount3").arg("-u").arg(mountpoint));
}

/// Unmounts a kernel's own file system, waiting likewise.
#[track_caller]
pub(crate) fn unmount_plain(mountpoint: &Path) {
    insist(mountpoint, Command::new("umount").arg(mountpoint));
}

#[track_caller]
fn insist(mountpoint: &Path, command: &mut Command) {
    let mut said = String::new();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let output = output_of(command);
        if output.status.success() {
            return;
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{mountpoint:?} stays mounted: {said}");
}

pub(crate) fn detach(mountpoint: &Path) -> std::io::Result<()> {
    if rustix::process::geteuid().is_root() {
        // By force, so that whoever waits for an answer from a dead server gets none and can end.
        let flags = rustix::mount::UnmountFlags::DETACH | rustix::mount::UnmountFlags::FORCE;
        return Ok(rustix::mount::unmount(mountpoint, flags)?);
    }
    Command::new("fusermount3").arg("-uz").arg(mountpoint).stderr(Stdio::null()).status().map(drop)
}

/// Whether something is mounted exactly here, dead or alive.
pub fn is_mountpoint(path: &Path) -> bool {
    mountpoints().iter().any(|mounted| mounted == path)
}

/// All mount points that this thread sees, the latest last.
pub(crate) fn mountpoints() -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
    table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}

/// A program on PATH, or among those that `scripts/test` installed for the tests.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = [target_dir().join("tools/bin"), "/usr/sbin".into(), "/sbin".into()];
    std::env::split_paths(&path).chain(own).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// A program of this workspace, as it was built beside the running test, or where STRONGROOM_BIN says.
fn built(name: &str) -> OsString {
    if let Some(named) = std::env::var_os("STRONGROOM_BIN") {
        return named;
    }
    let file = profile_dir().join(name);
    assert!(file.is_file(), "{file:?} is not there: run `cargo build -p strongroom-cli` first, or set STRONGROOM_BIN");
    file.into()
}

fn profile_dir() -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    let mut folder = own.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") {
        folder = folder.parent().expect("deps lies in the profile's folder");
    }
    folder.to_owned()
}

fn target_dir() -> PathBuf {
    profile_dir().parent().expect("the profile's folder lies in the target folder").to_owned()
}
