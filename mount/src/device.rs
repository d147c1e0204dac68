//! Mounting: a descriptor of /dev/fuse that the kernel sends the mount's requests to. By mount(2) where that is allowed,
//! else by the setuid helper fusermount3.

use std::ffi::{CString, OsStr};
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::error::MountError;
use crate::instructions::{Instructions, for_helper};
use crate::mountpoint::Mountpoint;
use crate::options::MountOptions;

const FUSERMOUNT: &str = "fusermount3";

/// Mounts, unless that was done already, and gives the kernel's end of the conversation.
pub(crate) fn mount(at: &Mountpoint, source: &OsStr, options: &MountOptions) -> Result<OwnedFd, MountError> {
    if let Some(device) = at.descriptor() {
        return Ok(device);
    }
    match mount_directly(at, source, options) {
        Err(MountError::Refused { source: error, .. }) if error.kind() == io::ErrorKind::PermissionDenied => {
            mount_guarded(at, source, options)
        }
        Err(MountError::NoDevice(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            mount_guarded(at, source, options)
        }
        done => done,
    }
}

/// Mounts by the helper, which wants to be able to write to the mount point.
fn mount_guarded(at: &Mountpoint, source: &OsStr, options: &MountOptions) -> Result<OwnedFd, MountError> {
    let unguarded = at.unguard();
    let device = mount_by_helper(at, source, options)?;
    if unguarded.is_some_and(|unguarded| !unguarded.guard()) {
        // It would hide what somebody wrote just now.
        let _ = unmount(at.path(), How::Lazily);
        return Err(MountError::NotEmpty(at.path().to_owned()));
    }
    Ok(device)
}

fn mount_directly(at: &Mountpoint, source: &OsStr, options: &MountOptions) -> Result<OwnedFd, MountError> {
    let device = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| MountError::NoDevice(errno.into()))?;
    let told = Instructions::new(source, options);
    let data = told.data(&format!(
        "fd={},rootmode=40000,user_id={},group_id={}",
        device.as_raw_fd(),
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    ));
    let refused = |errno: Errno| MountError::Refused { path: at.path().to_owned(), source: errno.into() };
    let data = CString::new(data.into_encoded_bytes()).map_err(|_| refused(Errno::INVAL))?;
    rustix::mount::mount(&told.source, at.path(), &told.kind, told.flags, data.as_c_str()).map_err(refused)?;
    Ok(device)
}

fn mount_by_helper(at: &Mountpoint, source: &OsStr, options: &MountOptions) -> Result<OwnedFd, MountError> {
    let (ours, theirs) = UnixStream::pair().map_err(MountError::NoFusermount)?;
    rustix::io::fcntl_setfd(&theirs, FdFlags::empty()).map_err(|errno| MountError::NoFusermount(errno.into()))?;
    let mut child = Command::new(FUSERMOUNT)
        .arg("-o")
        .arg(for_helper(source, options))
        .arg("--")
        .arg(at.path())
        .env("_FUSE_COMMFD", theirs.as_raw_fd().to_string())
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(MountError::NoFusermount)?;
    drop(theirs);
    let device = receive_descriptor(ours.as_fd());
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut said);
    }
    let status = child.wait().map_err(MountError::NoFusermount)?;
    match device {
        Ok(Some(device)) if status.success() => Ok(device),
        Err(errno) if status.success() => Err(MountError::NoFusermount(errno.into())),
        _ => Err(refused(at.path(), said.trim())),
    }
}

fn refused(path: &Path, said: &str) -> MountError {
    if said.contains("user_allow_other") {
        return MountError::AllowOtherForbidden;
    }
    let message = said.strip_prefix("fusermount3: ").unwrap_or(said);
    let message = if message.is_empty() { "it gave no reason" } else { message };
    MountError::FusermountRefused { path: path.to_owned(), message: message.to_owned() }
}

/// The descriptor that fusermount3 sends, or none if it closed the socket without.
fn receive_descriptor(socket: impl AsFd) -> Result<Option<OwnedFd>, Errno> {
    let mut byte = [0u8; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
            Ok(_) => break,
        }
    }
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(descriptor)
}

/// How to unmount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Only if nobody uses it.
    IfUnused,
    /// Takes it out of sight; it ends with its last user.
    Lazily,
}

/// Why an unmount did not happen.
#[derive(Debug)]
pub(crate) enum Unmounting {
    Busy,
    NotMounted,
    Refused(String),
}

/// Unmounts what is mounted topmost at `path`: by umount2(2), else by fusermount3.
pub(crate) fn unmount(path: &Path, how: How) -> Result<(), Unmounting> {
    use rustix::mount::UnmountFlags;
    let flags = match how {
        How::IfUnused => UnmountFlags::NOFOLLOW,
        How::Lazily => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
    };
    match rustix::mount::unmount(path, flags) {
        Ok(()) => Ok(()),
        Err(Errno::BUSY) => Err(Unmounting::Busy),
        Err(Errno::INVAL | Errno::NOENT) => Err(Unmounting::NotMounted),
        Err(Errno::PERM) => unmount_by_helper(path, how),
        Err(errno) => Err(Unmounting::Refused(io::Error::from(errno).to_string())),
    }
}

fn unmount_by_helper(path: &Path, how: How) -> Result<(), Unmounting> {
    let mut command = Command::new(FUSERMOUNT);
    command.arg("-u");
    if how == How::Lazily {
        command.arg("-z");
    }
    let output = command
        .arg("--")
        .arg(path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Unmounting::Refused(format!("{FUSERMOUNT} cannot be run: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    if said.contains("busy") {
        Err(Unmounting::Busy)
    } else if said.contains("not found in") || said.contains("not mounted") {
        Err(Unmounting::NotMounted)
    } else {
        Err(Unmounting::Refused(said.strip_prefix("fusermount3: ").unwrap_or(said).to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helpers_refusal_of_allow_other_is_understood() {
        let said = "fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf";
        assert!(matches!(refused(Path::new("/m"), said), MountError::AllowOtherForbidden));
    }
}
