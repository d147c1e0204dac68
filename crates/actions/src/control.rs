//! The control socket of a mount: other programs ask by it what a path is called on the other side.
//!
//! | file | what it does |
//! |---|---|
//! | `protocol.rs` | one request to one reply; pure |
//! | `client.rs` | asks at a socket, also at one of gocryptfs's |
//! | `server.rs` | connections, none of which can keep the others waiting |
//!
//! The socket is bound before the passphrase is asked for, so that whoever cannot have it learns that first; it is served
//! once the mount answers, and gone when the mount has ended.

mod client;
mod protocol;
mod server;

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt, MetadataExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::Mode,
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use strongroom_vault::{Backing, Vault, VaultError};

use crate::ActionError;

pub use client::{Answer, ControlClient, Translation};
pub use server::ControlServer;

/// Who knows what a path is called on the other side. Paths are relative to the root, in canonical form and not empty.
pub trait PathTranslator: Send + Sync + 'static {
    /// What the plaintext path is called in ciphertext.
    fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, Errno>;
    /// What the ciphertext path is called in plaintext.
    fn decrypt(&self, cipher: &[u8]) -> Result<Vec<u8>, Errno>;
}

impl<B: Backing> PathTranslator for Vault<B> {
    fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, Errno> {
        self.encrypted_path(plain).map_err(to_errno)
    }

    fn decrypt(&self, cipher: &[u8]) -> Result<Vec<u8>, Errno> {
        self.decrypted_path(cipher).map_err(to_errno)
    }
}

/// As the kernel would be told, but for a name that cannot be translated, which gocryptfs calls a bad message.
fn to_errno(error: VaultError) -> Errno {
    match error {
        VaultError::InvalidName => Errno::BADMSG,
        error => Errno::from_raw_os_error(strongroom_mount::Errno::from(error).0),
    }
}

/// Where a control socket is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlace {
    /// The path of the socket.
    pub path: PathBuf,
    /// Who may connect: the permissions of the socket, whatever the umask is.
    pub permissions: u32,
}

/// A control socket that is bound and not served yet. Whoever connects waits.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    file: SocketFile,
}

impl ControlSocket {
    /// Makes the socket. One that a crash left, which nobody answers at, is replaced; one that somebody answers at is not.
    pub fn bind(place: &ControlPlace) -> Result<Self, ActionError> {
        let bound = match listen(place) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(&place.path) => {
                fs::remove_file(&place.path).and_then(|()| listen(place))
            }
            bound => bound,
        };
        bound.map_err(|source| ActionError::ControlSocket { path: place.path.clone(), source })
    }

    /// Serves the socket from a thread of its own, until what is returned is dropped.
    pub fn serve(self, translator: Arc<dyn PathTranslator>) -> Result<ControlServer, ActionError> {
        let path = self.file.path.clone();
        ControlServer::start(self.listener, self.file, translator)
            .map_err(|source| ActionError::ControlSocket { path, source })
    }
}

fn listen(place: &ControlPlace) -> io::Result<ControlSocket> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket: OwnedFd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Before the name appears, so that at no time somebody can connect who must not.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(place.permissions & 0o777))?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&place.path)?)?;
    let file = SocketFile::of(&place.path)?;
    rustix::net::listen(&socket, 128)?;
    Ok(ControlSocket { listener: socket.into(), file })
}

/// Whether this is a socket that nobody listens at.
fn is_abandoned(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The name of a socket, which goes with the socket unless somebody else took it meanwhile.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        // The working directory may be another one when it is to be removed.
        Ok(Self { path: std::path::absolute(path)?, identity: (found.dev(), found.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn place(dir: &tempfile::TempDir) -> ControlPlace {
        ControlPlace { path: dir.path().join("socket"), permissions: 0o640 }
    }

    #[test]
    fn the_socket_has_the_permissions_that_were_asked_for_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let socket = ControlSocket::bind(&place(&dir)).unwrap();
        let found = fs::metadata(&socket.file.path).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o640 & !umask());
    }

    fn umask() -> u32 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
        u32::from_str_radix(line.trim(), 8).unwrap()
    }

    #[test]
    fn a_socket_that_somebody_answers_at_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = ControlSocket::bind(&place(&dir)).unwrap();
        let refused = ControlSocket::bind(&place(&dir)).unwrap_err();
        assert!(
            matches!(&refused, ActionError::ControlSocket { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
        );
        assert!(UnixStream::connect(&first.file.path).is_ok());
    }

    #[test]
    fn a_socket_that_a_crash_left_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        drop(UnixListener::bind(place(&dir).path).unwrap());
        assert!(place(&dir).path.exists());
        let socket = ControlSocket::bind(&place(&dir)).unwrap();
        assert!(UnixStream::connect(&socket.file.path).is_ok());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(place(&dir).path, "dear").unwrap();
        assert!(ControlSocket::bind(&place(&dir)).is_err());
        assert_eq!(fs::read(place(&dir).path).unwrap(), b"dear");
    }

    #[test]
    fn the_name_goes_with_the_socket_but_not_somebody_elses() {
        let dir = tempfile::tempdir().unwrap();
        drop(ControlSocket::bind(&place(&dir)).unwrap());
        assert!(!place(&dir).path.exists());
        let socket = ControlSocket::bind(&place(&dir)).unwrap();
        fs::remove_file(place(&dir).path).unwrap();
        fs::write(place(&dir).path, "another's").unwrap();
        drop(socket);
        assert!(place(&dir).path.exists());
    }
}
