//! A program that is run for a mount, and given no longer than it may take.

use std::{
    io::{self, Read},
    process::{Child, ExitStatus},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// How long what a program said may take to come when it has ended: others may have its end of the pipe too.
const REST: Duration = Duration::from_secs(5);

/// Waits until it has ended, and gives what it said to stderr. One that takes longer than `within` is killed.
pub(super) fn ended(mut child: Child, within: Duration) -> io::Result<(ExitStatus, String)> {
    let (said, heard) = mpsc::channel();
    if let Some(mut stderr) = child.stderr.take() {
        thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            said.send(String::from_utf8_lossy(&text).trim().replace('\n', " "))
        });
    }
    let deadline = Instant::now() + within;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            let why = format!("it had not ended after {} s, and was killed", within.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        thread::sleep(Duration::from_millis(10));
    };
    Ok((status, heard.recv_timeout(REST).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn sh(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).stderr(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn what_it_said_and_how_it_ended_is_told() {
        let (status, said) = ended(sh("echo a >&2; echo b >&2; exit 3"), Duration::from_secs(60)).unwrap();
        assert_eq!((status.code(), said.as_str()), (Some(3), "a b"));
    }

    #[test]
    fn one_that_does_not_end_is_killed() {
        let error = ended(sh("exec sleep 1000"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
