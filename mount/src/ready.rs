//! Telling others that the mount answers: the process that was started at the terminal and waits to return, and systemd.
//!
//! The foreground process [`launch`]es itself again with a pipe, named in an environment variable. The child, which still
//! has the terminal, asks for the passphrase, mounts, and then says so or why not through its [`Notifier`]. A child that
//! dies without a word closes the pipe, too.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, ExitStatus};

use rustix::io::FdFlags;

/// Names the pipe to a launched child, as `DESCRIPTOR:INODE`.
const PIPE_VARIABLE: &str = "STRONGROOM_READY_PIPE";

/// Why a launched child did not become ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The child could not be started.
    #[error("cannot start the process that serves the mount: {0}")]
    Start(#[source] io::Error),
    /// The child said why it failed, and what this process is to exit with.
    #[error("{message}")]
    Failed {
        /// Exit code.
        code: u8,
        /// Why, in words.
        message: String,
    },
    /// The child ended without a word.
    #[error("the process that serves the mount ended without a word ({0})")]
    Died(ExitStatus),
}

/// Runs this program again with the given arguments, and waits until it is ready. It goes on when this process ends.
pub fn launch<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Result<(), LaunchError> {
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = std::env::args_os().next() {
        std::os::unix::process::CommandExt::arg0(&mut command, name);
    }
    command.args(arguments);
    launch_command(command)
}

fn launch_command(mut command: Command) -> Result<(), LaunchError> {
    let (ours, theirs) = rustix::pipe::pipe().map_err(|errno| LaunchError::Start(errno.into()))?;
    rustix::io::fcntl_setfd(&ours, FdFlags::CLOEXEC).map_err(|errno| LaunchError::Start(errno.into()))?;
    let inode = rustix::fs::fstat(&theirs).map_err(|errno| LaunchError::Start(errno.into()))?.st_ino;
    command.env(PIPE_VARIABLE, format!("{}:{inode}", theirs.as_raw_fd()));
    let mut child = command.spawn().map_err(LaunchError::Start)?;
    drop(theirs);
    let mut said = Vec::new();
    File::from(ours).read_to_end(&mut said).map_err(LaunchError::Start)?;
    match Word::parse(&said) {
        Some(Word::Ready) => Ok(()),
        Some(Word::Failed { code, message }) => {
            let _ = child.wait();
            Err(LaunchError::Failed { code, message })
        }
        None => Err(LaunchError::Died(child.wait().map_err(LaunchError::Start)?)),
    }
}

/// What goes through the pipe: `OK`, or `ERR`, the exit code and the message.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Ready,
    Failed { code: u8, message: String },
}

impl Word {
    fn parse(said: &[u8]) -> Option<Word> {
        let said = String::from_utf8_lossy(said);
        if said == "OK\n" {
            return Some(Word::Ready);
        }
        let (code, message) = said.strip_prefix("ERR ")?.strip_suffix('\n')?.split_once(' ')?;
        Some(Word::Failed { code: code.parse().ok()?, message: message.to_owned() })
    }

    fn text(&self) -> String {
        match self {
            Word::Ready => "OK\n".to_owned(),
            Word::Failed { code, message } => format!("ERR {code} {message}\n"),
        }
    }
}

/// Tells whoever waits for the mount, if anybody does.
pub struct Notifier {
    pipe: Option<File>,
}

impl Notifier {
    /// Takes over the pipe of a launching process, if there is one. To be called once, at the beginning.
    pub fn from_env() -> Notifier {
        let pipe = inherited_pipe().map(File::from);
        if pipe.is_some() {
            // Having been started as /proc/self/exe, it would be listed as "exe".
            let _ = rustix::thread::set_name(c"strongroom");
        }
        Notifier { pipe }
    }

    /// Whether a process waits at the terminal, so that this one is to go to the background.
    pub fn is_launched(&self) -> bool {
        self.pipe.is_some()
    }

    /// Says that the mount answers. A launched process leaves the terminal with it: own session, `/` as its directory,
    /// standard input and output on /dev/null.
    pub fn ready(&mut self) -> io::Result<()> {
        if let Some(pipe) = self.pipe.take() {
            leave_terminal()?;
            say(pipe, &Word::Ready);
        }
        notify_systemd(&format!("READY=1\nMAINPID={}\nSTATUS=The vault is mounted.", std::process::id()));
        Ok(())
    }

    /// Says why the mount failed, and with which code the launching process is to exit. Returns whether somebody
    /// listened; if not, it is this process that has to print it.
    pub fn failed(&mut self, code: u8, message: &str) -> bool {
        match self.pipe.take() {
            Some(pipe) => say(pipe, &Word::Failed { code, message: message.to_owned() }),
            None => false,
        }
    }

    /// Says that the mount is being taken down.
    pub fn stopping(&self) {
        notify_systemd("STOPPING=1\nSTATUS=The vault is being unmounted.");
    }
}

fn say(mut pipe: File, word: &Word) -> bool {
    pipe.write_all(word.text().as_bytes()).is_ok()
}

fn inherited_pipe() -> Option<OwnedFd> {
    let value = std::env::var(PIPE_VARIABLE).ok()?;
    let (descriptor, inode) = value.split_once(':')?;
    let (descriptor, inode): (i32, u64) = (descriptor.parse().ok()?, inode.parse().ok()?);
    if descriptor <= 2 {
        return None;
    }
    // SAFETY: the variable was set by `launch` for this process, which inherited the descriptor and has no other owner
    // for it: this is called once, at the beginning. Should the variable have come here by another way, the inode of the
    // pipe differs, and the descriptor is let go of unclosed.
    let pipe = unsafe { OwnedFd::from_raw_fd(descriptor) };
    if rustix::fs::fstat(&pipe).is_ok_and(|stat| stat.st_ino == inode) {
        // Programs that this process starts are not to hold the pipe open.
        rustix::io::fcntl_setfd(&pipe, FdFlags::CLOEXEC).ok()?;
        Some(pipe)
    } else {
        std::mem::forget(pipe);
        None
    }
}

fn leave_terminal() -> io::Result<()> {
    // Fails only for the leader of a process group, which has its own already.
    let _ = rustix::process::setsid();
    rustix::process::chdir("/")?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(null.as_fd())?;
    rustix::stdio::dup2_stdout(null.as_fd())?;
    rustix::stdio::dup2_stderr(null.as_fd())?;
    Ok(())
}

/// Sends a state to systemd (sd_notify(3)), if this is a service that it waits for. Nobody listening is no error.
pub fn notify_systemd(state: &str) {
    if let Some(path) = std::env::var_os("NOTIFY_SOCKET") {
        let _ = notify_at(&path, state);
    }
}

fn notify_at(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch_shell(script: &str) -> Result<(), LaunchError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        launch_command(command)
    }

    #[test]
    fn words_are_read_as_they_were_written() {
        let failed = Word::Failed { code: 12, message: "wrong\npassphrase ".to_owned() };
        assert_eq!(Word::parse(failed.text().as_bytes()), Some(failed));
        assert_eq!(Word::parse(Word::Ready.text().as_bytes()), Some(Word::Ready));
    }

    #[test]
    fn half_a_word_is_none() {
        for half in ["", "OK", "ERR ", "ERR 12", "ERR x y\n", "ERR 999 y\n", "ERR 1 cut of"] {
            assert_eq!(Word::parse(half.as_bytes()), None, "{half:?}");
        }
    }

    #[test]
    fn a_child_that_says_ok_is_ready_though_it_goes_on() {
        let began = std::time::Instant::now();
        let script =
            "fd=${STRONGROOM_READY_PIPE%%:*}; eval \"echo OK >&$fd; exec $fd>&-\"; exec sleep 2 >/dev/null 2>&1";
        launch_shell(script).unwrap();
        assert!(began.elapsed() < std::time::Duration::from_secs(2));
    }

    #[test]
    fn a_childs_failure_comes_with_its_code_and_message() {
        let error = launch_shell("eval \"echo ERR 12 no such luck >&${STRONGROOM_READY_PIPE%%:*}\"").unwrap_err();
        assert!(matches!(error, LaunchError::Failed { code: 12, ref message } if message == "no such luck"), "{error}");
    }

    #[test]
    fn a_child_that_dies_without_a_word_is_noticed() {
        let error = launch_shell("exit 3").unwrap_err();
        assert!(matches!(error, LaunchError::Died(status) if status.code() == Some(3)), "{error}");
    }

    #[test]
    fn systemd_hears_of_it_on_a_path_and_on_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        notify_at(path.as_os_str(), "READY=1").unwrap();
        assert_eq!(received(&listener), "READY=1");

        let name = format!("strongroom-test-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        notify_at(OsStr::new(&format!("@{name}")), "STOPPING=1").unwrap();
        assert_eq!(received(&listener), "STOPPING=1");
    }

    fn received(listener: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        let len = listener.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }
}
