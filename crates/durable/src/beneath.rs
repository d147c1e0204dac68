//! Reaching what is below a directory by descriptor: no symbolic link is followed and nothing outside is reached, whoever
//! renames what meanwhile, and paths may be longer than the kernel takes in one call.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{self, Mode, OFlags, ResolveFlags},
    io::{self, Errno},
};

/// How a directory is opened that is only passed through.
pub const PASSING: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The kernel takes paths of up to 4095 bytes.
const ONE_CALL: usize = 4000;

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// A directory, and the way to what is below it.
pub struct Beneath {
    root: OwnedFd,
    resolve: ResolveFlags,
    /// openat2(2) came with Linux 5.6, and some sandboxes refuse it.
    has_openat2: bool,
}

impl Beneath {
    /// Below `root`, which may be a descriptor of any kind.
    pub fn new(root: OwnedFd) -> Self {
        let has_openat2 = fs::openat2(&root, c".", PASSING, Mode::empty(), RESOLVE).is_ok();
        Self { root, resolve: RESOLVE, has_openat2 }
    }

    /// As [`Self::new`], and a mount below `root` is not entered either (EXDEV). Without openat2(2) it is, and whoever must
    /// not be there looks at the device and inode of what was opened.
    pub fn on_one_mount(root: OwnedFd) -> Self {
        Self { resolve: RESOLVE.union(ResolveFlags::NO_XDEV), ..Self::new(root) }
    }

    /// The directory itself.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens `path`: names joined by single slashes, none of them `.` or `..` (EINVAL), or nothing for the directory
    /// itself. A symbolic link anywhere in it is an error. Whether to wait for the other end of a named pipe is up to
    /// `flags`.
    pub fn open(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        if !path.is_empty() && path.split(|&byte| byte == b'/').any(|name| matches!(name, b"" | b"." | b"..")) {
            return Err(Errno::INVAL);
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut from: Option<OwnedFd> = None;
        let mut rest = path;
        loop {
            let at = from.as_ref().unwrap_or(&self.root).as_fd();
            let (piece, after) = if self.has_openat2 { split_long(rest) } else { split_first(rest) };
            match after {
                Some(after) => {
                    let next = self.step(at, piece, PASSING | OFlags::NOFOLLOW)?;
                    from = Some(next);
                    rest = after;
                }
                None => return self.step(at, piece, flags),
            }
        }
    }

    fn step(&self, at: BorrowedFd<'_>, piece: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let piece = if piece.is_empty() { b"." } else { piece };
        loop {
            let opened = match self.has_openat2 {
                true => fs::openat2(at, piece, flags, Mode::empty(), self.resolve),
                false => fs::openat(at, piece, flags, Mode::empty()),
            };
            match opened {
                // A rename somewhere in the tree kept the kernel from being sure that the path stays beneath.
                Err(Errno::AGAIN) if self.has_openat2 => continue,
                Err(Errno::INTR) => continue,
                other => return other,
            }
        }
    }
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// As many names as one call takes, and the rest if there is any.
fn split_long(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    if path.len() <= ONE_CALL {
        return (path, None);
    }
    let end = path[..ONE_CALL].iter().rposition(|&byte| byte == b'/');
    match end {
        Some(end) => (&path[..end], Some(&path[end + 1..])),
        // A name of 4000 bytes, at which the kernel will shake its head.
        None => (path, None),
    }
}

/// One name, and the rest if there is any.
fn split_first(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|&byte| byte == b'/') {
        Some(end) => (&path[..end], Some(&path[end + 1..])),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs as std_fs, os::unix::fs::symlink, path::Path};

    use super::*;

    fn both(dir: &Path) -> [Beneath; 2] {
        let open = || fs::open(dir, PASSING, Mode::empty()).unwrap();
        let without = Beneath { root: open(), resolve: RESOLVE, has_openat2: false };
        [Beneath::new(open()), without]
    }

    #[test]
    fn a_link_is_followed_neither_on_the_way_nor_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        std_fs::create_dir(dir.path().join("real")).unwrap();
        std_fs::write(dir.path().join("real/file"), b"x").unwrap();
        symlink("real", dir.path().join("link")).unwrap();
        symlink("file", dir.path().join("real/to-file")).unwrap();
        for beneath in both(dir.path()) {
            assert!(beneath.open(b"real/file", OFlags::RDONLY).is_ok());
            assert!(beneath.open(b"", OFlags::RDONLY).is_ok());
            for refused in ["link/file", "link", "real/to-file"] {
                assert!(beneath.open(refused.as_bytes(), OFlags::RDONLY).is_err(), "{refused}");
            }
        }
    }

    #[test]
    fn a_path_that_climbs_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std_fs::create_dir(dir.path().join("d")).unwrap();
        for beneath in both(dir.path()) {
            for refused in ["..", "d/..", "/", "/d", "d/", "d//x", "./d"] {
                assert_eq!(beneath.open(refused.as_bytes(), OFlags::RDONLY).unwrap_err(), Errno::INVAL, "{refused}");
            }
        }
    }

    #[test]
    fn a_path_may_be_longer_than_the_kernel_takes() {
        let dir = tempfile::tempdir().unwrap();
        let mut at = fs::open(dir.path(), PASSING, Mode::empty()).unwrap();
        let name = "n".repeat(200);
        for _ in 0..50 {
            fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = fs::openat(&at, &name, PASSING, Mode::empty()).unwrap();
        }
        let long = vec![name; 50].join("/");
        for beneath in both(dir.path()) {
            let reached = beneath.open(long.as_bytes(), OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
            assert_eq!(fs::fstat(reached).unwrap().st_ino, fs::fstat(&at).unwrap().st_ino);
        }
    }
}
