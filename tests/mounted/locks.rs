//! Locks between processes, and memory that they share.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{FlockOperation, flock};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use strongroom_tests::{has, run};

use crate::{MOUNTS, Vault};

#[test]
fn a_posix_lock_keeps_another_process_out_of_its_range() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let file = File::create_new(server.path("locked")).unwrap();
    file.set_len(100).unwrap();
    lock_range(file.as_raw_fd(), 10, 10).unwrap();
    let another = |start, len| in_another_process(&server.path("locked"), move |fd| lock_range(fd, start, len));
    assert_eq!(another(15, 1).unwrap_err().raw_os_error(), Some(libc::EAGAIN));
    assert!(another(30, 5).is_ok());
    drop(file);
    assert!(another(15, 1).is_ok());
}

#[test]
fn a_flock_keeps_another_process_out() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let file = File::create_new(server.path("locked")).unwrap();
    let another = || {
        in_another_process(&server.path("locked"), |fd| {
            // SAFETY: the descriptor is open in the child as it was in the parent.
            let result = unsafe { libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) };
            if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        })
    };
    flock(&file, FlockOperation::LockExclusive).unwrap();
    assert_eq!(another().unwrap_err().raw_os_error(), Some(libc::EWOULDBLOCK));
    flock(&file, FlockOperation::Unlock).unwrap();
    assert!(another().is_ok());
}

/// Lets a child of this process open `path` and do `attempt` on it, and returns how that went.
fn in_another_process(
    path: &Path,
    attempt: impl Fn(RawFd) -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let mut child = Command::new("true");
    // SAFETY: opening and locking are plain system calls, allowed between fork and exec.
    unsafe {
        child.pre_exec(move || match libc::open(path.as_ptr(), libc::O_RDWR) {
            -1 => Err(io::Error::last_os_error()),
            fd => attempt(fd),
        });
    }
    child.status().map(|status| assert!(status.success()))
}

fn lock_range(fd: RawFd, start: i64, len: i64) -> io::Result<()> {
    // SAFETY: zero is a value of every field of struct flock.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = libc::F_WRLCK as i16;
    range.l_whence = libc::SEEK_SET as i16;
    (range.l_start, range.l_len) = (start, len);
    // SAFETY: F_SETLK reads one struct flock, which lives until it returns.
    let result = unsafe { libc::fcntl(fd, libc::F_SETLK, &range) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn what_one_process_maps_and_writes_another_reads() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let file = File::options().read(true).write(true).create_new(true).open(server.path("shared")).unwrap();
    file.set_len(8192).unwrap();
    // SAFETY: a new mapping of a file that only this test uses, unmapped below.
    let map = unsafe {
        mmap(std::ptr::null_mut(), 8192, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &file, 0).unwrap()
    };
    // SAFETY: the mapping is 8192 bytes long and writable.
    unsafe { map.cast::<u8>().add(4100).copy_from(b"through the map".as_ptr(), 15) };
    let output = run(Command::new("tail").args(["-c", "+4101"]).arg(server.path("shared")));
    assert!(output.stdout.starts_with(b"through the map"));
    // SAFETY: mapped above, and nobody keeps a pointer into it.
    unsafe { munmap(map, 8192).unwrap() };
    drop(file);
    server.unmount();
    let server = vault.mount(&[]);
    assert_eq!(&std::fs::read(server.path("shared")).unwrap()[4100..4115], b"through the map");
}
