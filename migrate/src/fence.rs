//! The fence: the path of the data leads to an empty directory in which nothing can be made, and the original stands aside,
//! under a name that nobody uses.
//!
//! Two names are exchanged in one step, so the path is missing at no time. On which side we are is told by the directory
//! that is at each of them, never by memory: every method looks first, so it can be killed anywhere and called again, this
//! way or the other.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{self, AtFlags, CWD, IFlags, Mode, OFlags, RawDir, StatxAttributes, StatxFlags},
    io::Errno,
};
use strongroom_durable::{ExchangeError, PathError, exchange_and, sync_dir};

use crate::{Identity, Plan};

/// What keeps programs from writing at the fenced path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The directory is immutable: nothing can be made in it, by nobody.
    Immutable,
    /// The directory is read-only by its permissions, which do not bind root. It is all that who is not root can do, and
    /// all that some file systems offer.
    Permissions,
    /// Something is mounted on it.
    Covered,
}

/// On which side of the fence the data are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// Aside. The path leads to the guard directory.
    Up(Guard),
    /// At their path.
    Down,
    /// Not as any step of this leaves it; nothing is touched.
    Strange(String),
}

/// Why the fence could not be raised or lowered.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// Names in the parent directory are not ours to change.
    #[error("{} may not be renamed: {why}", path.display())]
    NotOurs {
        /// The path of the data, or aside.
        path: std::path::PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// Something else stands at one of the two paths.
    #[error("{why}; nothing was changed")]
    Strange {
        /// What.
        why: String,
    },
    /// Something is mounted on the path.
    #[error("something is mounted on {}: unmount it first", path.display())]
    Covered {
        /// The path.
        path: std::path::PathBuf,
    },
    /// The names could not be exchanged.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// A system call failed.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// The fence of a migration.
pub struct Fence<'a> {
    data: &'a Path,
    aside: &'a Path,
    original: &'a Identity,
}

impl<'a> Fence<'a> {
    /// The fence of this plan.
    pub fn of(plan: &'a Plan) -> Self {
        Self::between(&plan.data, &plan.aside, &plan.original)
    }

    /// A fence that sets `original`, which is at `data`, to `aside`, in the same directory.
    pub fn between(data: &'a Path, aside: &'a Path, original: &'a Identity) -> Self {
        Self { data, aside, original }
    }

    /// Looks on which side we are, and touches nothing.
    pub fn look(&self) -> Result<Fenced, FenceError> {
        let at_data = Stood::at(self.data)?;
        let at_aside = Stood::at(self.aside)?;
        let is_original = |stood: &Stood| matches!(stood, Stood::Directory(identity, _) if identity.is(self.original));
        Ok(match (&at_data, &at_aside) {
            (data, aside) if is_original(data) => match aside {
                Stood::Nothing => Fenced::Down,
                _ => self.judged(self.aside, aside).map_or_else(Fenced::Strange, |_| Fenced::Down),
            },
            (data, aside) if is_original(aside) => {
                self.judged(self.data, data).map_or_else(Fenced::Strange, Fenced::Up)
            }
            _ => Fenced::Strange(format!(
                "the directory that the migration began with is neither at {} nor at {}",
                self.data.display(),
                self.aside.display()
            )),
        })
    }

    /// Sets the original aside and guards its path, and makes that survive a power cut. Up already is well. Tells what
    /// guards it.
    pub fn raise(&self) -> Result<Guard, FenceError> {
        match self.look()? {
            Fenced::Up(Guard::Permissions) => {
                let dir = self.open_guard(self.data)?;
                make_read_only(&dir, self.data)?;
                let flags = flags(&dir);
                self.made(&dir, make_immutable(&dir, flags))
            }
            Fenced::Up(guard) => Ok(guard),
            Fenced::Strange(why) => Err(FenceError::Strange { why }),
            Fenced::Down => {
                let dir = self.make_guard()?;
                let flags = flags(&dir);
                // What is immutable cannot be renamed, so root could write there in between: not longer than must be.
                let made = self.exchange_and(|| make_immutable(&dir, flags))?;
                self.made(&dir, made)
            }
        }
    }

    /// Brings the original back to its path, and makes that survive a power cut. Down already is well.
    pub fn lower(&self) -> Result<(), FenceError> {
        match self.look()? {
            Fenced::Down => {}
            Fenced::Strange(why) => return Err(FenceError::Strange { why }),
            Fenced::Up(Guard::Covered) => return Err(FenceError::Covered { path: self.data.to_owned() }),
            Fenced::Up(Guard::Immutable | Guard::Permissions) => {
                self.unguard()?;
                self.exchange_and(|| ())?;
            }
        }
        self.remove_guard()
    }

    /// What guards `path`, if what stands there may be the guard directory: ours, and empty. Else what is wrong.
    fn judged(&self, path: &Path, stood: &Stood) -> Result<Guard, String> {
        let shown = path.display();
        match stood {
            Stood::Nothing => Err(format!("nothing is at {shown}, where an empty directory should be")),
            Stood::Other => Err(format!("something is at {shown} that is no directory")),
            Stood::Directory(_, Looks { is_mount: true, .. }) => Ok(Guard::Covered),
            Stood::Directory(_, Looks { is_empty: false, .. }) => {
                Err(format!("the directory at {shown} is not empty, and not the one that the migration began with"))
            }
            Stood::Directory(_, Looks { is_ours: false, .. }) => {
                Err(format!("the directory at {shown} belongs to somebody else"))
            }
            Stood::Directory(_, Looks { is_immutable: true, .. }) => Ok(Guard::Immutable),
            Stood::Directory(..) => Ok(Guard::Permissions),
        }
    }

    /// The directory that will be at the path, read-only already: at no time can somebody who is not root write there.
    fn make_guard(&self) -> Result<OwnedFd, FenceError> {
        match fs::mkdir(self.aside, Mode::from_raw_mode(0o500)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(self.refused("making", self.aside, errno)),
        }
        let dir = self.open_guard(self.aside)?;
        make_read_only(&dir, self.aside)?;
        fs::fsync(&dir).map_err(PathError::on("writing to disk", self.aside))?;
        sync_dir(parent(self.aside))?;
        Ok(dir)
    }

    fn exchange_and<T>(&self, at_once: impl FnOnce() -> T) -> Result<T, FenceError> {
        exchange_and(self.data, self.aside, at_once).map_err(|error| match error {
            ExchangeError::Path(PathError { source, attempted, path }) => match Errno::from_io_error(&source) {
                Some(errno) => self.refused(attempted, self.data, errno),
                None => PathError { source, attempted, path }.into(),
            },
            other => other.into(),
        })
    }

    /// What guards the path now that `dir` was tried to be made immutable.
    fn made(&self, dir: &OwnedFd, immutable: rustix::io::Result<()>) -> Result<Guard, FenceError> {
        let guard = match immutable {
            Ok(()) => Guard::Immutable,
            // Not root, or root in a container; or the file system has no such flag.
            Err(Errno::PERM | Errno::ACCESS | Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
                Guard::Permissions
            }
            Err(errno) => return Err(PathError::on("making immutable", self.data)(errno).into()),
        };
        fs::fsync(dir).map_err(PathError::on("writing to disk", self.data))?;
        Ok(guard)
    }

    fn unguard(&self) -> Result<(), FenceError> {
        let dir = self.open_guard(self.data)?;
        match flags(&dir) {
            Ok(flags) if flags.contains(IFlags::IMMUTABLE) => {
                let cleared = fs::ioctl_setflags(&dir, flags - IFlags::IMMUTABLE);
                Ok(cleared.map_err(PathError::on("clearing the immutable flag of", self.data))?)
            }
            _ => Ok(()),
        }
    }

    /// The guard directory, by a descriptor that is surely not the original's.
    fn open_guard(&self, path: &Path) -> Result<OwnedFd, FenceError> {
        let dir = open(path)?;
        let (identity, _) = Stood::look(dir.as_fd()).map_err(PathError::on("looking at", path))?;
        if identity.is(self.original) {
            return Err(FenceError::Strange { why: format!("{} was exchanged meanwhile", path.display()) });
        }
        Ok(dir)
    }

    fn remove_guard(&self) -> Result<(), FenceError> {
        match fs::unlinkat(CWD, self.aside, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(sync_dir(parent(self.aside))?),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(PathError::on("removing", self.aside)(errno).into()),
        }
    }

    /// Says whose directory it is that keeps us from it.
    fn refused(&self, attempted: &'static str, path: &Path, errno: Errno) -> FenceError {
        match (errno, why_not_ours(self.data)) {
            (Errno::PERM | Errno::ACCESS, Some(why)) => FenceError::NotOurs { path: path.to_owned(), why },
            (errno, _) => PathError::on(attempted, path)(errno).into(),
        }
    }
}

/// Why the running user may not rename the directory `data`, as far as that can be told beforehand.
pub(crate) fn why_not_ours(data: &Path) -> Option<&'static str> {
    let parent = parent(data);
    let fixed = |path: &Path| {
        let flags = open(path).ok().and_then(|dir| flags(&dir).ok()).unwrap_or(IFlags::empty());
        flags.intersects(IFlags::IMMUTABLE | IFlags::APPEND)
    };
    if fixed(parent) {
        return Some("its parent directory is immutable or append-only");
    }
    if fs::access(parent, fs::Access::WRITE_OK | fs::Access::EXEC_OK).is_err() {
        return Some("its parent directory cannot be written to");
    }
    let (above, itself) = (fs::stat(parent).ok()?, fs::lstat(data).ok()?);
    let me = rustix::process::geteuid();
    let is_sticky = above.st_mode & libc::S_ISVTX != 0;
    if is_sticky && !me.is_root() && ![above.st_uid, itself.st_uid].contains(&me.as_raw()) {
        return Some("its parent directory is sticky, and both belong to somebody else");
    }
    fixed(data).then_some("it is immutable or append-only")
}

/// What stands at a path.
enum Stood {
    Nothing,
    Directory(Identity, Looks),
    Other,
}

/// What a directory looks like.
struct Looks {
    is_mount: bool,
    is_empty: bool,
    is_ours: bool,
    is_immutable: bool,
}

impl Stood {
    fn at(path: &Path) -> Result<Self, PathError> {
        let dir = match fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Stood::Nothing),
            opened => opened.map_err(PathError::on("opening", path))?,
        };
        let looked = || -> io::Result<Self> {
            let (identity, stat) = Self::look(dir.as_fd())?;
            if u32::from(stat.stx_mode) & libc::S_IFMT != libc::S_IFDIR {
                return Ok(Stood::Other);
            }
            let is_mount = stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
            let listed = fs::openat(&dir, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
            let looks = Looks {
                is_mount,
                // What cannot be listed is nothing that this made.
                is_empty: !is_mount && listed.as_ref().is_ok_and(|dir| is_empty(dir).unwrap_or(false)),
                is_ours: stat.stx_uid == rustix::process::geteuid().as_raw(),
                is_immutable: listed.is_ok_and(|dir| flags(&dir).is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE))),
            };
            Ok(Stood::Directory(identity, looks))
        };
        looked().map_err(PathError::on("looking at", path))
    }

    fn look(dir: impl AsFd) -> rustix::io::Result<(Identity, fs::Statx)> {
        let stat = fs::statx(dir, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        Ok((Identity::told_by(&stat), stat))
    }
}

fn is_empty(dir: &OwnedFd) -> rustix::io::Result<bool> {
    let mut buffer = Vec::with_capacity(1024);
    let mut listing = RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = listing.next() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn make_read_only(dir: &OwnedFd, path: &Path) -> Result<(), PathError> {
    fs::fchmod(dir, Mode::from_raw_mode(0o500)).map_err(PathError::on("setting the permissions of", path))
}

fn make_immutable(dir: &OwnedFd, flags: rustix::io::Result<IFlags>) -> rustix::io::Result<()> {
    fs::ioctl_setflags(dir, flags? | IFlags::IMMUTABLE)
}

fn flags(dir: &OwnedFd) -> rustix::io::Result<IFlags> {
    fs::ioctl_getflags(dir)
}

fn open(path: &Path) -> Result<OwnedFd, PathError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::open(path, flags, Mode::empty()).map_err(PathError::on("opening the directory", path))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
