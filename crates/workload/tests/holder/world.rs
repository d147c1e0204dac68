//! Processes that hold something, and a tree for them to hold.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::AtomicBool,
};

use strongroom_workload::{Asked, Holder, Probed, Sightings, holders, lease_probe};

/// A tree with a file and a directory in it, and a place beside it.
pub struct World {
    dir: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("tree/sub")).unwrap();
        fs::create_dir(dir.path().join("beside")).unwrap();
        fs::write(dir.path().join("tree/sub/file"), [7; 8192]).unwrap();
        fs::write(dir.path().join("tree/quiet"), b"nobody reads it").unwrap();
        Self { dir }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    pub fn file(&self) -> PathBuf {
        self.root().join("sub/file")
    }

    pub fn beside(&self) -> PathBuf {
        self.dir.path().join("beside")
    }

    /// What /proc tells.
    pub fn sightings(&self) -> Sightings {
        holders(File::open(self.root()).unwrap().as_fd()).unwrap()
    }

    /// What the process `pid` holds.
    pub fn held_by(&self, pid: u32) -> Vec<Holder> {
        self.sightings().holders.into_iter().filter(|holder| holder.pid == pid).collect()
    }

    /// Paths that the kernel says somebody has open.
    pub fn busy(&self, asked: Asked) -> Vec<PathBuf> {
        self.probe(asked).busy.into_iter().map(|busy| busy.path).collect()
    }

    pub fn probe(&self, asked: Asked) -> Probed {
        let root = File::open(self.root()).unwrap();
        lease_probe(root.as_fd(), asked, 2, &AtomicBool::new(false)).unwrap()
    }
}

/// A process that holds something until it is dropped.
pub struct Holding(Child);

impl Holding {
    /// A shell that does this, says so, and waits.
    pub fn shell(script: &str, argument: &Path) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{script}; echo ready; read forever")).arg("sh").arg(argument);
        Self::start(command)
    }

    /// This program as the child `name` of these tests, with `path` to work on.
    pub fn child(name: &str, path: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--ignored", "--nocapture", "--test-threads=1", name]).env("HOLDER_PATH", path);
        Self::start(command)
    }

    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_ready = lines.any(|line| line.unwrap().contains("ready"));
        let holding = Self(child);
        assert!(is_ready, "the process holds what it is to hold");
        holding
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In a child: what is to be worked on; `None` if this was started by hand.
pub fn given() -> Option<PathBuf> {
    std::env::var_os("HOLDER_PATH").map(PathBuf::from)
}

/// In a child: says that it holds what it is to hold, and waits for the end.
pub fn hold_on() {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nready").unwrap();
    out.flush().unwrap();
    let _ = std::io::stdin().read(&mut [0]);
}

/// A shared mapping of `path`, whose descriptor is closed.
pub fn map(path: &Path, writable: bool) -> *mut u8 {
    let file = fs::OpenOptions::new().read(true).write(writable).open(path).unwrap();
    let access = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
    // SAFETY: a new mapping of a file that is open; nothing else is touched.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    assert_ne!(at, libc::MAP_FAILED);
    at.cast()
}

/// Sends a descriptor of `path` that can be written through into a socket, and closes it here. Both ends of the socket.
pub fn send_away(path: &Path) -> [OwnedFd; 2] {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let (mut ends, byte) = ([0; 2], [1_u8]);
    // SAFETY: the array has room for the two descriptors, which then belong to us alone.
    let ends = unsafe {
        assert_eq!(libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr()), 0);
        ends.map(|end| OwnedFd::from_raw_fd(end))
    };
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    let files = [file.as_fd()];
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&files)));
    let data = [std::io::IoSlice::new(&byte)];
    rustix::net::sendmsg(&ends[0], &data, &mut control, rustix::net::SendFlags::empty()).unwrap();
    ends
}

/// Whether this runs as root. Says so if not.
#[allow(clippy::print_stderr)] // a skipped test says so to whoever ran it
pub fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    assert!(is_root || std::env::var_os("CI").is_none(), "CI runs this as root");
    if !is_root {
        eprintln!("SKIPPED: this is not root");
    }
    is_root
}

/// A process with a child of its own, both of which end.
pub struct Paired(Child);

impl Paired {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let paired = Self(child);
        assert!(lines.any(|line| line.unwrap() == "ready"));
        paired
    }

    pub fn end(&mut self) {
        // Its `read` ends, and then it ends its child.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Paired {
    fn drop(&mut self) {
        self.end();
    }
}
