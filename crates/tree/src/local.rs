//! A directory of this machine as a [`Source`].

use std::{
    collections::BTreeSet,
    io,
    ops::Range,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Mutex,
    time::Duration,
};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags, SeekFrom, Statx, StatxFlags, StatxTimestamp},
    io::Errno,
};

use strongroom_durable::{Beneath, PASSING};

use crate::{Content, Entry, Filter, Look, RelPath, Source, Stamp, Timestamp, TreeError, tick::tick_of, walk::Walk};

/// A directory of this machine, read by descriptors: no symbolic link below it is followed, wherever it is moved to
/// meanwhile.
///
/// A file that something is mounted on is what is mounted there, as programs see it.
pub struct LocalTree {
    pub(crate) beneath: Beneath,
    pub(crate) crossing: Crossing,
    mount_points: Mutex<BTreeSet<RelPath>>,
}

/// Whether what is mounted below the root belongs to the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crossing {
    /// No: a mount point is given as an empty directory, and told by [`LocalTree::mount_points`].
    #[default]
    Stay,
    /// Yes.
    Cross,
}

impl LocalTree {
    /// The directory at `path`, which alone may be a symbolic link; not what is mounted below it.
    pub fn open(path: &Path) -> Result<Self, TreeError> {
        Self::open_with(path, Crossing::Stay)
    }

    /// The directory at `path`, which alone may be a symbolic link.
    pub fn open_with(path: &Path, crossing: Crossing) -> Result<Self, TreeError> {
        let root = fs::open(path, PASSING, Mode::empty()).map_err(|errno| TreeError::of_root(path, errno))?;
        Ok(Self::from_fd(root, crossing))
    }

    /// A directory that is open already, perhaps only as `O_PATH`.
    pub fn from_fd(root: OwnedFd, crossing: Crossing) -> Self {
        Self { beneath: Beneath::new(root), crossing, mount_points: Mutex::default() }
    }

    /// How far apart two changes of a file in it must be to be told apart by its times.
    pub fn tick(&self) -> Duration {
        tick_of(self.beneath.root())
    }

    /// The mount points that walks have met so far and not entered.
    pub fn mount_points(&self) -> Vec<RelPath> {
        self.passed().iter().cloned().collect()
    }

    pub(crate) fn note_mount_point(&self, path: &RelPath) {
        self.passed().insert(path.clone());
    }

    fn passed(&self) -> std::sync::MutexGuard<'_, BTreeSet<RelPath>> {
        self.mount_points.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Source for LocalTree {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        Box::new(Walk::new(self, filter))
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        let failed = |source: io::Error| TreeError { attempted: "opening", path: path.clone(), source };
        // A named pipe that took the file's place is opened without waiting for a writer, seen, and refused.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = untouched(flags, |flags| self.beneath.open(path.as_bytes(), flags))
            .map_err(|errno| failed(errno.into()))?;
        let stat = stat_fd(file.as_fd()).map_err(|errno| failed(errno.into()))?;
        if stat.stx_mode as u32 & libc::S_IFMT != libc::S_IFREG {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file any more")));
        }
        Ok(Box::new(LocalContent { file }))
    }
}

/// An open file of this machine.
struct LocalContent {
    file: OwnedFd,
}

impl Content for LocalContent {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < out.len() {
            match rustix::io::pread(&self.file, &mut out[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(len) => done += len,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(done)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        let start = match fs::seek(&self.file, SeekFrom::Data(from)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => return self.all_from(from),
            Err(errno) => return Err(errno.into()),
        };
        match fs::seek(&self.file, SeekFrom::Hole(start)) {
            Ok(end) => Ok(Some(start..end)),
            // Cut off between the two calls.
            Err(Errno::NXIO) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn look(&mut self) -> io::Result<Look> {
        let stat = stat_fd(self.file.as_fd())?;
        Ok(Look { len: stat.stx_size, mtime: timestamp(stat.stx_mtime), stamp: stamp(&stat) })
    }
}

impl LocalContent {
    fn all_from(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let len = stat_fd(self.file.as_fd())?.stx_size;
        Ok((from < len).then_some(from..len))
    }
}

/// Opens without changing the time of the last access, where that is ours to say.
pub(crate) fn untouched<T>(flags: OFlags, open: impl Fn(OFlags) -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    match open(flags | OFlags::NOATIME) {
        Err(Errno::PERM) => open(flags),
        opened => opened,
    }
}

pub(crate) fn stat_fd(fd: BorrowedFd<'_>) -> rustix::io::Result<Statx> {
    fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
}

pub(crate) fn timestamp(time: StatxTimestamp) -> Timestamp {
    Timestamp { seconds: time.tv_sec, nanoseconds: time.tv_nsec }
}

pub(crate) fn stamp(stat: &Statx) -> Stamp {
    Stamp {
        dev: fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
        ino: stat.stx_ino,
        ctime: timestamp(stat.stx_ctime),
        links: stat.stx_nlink.into(),
        blocks: stat.stx_blocks,
    }
}
