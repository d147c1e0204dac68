//! Going to the background: the process at the terminal starts itself again, and waits until that one tells it by SIGUSR1
//! that the mount is usable, or ends. Whoever starts `gocryptfs -fg -notifypid=PID` by hand is told likewise.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::{
    pipe::PipeFlags,
    process::{Pid, Signal, kill_process, setsid},
};
use signal_hook::{
    consts::{SIGCHLD, SIGUSR1},
    iterator::Signals,
};
use strongroom_actions::{Inherited, ready::notify_systemd};

use super::{
    exit::{Exit, Failure},
    flags::Flags,
    say::Say,
};

/// Starts this program again with `-fg -notifypid=…` and the `arguments` it has (without its name), and waits for it.
pub fn launch(arguments: &[OsString], say: &Say) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        say.fatal(&format!("forkChild: starting /proc/self/exe failed: {error}"));
        Failure::told(Exit::FORK_CHILD)
    };
    // Before there is anybody who could send one.
    let mut signals = Signals::new([SIGUSR1, SIGCHLD]).map_err(failed)?;
    let mut child = Command::new("/proc/self/exe")
        .arg0("gocryptfs")
        .arg("-fg")
        .arg(format!("-notifypid={}", std::process::id()))
        .args(arguments)
        .spawn()
        .map_err(failed)?;
    match wait_for(&mut signals, &mut child).map_err(failed)? {
        Outcome::Ready => Ok(()),
        Outcome::Ended(status) if status.success() => Ok(()),
        // What a signal ended has no code, which gocryptfs takes for -1.
        Outcome::Ended(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            Err(Failure::told(Exit::of_child(code.unwrap_or(u8::MAX))))
        }
    }
}

enum Outcome {
    Ready,
    Ended(ExitStatus),
}

fn wait_for(signals: &mut Signals, child: &mut Child) -> io::Result<Outcome> {
    for signal in signals.forever() {
        if signal == SIGUSR1 {
            return Ok(Outcome::Ready);
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Outcome::Ended(status));
        }
    }
    Ok(Outcome::Ended(child.wait()?))
}

/// Tells that the mount is usable. If somebody waits for that (`-notifypid`), this process leaves the terminal, the working
/// directory and, unless `-nosyslog`, its standard input and output.
pub fn ready(flags: &Flags, say: &Say, inherited: Inherited) {
    say.info(&say.green("Filesystem mounted and ready."));
    notify_systemd("READY=1");
    let Some(waiting) = i32::try_from(flags.notifypid).ok().filter(|&pid| pid > 0).and_then(Pid::from_raw) else {
        return;
    };
    let _ = rustix::process::chdir("/");
    if let Err(errno) = setsid() {
        say.warn(&format!("Setsid: {}", io::Error::from(errno)));
    }
    if !flags.nosyslog {
        say.go_to_syslog();
        // Somebody may wait for the other end of them to be closed.
        inherited.close();
        if let Err(error) = leave_standard_streams(say) {
            say.warn(&format!("redirectStdFds: {error}"));
        }
    }
    if let Err(errno) = kill_process(waiting, Signal::USR1) {
        say.warn(&format!("sendUsr1: signaling {} failed: {}", flags.notifypid, io::Error::from(errno)));
    }
}

/// Standard input from /dev/null. What is still written to standard output, such as a panic, goes to the system log, by
/// logger(1); where there is none, nowhere.
fn leave_standard_streams(say: &Say) -> io::Result<()> {
    let null = OwnedFd::from(File::options().read(true).write(true).open("/dev/null")?);
    let output = match logger() {
        Ok(pipe) => pipe,
        Err(error) => {
            say.warn(&format!("redirectStdFds: could not start logger: {error}"));
            null.try_clone()?
        }
    };
    rustix::stdio::dup2_stdin(null.as_fd())?;
    rustix::stdio::dup2_stdout(output.as_fd())?;
    rustix::stdio::dup2_stderr(output.as_fd())?;
    Ok(())
}

/// A pipe to logger(1). It must not keep standard output, whose reader waits for its end; and ends with this process.
fn logger() -> io::Result<OwnedFd> {
    let (ours, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    Command::new("logger")
        .arg("-t")
        .arg(format!("gocryptfs-{}-logger", std::process::id()))
        .stdin(ours)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(theirs)
}
