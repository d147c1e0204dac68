//! The one table from what can go wrong in a vault or a view to the numbers that the kernel passes to programs.

use std::fmt;

use strongroom_reverse::ViewError;
use strongroom_vault::VaultError;

/// An error number, as in errno(3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl From<VaultError> for Errno {
    fn from(error: VaultError) -> Errno {
        Errno(match error {
            VaultError::NotFound => libc::ENOENT,
            VaultError::Exists => libc::EEXIST,
            VaultError::NotADirectory => libc::ENOTDIR,
            VaultError::IsADirectory => libc::EISDIR,
            VaultError::NotEmpty => libc::ENOTEMPTY,
            VaultError::InvalidName => libc::EINVAL,
            VaultError::NameTooLong => libc::ENAMETOOLONG,
            VaultError::Reserved => libc::EPERM,
            VaultError::Corrupt { .. } => libc::EIO,
            VaultError::TooLarge => libc::EFBIG,
            VaultError::InvalidArgument => libc::EINVAL,
            VaultError::ReadOnly => libc::EROFS,
            VaultError::NoAttribute => libc::ENODATA,
            VaultError::Unsupported => libc::EOPNOTSUPP,
            VaultError::NoMoreData => libc::ENXIO,
            VaultError::Backing(error) => error.raw_os_error().unwrap_or(libc::EIO),
            // A variant that this table does not know yet is a failure all the same.
            _ => libc::EIO,
        })
    }
}

impl From<ViewError> for Errno {
    fn from(error: ViewError) -> Errno {
        Errno(match error {
            ViewError::NotFound => libc::ENOENT,
            ViewError::Stale => libc::ESTALE,
            ViewError::Excluded => libc::EPERM,
            ViewError::NotADirectory => libc::ENOTDIR,
            ViewError::IsADirectory => libc::EISDIR,
            ViewError::InvalidArgument => libc::EINVAL,
            ViewError::NameTooLong => libc::ENAMETOOLONG,
            ViewError::BadName => libc::EBADMSG,
            ViewError::NoAttribute => libc::ENODATA,
            ViewError::Unsupported => libc::EOPNOTSUPP,
            ViewError::NoMoreData => libc::ENXIO,
            ViewError::Plaintext(error) => error.raw_os_error().unwrap_or(libc::EIO),
            // A variant that this table does not know yet is a failure all the same.
            _ => libc::EIO,
        })
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Errno {
        Errno(errno.raw_os_error())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({})", self)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corrupt_block_is_an_io_error() {
        assert_eq!(Errno::from(VaultError::Corrupt { path: b"/a".to_vec(), what: "torn".into() }), Errno(libc::EIO));
    }

    #[test]
    fn reserved_names_are_refused_with_eperm() {
        assert_eq!(Errno::from(VaultError::Reserved), Errno(libc::EPERM));
    }

    #[test]
    fn what_the_backing_said_is_passed_on() {
        let full = std::io::Error::from_raw_os_error(libc::ENOSPC);
        assert_eq!(Errno::from(VaultError::Backing(full)), Errno(libc::ENOSPC));
        let own = std::io::Error::other("no number");
        assert_eq!(Errno::from(VaultError::Backing(own)), Errno(libc::EIO));
    }

    #[test]
    fn nothing_after_the_offset_is_enxio_as_lseek_wants() {
        assert_eq!(Errno::from(VaultError::NoMoreData), Errno(libc::ENXIO));
    }
}
