//! Locks on ranges of bytes, as SQLite takes them, so that it takes ours for another program's.
//!
//! They belong to the open file (`F_OFD_SETLK`) and not to the process: closing some other descriptor of the same file does
//! not lose them, as it does a plain POSIX lock. The two kinds keep each other out.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

/// A range of bytes, and whether others may share it.
#[derive(Clone, Copy)]
pub(crate) struct Range {
    pub start: i64,
    pub len: i64,
    pub shared: bool,
}

/// Tries to lock; `false` if somebody else is in the way.
pub(crate) fn try_lock(file: &File, range: Range) -> io::Result<bool> {
    match fcntl(file, libc::F_OFD_SETLK, &mut flock(range)) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        other => other.map(|()| true),
    }
}

/// Locks as soon as nobody is in the way; `false` if that was not so until `deadline`.
pub(crate) fn lock_until(file: &File, range: Range, deadline: Instant) -> io::Result<bool> {
    let mut pause = Duration::from_micros(200);
    while !try_lock(file, range)? {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Ok(true)
}

/// Whether somebody else holds a lock that is in the way of this one.
pub(crate) fn is_held(file: &File, range: Range) -> io::Result<bool> {
    let mut asked = flock(range);
    fcntl(file, libc::F_OFD_GETLK, &mut asked)?;
    Ok(i32::from(asked.l_type) != libc::F_UNLCK)
}

fn flock(range: Range) -> libc::flock {
    let kind = if range.shared { libc::F_RDLCK } else { libc::F_WRLCK };
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: range.start,
        l_len: range.len,
        l_pid: 0, // as the manual asks of this kind
    }
}

fn fcntl(file: &File, command: i32, lock: &mut libc::flock) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `file` is, and these commands read and write one `flock`, which `lock` is.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, std::ptr::from_mut(lock)) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: Range = Range { start: 120, len: 2, shared: false };

    #[test]
    fn what_is_locked_through_one_descriptor_is_locked_for_another() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let (ours, theirs) = (path.reopen().unwrap(), path.reopen().unwrap());
        assert!(try_lock(&theirs, RANGE).unwrap());
        assert!(is_held(&ours, RANGE).unwrap());
        assert!(!lock_until(&ours, RANGE, Instant::now()).unwrap());
        drop(theirs);
        assert!(lock_until(&ours, RANGE, Instant::now()).unwrap());
    }

    #[test]
    fn closing_another_descriptor_does_not_lose_the_lock() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let ours = path.reopen().unwrap();
        assert!(try_lock(&ours, RANGE).unwrap());
        drop(path.reopen().unwrap());
        assert!(is_held(&path.reopen().unwrap(), RANGE).unwrap());
    }
}
