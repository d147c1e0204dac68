//! What is typed at the terminal, until the process is asked to end. Reading alone would go on after the signal, which only
//! sets a flag.

use std::{
    fs::File,
    io::{self, Read},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// What signals set, in a command that does not end by them at once.
static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on nobody is asked, and no question is waited for, once `stop` is set.
pub fn stop_asking_on(stop: &Arc<AtomicBool>) {
    // There is one command in a process.
    let _ = STOP.set(stop.clone());
}

/// Reads from a terminal; [`io::ErrorKind::Interrupted`] is not to be retried.
pub struct Keys<'a> {
    terminal: &'a File,
    stop: Option<&'a AtomicBool>,
}

impl<'a> Keys<'a> {
    /// Those of `terminal`.
    pub fn of(terminal: &'a File) -> Self {
        Self { terminal, stop: STOP.get().map(|stop| &**stop) }
    }
}

/// For a signal that comes just before the waiting begins.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

impl Read for Keys<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match poll(&mut [PollFd::new(self.terminal, PollFlags::IN)], Some(&GLANCE)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return self.terminal.read(buffer),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::mpsc, thread, time::Duration};

    use super::*;

    #[test]
    fn what_is_typed_is_read() {
        let (typed, mut typing) = io::pipe().unwrap();
        let typed = File::from(std::os::fd::OwnedFd::from(typed));
        typing.write_all(b"x").unwrap();
        let mut key = [0; 8];
        assert_eq!(Keys { terminal: &typed, stop: None }.read(&mut key).unwrap(), 1);
        drop(typing);
        assert_eq!(Keys { terminal: &typed, stop: None }.read(&mut key).unwrap(), 0);
    }

    #[test]
    fn waiting_for_a_key_ends_when_the_process_is_to_end() {
        let (typed, _typing) = io::pipe().unwrap();
        let typed = File::from(std::os::fd::OwnedFd::from(typed));
        let stop = Arc::new(AtomicBool::new(false));
        let (said, heard) = mpsc::channel();
        let asked = stop.clone();
        thread::spawn(move || {
            let read = Keys { terminal: &typed, stop: Some(&asked) }.read(&mut [0]);
            said.send(read.map_err(|error| error.kind())).unwrap();
        });
        stop.store(true, Ordering::Relaxed);
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), Err(io::ErrorKind::Interrupted));
    }
}
